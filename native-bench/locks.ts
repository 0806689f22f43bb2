/**
 * What locks cost, next to `redlock` of npm on the same three servers, and to etcd's own lock: README.md says how.
 *
 *   npm run bench:locks -- [--only trips,pairs,hand-over] [--rounds 5] [--seconds 3] [--clients 50] [--contenders 8] [--no-save]
 *
 *   trips       what each node is asked for one acquisition, and for one release, where nobody else wants the lock
 *   pairs       each client takes a lock that nobody else wants, frees it, and takes the next: pairs per second, and CPU for each
 *   hand-over   all contenders want one lock, and hold it for a millisecond: from when it is asked to be freed until the next one has it
 *
 * Interleaved: each round measures everything once, in another order. Compare figures of one run of the program only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Children, run } from './compare/children.js';
import { readPartOptions } from './compare/part-options.js';
import { findEtcd, findPrograms } from './compare/programs.js';
import { saveResults } from './compare/results.js';
import { median, note, rounds } from './compare/rounds.js';
import { etcdLocks } from './locks/etcd.js';
import type { LockClients, LockTarget } from './locks/lock-client.js';
import { redlockLocks } from './locks/redlock.js';
import { ringleaderLocks } from './locks/ringleader.js';
import { startEtcd } from './replicated/etcd.js';
import { describe, type MeasuredCpu, measure, medianOf } from './replicated/load.js';
import { RespConnection } from './replicated/resp-connection.js';
import { type RingleaderTarget, startRingleader } from './replicated/ringleader.js';

type Options = ReturnType<typeof readOptions>;

interface Results {
  /** Scripts that a node was asked for, for each acquisition and each release. */
  trips?: readonly [number, number];
  /** Pairs, by target. */
  pairs?: ReadonlyMap<string, readonly MeasuredCpu[]>;
  /** Medians of rounds in milliseconds, by target. */
  handOver?: ReadonlyMap<string, readonly number[]>;
}

const PARTS = ['trips', 'pairs', 'hand-over'];
const TRIPS = 500;
/** For an acquisition, and for a release; a node may be asked something else meanwhile. */
const TRIPS_MAX = [2.01, 1.01] as const;
const PAIRS_MIN = 5_000;
const HAND_OVER_MS_MAX = 2;
/** Of each client, by turns: what is known of a lock is found again. */
const NAMES = 100;
const HOLD_MS = 1;
const WARM_UP_ROUNDS = 1;
const START_MS_MAX = 30_000;

await run(main);

async function main(): Promise<void> {
  const options = readOptions();
  const children = new Children();
  const programs = await findPrograms();
  const start = (label: string, persistence: 'none' | 'always') => {
    return startRingleader(children, programs.redis, { label, mode: 'lock', persistence });
  };
  const ringleader = await start('ringleader', 'none');
  const synced = await start('ringleader-always', 'always');
  const targets = [
    ringleaderLocks(ringleader),
    ringleaderLocks(synced),
    await redlockLocks(ringleader),
    etcdLocks(await startEtcd(children, await findEtcd())),
  ];
  const results: Results = {};
  for (const target of targets) await awaitLock(target);
  if (options.parts.includes('trips')) results.trips = await countTrips(ringleader);
  if (options.parts.includes('pairs')) results.pairs = await comparePairs(targets, options);
  if (options.parts.includes('hand-over')) results.handOver = await compareHandOver(targets, options);
  process.exitCode = isKept(results, ringleader.label) ? 0 : 1;
  if (options.isSaved) {
    const nodeOf = new Map([['ringleader', process.execPath]]);
    const { trips, pairs, handOver } = results;
    const saved = {
      trips,
      pairs: pairs && Object.fromEntries(pairs),
      handOver: handOver && Object.fromEntries(handOver),
    };
    saveResults({ suffix: '-locks', raisedPriority: children.raised, programs, nodeOf }, { options, results: saved });
  }
  await children.close();
}

/** Whether all that was measured is as it is asked to be. */
function isKept({ trips, pairs, handOver }: Results, label: string): boolean {
  const rps = pairs === undefined ? PAIRS_MIN : median((pairs.get(label) ?? []).map((measured) => measured.rps));
  const handOverMs = handOver === undefined ? 0 : median(handOver.get(label) ?? []);
  const isShort = trips === undefined || (trips[0] <= TRIPS_MAX[0] && trips[1] <= TRIPS_MAX[1]);
  return isShort && rps >= PAIRS_MIN && handOverMs < HAND_OVER_MS_MAX;
}

async function countTrips(target: RingleaderTarget): Promise<[number, number]> {
  const node = await RespConnection.connect(target.nodePorts[0] as number);
  const scripts = async () => {
    const text = await node.ask('*2\r\n$4\r\nINFO\r\n$12\r\ncommandstats\r\n');
    return Number(/^cmdstat_evalsha:calls=(\d+)/m.exec(text)?.[1] ?? Number.NaN);
  };
  const client = await ringleaderLocks(target).connect(1);
  const releases: (() => Promise<void>)[] = [];
  const before = await scripts();
  for (let lock = 0; lock < TRIPS; lock++) releases.push(await client.acquire(0, `trips:${lock}`));
  const between = await scripts();
  for (const release of releases) await release();
  const after = await scripts();
  client.close();
  node.close();
  const trips: [number, number] = [(between - before) / TRIPS, (after - between) / TRIPS];
  console.log(
    `each node is asked ${trips[0].toFixed(2)} times for an acquisition, and ${trips[1].toFixed(2)} times for a release (at most 2 and 1)`,
  );
  return trips;
}

async function comparePairs(
  targets: readonly LockTarget[],
  options: Options,
): Promise<ReadonlyMap<string, readonly MeasuredCpu[]>> {
  const { clients, seconds } = options;
  const runs = new Map<string, MeasuredCpu[]>();
  for (const [round, target] of rounds(WARM_UP_ROUNDS + options.rounds, targets)) {
    const connected = await target.connect(clients);
    const pair = async (client: number, name: string) => {
      const release = await connected.acquire(client, `${client}:${name}`);
      await release();
    };
    const measured = await measure(target, pair, { clients, keys: NAMES, seconds });
    connected.close();
    if (round < WARM_UP_ROUNDS) continue;
    note(runs, target.label, measured);
    console.error(`pairs round ${round}: ${describe(target.label, measured, 'pairs')}`);
  }
  console.log(`\nacquire and release, ${clients} clients (medians; at least ${PAIRS_MIN} pairs/s)`);
  for (const { label } of targets) {
    console.log(describe(label, medianOf(runs.get(label) ?? []), 'pairs'));
  }
  return runs;
}

async function compareHandOver(
  targets: readonly LockTarget[],
  options: Options,
): Promise<ReadonlyMap<string, readonly number[]>> {
  const { contenders, seconds } = options;
  const all = new Map<string, number[]>();
  for (const [round, target] of rounds(WARM_UP_ROUNDS + options.rounds, targets)) {
    const connected = await target.connect(contenders);
    const waits = await handOvers(connected, contenders, seconds);
    connected.close();
    if (round < WARM_UP_ROUNDS) continue;
    // Who is faster than all others, again and again, hands nothing over.
    if (waits.length > 0) note(all, target.label, median(waits));
    console.error(
      `hand-over round ${round}: ${target.label}: p50 ${median(waits).toFixed(2)} ms, ${waits.length} times`,
    );
  }
  console.log(`\nhand-over, ${contenders} contenders (medians; p50 below ${HAND_OVER_MS_MAX} ms)`);
  for (const { label } of targets) console.log(`${label.padEnd(24)} p50 ${median(all.get(label) ?? []).toFixed(2)} ms`);
  return all;
}

/** Milliseconds from each wish to have the lock freed until somebody else has it. */
async function handOvers(connected: LockClients, contenders: number, seconds: number): Promise<number[]> {
  const waits: number[] = [];
  const endMs = performance.now() + seconds * 1000;
  let freedMs = 0;
  let freedBy = -1;
  const contend = async (client: number) => {
    while (performance.now() < endMs) {
      const release = await connected.acquire(client, 'contended');
      // Who takes it again before anybody else has heard of it hands nothing over.
      if (freedBy !== client && freedBy >= 0) waits.push(performance.now() - freedMs);
      await sleep(HOLD_MS);
      freedMs = performance.now();
      freedBy = client;
      await release();
    }
  };
  await Promise.all(Array.from({ length: contenders }, (_, client) => contend(client)));
  return waits;
}

/** Each round in another order. */
async function awaitLock(target: LockTarget): Promise<void> {
  for (const deadlineMs = performance.now() + START_MS_MAX; ; await sleep(100)) {
    try {
      const connected = await target.connect(1);
      const release = await connected.acquire(0, 'first').catch((error) => {
        connected.close();
        throw error;
      });
      await release();
      connected.close();
      return;
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
    }
  }
}

function readOptions() {
  return readPartOptions(process.argv.slice(2), PARTS, { rounds: 5, seconds: 3, clients: 50, contenders: 8 });
}
