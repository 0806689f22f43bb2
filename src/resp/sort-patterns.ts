/** What SORT's patterns name (Redis's lookupKeyByPattern, sort.c). */

const HASH = 0x23;
const STAR = 0x2a;
const MINUS = 0x2d;
const GREATER = 0x3e;

/** What a pattern of BY or GET stands for, of each element: itself, nothing, or what lies in a key. */
export type SortPattern =
  | { kind: 'element' }
  | { kind: 'nothing' }
  /** The key's name is the element between these two, a character a byte; `field` is that of a hash, null: the key has a string. */
  | { kind: 'key'; prefix: string; suffix: string; field: Uint8Array | null };

const ELEMENT: SortPattern = { kind: 'element' };
const NOTHING: SortPattern = { kind: 'nothing' };

/** The element stands for the first `*`, and what follows `->` is a field of a hash. Of Redis's C strings a NUL is the end. */
export function patternOf(pattern: Uint8Array): SortPattern {
  const nul = pattern.indexOf(0);
  const end = nul < 0 ? pattern.length : nul;
  if (end === 1 && pattern[0] === HASH) return ELEMENT;
  const star = pattern.subarray(0, end).indexOf(STAR);
  if (star < 0) return NOTHING;
  const arrow = arrowOf(pattern, star + 1, end);
  const keyEnd = arrow < 0 ? pattern.length : arrow;
  return {
    kind: 'key',
    prefix: textOf(pattern.subarray(0, star)),
    suffix: textOf(pattern.subarray(star + 1, keyEnd)),
    field: arrow < 0 ? null : pattern.subarray(arrow + 2),
  };
}

/** Only the first arrow counts, and it must have something behind it; -1: there is none. */
function arrowOf(pattern: Uint8Array, from: number, end: number): number {
  for (let at = from; at + 2 < end; at++) if (pattern[at] === MINUS && pattern[at + 1] === GREATER) return at;
  return -1;
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('latin1');
}
