/**
 * Members of a fleet, drawn from seeds, in virtual time: the product's store, leases, membership and election over a model of the store
 * and of the way there. That this would see a fault is shown by breaking one rule at a time. What chance seldom finds is in test/slow.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { randomFromSeed } from '../help/random.js';
import { runCampaign } from './sim/campaign.js';
import { catches, MUTANTS } from './sim/mutants.js';
import { LEASE_MS, Simulation } from './sim/simulation.js';

/** By when another one leads, after the lease of a leader that is gone. */
const ELECTION_MS = 1_000;
/** Several times those that it takes to catch each mutant. */
const SCHEDULES_MAX = 200;

t.test('whatever goes wrong, one leads in each term, and who is a member knows what members know', async (t) => {
  await runCampaign(t, 120);
});

t.test('a leader that dies or is stopped is followed within its lease and a second', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let longestMs = 0;
  for (let count = 0; count < 60; count++) {
    const seed = random.below(2 ** 31);
    const tookMs = await new Simulation(seed).replaceLeader(random.pick(['die', 'stop']));
    longestMs = Math.max(longestMs, tookMs);
    if (tookMs >= LEASE_MS + ELECTION_MS) t.fail(`schedule ${seed}: it took ${tookMs} ms`);
  }
  t.comment(`at most ${longestMs} ms`);
  for (let count = 0; count < 20; count++) {
    const tookMs = await new Simulation(random.below(2 ** 31)).replaceLeader('leave');
    t.ok(tookMs < ELECTION_MS, 'who leaves is followed at once');
  }
});

for (const mutant of MUTANTS) {
  if (mutant.isSeldom === true) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, SCHEDULES_MAX);
    t.ok(found !== null, `caught within ${SCHEDULES_MAX} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
