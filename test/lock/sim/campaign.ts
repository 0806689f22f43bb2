/** Schedules of all kinds, each so many times, none of which may break a rule. */
import type { Test } from 'tap';
import { EXCLUSIVE, type LockMode } from '../../../src/lock/lock.js';
import { randomFromSeed } from '../../help/random.js';
import { type ScheduleOptions, simulate } from './simulation.js';

export const SHARED: LockMode = { kind: 'shared' };
export const TWO: LockMode = { kind: 'limit', max: 2 };
export const THREE: LockMode = { kind: 'limit', max: 3 };

type Troubles = Omit<ScheduleOptions, 'copies' | 'seed'>;

const TROUBLES: readonly [string, Troubles][] = [
  ['clocks that are nearly right', { jumps: false }],
  ['clocks that jump', { jumps: true }],
  ['all nodes emptied at once', { jumps: false, totalLosses: true }],
  ['locks that are extended', { jumps: false, extending: true }],
  ['tokens that are used again', { jumps: false, repeats: true }],
];
const MODES: readonly [string, Troubles][] = [
  ['readers and writers', { jumps: false, modes: [EXCLUSIVE, SHARED, SHARED] }],
  ['two slots', { jumps: false, modes: [TWO] }],
  ['two slots that are extended', { jumps: false, extending: true, modes: [TWO] }],
  ['all modes', { jumps: false, modes: [EXCLUSIVE, SHARED, TWO, THREE] }],
  ['readers and slots, and clocks that jump', { jumps: true, modes: [SHARED, THREE] }],
];

/** `schedules`: of each kind. */
export function runCampaign(t: Test, schedules: number): void {
  for (const copies of [3, 4, 5]) {
    for (const [what, troubles] of copies === 4 ? TROUBLES : [...TROUBLES, ...MODES]) {
      t.test(`${copies} nodes, ${what}`, async (t) => {
        const random = randomFromSeed((text) => t.comment(text));
        let grants = 0;
        for (let count = 0; count < schedules; count++) {
          const seed = random.below(2 ** 31);
          const ruling = simulate({ copies, seed, ...troubles });
          grants += ruling.grants;
          if (ruling.faults.length > 0) t.fail(`seed ${seed}`, { faults: ruling.faults });
        }
        t.comment(`${grants} acquisitions`);
        t.ok(grants > schedules * 3, `${grants} acquisitions in ${schedules} schedules`);
      });
    }
  }

  for (const copies of [3, 5]) {
    for (const modes of [[EXCLUSIVE], [TWO], [EXCLUSIVE, SHARED, SHARED]]) {
      const kinds = modes.map(({ kind }) => kind).join();
      t.test(`who holds a lock of ${copies} nodes for long keeps it while these come and go: ${kinds}`, async (t) => {
        const random = randomFromSeed((text) => t.comment(text));
        for (let count = 0; count < schedules / 5; count++) {
          const seed = random.below(2 ** 31);
          const { faults } = simulate({ copies, seed, jumps: false, rolling: true, modes });
          if (faults.length > 0) t.fail(`seed ${seed}`, { faults });
        }
      });
    }
  }
}
