/**
 * Compares ringleader with Redis itself and with native proxies, side by side on one machine: README.md says how.
 *
 *   for each point (a test, its depth, clients, values of a size):
 *     warm up every endpoint, and learn how many requests take --seconds
 *     for each round: every endpoint in turn, another one first each time
 *
 * Interleaved, because the speed of a machine drifts: only figures of the same rounds can be compared.
 */
import { BenchmarkError, Children, run } from './compare/children.js';
import { cpuTimeOfAll } from './compare/cpu.js';
import { type Endpoint, mainPath, type Node, startEndpoints, startNodes } from './compare/endpoints.js';
import { awaitAnswer, fill } from './compare/fill.js';
import { parseCsv, runBenchmark, runLoad } from './compare/load.js';
import { type Options, parseOptions } from './compare/options.js';
import { findPeers } from './compare/peers.js';
import type { Point } from './compare/points.js';
import { findPrograms, type Programs } from './compare/programs.js';
import { printSummaries, type Run, type Summary, summarize, titleOf } from './compare/report.js';
import { saveResults } from './compare/results.js';
import { rounds } from './compare/rounds.js';

interface Bench {
  readonly children: Children;
  readonly programs: Programs;
  readonly nodes: readonly Node[];
  readonly endpoints: readonly Endpoint[];
  readonly options: Options;
}

/** What a peer does not serve. */
interface Refused extends Point {
  readonly label: string;
  readonly reason: string;
}

const WARM_UP_SECONDS = 1;
const LOOK_REQUESTS = 2_000;
const LOOK_BATCHES_MIN = 5;
const RUN_TIMEOUT_MS = 120_000;
const CLEAN_TIMEOUT_MS = 600_000;

await run(async () => {
  process.exitCode = await main();
});

async function main(): Promise<number> {
  const options = parseOptions(process.argv.slice(2), mainPath);
  const programs = await findPrograms(await findPeers(options));
  const children = new Children();
  console.error(`priority: ${children.raised ? 'raised (nice -10)' : 'ordinary (raising it is not permitted here)'}`);
  const nodes = await startNodes(children, programs, options.nodePorts);
  const endpoints = await startEndpoints(children, programs, nodes, options);
  for (const endpoint of endpoints) await awaitAnswer(endpoint);

  const bench = { children, programs, nodes, endpoints, options };
  const ok = options.clean ? await checkClean(bench) : await compare(bench);
  await children.close();
  return ok ? 0 : 1;
}

async function compare(bench: Bench): Promise<boolean> {
  const { endpoints, options, programs } = bench;
  const runs: Run[] = [];
  const refused: Refused[] = [];
  const filled = new Set<string>();
  for (const point of options.points) {
    for (const endpoint of endpoints) await fillOnce(bench, endpoint, point, filled);
    const requests = new Map<string, number>();
    for (const endpoint of endpoints) {
      try {
        requests.set(endpoint.label, await warmUp(bench, endpoint, point));
      } catch (error) {
        // Not all proxies take everything. That is said, and no reason to have nothing of the others.
        if (!(error instanceof BenchmarkError) || !programs.peers.has(endpoint.label)) throw error;
        console.error(error.message);
        refused.push({ ...point, label: endpoint.label, reason: error.message });
      }
    }
    const able = endpoints.filter(({ label }) => requests.has(label));
    for (const [round, endpoint] of rounds(options.rounds, able)) {
      runs.push(await measure(bench, endpoint, point, round, requests.get(endpoint.label) as number));
    }
  }
  const summaries = summarize(runs, options.base);
  printSummaries(summaries, options.base);
  if (options.save) save(bench, summaries, runs, refused);
  return true;
}

/** Values of another size take the place of those before: the points have them in turn. */
async function fillOnce({ options }: Bench, endpoint: Endpoint, point: Point, filled: Set<string>): Promise<void> {
  const { test, size } = point;
  const key = `${endpoint.label} ${test === 'lrange' ? 'lists' : 'keys'} ${size}`;
  if (filled.has(key)) return;
  await fill(endpoint, test, options.keys, size);
  filled.add(key);
}

/** Lets just-in-time compilers settle, and returns how many requests a run takes. */
async function warmUp(bench: Bench, endpoint: Endpoint, point: Point): Promise<number> {
  const { options } = bench;
  if (options.requests !== null) {
    await runLoad(...loadOf(bench, endpoint, point, options.requests));
    return options.requests;
  }
  // How long a request takes differs by a factor of a thousand: so a first look, and then as many as are to be warmed up by.
  const batch = point.clients * point.depth;
  const look = await runLoad(
    ...loadOf(bench, endpoint, point, inBatches(Math.max(LOOK_REQUESTS, LOOK_BATCHES_MIN * batch), batch)),
  );
  const { rps } = await runLoad(...loadOf(bench, endpoint, point, inBatches(look.rps * WARM_UP_SECONDS, batch)));
  return inBatches(rps * options.seconds, batch);
}

/** Whole pipelines of all clients, so that none is left with less to do. */
function inBatches(requests: number, batch: number): number {
  return Math.ceil(requests / batch) * batch;
}

async function measure(bench: Bench, endpoint: Endpoint, point: Point, round: number, requests: number): Promise<Run> {
  const nodePids = bench.nodes.map((node) => node.pid);
  const before = cpuTimeOfAll(endpoint.pids);
  const nodesBefore = cpuTimeOfAll(nodePids);
  const result = await runLoad(...loadOf(bench, endpoint, point, requests));
  const after = cpuTimeOfAll(endpoint.pids);
  const nodesAfter = cpuTimeOfAll(nodePids);

  const isKnown = endpoint.pids.length > 0;
  const perRequestUs = (seconds: number) => (seconds * 1e6) / requests;
  const run: Run = {
    label: endpoint.label,
    ...point,
    round,
    requests,
    ...result,
    userUs: isKnown ? perRequestUs(after.user - before.user) : null,
    kernelUs: isKnown ? perRequestUs(after.kernel - before.kernel) : null,
    nodesUs: perRequestUs(nodesAfter.user + nodesAfter.kernel - nodesBefore.user - nodesBefore.kernel),
  };
  const cpu = run.userUs === null || run.kernelUs === null ? '?' : (run.userUs + run.kernelUs).toFixed(2);
  console.error(`${titleOf(point)}, round ${round + 1}: ${run.label}: ${run.rps.toFixed(0)} rps, ${cpu} µs`);
  return run;
}

function loadOf(bench: Bench, endpoint: Endpoint, point: Point, requests: number) {
  const load = { ...point, requests, keys: bench.options.keys };
  return [bench.children, bench.programs, endpoint, load, RUN_TIMEOUT_MS] as const;
}

/** redis-benchmark's default tests, plain and with deep pipelines of 1 KB values, must run without one line of complaint. */
async function checkClean({ children, programs, endpoints, options }: Bench): Promise<boolean> {
  const requests = options.requests === null ? [] : ['-n', options.requests];
  let clean = true;
  for (const endpoint of endpoints) {
    for (const args of [requests, ['-P', 64, '-d', 1024, ...requests]]) {
      const what = `redis-benchmark ${args.join(' ')} against ${endpoint.label}`;
      try {
        const { stdout, stderr } = await runBenchmark(children, programs, endpoint, args, what, CLEAN_TIMEOUT_MS);
        if (stderr !== '') throw new BenchmarkError(`${what}: ${stderr}`);
        console.log(`pass: ${what}: ${parseCsv(stdout).length} tests`);
      } catch (error) {
        if (!(error instanceof BenchmarkError)) throw error;
        clean = false;
        console.log(`FAIL: ${error.message}`);
      }
    }
  }
  return clean;
}

function save(bench: Bench, summaries: readonly Summary[], runs: readonly Run[], refused: readonly Refused[]): void {
  const { options, programs, endpoints, children } = bench;
  const measured = options.variants.filter(({ label }) => endpoints.some((endpoint) => endpoint.label === label));
  const nodeOf = new Map(measured.map(({ label, node }) => [label, node]));
  const { points, keys, rounds, requests, seconds, base } = options;
  saveResults(
    { suffix: '', raisedPriority: children.raised, programs, nodeOf },
    {
      parameters: { points, keys, rounds, requests, seconds, base },
      ringleader: measured.map(({ label, transport, workers }) => ({ label, transport, workers })),
      summaries,
      refused,
      runs,
    },
  );
}
