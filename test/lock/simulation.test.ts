/** Locks in a time that is made up; and that each rule of theirs, if it were broken, would be seen. */
import t from 'tap';
import { EXCLUSIVE, type LockMode } from '../../src/lock/lock.js';
import { type Edit, loadEdited } from '../help/edited-copy.js';
import { randomFromSeed } from '../help/random.js';
import type { Omission } from './model-node.js';
import { runCampaign, SHARED, TWO } from './sim/campaign.js';
import type { simulate } from './sim/simulation.js';

/** More of them are in the slow set. */
const SCHEDULES = 200;
/** Several times as many as the mutant that is seen least often needs: one in 500. */
const CATCH_MAX = 6000;

runCampaign(t, SCHEDULES);

interface Mutant {
  name: string;
  fault: RegExp;
  copies?: number;
  totalLosses?: boolean;
  repeats?: boolean;
  rolling?: boolean;
  extending?: boolean;
  modes?: readonly LockMode[];
  /** Of redlock, unless they say otherwise. */
  edits?: readonly (Omit<Edit, 'file'> & Partial<Edit>)[];
  without?: readonly Omission[];
}

const ANY_EXTENSION = {
  file: 'src/lock/retakes',
  from: 'if (alike.length < replies.quorum)',
  to: 'if (alike.length < 1)',
};
const COUNTED = { file: 'src/lock/verdicts', from: 'if (copy in this.replies)', to: 'if (false)' };

const MUTANTS: readonly Mutant[] = [
  {
    name: 'no drift',
    fault: /two at once/,
    edits: [{ from: ' - ttlMs * DRIFT - DRIFT_MS', to: '' }],
  },
  {
    name: 'validity from the answer on',
    fault: /two at once/,
    edits: [
      { from: 'validityMs(this.plan.ttlMs, this.askedMs, nowMs)', to: 'validityMs(this.plan.ttlMs, nowMs, nowMs)' },
    ],
  },
  {
    name: 'minority',
    fault: /two at once|one fence twice/,
    edits: [{ from: 'return (copies >> 1) + 1;', to: 'return copies >> 1;' }],
  },
  {
    name: 'half of four',
    fault: /two at once|one fence twice/,
    copies: 4,
    edits: [{ from: 'return (copies >> 1) + 1;', to: 'return (copies + 1) >> 1;' }],
  },
  {
    name: 'fence not stored on a majority',
    fault: /one fence twice|fences go back/,
    edits: [
      {
        from: 'const yes = bits(this.yes);',
        to: "const yes = bits(this.yes) + (this.phase === 'confirming' ? 1 : 0);",
      },
    ],
  },
  {
    name: 'the fence of whoever answers first',
    fault: /one fence twice|fences go back/,
    edits: [{ from: 'if (vote.accepted > base.accepted)', to: 'if (false)' }],
  },
  {
    name: 'fences that begin anew',
    fault: /one fence twice|fences go back/,
    totalLosses: true,
    edits: [{ from: ', counterOf(ballot))', to: ')' }],
  },
  { name: 'quarantine off', fault: /two at once/, without: ['quarantine'] },
  { name: 'n tokens a node', fault: /3 of 2 slots/, modes: [TWO], without: ['slots'] },
  {
    name: 'half of the nodes for a slot',
    fault: /of 2 slots|one fence twice/,
    copies: 4,
    modes: [TWO],
    edits: [{ from: 'return (copies >> 1) + 1;', to: 'return (copies + 1) >> 1;' }],
  },
  { name: 'readers beside slots', fault: /two at once/, modes: [SHARED, TWO], without: ['mode'] },
  { name: 'a writer beside readers', fault: /two at once/, modes: [SHARED, EXCLUSIVE], without: ['mode'] },
  { name: 'quarantine off, of slots', fault: /3 of 2 slots/, modes: [TWO], without: ['quarantine'] },
  {
    name: 'fences of readers that are not stored on a majority',
    fault: /one fence twice|fences go back/,
    modes: [SHARED],
    edits: [
      {
        from: 'const yes = bits(this.yes);',
        to: "const yes = bits(this.yes) + (this.phase === 'confirming' ? 1 : 0);",
      },
    ],
  },
  {
    name: 'never taken again',
    fault: /^lost/,
    rolling: true,
    edits: [{ file: 'src/lock/retakes', from: 'if (held === null || leftMs <= 0)', to: 'if (true)' }],
  },
  {
    name: 'a slot that is taken again without a majority',
    fault: /extended after it was lost/,
    extending: true,
    modes: [TWO],
    edits: [ANY_EXTENSION],
  },
  {
    name: 'a slot that is taken again, which counts',
    fault: /extended after it was lost/,
    extending: true,
    modes: [TWO],
    edits: [ANY_EXTENSION, COUNTED],
  },
  { name: 'taken again where others have that slot', fault: /3 of 2 slots/, modes: [TWO], without: ['free'] },
  { name: 'given back whatever was granted since', fault: /two at once/, repeats: true, without: ['granted'] },
  { name: 'confirmed without the promise', fault: /one fence twice|fences go back/, without: ['promise', 'token'] },
];

t.test('each broken rule is seen', async (t) => {
  for (const mutant of MUTANTS) {
    const {
      name,
      fault,
      copies = 3,
      totalLosses = false,
      repeats = false,
      rolling = false,
      extending = false,
      modes = [EXCLUSIVE],
      edits = [],
      without = [],
    } = mutant;
    const random = randomFromSeed((text) => t.comment(text));
    const edited = edits.map((edit) => ({ file: 'src/lock/redlock', ...edit }));
    const places = {
      copied: ['src/lock', 'test/lock'],
      linked: [
        'src/replica',
        'src/resp',
        'src/routing',
        'src/base',
        'src/backend',
        'src/transport',
        'test/help',
        'test/transport',
      ],
    };
    const module = (await loadEdited(name, edited, places, 'test/lock/sim/simulation')) as {
      simulate: typeof simulate;
    };
    let tried = 0;
    let seen = '';
    for (; tried < CATCH_MAX && seen === ''; tried++) {
      const ruling = module.simulate({
        copies,
        seed: random.below(2 ** 31),
        jumps: false,
        totalLosses,
        repeats,
        rolling,
        extending,
        modes,
        without,
      });
      seen = ruling.faults.find((text) => fault.test(text)) ?? '';
    }
    t.match(seen, fault, `${name}: after ${tried} schedules`);
  }
});
