/**
 * A large value (100 MB) there and back, through Redis itself and through ringleader: byte equality, time, and how much
 * the proxy's process grows.
 *
 *   npm run bench:large-value -- [--size 104857600] [--rounds 3] [--only direct,ringleader] and more of compare's options
 *
 * The client is a bare socket, so that what it costs itself is little and the same for both.
 */
import { randomFillSync } from 'node:crypto';
import { createConnection, type Socket } from 'node:net';
import { BenchmarkError, Children, run } from './compare/children.js';
import { forgetPeak, memoryOf } from './compare/cpu.js';
import { type Endpoint, mainPath, startEndpoints, startNodes } from './compare/endpoints.js';
import { awaitAnswer } from './compare/fill.js';
import { parseOptions } from './compare/options.js';
import { findPeers } from './compare/peers.js';
import type { Point } from './compare/points.js';
import { findPrograms } from './compare/programs.js';

interface Result {
  readonly label: string;
  readonly setSeconds: number;
  readonly getSeconds: number;
  /** Bytes that the process grew by, at its peak. */
  readonly growth: number;
}

const DEFAULTS = ['--sizes', '104857600', '--rounds', '3', '--only', 'direct,ringleader'];
const TIME_RATIO_MAX = 3;
/** The value is passed on as it comes, and never held as a whole: it has 100 MB unless another size is asked for. */
const GROWTH_BYTES_MAX = 48e6;
const TRANSFER_TIMEOUT_MS = 120_000;

await run(main);

async function main(): Promise<void> {
  const options = parseOptions([...DEFAULTS, ...process.argv.slice(2)], mainPath);
  const [{ size }] = options.points as [Point];
  const programs = await findPrograms(await findPeers(options));
  const children = new Children();
  const nodes = await startNodes(children, programs, options.nodePorts);
  const endpoints = await startEndpoints(children, programs, nodes, options);
  for (const endpoint of endpoints) await awaitAnswer(endpoint);

  const sizeBefore = new Map<string, number>();
  for (const { label, pids } of endpoints) {
    for (const pid of pids) forgetPeak(pid);
    sizeBefore.set(label, bytesOf(pids, 'VmRSS'));
  }
  const results: Result[] = [];
  const value = Buffer.allocUnsafe(size);
  const received = Buffer.allocUnsafe(size);
  for (let round = 0; round < options.rounds; round++) {
    for (const endpoint of endpoints) {
      // New bytes every time: what an earlier round left behind cannot pass for this one's.
      randomFillSync(value);
      received.fill(0);
      const setSeconds = await transfer(endpoint, (socket) => set(socket, value));
      const getSeconds = await transfer(endpoint, (socket) => get(socket, received));
      if (!received.equals(value)) throw new BenchmarkError(`${endpoint.label}: the value came back changed`);
      const { label, pids } = endpoint;
      const growth = pids.length === 0 ? Number.NaN : bytesOf(pids, 'VmHWM') - (sizeBefore.get(label) ?? 0);
      results.push({ label, setSeconds, getSeconds, growth });
    }
  }
  await children.close();
  print(results, size);
}

function bytesOf(pids: readonly number[], field: 'VmRSS' | 'VmHWM'): number {
  return pids.reduce((sum, pid) => sum + memoryOf(pid, field), 0);
}

/** The fastest round of each endpoint, its worst growth, and what ringleader makes of the limits. */
function print(results: readonly Result[], size: number): void {
  const labels = [...new Set(results.map(({ label }) => label))];
  const best = labels.map((label) => {
    const rounds = results.filter((result) => result.label === label);
    const least = (of: (result: Result) => number) => Math.min(...rounds.map(of));
    return {
      label,
      set: least((result) => result.setSeconds),
      get: least((result) => result.getSeconds),
      both: least((result) => result.setSeconds + result.getSeconds),
      growth: Math.max(...rounds.map((result) => result.growth)),
    };
  });
  const direct = best.find(({ label }) => label === 'direct');
  console.log(`\n${(size / 1e6).toFixed(0)} MB, equal byte for byte in every round`);
  console.log(`${''.padEnd(22)}${['SET s', 'GET s', 'both', '× direct', 'growth MB'].map(cell).join('')}`);
  for (const { label, set, get, both, growth } of best) {
    const ratio = direct === undefined ? Number.NaN : both / direct.both;
    const cells = [set.toFixed(3), get.toFixed(3), both.toFixed(3), ratio.toFixed(2), (growth / 1e6).toFixed(0)];
    const over = [ratio > TIME_RATIO_MAX ? 'too slow' : '', growth > GROWTH_BYTES_MAX ? 'too large' : ''].filter(
      Boolean,
    );
    const verdict = label === 'direct' ? '' : `  ${over.join(', ') || 'within the limits'}`;
    console.log(label.padEnd(22) + cells.map(cell).join('') + verdict);
  }
}

function cell(text: string): string {
  return text.padStart(12);
}

/** Seconds that `exchange` takes on a fresh connection. */
async function transfer(endpoint: Endpoint, exchange: (socket: Socket) => Promise<void>): Promise<number> {
  const socket = createConnection({ host: endpoint.host, port: endpoint.port, noDelay: true });
  const broken = new Promise<never>((_, reject) => {
    const fail = (reason: string) => reject(new BenchmarkError(`${endpoint.label}: ${reason}`));
    socket.on('error', (error) => fail(error.message));
    socket.on('end', () => fail('the connection was closed'));
    socket.setTimeout(TRANSFER_TIMEOUT_MS, () => fail(`nothing came for ${TRANSFER_TIMEOUT_MS / 1000} s`));
  });
  try {
    await Promise.race([new Promise((resolve) => socket.once('connect', resolve)), broken]);
    const start = performance.now();
    await Promise.race([exchange(socket), broken]);
    return (performance.now() - start) / 1000;
  } finally {
    socket.destroy();
  }
}

function set(socket: Socket, value: Buffer): Promise<void> {
  socket.write(`*3\r\n$3\r\nSET\r\n$5\r\nlarge\r\n$${value.length}\r\n`);
  socket.write(value);
  socket.write('\r\n');
  return new Promise((resolve, reject) => {
    let reply = '';
    socket.on('data', (bytes) => {
      reply += bytes.toString('latin1');
      if (reply === '+OK\r\n') resolve();
      else if (reply.endsWith('\r\n')) reject(new BenchmarkError(`SET was answered ${reply}`));
    });
  });
}

/** Fills `target`, which is as long as the value. */
function get(socket: Socket, target: Buffer): Promise<void> {
  const header = `$${target.length}\r\n`;
  socket.write('*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n');
  return new Promise((resolve, reject) => {
    let head = Buffer.alloc(0);
    let position = -1;
    socket.on('data', (bytes) => {
      let rest = bytes;
      if (position < 0) {
        head = Buffer.concat([head, bytes]);
        if (head.length < header.length) return;
        if (head.toString('latin1', 0, header.length) !== header) {
          reject(new BenchmarkError(`GET was answered ${head.toString('latin1', 0, 100)}`));
          return;
        }
        rest = head.subarray(header.length);
        position = 0;
      }
      // The last two bytes, CR and LF, fall off the end of the target.
      rest.copy(target, Math.min(position, target.length));
      position += rest.length;
      if (position >= target.length + 2) resolve();
    });
  });
}
