/** What is made of the runs of a ladder of rates, and how it is drawn. */
import t from 'tap';
import { drawLatency } from '../../native-bench/latency/chart.js';
import { parseLatencyOptions } from '../../native-bench/latency/options.js';
import { keptUp, type LatencyRun, stepsOf } from '../../native-bench/latency/results.js';

t.test('steps are medians of the rounds, and reliable where most rounds are', async (t) => {
  const runs = [
    run('a', 1_000, { p99Ms: 3, lateness: 'late' }),
    run('b', 1_000, { p99Ms: 9 }),
    run('a', 1_000, { p99Ms: 1 }),
    run('b', 1_000, { p99Ms: 7, achievedRate: 900 }),
    run('a', 1_000, { p99Ms: 2 }),
    run('b', 1_000, { p99Ms: 8, unanswered: 1 }),
    run('a', 2_000, { p99Ms: 5 }),
  ];
  t.strictSame(
    stepsOf(runs).map(({ label, rate, p99Ms, isReliable }) => [label, rate, p99Ms, isReliable]),
    [
      ['a', 1_000, 2, true],
      ['b', 1_000, 8, false],
      ['a', 2_000, 5, true],
    ],
  );
});

t.test('an endpoint keeps up that answers all, nearly as fast as asked', async (t) => {
  t.ok(keptUp(run('a', 1_000, { achievedRate: 950 })));
  t.notOk(keptUp(run('a', 1_000, { achievedRate: 949 })));
  t.notOk(keptUp(run('a', 1_000, { unanswered: 1 })));
});

t.test('the chart has a line for each endpoint and percentile, on a logarithmic scale, and a legend', async (t) => {
  const runs = [1_000, 2_000, 4_000].flatMap((rate) => [
    run('direct', rate, { p50Ms: 0.1, p99Ms: 1, p999Ms: 10 }),
    run('proxy <1>', rate, { p50Ms: 0.1, p99Ms: 1, p999Ms: 100, lateness: rate === 4_000 ? 'late' : null }),
  ]);
  const svg = drawLatency({ title: 'Latency & load', subtitle: 'three rates', steps: stepsOf(runs) });
  const lines = [...svg.matchAll(/<path d="M([\d.]+) ([\d.]+)L[\d.]+ [\d.]+L([\d.]+) ([\d.]+)" fill="none"/g)];
  t.equal(lines.length, 6);
  const heights = lines.map(([, , y]) => Number(y));
  const [p50, , p99, , p999, slow] = heights as [number, number, number, number, number, number];
  t.ok(Math.abs(p50 - p99 - (p99 - p999)) < 0.2 && Math.abs(p99 - p999 - (p999 - slow)) < 0.2, 'a decade is a decade');
  t.equal(slow, 0, 'the largest is at the top');
  t.equal(p50, Math.max(...heights));
  for (const [, left, , right] of lines) t.ok(Math.abs(Number(right) - 4 * Number(left)) < 0.5, 'loads are linear');
  t.equal([...svg.matchAll(/fill="#ffffff" stroke="#d55e00"/g)].length, 3, 'hollow where it is not reliable');
  for (const text of ['p50', 'p99', 'p99.9', 'Latency &amp; load', 'direct', 'proxy &lt;1&gt;', '4k', '0.1', '100']) {
    t.match(svg, `>${text}</text>`);
  }
  t.match(svg, 'latency, ms');
  t.match(svg, 'requests per second');
});

t.test('the command line: options of its own, and those of the comparison', async (t) => {
  const options = parseLatencyOptions([
    '--rates',
    '100,200',
    '--only',
    'direct',
    '--poisson',
    '--note=noisy',
    '--clients',
    '7',
  ]);
  t.strictSame(options.rates, [100, 200]);
  t.strictSame([options.isPoisson, options.note, options.drawn], [true, 'noisy', null]);
  t.strictSame(options.point, { test: 'get', depth: 1, clients: 7, size: 64 });
  t.strictSame([options.compare.only, options.compare.rounds, options.compare.seconds], [['direct'], 3, 2]);
  t.equal(parseLatencyOptions(['--draw', 'some.json']).drawn, 'some.json');
  t.throws(() => parseLatencyOptions(['--rates', '200,100']), { message: /in rising order/ });
  t.throws(() => parseLatencyOptions(['--clients', '1,2']), { message: /^one of each list/ });
  t.throws(() => parseLatencyOptions(['--nonsense']), { message: /nonsense/ });
});

function run(label: string, rate: number, more: Partial<LatencyRun> = {}): LatencyRun {
  const times = { p50Ms: 1, p99Ms: 2, p999Ms: 3, p9999Ms: 4, lagP50Ms: 0, lagP99Ms: 0 };
  return { label, rate, round: 0, achievedRate: rate, ...times, lateness: null, unanswered: 0, ...more };
}
