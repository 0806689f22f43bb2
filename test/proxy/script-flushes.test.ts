/** SCRIPT FLUSH, which all workers have heard of before its client is told: what was shown before is known to none, what is shown behind it stays. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { type Client, Plane } from '../help/plane.js';

const SOURCE = 'return 1';
const SHA = createHash('sha1').update(SOURCE).digest('hex');
const EXISTS = ['SCRIPT', 'EXISTS', SHA];

/** Three workers of one process, each with a client. */
function workers() {
  const planes = [0, 1, 2].map(() => new Plane({ nodes: 2 }).greetAll());
  for (const plane of planes) plane.others.push(...planes.filter((other) => other !== plane));
  return planes.map((plane) => ({ plane, client: plane.client() })) as [Worker, Worker, Worker];
}
interface Worker {
  plane: Plane;
  client: Client;
}

/** What nodes say to `words`, by how they begin. */
const REPLIES: readonly [begin: string, reply: string][] = [
  ['SCRIPT EXISTS', '*1\r\n:0\r\n'],
  ['SCRIPT FLUSH', '+OK\r\n'],
  ['EVAL ', ':1\r\n'],
  ['EVALSHA ', '-NOSCRIPT No matching script. Please use EVAL.\r\n'],
];

/** The nodes of that worker answer, and no other does anything. */
function answer({ plane }: Worker): void {
  plane.turn();
  for (const { index } of plane.topology.nodes) {
    const link = plane.only(index);
    for (const words of link.commands())
      link.answer(REPLIES.find(([begin]) => words.startsWith(begin))?.[1] ?? '+OK\r\n');
  }
}

/** What the client is told, while its worker hears of nothing that the others know. */
function tell(worker: Worker, words: string[]): string {
  worker.client.send(words);
  answer(worker);
  // What the workers ask each other goes out behind the turn.
  return worker.client.take();
}

/** The workers hear all that they tell each other. */
function hear(...workers: readonly Worker[]): void {
  for (let ms = 0; ms < 100; ms += 50) for (const { plane } of workers) plane.pass(50);
}

/** The client's flush, until it is told that it is done. How many turns of its worker that took behind the nodes' answers. */
function flush(worker: Worker): number {
  worker.client.send(['SCRIPT', 'FLUSH']);
  answer(worker);
  for (let turns = 0; turns < 10; turns++) {
    const reply = worker.client.take();
    if (reply === '+OK\r\n') return turns;
    if (reply !== '') throw new Error(reply);
    worker.plane.turn();
  }
  throw new Error('SCRIPT FLUSH is not answered');
}

t.test('what another worker is shown behind a flush stays known', async (t) => {
  const all = workers();
  const [one, other] = all;
  for (const before of ['new', 'known']) {
    if (before === 'known') {
      tell(one, ['EVAL', SOURCE, '1', one.plane.key(0)]);
      hear(...all);
    }
    flush(one);
    for (const worker of all) t.equal(tell(worker, EXISTS), '*1\r\n:0\r\n', before);
    t.equal(tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]), ':1\r\n');
    hear(...all);
    for (const worker of all) {
      t.equal(tell(worker, EXISTS), '*1\r\n:1\r\n', before);
      t.equal(tell(worker, ['EVALSHA', SHA, '1', worker.plane.key(1)]), ':1\r\n', before);
    }
  }
});

t.test('what the same client shows right behind a flush stays known', async (t) => {
  const all = workers();
  const [one] = all;
  for (const before of ['new', 'known']) {
    one.client.send(['SCRIPT', 'FLUSH'], ['EVAL', SOURCE, '1', one.plane.key(0)]);
    let replies = '';
    for (let turns = 0; turns < 5; turns++) {
      answer(one);
      replies += one.client.take();
    }
    t.equal(replies, '+OK\r\n:1\r\n', before);
    hear(...all);
    for (const worker of all) t.equal(tell(worker, EXISTS), '*1\r\n:1\r\n', before);
  }
});

t.test('what was shown before is known to none, also where a worker hears of it behind the flush', async (t) => {
  const all = workers();
  const [one, other, third] = all;
  const [flushes, shown]: [(() => void)[], (() => void)[]] = [[], []];
  one.plane.onTheWay = flushes;
  other.plane.onTheWay = shown;
  t.equal(tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]), ':1\r\n');
  one.client.send(['SCRIPT', 'FLUSH']);
  answer(one);
  for (const questions of [flushes, shown, flushes]) {
    one.plane.turn();
    t.equal(one.client.take(), '', 'the nodes have carried it out, and not all workers know');
    questions.shift()?.();
    if (questions === shown) t.equal(tell(third, EXISTS), '*1\r\n:1\r\n');
  }
  one.plane.turn();
  t.equal(one.client.take(), '+OK\r\n');
  for (const worker of all) t.equal(tell(worker, EXISTS), '*1\r\n:0\r\n');
});

t.test('EXEC with a flush is answered when all workers have heard of it', async (t) => {
  const all = workers();
  const [one, other] = all;
  tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]);
  hear(...all);
  one.client.send(['MULTI'], ['SET', one.plane.key(0), 'x'], ['SCRIPT', 'FLUSH'], EXISTS, ['EXEC']);
  one.plane.turn();
  one.client.take();
  const [first, second] = [0, 1].map((node) => one.plane.only(node));
  first?.commands();
  first?.answer('+OK\r\n', '+QUEUED\r\n', '+QUEUED\r\n', '+QUEUED\r\n', '*3\r\n+OK\r\n+OK\r\n*1\r\n:0\r\n');
  second?.commands();
  second?.answer('+OK\r\n', '*1\r\n:0\r\n');
  t.equal(one.client.take(), '');
  for (let turns = 0; turns < 5; turns++) one.plane.turn();
  t.equal(one.client.take(), '*3\r\n+OK\r\n+OK\r\n*1\r\n:0\r\n');
  for (const worker of all) t.equal(tell(worker, EXISTS), '*1\r\n:0\r\n');
});

t.test('a client that goes while workers hear of its flush leaves nothing', async (t) => {
  const all = workers();
  const [one, other] = all;
  tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]);
  hear(...all);
  const used = one.plane.usedBytes;
  const client = one.plane.client();
  const questions: (() => void)[] = [];
  one.plane.onTheWay = questions;
  client.send(['SCRIPT', 'FLUSH']);
  answer(one);
  client.connection.break(null);
  one.plane.turn();
  t.ok(one.plane.usedBytes > used, 'the replies');
  while (questions.length > 0) questions.shift()?.();
  one.plane.turn();
  t.equal(one.plane.usedBytes, used, 'nothing is kept');
  t.equal(tell(other, EXISTS), '*1\r\n:0\r\n');
});
