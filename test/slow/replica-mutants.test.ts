/**
 * Rules of replicated keys whose breaking the simulation sees seldom, each with a seed that showed it. Where the source has changed
 * since, that seed may be another schedule: then it is looked for.
 */
import t from 'tap';
import { catches } from '../replica/sim/catches.js';
import { MUTANTS, QUORUM_MUTANTS } from '../replica/sim/mutants.js';
import { makeQuorumSchedule } from '../replica/sim/schedule.js';

/** A rule that chance has taken two thousand schedules to see broken takes a few thousand more now and then. */
const SCHEDULES_MAX = 20_000;

for (const mutant of MUTANTS) {
  for (const { copies, seed } of mutant.seldom ?? []) {
    t.test(`it would be seen with ${copies} copies: ${mutant.name}`, async (t) => {
      const found = (await catches(mutant, copies, 1, seed)) ?? (await catches(mutant, copies, SCHEDULES_MAX));
      t.ok(found !== null, 'caught');
      t.comment(`caught by seed ${found?.seed}: ${found?.violation}`);
    });
  }
}

for (const mutant of QUORUM_MUTANTS) {
  for (const { copies, seed } of mutant.seldom ?? []) {
    t.test(`it would be seen with ${copies} copies of consistency quorum: ${mutant.name}`, async (t) => {
      const found =
        (await catches(mutant, copies, 1, seed, makeQuorumSchedule)) ??
        (await catches(mutant, copies, SCHEDULES_MAX, 1, makeQuorumSchedule));
      t.ok(found !== null, 'caught');
      t.comment(`caught by seed ${found?.seed}: ${found?.violation}`);
    });
  }
}
