/**
 * Locks on the coordination store, drawn from seeds, in virtual time. That this would see a fault is shown by breaking one rule at a time.
 *
 * SEED=… brings a run back, SCHEDULES=… makes it longer.
 */
import t from 'tap';
import { randomFromSeed } from '../help/random.js';
import { catchesLockMutant, LOCK_MUTANTS } from './sim/lock-mutants.js';
import { LockSimulation } from './sim/lock-simulation.js';

const SCHEDULES = 150;
/** Several times those that it takes to catch each mutant. */
const SCHEDULES_MAX = 200;
/** Lines of the trace that are shown, the last ones. */
const TRACE_LINES = 120;

t.test(
  'whatever goes wrong, who has a lock shares it with nobody who may not, and in the end all get it',
  async (t) => {
    const random = randomFromSeed((text) => t.comment(text));
    const count = Number(process.env['SCHEDULES'] ?? SCHEDULES);
    const total = { granted: 0, refused: 0, troubles: 0 };
    for (let number = 0; number < count; number++) {
      const seed = random.below(2 ** 31);
      const { violation, granted, refused, troubles } = await new LockSimulation(seed).carryOut();
      if (violation !== null) {
        const { trace } = await new LockSimulation(seed, true).carryOut();
        t.fail(`schedule ${seed}: ${violation}\n${trace.slice(-TRACE_LINES).join('\n')}`);
        return;
      }
      total.granted += granted;
      total.refused += refused;
      total.troubles += troubles;
    }
    t.comment(`${count} schedules: ${JSON.stringify(total)}`);
    t.ok(total.granted > 20 * count && total.refused > count && total.troubles > 0, 'there was something to judge');
  },
);

for (const mutant of LOCK_MUTANTS) {
  t.test(`it would be seen: ${mutant.name}`, async (t) => {
    const found = await catchesLockMutant(mutant, SCHEDULES_MAX);
    t.ok(found !== null, `caught within ${SCHEDULES_MAX} schedules`);
    t.comment(`caught by schedule ${found?.seed}: ${found?.violation}`);
  });
}
