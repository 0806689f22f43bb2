/**
 * What replicated keys cost, next to plain ones and next to etcd: README.md says how.
 *
 *   npm run bench:replicated -- [--only cost,waits,etcd,failure,comparison] [--rate 1000] [--rounds 5] [--seconds 3] [--clients 64] [--connections 8] [--keys 10000] [--size 64] [--compared 1000000] [--no-save]
 *
 *   cost      CPU of the proxy per command, and p50: strong keys, those of consistency quorum and eventual, weak ones, and sharded ones before servers of the same kind
 *   waits     p50 at a fixed rate (`--rate`), far below what the machine can do: keys of consistency eventual, weak ones, and sharded ones
 *   etcd      answers per second: strong keys with appendfsync always and everysec, and etcd with three members
 *   failure   strong keys while one of three nodes dies: answers per second after and before, and how long clients wait
 *   comparison  keys of consistency eventual (`--compared`): how long their nodes take to be compared, and until 100 that one has lost are mended
 *
 * Interleaved: each round measures everything once, in another order. Compare figures of one run of the program only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { BenchmarkError, Children, run } from './compare/children.js';
import { cpuTimeOf } from './compare/cpu.js';
import { fill } from './compare/fill.js';
import { refuseErrors, runLoad as runBenchmark, runOwnLoad } from './compare/load.js';
import { readPartOptions } from './compare/part-options.js';
import { findEtcd, findPrograms, type Programs } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { median, note, rounds } from './compare/rounds.js';
import { type ComparisonCost, compareEqual, mendDifferences } from './replicated/comparison.js';
import { startEtcd } from './replicated/etcd.js';
import { describe, type MeasuredCpu, measure, medianOf, runLoad, type Target } from './replicated/load.js';
import { countersOf, type RingleaderTarget, startRingleader } from './replicated/ringleader.js';

type Options = ReturnType<typeof readOptions>;

interface Bench {
  children: Children;
  programs: Programs;
  options: Options;
  /** What is saved, by part. */
  results: Record<string, unknown>;
}

const PARTS = ['cost', 'waits', 'etcd', 'failure', 'comparison'];
const WARM_UP_REQUESTS = 30_000;
const RUN_TIMEOUT_MS = 120_000;
const START_MS_MAX = 30_000;
const READ_KEYS_AT_ONCE = 64;
/** Between comparisons: half of it at least. */
const COMPARE_INTERVAL = '10s';
const DIFFERENCES = 100;

await run(main);

async function main(): Promise<void> {
  const options = readOptions();
  const bench: Bench = { children: new Children(), programs: await findPrograms(), options, results: {} };
  for (const part of options.parts) {
    if (part === 'cost') await compareCost(bench);
    if (part === 'waits') await compareWaits(bench);
    if (part === 'etcd') await compareEtcd(bench);
    if (part === 'failure') await compareFailure(bench);
    if (part === 'comparison') await compareComparisons(bench);
  }
  if (options.isSaved) save(bench);
  await bench.children.close();
}

/** By redis-benchmark, as in compare.ts; each command is for one of the keys at random, which all are there. */
async function compareCost(bench: Bench): Promise<void> {
  const { children, programs, options } = bench;
  const { clients, size, keys, seconds } = options;
  const start = (label: string, mode: 'sharded' | 'replicated' | 'quorum' | 'eventual' | 'weak') => {
    return startRingleader(children, programs.redis, { label, mode, persistence: 'none' });
  };
  const targets = [
    await start('cost-sharded', 'sharded'),
    await start('cost-strong', 'replicated'),
    await start('cost-quorum', 'quorum'),
    await start('cost-eventual', 'eventual'),
    await start('cost-weak', 'weak'),
  ];
  for (const target of targets) {
    await awaitWrites(target, size);
    await fill(target, 'get', keys, size);
  }
  const costs = new Map<string, number[]>();
  const waits = new Map<string, number[]>();
  for (const test of ['set', 'get'] as const) {
    const load = (target: RingleaderTarget, requests: number) => {
      return runBenchmark(
        children,
        programs,
        target,
        { test, requests, clients, depth: 1, size, keys },
        RUN_TIMEOUT_MS,
      );
    };
    const requests = new Map<string, number>();
    for (const target of targets) {
      const { rps } = await load(target, WARM_UP_REQUESTS);
      requests.set(target.label, Math.ceil(rps * seconds));
    }
    const [, strongTarget] = targets as [RingleaderTarget, RingleaderTarget, RingleaderTarget];
    const countersBefore = await countersOf(strongTarget);
    for (const [round, target] of rounds(options.rounds, targets)) {
      const before = cpuTimeOf(target.proxyPid);
      const count = requests.get(target.label) as number;
      const { rps, p50Ms, p99Ms } = await load(target, count);
      const after = cpuTimeOf(target.proxyPid);
      const us = ((after.user + after.kernel - before.user - before.kernel) * 1e6) / count;
      note(costs, `${test} ${target.label}`, us);
      note(waits, `${test} ${target.label}`, p50Ms);
      console.error(
        `${test} round ${round + 1}: ${target.label}: ${us.toFixed(1)} µs, ${rps.toFixed(0)} rps, p50 ${p50Ms} ms, p99 ${p99Ms} ms`,
      );
    }
    const countersAfter = await countersOf(strongTarget);
    const grown = (name: string) => {
      const full = `ringleader_replicated_${name}`;
      return (countersAfter.get(full) ?? Number.NaN) - (countersBefore.get(full) ?? Number.NaN);
    };
    const more = test === 'set' ? grown('prepares') / grown('writes') : grown('read_rounds') / grown('reads');
    const of = (label: string) => median(costs.get(`${test} ${label}`) ?? []);
    const [sharded, strong, quorum] = [of('cost-sharded'), of('cost-strong'), of('cost-quorum')];
    const [eventual, weak] = [of('cost-eventual'), of('cost-weak')];
    const waitOf = (label: string) => median(waits.get(`${test} ${label}`) ?? []);
    const waitRatio = waitOf('cost-eventual') / waitOf('cost-sharded');
    const limit = test === 'set' ? 4 : 3;
    const quorumLimit = test === 'set' ? 3.5 : 3;
    console.log(
      `${test.toUpperCase()}: CPU of the proxy: sharded ${sharded.toFixed(1)} µs, strong ${strong.toFixed(1)} µs: × ${(strong / sharded).toFixed(2)} (at most ${limit}); ${more.toFixed(4)} of the strong ones took more than one round trip`,
    );
    console.log(
      `${test.toUpperCase()}: quorum ${quorum.toFixed(1)} µs: × ${(quorum / sharded).toFixed(2)} (at most ${quorumLimit})`,
    );
    console.log(
      `${test.toUpperCase()}: eventual ${eventual.toFixed(1)} µs: × ${(eventual / sharded).toFixed(2)} (at most 3); p50, on a full machine, × ${waitRatio.toFixed(2)}`,
    );
    const weakLimit = test === 'set' ? '' : ' (at most 1.1)';
    console.log(`${test.toUpperCase()}: weak ${weak.toFixed(1)} µs: × ${(weak / sharded).toFixed(2)}${weakLimit}`);
  }
  bench.results['cost'] = { cpuUs: Object.fromEntries(costs), p50Ms: Object.fromEntries(waits) };
}

async function compareWaits({ children, programs, options, results }: Bench): Promise<void> {
  const { rate, clients, keys, size, seconds } = options;
  const targets: RingleaderTarget[] = [];
  for (const mode of ['sharded', 'eventual', 'weak'] as const) {
    const target = await startRingleader(children, programs.redis, {
      label: `waits-${mode}`,
      mode,
      persistence: 'none',
    });
    await awaitWrites(target, size);
    await fill(target, 'get', keys, size);
    targets.push(target);
  }
  const p50 = new Map<string, number[]>();
  const p99 = new Map<string, number[]>();
  for (const test of ['set', 'get'] as const) {
    for (const [round, { label, host, port }] of rounds(options.rounds, targets)) {
      const what = `${test} round ${round + 1}: ${label}`;
      const numbers = { rate, seconds, clients, size, keys };
      const pairs = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      const args = ['--target', `${host}:${port}`, '--test', test, ...pairs];
      const { latencyUs, errors } = await runOwnLoad(children, args, what, RUN_TIMEOUT_MS);
      refuseErrors(errors, what);
      note(p50, `${test} ${label}`, latencyUs.p50);
      note(p99, `${test} ${label}`, latencyUs.p99);
      console.error(`${what}: p50 ${latencyUs.p50} µs, p99 ${latencyUs.p99} µs`);
    }
    const of = (all: Map<string, number[]>, mode: string) => median(all.get(`${test} waits-${mode}`) ?? []);
    console.log(`${test.toUpperCase()}, ${rate} a second: p50 of sharded keys ${of(p50, 'sharded')} µs`);
    for (const [mode, limit] of [
      ['eventual', ' (at most 1.2)'],
      ['weak', ''],
    ] as const) {
      const [half, tail] = [p50, p99].map((all) => (of(all, mode) / of(all, 'sharded')).toFixed(2));
      console.log(`${test.toUpperCase()}, ${rate} a second: ${mode}: p50 × ${half}${limit}, p99 × ${tail}`);
    }
  }
  results['waits'] = { p50Us: Object.fromEntries(p50), p99Us: Object.fromEntries(p99) };
  for (const { label } of targets) await stop(children, label);
}

async function compareEtcd(bench: Bench): Promise<void> {
  const { children, programs, options } = bench;
  const targets: Target[] = [await startEtcd(children, await findEtcd())];
  for (const persistence of ['always', 'everysec'] as const) {
    const label = `strong-${persistence}`;
    targets.push(await startRingleader(children, programs.redis, { label, mode: 'replicated', persistence }));
  }
  const runs = new Map<string, MeasuredCpu[]>();
  const connections = new Map<Target, Awaited<ReturnType<Target['connect']>>>();
  for (const target of targets) {
    await awaitWrites(target, options.size);
    const connected = await target.connect(options.size, options.connections);
    connections.set(target, connected);
    await fillThrough(connected.write, options.keys);
  }
  for (const what of ['write', 'read'] as const) {
    const once = (target: Target) => {
      const connected = connections.get(target);
      if (connected === undefined) throw new Error(`${target.label} is not connected`);
      return measure(target, connected[what], options);
    };
    for (const target of targets) await once(target);
    for (const [round, target] of rounds(options.rounds, targets)) {
      const measured = await once(target);
      note(runs, `${what} ${target.label}`, measured);
      console.error(`${what} round ${round + 1}: ${describe(target.label, measured)}`);
    }
    const medians = targets.map(({ label }) => [label, medianOf(runs.get(`${what} ${label}`) ?? [])] as const);
    const etcd = medians.find(([label]) => label === 'etcd')?.[1] as MeasuredCpu;
    console.log(
      `\n${what}s, ${options.clients} clients on ${options.connections} connections (medians; at least 3 × etcd)`,
    );
    for (const [label, measured] of medians) {
      const ratio = (measured.rps / etcd.rps).toFixed(2);
      const cheaper = (etcd.serversUs / measured.serversUs).toFixed(2);
      console.log(`${describe(label, measured)}: × ${ratio} of etcd's; for the CPU of all servers × ${cheaper}`);
    }
  }
  for (const connected of connections.values()) connected.close();
  bench.results['etcd'] = Object.fromEntries(runs);
  for (const { label } of targets) await stop(children, label);
}

/** A deployment of its own for each round: whoever died is not to be waited for. */
async function compareFailure(bench: Bench): Promise<void> {
  const { children, programs, options } = bench;
  const ratios = new Map<string, number[]>();
  const pauses = new Map<string, number[]>();
  for (let round = 0; round < options.rounds; round++) {
    for (const what of ['write', 'read'] as const) {
      const label = `failure-${what}-${round}`;
      const target = await startRingleader(children, programs.redis, {
        label,
        mode: 'replicated',
        persistence: 'everysec',
      });
      await awaitWrites(target, options.size);
      const connected = await target.connect(options.size, options.clients);
      await fillThrough(connected.write, options.keys);
      await runLoad(connected[what], options);
      const healthy = await runLoad(connected[what], options);
      const dying = runLoad(connected[what], { ...options, countErrors: true });
      await sleep((options.seconds * 1000) / 2);
      await target.killNode();
      const { longestGapMs, longestWaitMs, errors } = await dying;
      const after = await runLoad(connected[what], { ...options, countErrors: true });
      connected.close();
      note(ratios, what, after.rps / healthy.rps);
      note(pauses, what, longestWaitMs);
      console.error(
        `${what} round ${round + 1}: ${healthy.rps.toFixed(0)} rps, then ${after.rps.toFixed(0)}; none was answered for ${longestGapMs.toFixed(0)} ms, the longest wait was ${longestWaitMs.toFixed(0)} ms; ${errors} errors, ${after.errors} after`,
      );
      await stop(children, label);
    }
  }
  for (const what of ['write', 'read']) {
    const [ratio, pause] = [median(ratios.get(what) ?? []), Math.max(...(pauses.get(what) ?? []))];
    console.log(
      `${what}s with one of three nodes down: × ${ratio.toFixed(2)} of healthy (at least 0.7); longest wait of a client when it dies ${pause.toFixed(0)} ms`,
    );
  }
  bench.results['failure'] = { ratios: Object.fromEntries(ratios), pausesMs: Object.fromEntries(pauses) };
}

/** All nodes share this machine, so that the seconds are those of a small one. */
async function compareComparisons(bench: Bench): Promise<void> {
  const { children, programs, options } = bench;
  const label = 'comparison';
  const limits = { compareIntervalMs: COMPARE_INTERVAL };
  const eventual = { label, mode: 'eventual', persistence: 'none', limits } as const;
  const target = await startRingleader(children, programs.redis, eventual);
  await awaitWrites(target, options.size);
  const connected = await target.connect(options.size, options.connections);
  await fillThrough(connected.write, options.compared);
  connected.close();
  const show = ({ seconds, nodeShare, proxyShare }: ComparisonCost) =>
    `${seconds.toFixed(1)} s; of a core, a node ${(nodeShare * 100).toFixed(0)} %, the proxy ${(proxyShare * 100).toFixed(0)} %`;
  const equal = await compareEqual(target, options.compared);
  console.log(`${options.compared} equal keys compared in ${show(equal)} (a million: at most 30 s, a node 30 %)`);
  const step = Math.max(1, Math.floor(options.compared / DIFFERENCES));
  const names = Array.from({ length: DIFFERENCES }, (_, place) => `key:${place * step}`);
  const mended = await mendDifferences(target, names);
  console.log(
    `${DIFFERENCES} that one node has lost are there again after ${mended.mendedSeconds.toFixed(1)} s (at most 60 s), and all known to be equal after ${show(mended)}`,
  );
  bench.results['comparison'] = { equal, mended };
  await stop(children, label);
}

/** What belongs to a target goes, so that it takes nothing from the next. */
async function stop(children: Children, label: string): Promise<void> {
  for (const name of children.labels()) {
    if (name === label || name.startsWith(`${label}-`)) await children.kill9(name);
  }
}

/** Members elect a leader, or are admitted, before anything can be written. */
async function awaitWrites(target: Target, size: number): Promise<void> {
  const deadlineMs = performance.now() + START_MS_MAX;
  for (;;) {
    try {
      const { write, close } = await target.connect(size, 1);
      await write(0, 'key:0').finally(close);
      return;
    } catch (error) {
      const reason = error instanceof Error ? error.message : error;
      if (performance.now() > deadlineMs)
        throw new BenchmarkError(`${target.label}: nothing can be written: ${reason}`);
      await sleep(100);
    }
  }
}

async function fillThrough(write: (client: number, key: string) => Promise<void>, keys: number): Promise<void> {
  const client = async (index: number) => {
    for (let key = index; key < keys; key += READ_KEYS_AT_ONCE) await write(index, `key:${key}`);
  };
  await Promise.all(Array.from({ length: READ_KEYS_AT_ONCE }, (_, index) => client(index)));
}

function save({ children, programs, options, results }: Bench): void {
  const nodeOf = new Map([['ringleader', process.execPath]]);
  saveResults({ suffix: '-replicated', raisedPriority: children.raised, programs, nodeOf }, { options, results });
}

/** `clients` are spread over `connections`: of etcd's, and of those that are compared with it. */
function readOptions() {
  const defaults = {
    rate: 1_000,
    rounds: 5,
    seconds: 3,
    clients: 64,
    connections: 8,
    keys: 10_000,
    size: 64,
    compared: 1_000_000,
  };
  return readPartOptions(process.argv.slice(2), PARTS, defaults);
}
