/**
 * The error replies that are ours, in one table: what each means for the command that got it. Everything else is said in
 * Redis's own words (resp/request.ts, resp/commands.ts) or forwarded from a node.
 */
export const ERROR_CODES = {
  /** The command had no effect: it was not sent, or it only reads. Names the node and why. Safe to repeat. */
  NODEDOWN: 'NODEDOWN',
  /** A write was sent and its reply did not come: it may have been carried out. Never repeated by the proxy. */
  UNKNOWN: 'UNKNOWN',
  /** A named limit was reached; the command was not sent. */
  OVERLOADED: 'OVERLOADED',
  /** Too few of the nodes that have copies of a replicated key agreed to it; the command had no effect. */
  NOQUORUM: 'NOQUORUM',
  /** The token does not hold the lock: says who does, and for how long. */
  NOTHELD: 'NOTHELD',
  /** A key was used with a larger fence of the lock; the command had no effect. Names the key and the fence. */
  FENCED: 'FENCED',
  /** The keys of one command lie on different shards, and it does more than to read them. Names two of them. */
  CROSSSLOT: 'CROSSSLOT',
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

const encoder = new TextEncoder();

/** The bytes of the error reply `-CODE text\r\n`. Line breaks in `text` become spaces: a reply is one line. */
export function errorBytes(code: ErrorCode | 'ERR' | 'NOAUTH', text: string): Uint8Array {
  return encoder.encode(`-${code} ${text.replace(/[\r\n]+/g, ' ')}\r\n`);
}

/** Fewer letters of a password at the end of a text do not give it away, and may be those of another word. */
const SECRET_START_MIN = 3;

/** `text`, which somebody else wrote, without `secret` if it says that back, nor its beginning where the text breaks off in it. */
export function withoutSecret(text: string, secret: string | null): string {
  if (secret === null || secret === '') return text;
  const shown = text.replaceAll(secret, () => '...');
  for (let length = Math.min(secret.length, shown.length); length >= SECRET_START_MIN; length--) {
    if (shown.endsWith(secret.slice(0, length))) return `${shown.slice(0, -length)}...`;
  }
  return shown;
}

const SHOWN_BYTES_MAX = 64;

/** `bytes[start, end)` as text for an error or a log: printable, at most 64 bytes of it, quoted. */
export function showBytes(bytes: Uint8Array, start: number, end: number): string {
  let text = '';
  for (let at = start; at < Math.min(end, start + SHOWN_BYTES_MAX); at++) {
    const byte = bytes[at] as number;
    text += byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return `'${text}${end - start > SHOWN_BYTES_MAX ? '…' : ''}'`.replaceAll('…', '...');
}
