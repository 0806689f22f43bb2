/**
 * What a client that asks one thing at a time feels of a neighbour that has 5,000 commands in flight: README.md says how.
 *
 *   each round, each endpoint: the small client alone; then the deep client, and beside it the small one
 */
import { BenchmarkError, Children, run } from './compare/children.js';
import { type Endpoint, mainPath, startEndpoints, startNodes } from './compare/endpoints.js';
import { awaitAnswer, fill } from './compare/fill.js';
import { refuseErrors, runOwnLoad } from './compare/load.js';
import { parseOptions } from './compare/options.js';
import { findPeers } from './compare/peers.js';
import { findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { median, rounds } from './compare/rounds.js';

/** `--depths` has the neighbour's. */
const DEFAULTS = ['--rounds', '5', '--seconds', '3', '--depths', '5000', '--tests', 'get', '--clients', '1'];
/** The neighbour begins as long before, and ends as long after. */
const LEAD_SECONDS = 1;
const RUN_TIMEOUT_MS = 60_000;
/** What the small client's p99 may be, in relation to that on Redis itself beside the same neighbour. */
const RATIO_MAX = 3;

interface Run {
  readonly label: string;
  readonly round: number;
  readonly aloneP50Ms: number;
  readonly aloneP99Ms: number;
  readonly besideP50Ms: number;
  readonly besideP99Ms: number;
  /** Replies a second to the neighbour. */
  readonly neighbourRps: number;
}

type Summary = Omit<Run, 'round'> & { readonly toDirect: number };

await run(async () => {
  process.exitCode = await main();
});

async function main(): Promise<number> {
  const options = parseOptions([...DEFAULTS, ...process.argv.slice(2)], mainPath);
  const [point, ...others] = options.points;
  if (point === undefined || others.length > 0) throw new BenchmarkError('one test, one depth, one size');
  const programs = await findPrograms(await findPeers(options));
  const children = new Children();
  const nodes = await startNodes(children, programs, options.nodePorts);
  const endpoints = await startEndpoints(children, programs, nodes, options);
  for (const endpoint of endpoints) {
    await awaitAnswer(endpoint);
    await fill(endpoint, point.test, options.keys, point.size);
  }
  const ask = async (endpoint: Endpoint, depth: number, seconds: number) => {
    const what = `${point.test} on ${endpoint.label}, P=${depth}`;
    const numbers = { seconds, depth, clients: 1, size: point.size, keys: options.keys };
    const pairs = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
    const args = ['--target', `${endpoint.host}:${endpoint.port}`, '--test', point.test, ...pairs];
    const report = await runOwnLoad(children, args, what, RUN_TIMEOUT_MS);
    refuseErrors(report.errors, what);
    return report;
  };
  const runs: Run[] = [];
  for (const [round, endpoint] of rounds(options.rounds, endpoints)) {
    const alone = await ask(endpoint, 1, options.seconds);
    const neighbour = ask(endpoint, point.depth, options.seconds + 2 * LEAD_SECONDS);
    const small = new Promise((resolve) => setTimeout(resolve, LEAD_SECONDS * 1_000)).then(() =>
      ask(endpoint, 1, options.seconds),
    );
    const [{ achievedRate }, beside] = await Promise.all([neighbour, small]);
    const run: Run = {
      label: endpoint.label,
      round,
      aloneP50Ms: alone.latencyUs.p50 / 1_000,
      aloneP99Ms: alone.latencyUs.p99 / 1_000,
      besideP50Ms: beside.latencyUs.p50 / 1_000,
      besideP99Ms: beside.latencyUs.p99 / 1_000,
      neighbourRps: achievedRate,
    };
    runs.push(run);
    console.error(`round ${round + 1}: ${run.label}: p99 ${run.besideP99Ms} ms beside P=${point.depth}`);
  }
  const summaries = summarize(runs);
  print(summaries, point.depth);
  if (options.save) {
    const nodeOf = new Map(options.variants.map(({ label, node }) => [label, node]));
    const { rounds, seconds, keys } = options;
    const parameters = { point, rounds, seconds, keys };
    const measured = { suffix: '-neighbours', raisedPriority: children.raised, programs, nodeOf };
    saveResults(measured, { parameters, summaries, runs });
  }
  await children.close();
  return summaries.every(({ label, toDirect }) => label !== 'ringleader' || !(toDirect > RATIO_MAX)) ? 0 : 1;
}

function summarize(runs: readonly Run[]): Summary[] {
  const labels = [...new Set(runs.map(({ label }) => label))];
  const medianOf = (label: string, of: (run: Run) => number) =>
    median(runs.filter((run) => run.label === label).map(of));
  const direct = medianOf('direct', (run) => run.besideP99Ms);
  return labels.map((label) => ({
    label,
    aloneP50Ms: medianOf(label, (run) => run.aloneP50Ms),
    aloneP99Ms: medianOf(label, (run) => run.aloneP99Ms),
    besideP50Ms: medianOf(label, (run) => run.besideP50Ms),
    besideP99Ms: medianOf(label, (run) => run.besideP99Ms),
    neighbourRps: medianOf(label, (run) => run.neighbourRps),
    toDirect: medianOf(label, (run) => run.besideP99Ms) / direct,
  }));
}

function print(summaries: readonly Summary[], depth: number): void {
  const titles = ['alone: p50', 'p99 ms', `beside P=${depth}: p50`, 'p99 ms', 'p99 × direct', 'neighbour rps'];
  console.log(`\n${''.padEnd(22)}${titles.map((title) => title.padStart(20)).join('')}`);
  for (const row of summaries) {
    const times = [row.aloneP50Ms, row.aloneP99Ms, row.besideP50Ms, row.besideP99Ms].map((ms) => ms.toFixed(3));
    const cells = [...times, Number.isNaN(row.toDirect) ? '–' : row.toDirect.toFixed(2), row.neighbourRps.toFixed(0)];
    console.log(`${row.label.padEnd(22)}${cells.map((text) => text.padStart(20)).join('')}`);
  }
}
