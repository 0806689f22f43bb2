/** Members of a fleet in virtual time, for longer than in test/coord, and rules whose breaking is seen seldom. */
import t from 'tap';
import { runCampaign } from '../coord/sim/campaign.js';
import { catches, MUTANTS } from '../coord/sim/mutants.js';

const SCHEDULES_MAX = 2_000;

t.test('whatever goes wrong, one leads in each term, and who is a member knows what members know', async (t) => {
  await runCampaign(t, 5_000);
});

for (const mutant of MUTANTS) {
  if (mutant.isSeldom !== true) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, SCHEDULES_MAX);
    t.ok(found !== null, `caught within ${SCHEDULES_MAX} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
