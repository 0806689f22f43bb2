/** What a client that asks for one small thing each millisecond, whatever comes of those before, feels of a large value that is written and read on the same node, with the proxy and without. */
import { connect, type Socket } from 'node:net';
import { Children } from '../compare/children.js';
import { refuseErrors, runOwnLoad } from '../compare/load.js';
import { median } from '../compare/rounds.js';
import { deployment } from './deployed.js';
import { onceOrClosed } from './socket-events.js';

const CHUNK = Buffer.alloc(1024 * 1024, 'v');
const KEYS = 100;
/** Commands a second: who waits for one reply before the next command meets a standstill once, however long it is. */
const RATE = 1_000;
/** The transfers begin as long before. */
const LEAD_MS = 500;
const TIMEOUT_MS = 120_000;

export interface Beside {
  readonly label: string;
  /** p99 of GET, milliseconds: alone, and while the value is written and read again and again. */
  readonly aloneMs: number;
  readonly besideMs: number;
  /** Times that it was written and read meanwhile. */
  readonly transfers: number;
}

/** Medians of that many rounds of so many seconds; the value has `mib` MiB. */
export async function measureBeside(mib: number, rounds: number, seconds: number): Promise<readonly Beside[]> {
  return deployment({ nodes: 1, workers: 1 }, async ({ port, servers }) => {
    const children = new Children();
    const targets = [
      { label: 'direct', port: servers[0]?.port ?? 0 },
      { label: 'ringleader', port },
    ];
    const p99Of = async (target: { label: string; port: number }) => {
      const numbers = { seconds, rate: RATE, clients: 1, size: 64, keys: KEYS };
      const pairs = Object.entries(numbers).flatMap(([name, value]) => [`--${name}`, `${value}`]);
      const args = ['--target', `127.0.0.1:${target.port}`, '--test', 'get', ...pairs];
      const what = `GET on ${target.label}`;
      const { latencyUs, errors } = await runOwnLoad(children, args, what, TIMEOUT_MS);
      refuseErrors(errors, what);
      return latencyUs.p99 / 1_000;
    };
    const runs: Beside[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const target of targets) {
        const aloneMs = await p99Of(target);
        const transfers = new Transfers(target.port, mib);
        await new Promise((resolve) => setTimeout(resolve, LEAD_MS));
        const besideMs = await p99Of(target);
        runs.push({ label: target.label, aloneMs, besideMs, transfers: await transfers.stop() });
      }
    }
    await children.close();
    return targets.map(({ label }) => {
      const own = runs.filter((run) => run.label === label);
      const of = (value: (run: Beside) => number) => median(own.map(value));
      return {
        label,
        aloneMs: of((run) => run.aloneMs),
        besideMs: of((run) => run.besideMs),
        transfers: of((run) => run.transfers),
      };
    });
  });
}

/** Writes and reads a value, again and again, until it is stopped. */
class Transfers {
  private isStopping = false;
  private readonly running: Promise<number>;

  constructor(port: number, mib: number) {
    // Who waits for it hears that it is closed.
    const socket = connect({ host: '127.0.0.1', port, noDelay: true }).on('error', () => {});
    this.running = this.run(socket, mib).finally(() => socket.destroy());
    // Its failure is told by `stop`.
    this.running.catch(() => {});
  }

  /** How often it was written and read. */
  stop(): Promise<number> {
    this.isStopping = true;
    return this.running;
  }

  private async run(socket: Socket, mib: number): Promise<number> {
    const bytes = mib * CHUNK.length;
    let count = 0;
    for (; !this.isStopping; count++) {
      const written = receive(socket, '+OK\r\n'.length);
      // It is awaited below, if the writing comes to its end.
      written.catch(() => {});
      socket.write(`*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$${bytes}\r\n`);
      for (let chunk = 0; chunk < mib; chunk++) if (!socket.write(CHUNK)) await onceOrClosed(socket, 'drain');
      socket.write('\r\n');
      await written;
      const read = receive(socket, `$${bytes}\r\n`.length + bytes + 2);
      socket.write('*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n');
      await read;
    }
    return count;
  }
}

function receive(socket: Socket, bytes: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = bytes;
    const fail = () => reject(new Error('the connection was closed'));
    const onData = (piece: Buffer) => {
      left -= piece.length;
      if (piece[0] === 0x2d && left !== 0) reject(new Error(piece.toString()));
      if (left > 0) return;
      socket.off('data', onData).off('close', fail);
      resolve();
    };
    if (socket.destroyed) fail();
    socket.on('data', onData).on('close', fail);
  });
}
