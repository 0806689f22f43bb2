/** A value of 512 MB, the largest that Redis takes by default, there and back: byte-equal, held by nobody on the way, in nobody's way. */
import { createHash } from 'node:crypto';
import { connect, type Socket } from 'node:net';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { GROWTH_MAX, PATIENT, PIECE_BYTES } from '../help/large-values.js';
import { residentBytes, residentPeakBytes } from '../help/process-facts.js';
import { encodeWords, RespClient } from '../help/resp-client.js';
import { within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const HUGE_BYTES = 512 * 1024 * 1024;
/** After as many, somebody else asks for something small. */
const BESIDE_BYTES = 64 * 1024 * 1024;
const MINUS = 0x2d;
const TIMEOUT_MS = 120_000;

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(
    `on ${transport}, 512 MB go through SET and GET byte-equal, and the proxy holds next to nothing of it`,
    async (t) => {
      const { proxy, port } = await deploy(t, { transport, workers: 1, nodes: 1, limits: PATIENT });
      const piece = new Seeded().bytes(PIECE_BYTES);
      const other = await RespClient.connect(port);
      await other.command('SET', 'small', '1');
      const before = residentBytes(proxy.pid);
      const socket = connect({ host: '127.0.0.1', port });
      let answered = 0;
      const written = await setHuge(socket, piece, async () => {
        t.equal(await other.command('INCR', 'small'), ++answered + 1, 'a small command is answered meanwhile');
      });
      t.equal(written, '+OK\r\n');
      t.equal(answered, HUGE_BYTES / BESIDE_BYTES);
      t.equal(await getHuge(socket), digestOf(piece), 'byte-equal');
      socket.destroy();
      const growth = residentPeakBytes(proxy.pid) - before;
      t.ok(growth < GROWTH_MAX[transport], `the process grew by ${Math.round(growth / 1e6)} MB at the most`);
      t.match(await other.command('INFO', 'ringleader'), /ringleader_requests_passed_on:1\r\n/);
      other.close();
    },
  );
}

/** SET of that piece, again and again; not before `beside` has come to its end is more written, so that it happens in the middle. */
async function setHuge(socket: Socket, piece: Buffer, beside: () => Promise<void>): Promise<string> {
  const reply = new Promise<string>((resolve, reject) => {
    socket.once('data', (bytes) => resolve(bytes.toString()));
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
  // It is awaited at the end.
  reply.catch(() => {});
  socket.write(`*3\r\n$3\r\nSET\r\n$4\r\nhuge\r\n$${HUGE_BYTES}\r\n`);
  for (let at = piece.length; at <= HUGE_BYTES; at += piece.length) {
    if (!socket.write(piece)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), reply]);
    if (at % BESIDE_BYTES === 0) await beside();
  }
  socket.write('\r\n');
  return within('the reply to SET', reply, TIMEOUT_MS);
}

/** GET; resolves with the digest of the value, once the frame is whole. */
async function getHuge(socket: Socket): Promise<string> {
  const head = `$${HUGE_BYTES}\r\n`.length;
  const hash = createHash('sha256');
  const digest = new Promise<string>((resolve, reject) => {
    let at = -head;
    socket.on('data', (bytes) => {
      if (bytes[0] === MINUS && at < 0) reject(new Error(bytes.toString()));
      hash.update(bytes.subarray(Math.max(0, -at), Math.max(0, HUGE_BYTES - at)));
      at += bytes.length;
      if (at === HUGE_BYTES + 2) resolve(hash.digest('hex'));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('the connection was closed')));
  });
  socket.write(encodeWords(['GET', 'huge']));
  return within('the reply to GET', digest, TIMEOUT_MS);
}

function digestOf(piece: Buffer): string {
  const hash = createHash('sha256');
  for (let at = 0; at < HUGE_BYTES; at += piece.length) hash.update(piece);
  return hash.digest('hex');
}
