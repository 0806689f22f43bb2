/** Compares arguments with the words of Redis's syntax. */

/**
 * Whether bytes[start, end) is `word` (lower-case letters) in any case. Redis compares C strings: what follows a NUL in
 * the argument does not count.
 */
export function argumentIs(bytes: Uint8Array, start: number, end: number, word: string): boolean {
  const { length } = word;
  if (end - start < length) return false;
  for (let i = 0; i < length; i += 1) {
    const wanted = word.charCodeAt(i);
    if (((bytes[start + i] as number) | 0x20) !== wanted || (bytes[start + i] as number) < 0x41) return false;
  }
  return end - start === length || bytes[start + length] === 0;
}
