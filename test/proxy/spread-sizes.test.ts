/** Large transactions: how many commands for all shards there may be, what they cost, what they hold, and what is left of them. */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import t from 'tap';
import { PendingPool } from '../../src/backend/pending.js';
import { MergePool } from '../../src/proxy/merge.js';
import { responsePolicy } from '../../src/proxy/response-policy.js';
import { Arena } from '../../src/transport/arena.js';
import { command, Plane } from '../help/plane.js';

const QUEUED = '+QUEUED\r\n';
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** Bytes of the heap, and beside it, that are in use. */
function usedMemory(): number {
  collect();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

// The first of all tests: no arena of another is given back while it measures.
t.test('what a transaction holds is within sessionTransactionBytesMax', async (t) => {
  const max = 8 * 1024 * 1024;
  const limits = { sessionTransactionBytesMax: max, sessionTransactionSpreadMax: 1_000_000 };
  const plane = new Plane({ nodes: 2, limits }).greetAll();
  for (const words of [['DBSIZE'], ['PING'], ['RANDOMKEY'], ['SET', 'k', 'x'.repeat(40)]]) {
    const client = plane.client().send(['MULTI']);
    plane.turn();
    client.take();
    const before = usedMemory();
    const arenaBefore = plane.usedBytes;
    let queued = 0;
    for (let reply = ''; !reply.includes('-OVERLOADED'); queued += reply.split(QUEUED).length - 1) {
      client.send(...Array.from({ length: 500 }, () => words));
      plane.turn();
      reply = client.take();
    }
    const full = usedMemory();
    const arenaFull = plane.usedBytes;
    client.send(['DISCARD']);
    t.equal(client.take(), '+OK\r\n');
    // What the one before has held may still be there at the beginning: a compilation that goes on beside us keeps what it looks at.
    const held = full - Math.min(before, usedMemory()) + arenaFull - arenaBefore;
    // Counted to a few per cent; the heap has more of its own.
    t.ok(held < 1.25 * max, `${words[0]}: ${queued} commands hold ${held} bytes`);
    t.ok(held > max / 4, `${words[0]}: and not much less: ${held}`);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('sessionTransactionSpreadMax bounds the commands for all shards, and for all workers', async (t) => {
  const plane = new Plane({ nodes: 2, limits: { sessionTransactionSpreadMax: 3 } }).greetAll();
  const client = plane.client();
  const three = [['DBSIZE'], ['PING'], ['CLIENT', 'LIST'], ['GET', 'x'], ['KEYS', '*']];
  for (const fourth of [['DBSIZE'], ['CLIENT', 'KILL', 'ID', '77']]) {
    const before = plane.counts.commandsOverloaded;
    client.send(['MULTI'], ...three, ['PING'], fourth, ['EXEC']);
    plane.turn();
    t.match(
      client.take(),
      /^\+OK\r\n(\+QUEUED\r\n){6}-OVERLOADED the commands after MULTI that all shards, or all workers, are to carry out are more than there may be \(sessionTransactionSpreadMax 3\)\r\n-EXECABORT [^\n]*\n$/,
    );
    t.equal(plane.counts.commandsOverloaded, before + 1);
    for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
  }
  client.send(['MULTI'], ...three, ['EXEC']);
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(5)}`);
  plane.turn();
  t.not(plane.only(plane.nodeOf('x')).take(), '', 'as many as there may be');
});

t.test('what EXEC costs grows as the transaction does', async (t) => {
  const count = 32_000;
  const plane = new Plane({ nodes: 2, limits: { sessionTransactionSpreadMax: count } }).greetAll();
  const client = plane.client().send(['MULTI']);
  for (let sent = 0; sent < count; sent += 500) {
    client.send(...Array.from({ length: 500 }, () => ['DBSIZE']));
    plane.turn();
  }
  client.send(['EXEC']);
  plane.turn();
  client.take();
  const [own, other] = [plane.only(0), plane.only(1)];
  own.take();
  const asksOthers = cpuMs(() => {
    own.answer('+OK\r\n', QUEUED.repeat(count), `*${count}\r\n${':1\r\n'.repeat(count)}`);
    plane.turn();
  });
  t.equal(other.take(), command('DBSIZE').repeat(count));
  const answers = cpuMs(() => {
    other.answer(':2\r\n'.repeat(count));
    plane.turn();
  });
  t.equal(client.take(), `*${count}\r\n${':3\r\n'.repeat(count)}`);
  // A walk over all replies before each would take fifty times as much.
  t.ok(asksOthers < 15 * Math.max(answers, 50), `${asksOthers} ms, and ${answers} ms`);
  t.equal(plane.usedBytes, 0);
});

function cpuMs(act: () => void): number {
  const before = process.cpuUsage();
  act();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1_000;
}

t.test('a merge that has grown large is not kept, nor what a policy knows', async (t) => {
  const pendings = new PendingPool();
  const merges = new MergePool(new Arena(new ArrayBuffer(1024 * 1024)), pendings);
  const policy = responsePolicy('agg_sum', false);
  const use = (parts: number) => {
    const merge = merges.take(policy, false);
    const pending = Array.from({ length: parts }, () => merge.addPart('a', 0, false));
    for (const part of pending) merge.onFailure(part, new Uint8Array(0));
    return merge;
  };
  const small = use(200);
  t.equal(Object.values(small).includes(policy), false);
  t.equal(use(10), small, 'a small one is');
  const large = use(300);
  t.equal(large, small);
  t.not(use(10), large);
});
