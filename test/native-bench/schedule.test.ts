/** When the load generator asks, and how exact its percentiles are, without a network. */
import t from 'tap';
import { Measurement } from '../../native-bench/load/measurement.js';
import { OpenLoop } from '../../native-bench/load/open-loop.js';
import { parseLoadOptions } from '../../native-bench/load/options.js';
import { Schedule } from '../../native-bench/load/schedule.js';
import { randomFromSeed } from '../help/random.js';

t.test('even requests are where they belong, also the millionth', async (t) => {
  const schedule = new Schedule(1_000, 30_000, null);
  const due = Array.from({ length: 1_000_001 }, () => schedule.take());
  t.strictSame(due.slice(0, 4), [1_000, 1_033, 1_067, 1_100]);
  t.equal(due[1_000_000], 1_000 + Math.round(1e6 * (1e6 / 30_000)));
});

t.test('a Poisson process has its rate, and distances as long as they vary', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const schedule = new Schedule(0, 1_000, () => random.below(2 ** 30) / 2 ** 30);
  const due = Array.from({ length: 100_001 }, () => schedule.take());
  const gaps = due.slice(1).map((us, index) => us - (due[index] as number));
  const mean = gaps.reduce((sum, gap) => sum + gap, 0) / gaps.length;
  const deviation = Math.sqrt(gaps.reduce((sum, gap) => sum + (gap - mean) ** 2, 0) / gaps.length);
  t.ok(Math.abs(mean / 1_000 - 1) < 0.03, `mean ${mean} µs`);
  t.ok(Math.abs(deviation / mean - 1) < 0.05, `deviation ${deviation} µs`);
});

t.test('who comes late asks all that was due, each with its own time, by one connection after the other', async (t) => {
  const asked: string[] = [];
  const asker = (name: string) => ({ ask: (due: number, now: number) => void asked.push(`${name} ${due} ${now}`) });
  const loop = new OpenLoop(new Schedule(0, 1_000, null), 6_000, [asker('a'), asker('b'), asker('c')]);
  loop.pump(0);
  loop.pump(999);
  t.strictSame(asked.splice(0), ['a 0 0']);
  t.equal(loop.nextUs, 1_000);
  loop.pump(4_200);
  t.strictSame(asked.splice(0), ['b 1000 4200', 'c 2000 4200', 'a 3000 4200', 'b 4000 4200']);
  loop.pump(60_000);
  t.strictSame(asked, ['c 5000 60000'], 'nothing is due from the end on');
  t.equal(loop.nextUs, Number.POSITIVE_INFINITY);
});

t.test('percentiles are those of all latencies, within a thousandth', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const measurement = new Measurement(0, 1);
  // As likely between 10 and 100 µs as between 1 and 10 s.
  const latencies = Array.from({ length: 100_000 }, () => Math.round(10 ** (1 + random.below(6_000_000) / 1e6)));
  for (const latency of latencies) {
    measurement.onAsked(0, 3);
    measurement.onReply(0, latency, null, false);
  }
  latencies.sort((one, other) => one - other);
  const { latencyUs, lagUs, answered } = measurement.summary();
  t.equal(answered, latencies.length);
  for (const [name, share] of [
    ['p50', 0.5],
    ['p90', 0.9],
    ['p99', 0.99],
    ['p999', 0.999],
    ['p9999', 0.9999],
  ] as const) {
    const exact = latencies[Math.ceil(share * latencies.length) - 1] as number;
    t.ok(Math.abs(latencyUs[name] - exact) <= exact / 1_000 + 1, `${name}: ${latencyUs[name]} for ${exact}`);
  }
  t.ok(latencyUs.max >= (latencies.at(-1) as number));
  t.equal(lagUs.p9999, 3);
});

t.test('what is due before the measurement or after its end is not counted', async (t) => {
  const measurement = new Measurement(1_000, 2_000);
  for (const due of [999, 1_000, 1_999, 2_000]) {
    measurement.onAsked(due, due);
    measurement.onReply(due, due + 500, due === 999 ? 'ERR' : null, false);
  }
  measurement.onUnsent(2_000, 'too-much-unsent');
  const { due, answered, errors, achievedRate, latencyUs } = measurement.summary();
  t.strictSame([due, answered, errors], [2, 2, {}]);
  t.equal(latencyUs.max, 500);
  t.equal(Math.round(achievedRate), Math.round(2 / 0.001_499), 'until the last reply, at 2,499');
});

t.test('the command line of the generator', async (t) => {
  const { host, port, pace } = parseLoadOptions([
    '--target',
    '[::1]:6380',
    '--rate',
    '5000',
    '--poisson',
    '--warm-up',
    '0',
  ]);
  t.strictSame([host, port], ['::1', 6380]);
  t.strictSame(pace, { kind: 'open', rate: 5_000, isPoisson: true, warmUpSeconds: 0, seconds: 10 });
  const target = ['--target', 'localhost:1'];
  t.strictSame(parseLoadOptions([...target, '--requests', '9', '--depth', '3']).pace, {
    kind: 'closed',
    depth: 3,
    requests: 9,
    seconds: Number.POSITIVE_INFINITY,
  });
  t.throws(() => parseLoadOptions(target), { message: /^either --rate or --depth/ });
  t.throws(() => parseLoadOptions(['--target', 'localhost', '--rate', '1']), {
    message: /^--target localhost: HOST:PORT/,
  });
  t.throws(() => parseLoadOptions([...target, '--rate', '1', '--test', 'got']), {
    message: /^--test got: one of get,/,
  });
});
