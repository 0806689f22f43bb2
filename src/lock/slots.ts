/** Which slot of a counted lock is to be tried next, by what nodes have said; decided purely. */

/** What nodes said to who wants a slot. */
export interface SlotReports {
  /** Of nodes that have said so, in this ballot or before: for each slot '0' where nobody else has it, '1' where somebody does, '2' where he has but voted for it. */
  readonly taken: readonly string[];
  /** At which slots nodes have the token already. */
  readonly own: readonly string[];
  /** Nodes of which it is not known, and that may have any. */
  readonly unknown: number;
}

/**
 * One that may be free at `quorum` nodes: where the token is most often, else one that is known to be free at most of them; of several alike a
 * random one, so that those who want one at the same moment do not all try the same. Null: there is none.
 */
export function nextSlot(
  max: number,
  { taken, own, unknown }: SlotReports,
  quorum: number,
  chance: number,
): number | null {
  const first = Math.floor(chance * max);
  let [best, bestScore] = [-1, -1];
  for (let count = 0; count < max; count++) {
    const slot = (first + count) % max;
    const owned = own.filter((text) => text === `${slot}`).length;
    const free = taken.filter((text) => text[slot] === '0').length;
    // Where it has another one it may have this one, too.
    if (owned + free + (own.length - owned) + unknown < quorum) continue;
    const score = owned * (taken.length + 1) + free;
    if (score > bestScore) [best, bestScore] = [slot, score];
  }
  return best < 0 ? null : best;
}

/** Whether somebody may have each slot, by what nodes have said, and so many have not: votes are not enough. */
export function areAllHeld(max: number, taken: readonly string[], silent: number, quorum: number): boolean {
  for (let slot = 0; slot < max; slot++) {
    const count = taken.filter((text) => text[slot] === '1').length;
    if (count + silent < quorum) return false;
  }
  return true;
}

/** `taken`, but for that slot, and those that somebody has but voted for, which he may have given back since. */
export function withFree(taken: string, free: number | null): string {
  return Array.from(taken, (one, slot) => (one === '2' || slot === free ? '0' : one)).join('');
}
