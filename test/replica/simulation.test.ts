/**
 * Schedules of clients, proxies, nodes and troubles, drawn from seeds, in virtual time: the deciders of src/replica over the model of
 * a node (test/help/acceptor.ts). Each history is checked for linearizability, and at each vote what must hold between all nodes.
 * That this would see a fault is shown by breaking one rule at a time. What chance seldom finds is in test/slow.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { randomFromSeed } from '../help/random.js';
import { runCampaign } from './sim/campaign.js';
import { catches } from './sim/catches.js';
import { MUTANTS } from './sim/mutants.js';
import { makeContention } from './sim/schedule.js';
import { explain } from './sim/shrink.js';
import { Simulation } from './sim/simulation.js';

t.test('whatever goes wrong with three copies, a key changes one step at a time', async (t) => runCampaign(t, 3, 400));

t.test('whatever goes wrong with five copies, a key changes one step at a time', async (t) => runCampaign(t, 5, 200));

t.test('who writes at once with others is told what became of it, while nothing goes wrong', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (const proxies of [2, 3, 4]) {
    const tally = { answered: 0, unknown: 0, failed: 0 };
    for (let count = 0; count < 60; count++) {
      const schedule = makeContention(random.below(2 ** 31), random.pick([3, 5]), proxies);
      const { violation, answered, unknown, failed } = new Simulation(schedule).run();
      if (violation !== null) t.fail(explain(schedule, Simulation));
      tally.answered += answered;
      tally.unknown += unknown;
      tally.failed += failed;
    }
    t.match(tally, { unknown: 0, failed: 0 }, `${proxies} proxies: ${JSON.stringify(tally)}`);
  }
});

for (const mutant of MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, 3, often, mutant.from);
    t.ok(found !== null, `caught within ${often} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
