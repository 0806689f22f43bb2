/**
 * Weak keys in the simulation of replicated keys (see simulation.test.ts): whatever goes wrong, what reads tell comes from writes, and clients
 * are answered; while nothing does, nobody reads what was overwritten before. That this would see a fault is shown by breaking one rule at a time.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { CALM_MUTANTS, WEAK_MUTANTS } from './sim/mutants.js';
import { makeCalmSchedule, makeWeakSchedule } from './sim/schedule.js';

t.test('whatever goes wrong with three copies, reads come from writes', async (t) => {
  runCampaign(t, 3, 300, makeWeakSchedule);
});

t.test('whatever goes wrong with five copies, reads come from writes', async (t) => {
  runCampaign(t, 5, 200, makeWeakSchedule);
});

t.test('while nothing goes wrong, a read tells nothing that was overwritten before it began', async (t) => {
  runCampaign(t, 3, 150, makeCalmSchedule, 'calm');
});

const MUTANTS = [
  ...WEAK_MUTANTS.map((mutant) => ({ mutant, make: makeWeakSchedule })),
  ...CALM_MUTANTS.map((mutant) => ({ mutant, make: makeCalmSchedule })),
];

for (const { mutant, make } of MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, 3, often, mutant.from, make);
    t.ok(found !== null, `caught within ${often} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
