/**
 * Latency against offered load: README.md says how.
 *
 *   for each rate, for each round: every endpoint in turn, another one first each time
 *
 * An endpoint that does not keep up with a rate is not asked at higher ones.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { BenchmarkError, Children, run } from './compare/children.js';
import { type Endpoint, startEndpoints, startNodes } from './compare/endpoints.js';
import { awaitAnswer, fill } from './compare/fill.js';
import { runOwnLoad } from './compare/load.js';
import { findPeers } from './compare/peers.js';
import { findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { rounds } from './compare/rounds.js';
import { drawLatency } from './latency/chart.js';
import { type LatencyOptions, parseLatencyOptions } from './latency/options.js';
import { keptUp, type LatencyResults, type LatencyRun, printSteps, stepsOf } from './latency/results.js';

const WARM_UP_SECONDS = 1;
/** Besides the time of measurement: connecting, warming up, and waiting for what is late. */
const RUN_EXTRA_MS = 60_000;
/** What a server that does not keep up does not answer in time, and no fault of its own. */
const OVERLOAD = new Set(['no-reply', 'too-much-unsent']);

await run(main);

async function main(): Promise<void> {
  const options = parseLatencyOptions(process.argv.slice(2));
  if (options.drawn !== null) return draw(options.drawn);
  const { compare, point } = options;
  const programs = await findPrograms(await findPeers(compare));
  const children = new Children();
  const nodes = await startNodes(children, programs, compare.nodePorts);
  const endpoints = await startEndpoints(children, programs, nodes, compare);
  for (const endpoint of endpoints) {
    await awaitAnswer(endpoint);
    await fill(endpoint, point.test, compare.keys, point.size);
  }
  const runs = await climb(children, endpoints, options);
  const steps = stepsOf(runs);
  printSteps(steps);
  if (compare.save) {
    const nodeOf = new Map(compare.variants.map(({ label, node }) => [label, node]));
    const { keys, rounds, seconds } = compare;
    const parameters = { point, rates: options.rates, isPoisson: options.isPoisson, keys, rounds, seconds };
    const measured = { suffix: '-latency', raisedPriority: children.raised, programs, nodeOf };
    const chart: LatencyResults = { ...titlesOf(options), steps };
    draw(saveResults(measured, { parameters, note: options.note, chart, runs }));
  }
  await children.close();
}

async function climb(children: Children, endpoints: readonly Endpoint[], options: LatencyOptions) {
  const runs: LatencyRun[] = [];
  let able = endpoints;
  for (const rate of options.rates) {
    const now: LatencyRun[] = [];
    for (const [round, endpoint] of rounds(options.compare.rounds, able)) {
      const run = await measure(children, endpoint, rate, round, options);
      now.push(run);
      const late = run.lateness === null ? '' : ` (${run.lateness})`;
      console.error(`${rate} a second, round ${round + 1}: ${run.label}: p99 ${run.p99Ms} ms${late}`);
    }
    runs.push(...now);
    able = able.filter(({ label }) => now.some((run) => run.label === label && keptUp(run)));
  }
  return runs;
}

async function measure(
  children: Children,
  { label, host, port }: Endpoint,
  rate: number,
  round: number,
  { compare, point, isPoisson }: LatencyOptions,
): Promise<LatencyRun> {
  const what = `${rate} a second on ${label}`;
  const { test, clients, size } = point;
  const numbers = { rate, seconds: compare.seconds, 'warm-up': WARM_UP_SECONDS, clients, size, keys: compare.keys };
  const pairs = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
  const args = ['--target', `${host}:${port}`, '--test', test, ...pairs, ...(isPoisson ? ['--poisson'] : [])];
  const timeoutMs = (compare.seconds + WARM_UP_SECONDS) * 1_000 + RUN_EXTRA_MS;
  const { latencyUs, lagUs, achievedRate, errors, lateness, due, answered } = await runOwnLoad(
    children,
    args,
    what,
    timeoutMs,
  );
  const fault = Object.keys(errors).find((word) => !OVERLOAD.has(word));
  if (fault !== undefined) throw new BenchmarkError(`${what}: ${errors[fault]} times ${fault}`);
  return {
    label,
    rate,
    round,
    achievedRate,
    p50Ms: latencyUs.p50 / 1_000,
    p99Ms: latencyUs.p99 / 1_000,
    p999Ms: latencyUs.p999 / 1_000,
    p9999Ms: latencyUs.p9999 / 1_000,
    lagP50Ms: lagUs.p50 / 1_000,
    lagP99Ms: lagUs.p99 / 1_000,
    lateness,
    unanswered: due - answered,
  };
}

function titlesOf({ point, compare, isPoisson, note }: LatencyOptions): Pick<LatencyResults, 'title' | 'subtitle'> {
  const { test, clients, size } = point;
  const { rounds, seconds } = compare;
  const arrivals = isPoisson ? 'at random times (Poisson)' : 'at even times';
  const what = `${clients} clients, values of ${size} bytes, ${arrivals}, ${rounds === 1 ? 'one round' : `medians of ${rounds} rounds`} of ${seconds} s`;
  return {
    title: `Latency of ${test.toUpperCase()} against offered load`,
    subtitle: `${what}, ${new Date().toISOString().slice(0, 10)}${note === '' ? '' : `. ${note}`}`,
  };
}

/** Beside the file of results, with the same name. */
function draw(path: string): void {
  const { chart } = JSON.parse(readFileSync(path, 'utf8')) as { chart?: LatencyResults };
  if (chart === undefined) throw new BenchmarkError(`${path} is no result of bench:latency`);
  const target = path.replace(/(\.json)?$/, '.svg');
  writeFileSync(target, drawLatency(chart));
  console.log(target);
}
