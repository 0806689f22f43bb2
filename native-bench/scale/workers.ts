/** What a request costs with one worker and with several, each with as many clients. */
import type { ProxyProcess } from '../../test/help/proxy.js';
import { Children } from '../compare/children.js';
import { cpuTimeOf, cpuTimeOfAll } from '../compare/cpu.js';
import { fill } from '../compare/fill.js';
import { runLoad, type Target } from '../compare/load.js';
import { findPrograms } from '../compare/programs.js';
import { median, rounds } from '../compare/rounds.js';
import { fleet } from './deployed.js';
import { mostSessions } from './sessions.js';

/** What a request may cost with several workers, in relation to one. */
export const WORKERS_RATIO_MAX = 1.25;
const WORKERS = [1, 2, 4] as const;
const TESTS = ['get', 'set'] as const;
const NODES = 3;
const DEPTH = 16;
const SIZE = 64;
const KEYS = 100_000;
/** For each worker: all of them compile the same code. */
const WARM_UP_REQUESTS = 500_000;
const TIMEOUT_MS = 120_000;

export interface WorkersCost {
  readonly label: string;
  readonly clients: number;
  /** The most that each worker had in the last run. */
  readonly sessions: readonly number[];
  /** Microseconds of CPU a request: of the proxy, in the kernel alone, and of its nodes. */
  readonly proxyUs: number;
  readonly kernelUs: number;
  readonly nodesUs: number;
  /** Median of the rounds' ratios to one worker. */
  readonly ratio: number;
}

interface Run {
  readonly round: number;
  readonly workers: number;
  readonly sessions: readonly number[];
  readonly proxyUs: number;
  readonly kernelUs: number;
  readonly nodesUs: number;
}

/** Medians of that many rounds of about so many seconds; each round has every number of workers in turn. */
export async function measureWorkers(
  clientsPerWorker: number,
  roundCount: number,
  seconds: number,
): Promise<readonly WorkersCost[]> {
  const programs = await findPrograms();
  const children = new Children();
  return fleet(NODES, WORKERS, {}, async (servers, proxies) => {
    const results: WorkersCost[] = [];
    for (const test of TESTS) {
      await fill(targetOf(proxies[0] as ProxyProcess, 1), test, KEYS, SIZE);
      const load = (proxy: ProxyProcess, workers: number, requests: number) => {
        const what = { test, requests, clients: clientsPerWorker * workers, depth: DEPTH, size: SIZE, keys: KEYS };
        return runLoad(children, programs, targetOf(proxy, workers), what, TIMEOUT_MS);
      };
      const requests = new Map<number, number>();
      for (const [index, workers] of WORKERS.entries()) {
        const { rps } = await load(proxies[index] as ProxyProcess, workers, WARM_UP_REQUESTS * workers);
        requests.set(workers, Math.round(rps * seconds));
      }
      const runs: Run[] = [];
      for (const [round, workers] of rounds(roundCount, WORKERS)) {
        const proxy = proxies[WORKERS.indexOf(workers)] as ProxyProcess;
        const count = requests.get(workers) as number;
        const cpu = () => ({ own: cpuTimeOf(proxy.pid), nodes: cpuTimeOfAll(servers.map(({ pid }) => pid)) });
        const before = cpu();
        const sessions = await mostSessions(proxy, load(proxy, workers, count));
        const after = cpu();
        const us = (from: number, to: number) => ((to - from) * 1e6) / count;
        const kernelUs = us(before.own.kernel, after.own.kernel);
        runs.push({
          round,
          workers,
          sessions,
          proxyUs: kernelUs + us(before.own.user, after.own.user),
          kernelUs,
          nodesUs: us(before.nodes.user + before.nodes.kernel, after.nodes.user + after.nodes.kernel),
        });
      }
      for (const workers of WORKERS) results.push(summarize(test, workers, clientsPerWorker, runs));
    }
    await children.close();
    return results;
  });
}

function summarize(test: string, workers: number, clientsPerWorker: number, runs: readonly Run[]): WorkersCost {
  const [own, ones] = [runs.filter((run) => run.workers === workers), runs.filter((run) => run.workers === 1)];
  const costOfOne = (round: number) => ones.find((run) => run.round === round)?.proxyUs ?? Number.NaN;
  return {
    label: `${test}, ${workers} ${workers === 1 ? 'worker' : 'workers'}`,
    clients: clientsPerWorker * workers,
    sessions: own.at(-1)?.sessions ?? [],
    proxyUs: median(own.map(({ proxyUs }) => proxyUs)),
    kernelUs: median(own.map(({ kernelUs }) => kernelUs)),
    nodesUs: median(own.map(({ nodesUs }) => nodesUs)),
    ratio: median(own.map(({ round, proxyUs }) => proxyUs / costOfOne(round))),
  };
}

function targetOf({ port }: ProxyProcess, workers: number): Target {
  return { label: `${workers} workers`, host: '127.0.0.1', port };
}
