/**
 * Clients that each ask, wait for the answer, and ask again. The same for all targets, in this process: what it costs itself is
 * measured, too, since on a small machine it takes from what the servers have.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { cpuTimeOf, cpuTimeOfAll } from '../compare/cpu.js';
import { median } from '../compare/rounds.js';

/** Asks something about a key as client number so-and-so. */
export type Ask = (client: number, key: string) => Promise<void>;

export interface Target {
  label: string;
  /** The process before the servers, if there is one. */
  proxyPid: number | null;
  serverPids: readonly number[];
  /** So many connections, over which the clients are spread, for values of that many bytes. */
  connect(size: number, connections: number): Promise<{ write: Ask; read: Ask; close(): void }>;
}

export interface LoadOptions {
  clients: number;
  keys: number;
  seconds: number;
  /** Ends it with what it rejects with, unless errors are counted. */
  countErrors?: boolean;
}

export interface Measured {
  rps: number;
  p50Ms: number;
  p99Ms: number;
  /** The longest time in which no client was answered. */
  longestGapMs: number;
  /** The longest that a client waited for an answer, or an error. */
  longestWaitMs: number;
  errors: number;
  /** Answers by tenths of a second. */
  timeline: number[];
}

export interface MeasuredCpu extends Measured {
  /** CPU µs per answer: of the proxy, of all servers, of the client. */
  proxyUs: number;
  serversUs: number;
  clientUs: number;
}

const SLICE_MS = 100;
const WAIT_AFTER_ERROR_MS = 10;

export async function runLoad(
  ask: Ask,
  { clients, keys, seconds, countErrors = false }: LoadOptions,
): Promise<Measured> {
  const latencies: number[] = [];
  const timeline = new Array<number>(Math.ceil((seconds * 1000) / SLICE_MS)).fill(0);
  let errors = 0;
  let longestGapMs = 0;
  let longestWaitMs = 0;
  const begin = performance.now();
  const end = begin + seconds * 1000;
  let last = begin;
  const client = async (index: number) => {
    for (let now = performance.now(); now < end; ) {
      const asked = now;
      try {
        await ask(index, `key:${Math.floor(Math.random() * keys)}`);
      } catch (error) {
        if (!countErrors) throw error;
        errors++;
        longestWaitMs = Math.max(longestWaitMs, performance.now() - asked);
        await sleep(WAIT_AFTER_ERROR_MS);
        now = performance.now();
        continue;
      }
      now = performance.now();
      longestWaitMs = Math.max(longestWaitMs, now - asked);
      latencies.push(now - asked);
      longestGapMs = Math.max(longestGapMs, now - last);
      last = now;
      const slice = Math.floor((now - begin) / SLICE_MS);
      if (slice < timeline.length) timeline[slice] = (timeline[slice] as number) + 1;
    }
  };
  await Promise.all(Array.from({ length: clients }, (_, index) => client(index)));
  latencies.sort((one, other) => one - other);
  const at = (part: number) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))] ?? 0;
  const rps = latencies.length / ((performance.now() - begin) / 1000);
  return { rps, p50Ms: at(0.5), p99Ms: at(0.99), longestGapMs, longestWaitMs, errors, timeline };
}

/** The same with what it cost whom. */
export async function measure(
  target: Pick<Target, 'proxyPid' | 'serverPids'>,
  ask: Ask,
  options: LoadOptions,
): Promise<MeasuredCpu> {
  const pids = target.proxyPid === null ? [...target.serverPids] : [...target.serverPids, target.proxyPid];
  const look = () => ({
    proxy: target.proxyPid === null ? { user: 0, kernel: 0 } : cpuTimeOf(target.proxyPid),
    servers: cpuTimeOfAll(pids),
    client: process.cpuUsage(),
  });
  const before = look();
  const measured = await runLoad(ask, options);
  const after = look();
  const answers = measured.timeline.reduce((sum, count) => sum + count, 0);
  const us = (one: { user: number; kernel: number }, other: { user: number; kernel: number }) => {
    return ((other.user + other.kernel - one.user - one.kernel) * 1e6) / answers;
  };
  const clientUs = after.client.user + after.client.system - before.client.user - before.client.system;
  return {
    ...measured,
    proxyUs: us(before.proxy, after.proxy),
    serversUs: us(before.servers, after.servers),
    clientUs: clientUs / answers,
  };
}

/** Without the timeline. */
export function medianOf(runs: readonly MeasuredCpu[]): MeasuredCpu {
  const of = (
    key: 'rps' | 'p50Ms' | 'p99Ms' | 'longestGapMs' | 'longestWaitMs' | 'errors' | 'proxyUs' | 'serversUs' | 'clientUs',
  ) => {
    return median(runs.map((run) => run[key]));
  };
  return {
    rps: of('rps'),
    p50Ms: of('p50Ms'),
    p99Ms: of('p99Ms'),
    longestGapMs: of('longestGapMs'),
    longestWaitMs: of('longestWaitMs'),
    errors: of('errors'),
    proxyUs: of('proxyUs'),
    serversUs: of('serversUs'),
    clientUs: of('clientUs'),
    timeline: [],
  };
}

export function describe(
  label: string,
  { rps, p50Ms, p99Ms, proxyUs, serversUs, clientUs }: MeasuredCpu,
  what = '',
): string {
  const latency = `p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`;
  const cpu = `proxy ${proxyUs.toFixed(1)}, all servers ${serversUs.toFixed(1)}, client ${clientUs.toFixed(1)} µs`;
  return `${label.padEnd(24)} ${rps.toFixed(0).padStart(7)} ${what}/s, ${latency}; CPU ${cpu}`;
}
