/** A value of 100 MB through the proxy: byte-equal, held once, and in nobody's way. */
import { createHash } from 'node:crypto';
import { connect } from 'node:net';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { residentBytes, residentPeakBytes } from '../help/process-facts.js';
import type { RedisServer } from '../help/redis-server.js';
import { Relay } from '../help/relay.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const VALUE_BYTES = 100_000_000;
const GROWTH_MAX = 350_000_000;
/** Less than one value. */
const LEFT_MAX = 80_000_000;
/** The largest that Redis takes by default. */
const HUGE_BYTES = 512 * 1024 * 1024;
const HUGE_STEP_BYTES = 32 * 1024 * 1024;
const HUGE_GROWTH_MAX = 32_000_000;
const CHUNK_BYTES = 64 * 1024;
const TIMEOUT_MS = 60_000;
const LATE_MS = 2_000;

/** The node driver cannot give pages back, so that each worker through which a large value went keeps its memory. */
const WORKERS = { io_uring: 2, epoll: 2, node: 1 };

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`on ${transport}, 100 MB go through SET and GET byte-equal, and small commands go on meanwhile`, async (t) => {
    const deployment = await deploy(t, { transport, workers: WORKERS[transport], nodes: 1 });
    const { proxy, port } = deployment;
    const chunk = new Seeded().bytes(CHUNK_BYTES);
    const before = residentBytes(proxy.pid);
    const other = await RespClient.connect(port);
    const chatter = new Chatter(other);

    const startMs = performance.now();
    t.equal(await setLarge(port, 'large', chunk), '+OK\r\n');
    const setMs = performance.now() - startMs;
    const duringSet = chatter.answered;
    t.ok(duringSet > 0, `${duringSet} small commands are answered meanwhile`);

    const digest = await getLarge(port, 'large');
    const getMs = performance.now() - startMs - setMs;
    t.equal(digest, digestOf(chunk), 'byte-equal');
    const duringGet = chatter.answered - duringSet;
    t.ok(duringGet > 0, `${duringGet} small commands are answered meanwhile`);
    t.same(await chatter.stop(), []);

    const growth = residentPeakBytes(proxy.pid) - before;
    t.ok(growth < GROWTH_MAX, `the process grew by ${Math.round(growth / 1e6)} MB at the most`);
    t.comment(
      `SET ${Math.round(setMs)} ms, GET ${Math.round(getMs)} ms, slowest small command ${chatter.slowestMs} ms`,
    );
    other.close();
  });

  t.test(
    `on ${transport}, a value that comes slowly but steadily, from a client and from a node, is not late`,
    async (t) => {
      const [before, behind] = await Promise.all([Relay.start(), Relay.start()]);
      t.teardown(() => Promise.all([before.stop(), behind.stop()]));
      const { port, proxy } = await deploy(t, {
        transport,
        workers: WORKERS[transport],
        nodes: 1,
        url: (server) => behind.to(server.port),
        limits: {
          requestDeadlineMs: LATE_MS,
          idleTimeoutMs: LATE_MS,
          requestTimeoutMs: LATE_MS,
          stallTimeoutMs: LATE_MS,
        },
      });
      before.to(port);
      const value = new Seeded().bytes(8 * 1024 * 1024);
      const uploader = await RespClient.connect(before.port);
      before.slowDown(45);
      let startMs = performance.now();
      uploader.send(encodeWords(['SET', 'slow', value]));
      t.equal((await uploader.nextBytes(5)).toString(), '+OK\r\n');
      t.ok(performance.now() - startMs > LATE_MS, 'the client took longer than requestDeadlineMs and idleTimeoutMs');
      uploader.close();

      const reader = await RespClient.connect(port);
      behind.slowDown(45);
      startMs = performance.now();
      reader.send(encodeWords(['GET', 'slow']));
      const reply = await reader.nextBytes(`$${value.length}\r\n`.length + value.length + 2);
      t.ok(performance.now() - startMs > LATE_MS, 'the node took longer than requestTimeoutMs');
      t.ok(reply.subarray(-2 - value.length, -2).equals(value), 'byte-equal');
      t.notOk(proxy.logLines.some(({ msg }) => msg === 'session-closed' || msg === 'node-down'));
      reader.close();
    },
  );

  t.test(
    `on ${transport}, a reply that is too large for the memory ends who asked for it, and nobody else`,
    async (t) => {
      const limits = { workerMemoryMax: '64mb' };
      const { port, proxy, servers } = await deploy(t, { transport, workers: 1, nodes: 1, limits });
      const chunk = new Seeded().bytes(CHUNK_BYTES);
      const node = (servers[0] as RedisServer).port;
      t.equal(await setLarge(node, 'large', chunk), '+OK\r\n');
      t.equal(await setLarge(node, 'list', chunk, 'RPUSH'), ':1\r\n');
      // Each holds enough to be worth closing.
      const bystanders = await Promise.all(Array.from({ length: 5 }, () => RespClient.connect(port)));
      for (const client of bystanders) client.send(`*2\r\n$4\r\nECHO\r\n$300000\r\n${'x'.repeat(299_000)}`);
      const other = await RespClient.connect(port);
      for (let round = 0; round < 3; round++) {
        const glutton = await RespClient.connect(port);
        // A list cannot go on before all of it is there.
        glutton.send(encodeWords(['LRANGE', 'list', '0', '-1']));
        await within('its end', glutton.closed);
        await waitFor('the memory to be free', async () => {
          const info = `${await other.command('INFO', 'ringleader')}`;
          return Number(/^ringleader_memory_bytes:(\d+)/m.exec(info)?.[1]) < 10_000_000;
        });
      }
      t.equal(await getLarge(port, 'large'), digestOf(chunk), 'one value goes through, however large');
      for (const client of bystanders) {
        client.send(`${'x'.repeat(1_000)}\r\n`);
        t.equal((await client.nextBytes('$300000\r\n'.length + 300_002)).length, 300_011);
        client.close();
      }
      const closed = proxy.logLines.filter(({ msg }) => msg === 'session-closed-for-memory');
      t.match(await other.command('INFO', 'ringleader'), /ringleader_session_memory_closes:3\r\n/);
      t.ok(
        closed.every(({ bytes }) => (bytes as number) > 32_000_000),
        'they are said to have held it',
      );
      t.equal(await other.command('SET', 'small', '1'), 'OK');
      other.close();
    },
  );

  t.test(`on ${transport}, clients that leave in the middle of 100 MB leave nothing behind`, async (t) => {
    const deployment = await deploy(t, { transport, workers: WORKERS[transport], nodes: 1 });
    const { proxy, port } = deployment;
    const chunk = new Seeded().bytes(CHUNK_BYTES);
    const client = await RespClient.connect(port);
    const before = residentBytes(proxy.pid);
    t.equal(await setLarge(port, 'large', chunk), '+OK\r\n');
    for (let round = 0; round < 5; round++) {
      const reader = await RespClient.connect(port);
      reader.send('*2\r\n$3\r\nGET\r\n$5\r\nlarge\r\n');
      await reader.nextBytes(CHUNK_BYTES);
      reader.reset();
      const writer = await RespClient.connect(port);
      writer.send(`*3\r\n$3\r\nSET\r\n$5\r\nother\r\n$${VALUE_BYTES}\r\n`);
      for (let count = 0; count < 500; count++) writer.send(chunk);
      t.equal(await client.command('SET', 'small', `${round}`), 'OK');
      writer.close();
    }
    // The memory of the node driver is used again instead.
    if (transport !== 'node') {
      await waitFor('the memory to be given back', () => residentBytes(proxy.pid) - before < LEFT_MAX);
    }
    t.comment(`${Math.round((residentBytes(proxy.pid) - before) / 1e6)} MB more than before`);
    t.equal(await client.command('EXISTS', 'other'), 0, 'half a command is none');
    t.equal(await getLarge(port, 'large'), digestOf(chunk));
    t.ok(residentPeakBytes(proxy.pid) - before < 2 * GROWTH_MAX);
    client.close();
  });
}

t.test('512 MB go to a client that reads slowly, and the proxy holds next to nothing of it', async (t) => {
  const { port, proxy, servers } = await deploy(t, { workers: 2, nodes: 1 });
  const server = servers[0] as RedisServer;
  const filler = await RespClient.connect(server.port);
  await filler.command('SETRANGE', 'huge', `${HUGE_BYTES - 1}`, 'x');
  filler.close();
  const other = await RespClient.connect(port);
  await other.command('SET', 'small', '1');
  const before = residentBytes(proxy.pid);
  const socket = connect({ host: '127.0.0.1', port });
  let received = 0;
  let pauses = 0;
  const done = new Promise<void>((resolve, reject) => {
    socket.on('data', (bytes) => {
      received += bytes.length;
      if (received === `$${HUGE_BYTES}\r\n`.length + HUGE_BYTES + 2) resolve();
      else if (received > (pauses + 1) * HUGE_STEP_BYTES) {
        pauses++;
        socket.pause();
        setTimeout(() => socket.resume(), 50);
      }
    });
    socket.once('close', () => reject(new Error(`the connection was closed after ${received} bytes`)));
  });
  socket.write(encodeWords(['GET', 'huge']));
  await within('the value', done, TIMEOUT_MS);
  socket.destroy();
  t.ok(pauses > 10, 'the client was slower than the node');
  const growth = residentPeakBytes(proxy.pid) - before;
  t.ok(growth < HUGE_GROWTH_MAX, `the process grew by ${Math.round(growth / 1e6)} MB at the most`);
  t.equal(await other.command('GET', 'small'), '1');
  other.close();
});

/** A client that asks small things of the same node all the time. */
class Chatter {
  answered = 0;
  slowestMs = 0;
  private readonly faults: string[] = [];
  private isStopping = false;
  private readonly running: Promise<void>;

  constructor(client: RespClient) {
    this.running = this.run(client);
  }

  async stop(): Promise<string[]> {
    this.isStopping = true;
    await this.running;
    return this.faults;
  }

  private async run(client: RespClient): Promise<void> {
    while (!this.isStopping && this.faults.length === 0) {
      const value = `value ${this.answered}`;
      const startMs = performance.now();
      const replies = [await client.command('SET', 'small', value), await client.command('GET', 'small')];
      this.slowestMs = Math.max(this.slowestMs, Math.round(performance.now() - startMs));
      if (replies[0] !== 'OK' || replies[1] !== value) this.faults.push(`${replies} instead of ${value}`);
      this.answered += 2;
    }
  }
}

/** SET, or the like, of a value made of `chunk` again and again; resolves with the reply. */
async function setLarge(port: number, key: string, chunk: Buffer, command = 'SET'): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  const reply = new Promise<string>((resolve, reject) => {
    socket.once('data', (bytes) => resolve(bytes.toString()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
  socket.write(`*3\r\n$${command.length}\r\n${command}\r\n$${key.length}\r\n${key}\r\n$${VALUE_BYTES}\r\n`);
  for (const piece of pieces(chunk)) {
    if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), reply]);
  }
  socket.write('\r\n');
  try {
    return await within('the reply to SET', reply, TIMEOUT_MS);
  } finally {
    socket.destroy();
  }
}

/** GET; resolves with the digest of the value, once the frame is whole. */
async function getLarge(port: number, key: string): Promise<string> {
  const socket = connect({ host: '127.0.0.1', port });
  const head = `$${VALUE_BYTES}\r\n`;
  const hash = createHash('sha256');
  const digest = new Promise<string>((resolve, reject) => {
    let at = -head.length;
    let seen = '';
    socket.on('data', (bytes) => {
      if (at < 0) seen += bytes.subarray(0, -at).toString();
      hash.update(bytes.subarray(Math.max(0, -at), Math.max(0, VALUE_BYTES - at)));
      at += bytes.length;
      if (at === VALUE_BYTES + 2) resolve(seen === head ? hash.digest('hex') : seen);
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
  socket.write(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
  try {
    return await within('the reply to GET', digest, TIMEOUT_MS);
  } finally {
    socket.destroy();
  }
}

function digestOf(chunk: Buffer): string {
  const hash = createHash('sha256');
  for (const piece of pieces(chunk)) hash.update(piece);
  return hash.digest('hex');
}

function* pieces(chunk: Buffer): Generator<Buffer> {
  for (let left = VALUE_BYTES; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length));
}
