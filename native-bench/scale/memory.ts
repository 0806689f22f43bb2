/**
 * What clients cost that do nothing, and how soon memory is given back that a burst has taken.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Crowd } from '../../test/help/crowd.js';
import { encodeWords } from '../../test/help/resp-client.js';
import { memoryOf } from '../compare/cpu.js';
import { type Deployed, deployment } from './deployed.js';

/** V8 keeps pages that are free for 8 s (Node 26). */
const SETTLE_MS = 15_000;
/** How long what a burst has taken may take to be given back. */
const GIVEN_BACK_MS = 15_000;
const LOOK_MS = 250;
const MB = 1e6;
/** How long nodes take nothing, or clients read nothing, in a burst. */
const HOLD_MS = 2_000;
/** In a burst each client asks for as many values of that size. */
const PARTS = [
  { count: 16, bytes: 64 * 1024 },
  { count: 1_000, bytes: 1_000 },
  { count: 1, bytes: 1_000_000 },
];
/** Nodes stand still for a while: nothing is to be given up because the machine is slow. */
const PATIENT = { requestTimeoutMs: '60s', stallTimeoutMs: '60s', queueTimeoutMs: '60s' };
/** So many are read and written. */
const KEYS = 100;

export const IDLE_BYTES_MAX = 200 * MB;
/** By which the process may be larger after a burst than before. */
export const LEFT_BYTES_MAX = 64 * MB;

export interface IdleMemory {
  readonly clients: number;
  readonly empty: number;
  readonly connected: number;
  /** After each has asked for something. */
  readonly used: number;
  /** After all have gone. */
  readonly left: number;
}

/** Bytes that the process of a proxy with two workers has resident. */
export async function measureIdleMemory(clients: number): Promise<IdleMemory> {
  return deployment({ nodes: 3, workers: 2 }, async (deployed) => {
    const empty = await settled(deployed);
    const crowd = await Crowd.connect(deployed.port, clients);
    const connected = await settled(deployed);
    await crowd.ask(() => encodeWords(['SET', 'k', 'v']), 5);
    await crowd.ask(() => encodeWords(['GET', 'k']), 7);
    const used = await settled(deployed);
    crowd.close();
    const left = await settled(deployed);
    return { clients, empty, connected, used, left };
  });
}

export interface BurstMemory {
  readonly label: string;
  readonly before: number;
  readonly peak: number;
  readonly after: number;
  /** Until it was within LEFT_BYTES_MAX of before; NaN: it was not within GIVEN_BACK_MS. */
  readonly givenBackMs: number;
}

/** Bursts of that many clients of 1 MB each: in pipelines of SET, and in replies. */
export async function measureBursts(clients: number): Promise<readonly BurstMemory[]> {
  return deployment({ nodes: 3, workers: 2, limits: PATIENT }, async (deployed) => {
    const crowd = await Crowd.connect(deployed.port, clients);
    // What the first commands of each cost stays, and is no buffer.
    await crowd.ask(() => encodeWords(['SET', 'k', 'v']), 5);
    const results: BurstMemory[] = [];
    for (const { label, isRead, request, replyBytes } of bursts()) {
      const before = await settled(deployed);
      let peak = before;
      const watch = setInterval(() => {
        peak = Math.max(peak, memoryOf(deployed.pid, 'VmRSS'));
      }, 20);
      const hold = isRead ? () => crowd.leaveUnread() : () => signal(deployed, 'SIGSTOP');
      const release = isRead ? () => crowd.read() : () => signal(deployed, 'SIGCONT');
      hold();
      try {
        const answered = crowd.ask(request, replyBytes, clients);
        await Promise.race([answered, sleep(HOLD_MS)]);
        release();
        await answered;
      } finally {
        clearInterval(watch);
      }
      const startMs = performance.now();
      let givenBackMs = Number.NaN;
      while (performance.now() - startMs < GIVEN_BACK_MS) {
        if (memoryOf(deployed.pid, 'VmRSS') - before <= LEFT_BYTES_MAX) {
          givenBackMs = performance.now() - startMs;
          break;
        }
        await sleep(LOOK_MS);
      }
      results.push({ label, before, peak, after: memoryOf(deployed.pid, 'VmRSS'), givenBackMs });
    }
    crowd.close();
    return results;
  });
}

/** Each client begins with another key, so that the nodes have as much to do at each time. */
function bursts() {
  return PARTS.flatMap(({ count, bytes }) => {
    const value = 'x'.repeat(bytes);
    const keys = Array.from({ length: count }, (_, key) => key);
    const ofAll = (words: (key: string) => string[]) => {
      const requests = Array.from({ length: KEYS }, (_, first) =>
        Buffer.concat(keys.map((key) => encodeWords(words(`${bytes}:${(first + key) % KEYS}`)))),
      );
      return (client: number) => requests[client % KEYS] as Buffer;
    };
    const replyBytes = `$${bytes}\r\n`.length + bytes + 2;
    return [
      {
        label: `${count} SET of ${bytes} bytes`,
        isRead: false,
        request: ofAll((key) => ['SET', key, value]),
        replyBytes: 5 * count,
      },
      {
        label: `${count} GET of ${bytes} bytes`,
        isRead: true,
        request: ofAll((key) => ['GET', key]),
        replyBytes: replyBytes * count,
      },
    ];
  });
}

function signal({ servers }: Deployed, name: 'SIGSTOP' | 'SIGCONT'): void {
  for (const { pid } of servers) process.kill(pid, name);
}

async function settled({ pid }: Deployed): Promise<number> {
  await sleep(SETTLE_MS);
  return memoryOf(pid, 'VmRSS');
}
