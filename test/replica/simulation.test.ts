/**
 * Schedules of clients, proxies, nodes and troubles, drawn from seeds, in virtual time: the deciders of src/replica over the model of
 * a node (test/help/acceptor.ts). Each history is checked for linearizability, and at each vote what must hold between all nodes.
 * That this would see a fault is shown by breaking one rule at a time. What chance seldom finds is in test/slow.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { MUTANTS } from './sim/mutants.js';

t.test('whatever goes wrong with three copies, a key changes one step at a time', async (t) => runCampaign(t, 3, 400));

t.test('whatever goes wrong with five copies, a key changes one step at a time', async (t) => runCampaign(t, 5, 200));

for (const mutant of MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, 3, often);
    t.ok(found !== null, `caught within ${often} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
