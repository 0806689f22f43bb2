/** Which slot all keys have that a pattern of SORT's BY or GET can name. */
import { slotOf } from './slot.js';

const OPEN = 0x7b;
const CLOSE = 0x7d;
const STAR = 0x2a;

/**
 * The slot of the pattern's hash tag, where that stands before the first `*`, for which elements stand; -1: keys of one pattern may have several slots.
 * What is behind the `*` has no say: an element may have a tag, too.
 */
export function slotOfPattern(pattern: Uint8Array): number {
  const star = pattern.indexOf(STAR);
  const begin = star < 0 ? pattern : pattern.subarray(0, star);
  const open = begin.indexOf(OPEN);
  const close = begin.indexOf(CLOSE, open);
  return open < 0 || close <= open + 1 ? -1 : slotOf(begin, 0, begin.length);
}
