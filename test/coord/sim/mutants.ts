/** One rule broken at a time, to show that the simulation would see it. */
import { type Edit, loadEdited } from '../../help/edited-copy.js';
import type { Simulation } from './simulation.js';

export interface Mutant {
  readonly name: string;
  readonly edits: readonly Edit[];
  /** The schedules that it may take are several times those that it takes on average: test/slow looks for it. */
  readonly isSeldom?: true;
}

const FOLDERS = {
  copied: ['src/coord', 'test/coord/sim'],
  linked: ['src/base', 'test/help', 'test/transport', 'test/replica'],
};

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'a lease counted from the answer instead of the sending',
    edits: [
      {
        file: 'src/coord/held-lease',
        from: 'this.time.onRenewed(sentMs);',
        to: 'this.time.onRenewed(this.store.clock.nowMs());',
      },
    ],
  },
  {
    name: 'drift left out',
    edits: [
      { file: 'src/coord/lease', from: 'this.lengthMs = lengthMs * (1 - 2 * DRIFT);', to: 'this.lengthMs = lengthMs;' },
    ],
  },
  {
    name: 'a lease that is asked for by its state, not by the time',
    edits: [
      {
        file: 'src/coord/held-lease',
        from: 'return !this.ending.signal.aborted && this.store.clock.nowMs() < this.time.untilMs;',
        to: 'return !this.ending.signal.aborted;',
      },
    ],
  },
  {
    name: 'a lease ended by its name, not by the version that was seen',
    edits: [
      {
        file: 'src/coord/lease-watch',
        from: 'store.compareAndSet({ folder, name }, version, null)',
        to: 'store.get({ folder, name }).then((now) => store.compareAndSet({ folder, name }, now.version + 0 * version, null))',
      },
    ],
  },
  {
    name: 'others count a lease from its first version',
    isSeldom: true,
    edits: [
      {
        file: 'src/coord/lease',
        from: 'if (this.seen.get(name)?.version !== version)',
        to: 'if (!this.seen.has(name))',
      },
    ],
  },
  {
    name: 'a watch without versions: an old look overwrites a newer one',
    edits: [
      {
        file: 'test/coord/sim/sim-driver',
        from: 'const isNews = folder.last > this.told || (!this.isWell && folder.last === this.told);',
        to: 'const isNews = true;',
      },
    ],
  },
  {
    name: 'no term check',
    edits: [{ file: 'src/coord/led-entry', from: 'if (found <= own)', to: 'if (true)' }],
  },
  {
    name: 'a new leader reads, and does not seal',
    edits: [
      {
        file: 'src/coord/led-entry',
        from: 'const written = await store.compareAndSet(key, found.version, encode({ term, value }));',
        to: "const written = { kind: 'done', version: found.version };",
      },
    ],
  },
  {
    name: 'a term counted from the one that was seen last',
    edits: [
      {
        file: 'src/coord/election',
        from: 'this.ownTerm = takenVersion;',
        to: 'this.ownTerm = takenVersion = (this.seen?.term ?? 0) + 1;',
      },
    ],
  },
  {
    name: 'what was in doubt taken for a conflict',
    edits: [{ file: 'src/coord/store', from: 'if (doubt === null)', to: 'if (true)' }],
  },
  {
    name: 'what was in doubt before taken for what came of it last',
    isSeldom: true,
    edits: [
      {
        file: 'src/coord/store',
        from: 'if (clock.nowMs() + pauseMs >= deadlineMs)\n                throw doubt() ?? failure;',
        to: 'if (clock.nowMs() + pauseMs >= deadlineMs)\n                throw failure;',
      },
    ],
  },
  {
    name: 'who has a change is seen by the watch, not asked of the store',
    edits: [{ file: 'src/coord/membership', from: 'if (isSo(members))', to: 'if (isSo(this.members))' }],
  },
  {
    name: 'what was told is taken for as new as what was asked for',
    edits: [{ file: 'src/coord/membership', from: 'isAsNewAs(this.told, asked)', to: 'true' }],
  },
  {
    name: 'what is shown while a lease is taken is lost',
    isSeldom: true,
    edits: [{ file: 'src/coord/claim', from: 'if (this.value !== shown)', to: 'if (false)' }],
  },
  {
    name: 'a lease that was lost is not taken again',
    edits: [
      {
        file: 'src/coord/claim',
        from: 'this.events.onLost(reason);\n        this.resume();',
        to: "this.events.onLost(reason);\n        this.state = { kind: 'taking', done: Promise.resolve(null) };",
      },
    ],
  },
];

/** The first schedule that catches it, of so many from `first` on. Null: none does. */
export async function catches(
  mutant: Mutant,
  schedulesMax: number,
  first = 1,
): Promise<{ seed: number; violation: string } | null> {
  const { name, edits } = mutant;
  const loaded = (await loadEdited(name, edits, FOLDERS, 'test/coord/sim/simulation')) as {
    Simulation: typeof Simulation;
  };
  for (let seed = first; seed < first + schedulesMax; seed++) {
    const { violation } = await new loaded.Simulation(seed).run();
    if (violation !== null) return { seed, violation };
  }
  return null;
}
