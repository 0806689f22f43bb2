/** Which keys SORT's patterns name, and for which elements: Redis's lookupKeyByPattern and sortCommandGeneric (sort.c). */

const STAR = 0x2a;
const MINUS = 0x2d;
const GREATER = 0x3e;
/** What LIMIT may have that is looked at here. */
const NUMBER = /^-?\d{1,15}$/;

/**
 * The key that `pattern` of BY or GET names for one of the elements: the element stands for its first `*`, which it must have, and what
 * follows `->` is a field of a hash. `#*` is a pattern as others; of Redis's C strings a NUL is the end.
 */
export function keyOfPattern(pattern: Uint8Array, element: Uint8Array): Uint8Array {
  const star = pattern.indexOf(STAR);
  return Buffer.concat([pattern.subarray(0, star), element, pattern.subarray(star + 1, endOfKey(pattern, star + 1))]);
}

/** Where the field begins that is looked up in the key, with its arrow; or the end. */
function endOfKey(pattern: Uint8Array, from: number): number {
  const nul = pattern.indexOf(0, from);
  const end = nul < 0 ? pattern.length : nul;
  for (let at = from; at + 2 < end; at++) {
    // Only the first arrow counts, and it must have something behind it.
    if (pattern[at] === MINUS && pattern[at + 1] === GREATER) return at;
  }
  return pattern.length;
}

/**
 * What LIMIT leaves of the elements of a list or a sorted set where a BY without `*` says that nothing is sorted: offset and count (below
 * 0: all), and '1' where they count from the end (DESC). Empty where something is sorted, nothing is left out, or Redis will have to say
 * what is wrong. `words`: SORT's.
 */
export function rangeOfUnsorted(words: readonly Uint8Array[]): readonly string[] {
  let limit: readonly string[] = [];
  let isSorted = true;
  let isReversed = false;
  const textAt = (at: number) => Buffer.from(words[at] as Uint8Array).toString('latin1');
  for (let at = 2; at < words.length; at++) {
    const option = textAt(at).toLowerCase();
    const left = words.length - at - 1;
    if (option === 'asc' || option === 'desc') isReversed = option === 'desc';
    else if (option === 'limit' && left >= 2) {
      limit = [textAt(at + 1), textAt(at + 2)];
      if (!limit.every((number) => NUMBER.test(number))) return [];
      at += 2;
    } else if ((option === 'by' || option === 'get' || option === 'store') && left >= 1) {
      at += 1;
      // A later BY does not take it back. Of Redis's C strings a NUL is the end.
      if (option === 'by' && !(textAt(at).split('\0')[0] as string).includes('*')) isSorted = false;
    } else if (option !== 'alpha') return [];
  }
  return isSorted || limit.length === 0 ? [] : [...limit, isReversed ? '1' : '0'];
}
