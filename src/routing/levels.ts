/**
 * What is promised of replicated keys (docs/CONSISTENCY.md): the levels, and the words for them.
 *
 * Invariant of `quorum`: reads + writes > copies, and 2 * writes > copies.
 */
import type { LevelSnapshot } from '../messages.js';

/** From the one that promises least to the one that promises most. */
export const CONSISTENCIES = ['weak', 'eventual', 'quorum', 'strong'] as const;
export type Consistency = (typeof CONSISTENCIES)[number];

/** Strong keys: linearizable by key. */
export function strongLevel(copies: number): LevelSnapshot {
  const majority = (copies >> 1) + 1;
  return { consistency: 'strong', reads: majority, writes: majority, allowsChanges: true };
}

/** In words: equal ones for equal promises. */
export function describeLevel({ consistency, reads, writes }: Pick<LevelSnapshot, 'consistency' | 'reads' | 'writes'>) {
  if (consistency !== 'quorum') return `consistency ${consistency}`;
  return `consistency quorum (readQuorum ${reads}, writeQuorum ${writes})`;
}
