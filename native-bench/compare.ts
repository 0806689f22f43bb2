/**
 * Compares ringleader with Redis itself and with native proxies, side by side on one machine: README.md says how.
 *
 *   for each depth, for each test:
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
import { findPrograms, type Programs } from './compare/programs.js';
import { printSummaries, type Run, summarize } from './compare/report.js';
import { saveResults } from './compare/results.js';

interface Bench {
  readonly children: Children;
  readonly programs: Programs;
  readonly nodes: readonly Node[];
  readonly endpoints: readonly Endpoint[];
  readonly options: Options;
}

const WARM_UP_REQUESTS = 100_000;
// With pipelines the same time takes more requests; beyond this depth the gain is small.
const WARM_UP_DEPTH_MAX = 8;
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
  const { endpoints, options } = bench;
  for (const endpoint of endpoints) await fill(endpoint, options.keys, options.size);
  const runs: Run[] = [];
  for (const depth of options.depths) {
    for (const test of options.tests) {
      const requests = new Map<string, number>();
      for (const endpoint of endpoints) requests.set(endpoint.label, await warmUp(bench, endpoint, test, depth));
      for (let round = 0; round < options.rounds; round++) {
        for (let turn = 0; turn < endpoints.length; turn++) {
          const endpoint = endpoints[(round + turn) % endpoints.length] as Endpoint;
          runs.push(await measure(bench, endpoint, test, depth, round, requests.get(endpoint.label) as number));
        }
      }
    }
  }
  const summaries = summarize(runs, options.base);
  printSummaries(summaries, options.base);
  if (options.save) save(bench, summaries, runs);
  return true;
}

/** Lets just-in-time compilers settle, and returns how many requests a run takes. */
async function warmUp(bench: Bench, endpoint: Endpoint, test: string, depth: number): Promise<number> {
  const { options } = bench;
  const requests = options.requests ?? WARM_UP_REQUESTS * Math.min(depth, WARM_UP_DEPTH_MAX);
  const { rps } = await runLoad(...loadOf(bench, endpoint, test, depth, requests));
  return options.requests ?? Math.ceil((rps * options.seconds) / 1000) * 1000;
}

async function measure(
  bench: Bench,
  endpoint: Endpoint,
  test: string,
  depth: number,
  round: number,
  requests: number,
): Promise<Run> {
  const nodePids = bench.nodes.map((node) => node.pid);
  const before = cpuTimeOfAll(endpoint.pids);
  const nodesBefore = cpuTimeOfAll(nodePids);
  const result = await runLoad(...loadOf(bench, endpoint, test, depth, requests));
  const after = cpuTimeOfAll(endpoint.pids);
  const nodesAfter = cpuTimeOfAll(nodePids);

  const isKnown = endpoint.pids.length > 0;
  const perRequestUs = (seconds: number) => (seconds * 1e6) / requests;
  const run: Run = {
    label: endpoint.label,
    test,
    depth,
    round,
    requests,
    ...result,
    userUs: isKnown ? perRequestUs(after.user - before.user) : null,
    kernelUs: isKnown ? perRequestUs(after.kernel - before.kernel) : null,
    nodesUs: perRequestUs(nodesAfter.user + nodesAfter.kernel - nodesBefore.user - nodesBefore.kernel),
  };
  const cpu = run.userUs === null || run.kernelUs === null ? '?' : (run.userUs + run.kernelUs).toFixed(2);
  console.error(`${test} P=${depth} round ${round + 1}: ${run.label}: ${run.rps.toFixed(0)} rps, ${cpu} µs`);
  return run;
}

function loadOf(bench: Bench, endpoint: Endpoint, test: string, depth: number, requests: number) {
  const { clients, size, keys } = bench.options;
  const load = { test, requests, clients, depth, size, keys };
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

function save(bench: Bench, summaries: ReturnType<typeof summarize>, runs: readonly Run[]): void {
  const { options, programs, endpoints, children } = bench;
  const measured = options.variants.filter(({ label }) => endpoints.some((endpoint) => endpoint.label === label));
  const nodeOf = new Map(measured.map(({ label, node }) => [label, node]));
  const { clients, depths, size, keys, rounds, requests, seconds, tests, base } = options;
  saveResults(
    { suffix: '', raisedPriority: children.raised, programs, nodeOf },
    {
      parameters: { clients, depths, size, keys, rounds, requests, seconds, tests, base },
      ringleader: measured.map(({ label, transport, workers }) => ({ label, transport, workers })),
      summaries,
      runs,
    },
  );
}
