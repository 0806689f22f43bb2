/** Many schedules, drawn from one seed, of the product as it is. */
import type { Test } from 'tap';
import { randomFromSeed } from '../../help/random.js';
import { makeSchedule } from './schedule.js';
import { explain } from './shrink.js';
import { Simulation } from './simulation.js';

/** Of so many schedules at most one may be undecided: too many of its calls have unknown outcomes. */
const UNDECIDED_SHARE = 50;

/** Fails with the smallest schedule that breaks something. SEED=… in the environment brings a campaign back, SCHEDULES=… sets its length. */
export function runCampaign(
  t: Test,
  copies: 3 | 5,
  usualCount: number,
  make = makeSchedule,
  weather: 'troubled' | 'calm' = 'troubled',
): void {
  const random = randomFromSeed((text) => t.comment(text));
  const count = Number(process.env['SCHEDULES'] ?? usualCount);
  const tally = { answered: 0, unknown: 0, failed: 0, undecided: 0 };
  for (let number = 0; number < count; number++) {
    const schedule = make(random.below(2 ** 31), copies);
    const { violation, isUndecided, silent, answered, unknown, failed } = new Simulation(schedule).run();
    if (violation !== null) {
      t.fail(explain(schedule, Simulation));
      return;
    }
    // No more nodes than a minority forget at a time. Who asks more than a majority waits until all are repaired.
    const isMajorityEnough = (schedule.quorums?.reads ?? 0) * 2 <= copies + 1;
    if (silent > 0 && isMajorityEnough) t.fail(`after the troubles of seed ${schedule.seed} not all keys can be read`);
    tally.answered += answered;
    tally.unknown += unknown;
    tally.failed += failed;
    tally.undecided += Number(isUndecided);
  }
  t.comment(`${count} schedules: ${JSON.stringify(tally)}`);
  t.ok(tally.answered > 5 * count, 'there was something to judge');
  if (weather === 'calm') t.equal(tally.failed, 0, 'nothing went wrong');
  else t.ok(tally.unknown > count / 10, 'there was trouble');
  t.ok(tally.undecided <= 2 + count / UNDECIDED_SHARE, 'it was judged');
}
