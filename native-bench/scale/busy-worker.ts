/**
 * What a client feels of a worker at 100 %: of its own, of another one of the same proxy, and of another proxy's, which costs the
 * machine as much and has nothing in common with its own.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { createHistogram } from 'node:perf_hooks';
import type { ProxyProcess } from '../../test/help/proxy.js';
import { sessionsOf } from '../../test/help/sessions.js';
import { waitFor } from '../../test/help/wait-for.js';
import { BenchmarkError, Children } from '../compare/children.js';
import { cpuTimeOf } from '../compare/cpu.js';
import { runBenchmark } from '../compare/load.js';
import { findPrograms, type Programs } from '../compare/programs.js';
import { median, rounds } from '../compare/rounds.js';
import { fleet } from './deployed.js';
import { mostSessions } from './sessions.js';
import { onceOrClosed } from './socket-events.js';

const WORKERS = 2;
/** PING: the proxy answers itself, so that it is the worker that is busy, and no node. */
const BUSY_DEPTH = 5_000;
/** Two, so that there is something to do while one of them writes its next pipeline. */
const BUSY_CLIENTS = 2;
/** Twice: at first the code is cold, and would seem slower than it is. */
const WARM_UP_REQUESTS = 3_000_000;
const TIMEOUT_MS = 120_000;
const GET = '*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n';

const PLACES = ['nowhere', 'another proxy', 'another worker', 'the same worker'] as const;
type Place = (typeof PLACES)[number];

export interface BesideBusy {
  /** Where the pipelines of PING go. */
  readonly place: Place;
  /** Of a client that waits for each GET, milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Cores that the proxy with the busy worker takes. */
  readonly cores: number;
}

/** Medians of that many rounds of about so many seconds. */
export async function measureBesideBusy(roundCount: number, seconds: number): Promise<readonly BesideBusy[]> {
  const programs = await findPrograms();
  const children = new Children();
  return fleet(1, [WORKERS, WORKERS], {}, async (_, [proxy, other]) => {
    const own = proxy as ProxyProcess;
    const runs: BesideBusy[] = [];
    const ask = (target: ProxyProcess, count: number) => keepBusy(children, programs, target, count);
    await ask(own, WARM_UP_REQUESTS);
    const startMs = performance.now();
    await ask(own, WARM_UP_REQUESTS);
    const requests = Math.round((WARM_UP_REQUESTS / (performance.now() - startMs)) * 1_000 * seconds);
    for (const [, place] of rounds(roundCount, PLACES)) {
      const seat = await takeSeat(own, place === 'the same worker');
      const busy = place === 'another proxy' ? (other as ProxyProcess) : own;
      const before = cpuTimeOf(busy.pid);
      const beginMs = performance.now();
      const load = place === 'nowhere' ? sleep(seconds * 1_000) : ask(busy, requests);
      const [latencies, most] = await Promise.all([askUntil(seat.client, load), mostSessions(own, load)]);
      if (place.endsWith('worker')) expectPlace(seat, most, place === 'the same worker');
      const after = cpuTimeOf(busy.pid);
      const cores = (after.user + after.kernel - before.user - before.kernel) / ((performance.now() - beginMs) / 1_000);
      runs.push({ place, ...latencies, cores });
      for (const socket of [seat.client, ...seat.others]) socket.destroy();
      await waitFor('an empty proxy', async () => (await sessionsOf(own)).every((count) => count === 0));
    }
    await children.close();
    return PLACES.map((place) => {
      const of = (value: (run: BesideBusy) => number) => median(runs.filter((run) => run.place === place).map(value));
      const [p50Ms, p99Ms] = [of((run) => run.p50Ms), of((run) => run.p99Ms)];
      return { place, p50Ms, p99Ms, cores: of((run) => run.cores) };
    });
  });
}

function keepBusy(children: Children, programs: Programs, { port }: ProxyProcess, requests: number): Promise<unknown> {
  const args = ['-c', BUSY_CLIENTS, '-P', BUSY_DEPTH, '-n', requests, 'PING'];
  return runBenchmark(children, programs, { host: '127.0.0.1', port }, args, `PING, P=${BUSY_DEPTH}`, TIMEOUT_MS);
}

/** A client, and those that do nothing but have the next one come to its worker, or to the other. */
interface Seat {
  readonly client: Socket;
  readonly worker: number;
  readonly others: readonly Socket[];
  /** By worker, with all these. */
  readonly sessions: readonly number[];
}

/** A newcomer goes to the worker with the fewest clients: by three fewer, for redis-benchmark's two and one of its that may not be gone yet. */
async function takeSeat(proxy: ProxyProcess, isSharing: boolean): Promise<Seat> {
  const client = await open(proxy.port);
  let sessions = await sessionsOnce(proxy, 1);
  const worker = sessions.indexOf(1);
  // Eight of them lie four and four; then those go whose worker is to get the next one.
  const placed: { socket: Socket; worker: number }[] = [];
  for (let count = 2; count <= 8; count++) {
    const socket = await open(proxy.port);
    const now = await sessionsOnce(proxy, count);
    placed.push({ socket, worker: now.findIndex((number, index) => number > (sessions[index] as number)) });
    sessions = now;
  }
  const isLeaving = (one: { worker: number }) => (one.worker === worker) === isSharing;
  for (const one of placed) if (isLeaving(one)) one.socket.destroy();
  const others = placed.filter((one) => !isLeaving(one)).map(({ socket }) => socket);
  return { client, worker, others, sessions: await sessionsOnce(proxy, 1 + others.length) };
}

function expectPlace(seat: Seat, most: readonly number[], isSharing: boolean): void {
  const busy = most.findIndex((count, worker) => count > (seat.sessions[worker] as number));
  if (busy >= 0 && (busy === seat.worker) === isSharing) return;
  throw new BenchmarkError(`clients by worker ${seat.sessions}, at most ${most}: the pipelines went elsewhere`);
}

async function sessionsOnce(proxy: ProxyProcess, total: number): Promise<readonly number[]> {
  return waitFor(`${total} clients`, async () => {
    const sessions = await sessionsOf(proxy);
    return sessions.reduce((sum, count) => sum + count, 0) === total && sessions;
  });
}

async function open(port: number): Promise<Socket> {
  const socket = connect({ host: '127.0.0.1', port, noDelay: true });
  await once(socket, 'connect');
  // Who waits for it hears that it is closed.
  socket.on('error', () => {});
  return socket;
}

/** One GET after the other, until `load` ends. */
async function askUntil(socket: Socket, load: Promise<unknown>): Promise<{ p50Ms: number; p99Ms: number }> {
  const histogram = createHistogram();
  let isOver = false;
  const end = load.finally(() => {
    isOver = true;
  });
  // Its failure is told at the end.
  end.catch(() => {});
  while (!isOver) {
    const startNs = process.hrtime.bigint();
    socket.write(GET);
    await onceOrClosed(socket, 'data');
    if (!isOver) histogram.record(process.hrtime.bigint() - startNs);
  }
  await end;
  return { p50Ms: histogram.percentile(50) / 1e6, p99Ms: histogram.percentile(99) / 1e6 };
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
