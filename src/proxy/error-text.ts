/** What errors say, those of nodes and the proxy's own, where they become part of another one. */

/** How one begins that is the proxy's own: the node has not refused anything, and is named already. */
const OWN = /^(NODEDOWN|OVERLOADED|UNKNOWN) /;
/** Nodes that an error names besides the one whose words it has. */
const NAMED_MAX = 8;

/** The text of an error reply, a character a byte as in `errorReply`: without its first character and its line's end. */
export function textOfError({ buffer, byteOffset, length }: Uint8Array): string {
  return Buffer.from(buffer, byteOffset + 1, length - 3).toString('latin1');
}

/** Whether an error with that text is the proxy's own. */
export function isOwnError(text: string): boolean {
  return OWN.test(text);
}

/** What an error says of the nodes that have failed besides the one whose words it has; nothing where there are none. */
export function failedToo(labels: readonly string[]): string {
  if (labels.length === 0) return '';
  const more = labels.length > NAMED_MAX ? ` and ${labels.length - NAMED_MAX} more` : '';
  return ` (failed too: ${labels.slice(0, NAMED_MAX).join(', ')}${more})`;
}
