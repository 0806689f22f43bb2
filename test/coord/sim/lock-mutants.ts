/** One rule of locks on the store broken at a time, to show that the simulation would see it. */
import { type Edit, loadEdited } from '../../help/edited-copy.js';
import type { LockSimulation } from './lock-simulation.js';

export interface LockMutant {
  readonly name: string;
  readonly edits: readonly Edit[];
}

const FOLDERS = {
  copied: ['src/coord', 'test/coord/sim'],
  linked: ['src/base', 'test/help', 'test/transport', 'test/replica'],
};

export const LOCK_MUTANTS: readonly LockMutant[] = [
  {
    name: 'a lock counted from the answer instead of the sending',
    edits: [
      {
        file: 'src/coord/store-locks',
        from: 'const untilMs = heldUntilMs(ttlMs, sentMs);',
        to: 'const untilMs = heldUntilMs(ttlMs, this.clock.nowMs());',
      },
    ],
  },
  {
    name: 'drift left out',
    edits: [
      {
        file: 'src/coord/lock-sightings',
        from: 'return sentMs + ttlMs * (1 - DRIFT);',
        to: 'return sentMs + ttlMs;',
      },
    ],
  },
  {
    name: 'taken over by its name, not by the version that was seen',
    edits: [
      {
        file: 'src/coord/store-locks',
        from: 'const written = await this.store.compareAndSet({ folder: FOLDER, name: entryName }, version, value);',
        to:
          'const now = await this.store.get({ folder: FOLDER, name: entryName });' +
          'const written = await this.store.compareAndSet({ folder: FOLDER, name: entryName }, now.version, value);',
      },
    ],
  },
  {
    name: 'what is not there known by another name that was not',
    edits: [
      {
        file: 'src/coord/lock-sightings',
        from: 'this.absent.get(entryName) ?? 0',
        to: '...this.absent.values()',
      },
    ],
  },
  {
    name: 'a renewal that others do not see as one',
    edits: [
      {
        file: 'src/coord/lock-entry',
        from: 'holder === own ? { ...holder, ttlMs, renewal } : holder',
        to: 'holder === own ? { ...holder, ttlMs } : holder',
      },
    ],
  },
  {
    name: 'what is unknown is taken for done',
    edits: [
      {
        file: 'src/coord/store-locks',
        from: "if (error instanceof StoreError && error.fault === 'unknown')\n                return null;",
        to:
          "if (error instanceof StoreError && error.fault === 'unknown') {\n" +
          "this.onEntry(entryName, { version: version + 1, value }); return 'done'; }",
      },
    ],
  },
  {
    name: 'a mode is not asked for',
    edits: [
      {
        file: 'src/coord/lock-entry',
        from: "held.kind === 'shared' && wanted.kind === 'shared'",
        to: "held.kind === 'shared'",
      },
    ],
  },
  {
    name: 'nobody takes over',
    edits: [
      {
        file: 'src/coord/store-locks',
        from: 'return this.sightings.untilMs(entryName, holder) <= this.clock.nowMs();',
        to: 'return false;',
      },
    ],
  },
];

/** The first schedule that catches it, of so many. Null: none does. */
export async function catchesLockMutant(
  { name, edits }: LockMutant,
  schedules: number,
): Promise<{ seed: number; violation: string } | null> {
  const { LockSimulation: Mutated } = (await loadEdited(name, edits, FOLDERS, 'test/coord/sim/lock-simulation')) as {
    LockSimulation: typeof LockSimulation;
  };
  for (let seed = 1; seed <= schedules; seed++) {
    const { violation } = await new Mutated(seed).carryOut();
    if (violation !== null) return { seed, violation };
  }
  return null;
}
