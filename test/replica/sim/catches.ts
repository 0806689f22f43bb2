/** Which schedule catches a mutant. */
import { loadMutant, type Mutant } from './mutants.js';
import { makeSchedule } from './schedule.js';

export interface Catch {
  seed: number;
  violation: string;
}

/** Seeds from `first` on, so many of them. Null: not caught. */
export async function catches(
  mutant: Mutant,
  copies: 3 | 5,
  schedulesMax: number,
  first = 1,
  make = makeSchedule,
): Promise<Catch | null> {
  const { Simulation } = await loadMutant(mutant);
  const without = new Set(mutant.without);
  for (let seed = first; seed < first + schedulesMax; seed++) {
    const { violation } = new Simulation(make(seed, copies), without).run();
    if (violation !== null) return { seed, violation };
  }
  return null;
}
