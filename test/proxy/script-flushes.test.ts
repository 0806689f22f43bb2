/** SCRIPT FLUSH, of which each worker hears at another moment: what was shown before it is forgotten by all, what is shown behind it by none. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { type Client, Plane } from '../help/plane.js';

const SOURCE = 'return 1';
const SHA = createHash('sha1').update(SOURCE).digest('hex');
const EXISTS = ['SCRIPT', 'EXISTS', SHA];

/** Two workers of one process, each with a client. */
function workers() {
  const planes = [0, 1].map(() => new Plane({ nodes: 2 }).greetAll()) as [Plane, Plane];
  const [plane, other] = planes;
  plane.others.push(other);
  other.others.push(plane);
  return planes.map((plane) => ({ plane, client: plane.client() })) as [Worker, Worker];
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

t.test(
  'what another worker is shown behind a flush stays known, however late that worker hears of the flush',
  async (t) => {
    const [one, other] = workers();
    for (const before of ['new', 'known']) {
      if (before === 'known') {
        tell(one, ['EVAL', SOURCE, '1', one.plane.key(0)]);
        hear(one, other);
      }
      one.client.send(['SCRIPT', 'FLUSH']);
      answer(one);
      t.equal(one.client.take(), '+OK\r\n');
      t.equal(tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]), ':1\r\n');
      hear(one, other);
      for (const worker of [one, other]) {
        t.equal(tell(worker, EXISTS), '*1\r\n:1\r\n', before);
        t.equal(tell(worker, ['EVALSHA', SHA, '1', worker.plane.key(1)]), ':1\r\n', before);
      }
    }
  },
);

t.test('what is shown right behind a flush by the same client, and while others flush, stays known', async (t) => {
  const [one] = workers();
  for (const before of ['new', 'known']) {
    one.client.send(['SCRIPT', 'FLUSH'], ['EVAL', SOURCE, '1', one.plane.key(0)]);
    answer(one);
    one.plane.turn();
    t.equal(one.client.take(), '+OK\r\n:1\r\n', before);
    t.equal(tell(one, EXISTS), '*1\r\n:1\r\n', before);
  }
});

t.test('what was shown before is forgotten by all, also where a worker tells of it later', async (t) => {
  const [one, other] = workers();
  t.equal(tell(other, ['EVAL', SOURCE, '1', other.plane.key(0)]), ':1\r\n');
  one.client.send(['SCRIPT', 'FLUSH']);
  answer(one);
  t.equal(one.client.take(), '+OK\r\n');
  hear(one, other);
  for (const worker of [one, other]) t.equal(tell(worker, EXISTS), '*1\r\n:0\r\n');
});
