/** Many schedules, drawn from one seed, of the product as it is. */
import type { Test } from 'tap';
import { randomFromSeed } from '../../help/random.js';
import { Simulation } from './simulation.js';

/** Lines of the trace that are shown, the last ones. */
const TRACE_LINES = 120;

/** SEED=… in the environment brings a campaign back, SCHEDULES=… sets its length. */
export async function runCampaign(t: Test, usualCount: number): Promise<void> {
  const random = randomFromSeed((text) => t.comment(text));
  const count = Number(process.env['SCHEDULES'] ?? usualCount);
  const total = { terms: 0, ended: 0, done: 0, notDone: 0, sealed: 0, reached: 0 };
  for (let number = 0; number < count; number++) {
    const seed = random.below(2 ** 31);
    const { violation, tally } = await new Simulation(seed).run();
    if (violation !== null) {
      const { trace } = await new Simulation(seed, true).run();
      t.fail(`schedule ${seed}: ${violation}\n${trace.slice(-TRACE_LINES).join('\n')}`);
      return;
    }
    for (const key of Object.keys(total) as (keyof typeof total)[]) total[key] += tally[key];
  }
  t.comment(`${count} schedules: ${JSON.stringify(total)}`);
  const { terms, ended, done, notDone, sealed, reached } = total;
  t.ok(terms > count && sealed > count && ended > count, 'leaders came and went');
  t.ok(done > 50 * count && notDone > count, 'there was something to judge, and trouble');
  t.ok(reached > count, 'changes reached all');
}
