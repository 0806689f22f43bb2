/** What somebody who mistyped a word may have meant. */

/** The word most like `word`, or null when none is like it: at most a third of its letters differ, and never more than 3. */
export function nearestWord(word: string, words: readonly string[]): string | null {
  let nearest: string | null = null;
  let distance = Math.min(3, Math.ceil(word.length / 3)) + 1;
  for (const candidate of words) {
    const found = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (found < distance) {
      nearest = candidate;
      distance = found;
    }
  }
  return nearest;
}

/** `; did you mean X?`, or nothing when no known word is like `word`. */
export function meant(word: string, known: readonly string[]): string {
  const nearest = nearestWord(word, known);
  return nearest === null ? '' : `; did you mean ${nearest}?`;
}

/**
 * Letters to insert, remove, replace, or swap with their neighbour to make `target` of `source` (optimal string
 * alignment distance).
 */
function editDistance(source: string, target: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: target.length + 1 }, (_, index) => index);
  for (let row = 1; row <= source.length; row++) {
    const current = [row];
    for (let column = 1; column <= target.length; column++) {
      const same = source[row - 1] === target[column - 1];
      let best = Math.min(
        (last[column] as number) + 1,
        (current[column - 1] as number) + 1,
        (last[column - 1] as number) + (same ? 0 : 1),
      );
      const swapped =
        row > 1 && column > 1 && source[row - 1] === target[column - 2] && source[row - 2] === target[column - 1];
      if (swapped) best = Math.min(best, (beforeLast[column - 2] as number) + 1);
      current.push(best);
    }
    beforeLast = last;
    last = current;
  }
  return last[target.length] as number;
}
