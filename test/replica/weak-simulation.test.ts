/**
 * Weak keys in the simulation of replicated keys (see simulation.test.ts): whatever goes wrong, what reads tell comes from writes, and clients
 * are answered. That this would see a fault is shown by breaking one rule at a time.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { WEAK_MUTANTS } from './sim/mutants.js';
import { makeWeakSchedule } from './sim/schedule.js';

t.test('whatever goes wrong with three copies, reads come from writes', async (t) => {
  runCampaign(t, 3, 300, makeWeakSchedule);
});

t.test('whatever goes wrong with five copies, reads come from writes', async (t) => {
  runCampaign(t, 5, 200, makeWeakSchedule);
});

for (const mutant of WEAK_MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, 3, often, 1, makeWeakSchedule);
    t.ok(found !== null, `caught within ${often} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
