/**
 * Splits an inline command, as typed into telnet, into its arguments: words, "quoted with \n \x41 escapes" or 'quoted as
 * is', as Redis's sdssplitargs does.
 */

const SPACE = 0x20;
const QUOTE = 0x22;
const APOSTROPHE = 0x27;
const BACKSLASH = 0x5c;
const LETTER_X = 0x78;
/** What stands past the line's end, as in a C string. */
const NOTHING = 0;

/** What a letter after a backslash means; any other stands for itself. */
const ESCAPES: ReadonlyMap<number, number> = new Map([
  [0x6e, 0x0a], // n
  [0x72, 0x0d], // r
  [0x74, 0x09], // t
  [0x62, 0x08], // b
  [0x61, 0x07], // a
]);

/** The arguments in bytes[from, to), which holds no NUL; null if quotes do not match or are followed by no blank. */
export function splitWords(bytes: Uint8Array, from: number, to: number): Uint8Array[] | null {
  const line = bytes.subarray(from, to);
  const words: Uint8Array[] = [];
  // A word is never longer than what it is written with.
  const word = new Uint8Array(line.length);
  let at = 0;
  for (;;) {
    while (isBlank(line[at])) at++;
    if (at >= line.length) return words;
    let length = 0;
    let quote = NOTHING;
    for (let done = false; !done; at++) {
      const byte = line[at] ?? NOTHING;
      if (quote === NOTHING) {
        if (byte === NOTHING || endsWord(byte)) done = true;
        else if (byte === QUOTE || byte === APOSTROPHE) quote = byte;
        else word[length++] = byte;
      } else if (byte === NOTHING) {
        return null;
      } else if (byte === quote) {
        if (at + 1 < line.length && !isBlank(line[at + 1])) return null;
        done = true;
      } else if (byte === BACKSLASH && quote === APOSTROPHE && line[at + 1] === APOSTROPHE) {
        word[length++] = line[++at] as number;
      } else if (byte === BACKSLASH && quote === QUOTE && at + 1 < line.length) {
        const value = line[at + 1] === LETTER_X ? hexValue(line[at + 2]) * 16 + hexValue(line[at + 3]) : Number.NaN;
        const letter = line[at + 1] as number;
        word[length++] = Number.isNaN(value) ? (ESCAPES.get(letter) ?? letter) : value;
        at += Number.isNaN(value) ? 1 : 3;
      } else {
        word[length++] = byte;
      }
    }
    words.push(word.slice(0, length));
  }
}

/** isspace() of C: what may stand between words. */
function isBlank(byte: number | undefined): boolean {
  return byte === SPACE || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

/** Of the blanks, a vertical tab and a form feed do not end a word. */
function endsWord(byte: number): boolean {
  return byte === SPACE || byte === 0x09 || byte === 0x0a || byte === 0x0d;
}

/** The digit's value, or NaN. */
function hexValue(byte: number | undefined): number {
  if (byte === undefined) return Number.NaN;
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x61 + 10 : Number.NaN;
}
