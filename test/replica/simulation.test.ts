/**
 * Schedules of clients, proxies, nodes and troubles, drawn from seeds, in virtual time: the deciders of src/replica over the model of
 * a node (test/help/acceptor.ts). Each history is checked for linearizability, and at each vote what must hold between all nodes.
 * That this would see a fault is shown by breaking one rule at a time. What chance seldom finds is in test/slow.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { randomFromSeed } from '../help/random.js';
import { catches } from './sim/catches.js';
import { MUTANTS } from './sim/mutants.js';
import { makeSchedule } from './sim/schedule.js';
import { explain } from './sim/shrink.js';
import { Simulation } from './sim/simulation.js';

const SCHEDULES = Number(process.env['SCHEDULES'] ?? 400);
/** Of so many schedules at most one may be undecided: too many of its calls have unknown outcomes. */
const UNDECIDED_SHARE = 50;

for (const copies of [3, 5] as const) {
  t.test(
    `whatever goes wrong with ${copies} copies, clients see one key that changes one step at a time`,
    async (t) => {
      const random = randomFromSeed((text) => t.comment(text));
      const tally = { answered: 0, unknown: 0, failed: 0, undecided: 0 };
      const schedules = copies === 3 ? SCHEDULES : SCHEDULES / 2;
      for (let number = 0; number < schedules; number++) {
        const schedule = makeSchedule(random.below(2 ** 31), copies);
        const { violation, isUndecided, silent, ...counts } = new Simulation(schedule).run();
        if (violation !== null) {
          t.fail(explain(schedule, Simulation));
          return;
        }
        // More nodes than a minority never forget at a time.
        if (silent > 0) t.fail(`after the troubles of seed ${schedule.seed} not all keys can be read`);
        tally.undecided += Number(isUndecided);
        for (const kind of ['answered', 'unknown', 'failed'] as const) tally[kind] += counts[kind];
      }
      t.comment(JSON.stringify(tally));
      t.ok(
        tally.answered > 5 * schedules && tally.unknown > schedules / 10,
        'there was something to judge, and trouble',
      );
      t.ok(tally.undecided <= 2 + schedules / UNDECIDED_SHARE, 'it was judged');
    },
  );
}

for (const mutant of MUTANTS) {
  const { often } = mutant;
  if (often === undefined) continue;
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catches(mutant, often.copies, often.within);
    t.ok(found !== null, `caught within ${often.within} schedules`);
    t.comment(`caught by schedule ${found?.schedules}: ${found?.violation}`);
  });
}
