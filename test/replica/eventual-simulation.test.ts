/**
 * Keys of consistency eventual in the simulation of replicated keys (see simulation.test.ts): whatever goes wrong, reads come from writes; when
 * it ends all copies become equal, and have what was acknowledged, or a larger version, unless all who had it have lost it; and what a process
 * writes is larger than what it knew. That this would see
 * a fault is shown by breaking one rule at a time.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { EVENTUAL_MUTANTS, HINT_MUTANTS, IN_ORDER, ORDER_MUTANTS } from './sim/mutants.js';
import { makeAbsenceSchedule, makeEventualSchedule, makeHintsSchedule } from './sim/schedule.js';

t.test('whatever goes wrong with three copies, they are equal in the end, with what was acknowledged', async (t) => {
  runCampaign(t, 3, 200, makeEventualSchedule);
});

t.test('whatever goes wrong with five copies, they are equal in the end, with what was acknowledged', async (t) => {
  runCampaign(t, 5, 150, makeEventualSchedule);
});

t.test('where nothing is lost what is kept for copies makes them equal, and nothing need be compared', async (t) => {
  runCampaign(t, 3, 200, makeHintsSchedule);
});

t.test('a copy that gets hints alone needs no versions, as long as they are given in order', async (t) => {
  runCampaign(t, 3, 100, makeAbsenceSchedule, 'calm');
  t.same(await catches(IN_ORDER, 3, 200, 1, makeAbsenceSchedule), null);
});

for (const [mutants, make] of [
  [EVENTUAL_MUTANTS, makeEventualSchedule],
  [HINT_MUTANTS, makeHintsSchedule],
  [ORDER_MUTANTS, makeAbsenceSchedule],
] as const) {
  for (const mutant of mutants) {
    const { often } = mutant;
    if (often === undefined) continue;
    t.test(`it would be seen: ${mutant.name}`, async (t) => {
      const found = await catches(mutant, 3, often, mutant.from, make);
      t.ok(found !== null, `caught within ${often} schedules`);
      t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
    });
  }
}
