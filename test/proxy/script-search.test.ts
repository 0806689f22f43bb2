/** What is called by its SHA1 at one worker right after another one was shown it: the other workers are asked, where one of them may know it. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { shownScriptsMemory } from '../../src/base/shown-scripts.js';
import { type Client, command, Plane } from '../help/plane.js';

const SOURCE = 'return 1';
const shaOf = (source: string) => createHash('sha1').update(source).digest('hex');
const SHA = shaOf(SOURCE);
const NOSCRIPT = '-NOSCRIPT No matching script. Please use EVAL.\r\n';

interface Worker {
  plane: Plane;
  client: Client;
  /** Questions to all workers that are on their way. */
  asked: (() => void)[];
}

/** Workers of one process, each with a client; what they ask each other is on its way until a test delivers it. */
function workers(count = 3): [Worker, Worker, ...Worker[]] {
  const shownScripts = shownScriptsMemory();
  const planes = Array.from({ length: count }, () => new Plane({ nodes: 2, workers: count, shownScripts }).greetAll());
  const all = planes.map((plane) => {
    plane.others.push(...planes.filter((other) => other !== plane));
    const asked: (() => void)[] = [];
    plane.onTheWay = asked;
    return { plane, client: plane.client(), asked };
  });
  return all as [Worker, Worker, ...Worker[]];
}

/** What that node is sent next. */
function sent({ plane }: Worker, node: number): string {
  plane.turn();
  return plane.only(node).take();
}

function deliver({ asked }: Worker): void {
  asked.shift()?.();
}

/** Its client has shown the script, and was answered; the others were not told. */
function show(worker: Worker, source = SOURCE): void {
  const { plane, client, asked } = worker;
  const key = plane.key(0);
  client.send(['EVAL', source, '1', key]);
  sent(worker, 0);
  plane.only(0).answer(':1\r\n');
  plane.turn();
  if (client.take() !== ':1\r\n') throw new Error('EVAL is not answered');
  asked.length = 0;
}

t.test('what was shown to one worker is called at another at once, in its place in line', async (t) => {
  const [one, other] = workers();
  show(one);
  const { plane, client } = other;
  const [key, first] = [plane.key(1), plane.key(0)];
  client.send(
    ['GET', first],
    ['EVALSHA', SHA.toUpperCase(), '1', key, 'x'],
    ['SET', key, 'later'],
    ['EVALSHA', SHA, '1', key],
  );
  t.equal(sent(other, 0), command('GET', first));
  t.equal(sent(other, 1), '');
  plane.only(0).answer('$-1\r\n');
  t.equal(sent(other, 1), '', 'the others are asked');
  t.equal(other.asked.length, 1);
  deliver(other);
  const whole = command('EVAL', SOURCE, '1', key, 'x');
  t.equal(sent(other, 1), whole + command('SET', key, 'later') + command('EVALSHA', SHA, '1', key));
  plane.only(1).answer(':1\r\n', '+OK\r\n', ':1\r\n');
  t.equal(client.take(), '$-1\r\n:1\r\n+OK\r\n:1\r\n');
  t.equal(other.asked.length, 0, 'what is known is not asked for, and who was told does not tell');
});

t.test('in MULTI, and where keys are gathered, and SCRIPT EXISTS', async (t) => {
  const [one, other, third, fourth] = workers(4);
  show(one);
  const { plane, client } = other;
  const key = plane.key(1);
  client.send(['MULTI'], ['EVALSHA', SHA, '1', key]);
  plane.turn();
  deliver(other);
  plane.turn();
  t.equal(client.take(), '+OK\r\n+QUEUED\r\n');
  client.send(['EXEC']);
  t.match(sent(other, 1), command('EVAL', SOURCE, '1', key));

  show(one, 'return 2');
  const asker = third as Worker;
  asker.client.send(['EVALSHA_RO', shaOf('return 2'), '2', asker.plane.key(0), asker.plane.key(1)]);
  t.equal(sent(asker, 0), '');
  deliver(asker);
  t.not(sent(asker, 0), '');

  show(one, 'return 3');
  const last = fourth as Worker;
  last.client.send(['SCRIPT', 'EXISTS', shaOf('return 3').toUpperCase(), shaOf('nobody knows it')]);
  for (const node of [0, 1]) {
    sent(last, node);
    last.plane.only(node).answer('*2\r\n:0\r\n:0\r\n');
  }
  last.plane.turn();
  t.equal(last.client.take(), '');
  deliver(last);
  last.plane.turn();
  t.equal(last.client.take(), '*2\r\n:1\r\n:0\r\n');
});

t.test('nobody is asked for what nobody can know, and a node has the last word', async (t) => {
  const [one, other] = workers();
  const { plane, client } = other;
  const key = plane.key(0);
  const call = (sha: string) => {
    client.send(['EVALSHA', sha, '1', key]);
    return sent(other, 0);
  };
  const isTold = (reply: string) => {
    plane.only(0).answer(reply);
    plane.turn();
    t.equal(client.take(), reply);
  };
  t.equal(call(SHA), '');
  deliver(other);
  t.equal(sent(other, 0), command('EVALSHA', SHA, '1', key));
  isTold(':1\r\n');
  for (const sha of [SHA, 'short', `${SHA}0`, SHA.replace(/^./, 'x')]) {
    t.equal(call(sha), command('EVALSHA', sha, '1', key));
    isTold(NOSCRIPT);
  }
  // Of other digits.
  show(one, 'return 2');
  t.equal(call(SHA), command('EVALSHA', SHA, '1', key));
  isTold(NOSCRIPT);
  t.equal(other.asked.length, 0);
  show(one);
  t.equal(call(SHA), '');
  deliver(other);
  t.equal(sent(other, 0), command('EVAL', SOURCE, '1', key));

  const [alone] = workers(1);
  alone.client.send(['EVALSHA', SHA, '1', key]);
  t.equal(sent(alone, 0), command('EVALSHA', SHA, '1', key), 'there is no other worker');
});

t.test('what no node has taken yet is not shown, and what none takes never', async (t) => {
  const [one, other] = workers();
  one.client.send(['EVAL', SOURCE, '1', one.plane.key(0)]);
  const second = one.plane.client();
  second.send(['EVAL', SOURCE, '1', one.plane.key(1)], ['EVALSHA', SHA, '1', one.plane.key(1)]);
  for (const node of [0, 1]) t.not(sent(one, node), '');
  const key = other.plane.key(1);
  other.client.send(['EVALSHA', SHA, '1', key]);
  other.plane.turn();
  deliver(other);
  t.equal(sent(other, 1), command('EVALSHA', SHA, '1', key));
  other.plane.only(1).answer(NOSCRIPT);
  t.equal(other.client.take(), NOSCRIPT);
  one.plane.only(1).answer(':1\r\n', ':1\r\n');
  one.plane.turn();
  t.equal(second.take(), ':1\r\n:1\r\n', 'another client is told of it first');
  other.client.send(['EVALSHA', SHA, '1', key]);
  other.plane.turn();
  deliver(other);
  t.equal(sent(other, 1), command('EVAL', SOURCE, '1', key));

  const wrong = 'return (';
  const third = one.plane.client();
  const third0 = one.plane.key(0);
  one.plane.only(0).answer(':1\r\n');
  one.plane.turn();
  third.send(['EVAL', wrong, '1', third0], ['EVALSHA', shaOf(wrong), '1', third0]);
  sent(one, 0);
  one.plane.only(0).answer('-ERR Error compiling script (new function): ...\r\n', NOSCRIPT);
  one.plane.turn();
  const again = other.plane.client();
  again.send(['EVALSHA', shaOf(wrong), '1', other.plane.key(0)]);
  other.plane.turn();
  deliver(other);
  t.equal(sent(other, 0), command('EVALSHA', shaOf(wrong), '1', other.plane.key(0)));
});

t.test('what is flushed while the others are asked does not come back', async (t) => {
  const [one, other] = workers();
  show(one);
  const { plane, client } = other;
  const key = plane.key(1);
  const answers: (() => void)[] = [];
  plane.answersOnTheWay = answers;
  client.send(['EVALSHA', SHA, '1', key]);
  t.equal(sent(other, 1), '');
  deliver(other);
  for (const { data } of [plane, ...plane.others]) data.answer({ kind: 'forget-scripts', service: 0 }, false, () => {});
  answers.shift()?.();
  t.equal(sent(other, 1), command('EVALSHA', SHA, '1', key));
  plane.only(1).answer(NOSCRIPT);
  t.equal(client.take(), NOSCRIPT);
  show(one);
  client.send(['EVALSHA', SHA, '1', key]);
  plane.turn();
  deliver(other);
  answers.shift()?.();
  t.equal(sent(other, 1), command('EVAL', SOURCE, '1', key), 'what is shown behind it is found');
});

t.test('what is wanted while the others are asked is asked for anew', async (t) => {
  const [one, other] = workers();
  const { plane, client } = other;
  const answers: (() => void)[] = [];
  plane.answersOnTheWay = answers;
  const key = plane.key(1);
  client.send(['EVALSHA', SHA, '1', key]);
  plane.turn();
  deliver(other);
  show(one);
  const late = plane.client();
  late.send(['EVALSHA', SHA, '1', key, 'late']);
  plane.turn();
  t.equal(other.asked.length, 0);
  answers.shift()?.();
  let calls = sent(other, 1);
  t.equal(calls, '', 'the first is wanted again, too: a script of its digits was shown since it was asked for');
  while (other.asked.length > 0) {
    deliver(other);
    answers.shift()?.();
    calls += sent(other, 1);
  }
  t.equal(calls, command('EVAL', SOURCE, '1', key, 'late') + command('EVALSHA', SHA, '1', key));
});

t.test('a worker that is silent holds nobody up for longer, and is asked again', async (t) => {
  const [one, other] = workers();
  show(one);
  const { plane, client } = other;
  const key = plane.key(1);
  const others = plane.others.splice(0);
  plane.silent.push(1);
  const call = () => {
    client.send(['EVALSHA', SHA, '1', key]);
    return sent(other, 1);
  };
  t.equal(call(), '');
  deliver(other);
  for (let turn = 0; turn < 2; turn++) {
    t.equal(turn === 0 ? sent(other, 1) : call(), command('EVALSHA', SHA, '1', key));
    plane.only(1).answer(NOSCRIPT);
    t.equal(client.take(), NOSCRIPT);
  }
  plane.others.push(...others);
  plane.silent.length = 0;
  plane.pass(150);
  t.equal(call(), '');
  deliver(other);
  t.equal(sent(other, 1), command('EVAL', SOURCE, '1', key));
});

t.test('a client that goes while the others are asked leaves nothing', async (t) => {
  const [one, other] = workers();
  show(one);
  const { plane } = other;
  const used = plane.usedBytes;
  const client = plane.client();
  client.send(['EVALSHA', SHA, '1', plane.key(1)]);
  t.equal(sent(other, 1), '');
  client.connection.break(null);
  plane.turn();
  deliver(other);
  t.equal(sent(other, 1), '');
  t.equal(plane.usedBytes, used);
});
