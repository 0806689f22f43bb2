/**
 * Keys of consistency quorum in the simulation of replicated keys (see simulation.test.ts): whatever goes wrong, clients are told what a
 * regular register may tell, and what one read has told no later one takes back. That this would see a fault is shown by breaking one
 * rule at a time.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { QUORUM_MUTANTS } from './sim/mutants.js';
import { makeQuorumSchedule } from './sim/schedule.js';

t.test(
  'whatever goes wrong with three copies, a read tells nothing that was overwritten before it began',
  async (t) => {
    runCampaign(t, 3, 300, makeQuorumSchedule);
  },
);

t.test('whatever goes wrong with five copies, a read tells nothing that was overwritten before it began', async (t) => {
  runCampaign(t, 5, 200, makeQuorumSchedule);
});

for (const mutant of QUORUM_MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, 3, often, mutant.from, makeQuorumSchedule);
    t.ok(found !== null, `caught within ${often} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
