/** Whether a text has what ends a word of a rule: as C's isspace, and what ends a text there. */
export function hasBlank(text: string): boolean {
  return /[ \t\n\v\f\r\0]/.test(text);
}
