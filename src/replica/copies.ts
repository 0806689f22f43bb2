/** Sets of a key's copies, as bits: bit i for copy i. */

/** How many are in a set. */
export function bits(mask: number): number {
  let count = 0;
  for (let rest = mask; rest !== 0; rest &= rest - 1) count++;
  return count;
}
