/** Calls by SHA1 of scripts that a node has lost: which are sent again, in which order, and which are told NOSCRIPT. */
import { createHash } from 'node:crypto';
import t from 'tap';
import { UNIT_BYTES } from '../../src/transport/arena.js';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const NOSCRIPT = '-NOSCRIPT No matching script. Please use EVAL.\r\n';
const [ONE, TWO] = ['return 1', 'return 2'] as const;
const shaOf = (source: string) => createHash('sha1').update(source).digest('hex');

/** A plane of two nodes that both have the scripts by their connections; a client, and keys of each node. */
function loaded() {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client();
  const [key, other] = [plane.key(0), plane.key(1)];
  for (const source of [ONE, TWO]) {
    client.send(['EVAL', source, '1', key], ['EVAL', source, '1', other]);
    plane.turn();
    for (const node of [0, 1]) {
      plane.only(node).take();
      plane.only(node).answer(':0\r\n');
    }
    plane.turn();
  }
  client.take();
  const call = (source: string, of = key, name = 'EVALSHA') => [name, shaOf(source), '1', of];
  const whole = (source: string, of = key) => command('EVAL', source, '1', of);
  /** What a node is sent next. */
  const sent = (node: number) => {
    plane.turn();
    return plane.only(node).take();
  };
  return { plane, client, key, other, call, whole, sent };
}

t.test('what stands behind it for other nodes does not keep a call from being sent again', async (t) => {
  const { plane, client, other, call, whole, sent } = loaded();
  client.send(call(ONE), ['GET', other], ['PING'], ['MGET', other, plane.key(1, 'y')]);
  t.equal(sent(0), command(...call(ONE)));
  sent(1);
  plane.only(1).answer(bulk('x'));
  plane.turn();
  plane.only(0).answer(NOSCRIPT);
  t.equal(sent(0), whole(ONE));
  plane.only(0).answer(':1\r\n');
  plane.only(1).answer(`*2\r\n${bulk('x')}${bulk('y')}`);
  plane.turn();
  t.equal(client.take(), `:1\r\n${bulk('x')}+PONG\r\n*2\r\n${bulk('x')}${bulk('y')}`);
  client.send(call(ONE));
  t.equal(sent(0), command(...call(ONE)), 'the node has it now');
});

t.test('where only calls stand behind it, and all are lost, all are sent again in their order', async (t) => {
  const { plane, client, key, other, call, whole, sent } = loaded();
  client.send(call(ONE), call(ONE, other), call(ONE, key, 'EVALSHA_RO'), call(TWO), ['GET', other]);
  sent(0);
  sent(1);
  plane.only(1).answer(':5\r\n', bulk('x'));
  plane.turn();
  plane.only(0).answer(NOSCRIPT, NOSCRIPT);
  t.equal(sent(0), '', 'the third may not be lost');
  client.send(['SET', key, '1']);
  t.equal(sent(0), '', 'nothing comes in between');
  t.equal(client.take(), '');
  plane.only(0).answer(NOSCRIPT);
  t.equal(sent(0), whole(ONE) + command(...call(ONE, key, 'EVALSHA_RO')) + whole(TWO), 'a script is sent once');
  plane.only(0).answer(':1\r\n', ':2\r\n', ':3\r\n');
  plane.turn();
  t.equal(client.take(), `:1\r\n:5\r\n:2\r\n:3\r\n${bulk('x')}`);
  t.equal(sent(0), command('SET', key, '1'));
  plane.only(0).answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('where one behind it is carried out the client is told NOSCRIPT', async (t) => {
  const { plane, client, key, call, whole, sent } = loaded();
  client.send(call(ONE), call(TWO), call(ONE), ['PING']);
  sent(0);
  plane.only(0).answer(NOSCRIPT, ':2\r\n');
  plane.turn();
  t.equal(client.take(), `${NOSCRIPT}:2\r\n`);
  plane.only(0).answer(NOSCRIPT);
  t.equal(sent(0), whole(ONE), 'nothing is behind the last');
  plane.only(0).answer(':1\r\n');
  t.equal(client.take(), ':1\r\n+PONG\r\n');

  for (const behind of [
    ['SET', key, '1'],
    ['EVAL', ONE, '1', key],
    ['MSET', key, '1', plane.key(1), '2'],
    ['PUBLISH', key, 'x'],
  ]) {
    const { plane, client, call, sent } = loaded();
    client.send(call(ONE), call(TWO), behind);
    sent(0);
    plane.only(0).answer(NOSCRIPT);
    plane.turn();
    t.equal(client.take(), NOSCRIPT, String(behind[0]));
    plane.only(0).answer(NOSCRIPT);
    plane.turn();
    t.equal(client.take(), NOSCRIPT, String(behind[0]));
    t.equal(sent(0), '');
  }
});

t.test('what is for several nodes, with several steps, is not overtaken', async (t) => {
  for (const behind of [
    (key: string, other: string) => ['SUNION', key, other],
    (key: string, other: string) => ['SUNIONSTORE', key, key, other],
    (key: string, other: string) => ['EVAL_RO', ONE, '2', key, other],
    () => ['CONFIG', 'SET', 'hz', '10'],
    () => ['DBSIZE'],
  ]) {
    for (const before of [[ONE], [ONE, TWO]]) {
      const { plane, client, key, other, call, sent } = loaded();
      const words = behind(key, other);
      client.send(...before.map((source) => call(source)), words);
      t.not(sent(0), '', String(words[0]));
      plane.only(0).answer(NOSCRIPT);
      plane.turn();
      t.equal(client.take(), NOSCRIPT, String(words[0]));
    }
  }
});

t.test('where the service was laid out anew since, nothing is sent again', async (t) => {
  for (const before of [[ONE], [ONE, TWO]]) {
    const { plane, client, call, sent } = loaded();
    client.send(...before.map((source) => call(source)));
    t.not(sent(0), '');
    // Whoever was number 0 is number 1 from now on.
    const nodes = plane.topology.nodes.map((node) => ({ ...node, index: 1 - node.index })).reverse();
    const swap = () =>
      plane.data.configure(plainTopology(2, nodes, slotOwnersOf(plane.topology)), plane.limits, plane.rules);
    const links = [plane.only(0), plane.only(1)] as const;
    const [first, ...others] = before.map(() => NOSCRIPT) as [string, ...string[]];
    if (others.length > 0) links[0].answer(first);
    plane.turn();
    t.equal(client.take(), '', 'it waits for the one behind it');
    swap();
    plane.turn();
    links[0].answer(others[0] ?? first);
    plane.turn();
    t.equal(client.take(), before.map(() => NOSCRIPT).join(''));
    for (const link of links) t.equal(link.take(), '');
    t.equal(plane.usedBytes, 0);
  }
});

t.test('what is sent again waits for the end of a pause that was begun since', async (t) => {
  for (const ending of ['end', 'gone', 'anew']) {
    const { plane, client, key, call, whole, sent } = loaded();
    const other = plane.client();
    client.send(call(ONE), call(TWO));
    t.not(sent(0), '');
    other.send(['CLIENT', 'PAUSE', '1000', 'WRITE']);
    plane.turn();
    t.equal(other.take(), '+OK\r\n');
    plane.only(0).answer(NOSCRIPT, NOSCRIPT);
    t.equal(sent(0), '', 'not in the pause');
    client.send(['GET', key]);
    t.equal(sent(0), '', 'nothing overtakes them');
    t.equal(client.take(), '');
    if (ending === 'gone') client.connection.break(null);
    if (ending === 'anew') {
      const { topology, limits, rules } = plane;
      plane.data.configure(plainTopology(2, topology.nodes, slotOwnersOf(topology)), limits, rules);
    }
    other.send(['CLIENT', 'UNPAUSE']);
    if (ending === 'gone') t.equal(sent(0), '');
    else if (ending === 'anew') {
      t.equal(sent(0), command('GET', key));
      t.equal(client.take(), NOSCRIPT + NOSCRIPT);
    } else {
      t.equal(sent(0), whole(ONE) + whole(TWO));
      plane.only(0).answer(':1\r\n', ':2\r\n');
      t.equal(sent(0), command('GET', key));
      t.equal(client.take(), ':1\r\n:2\r\n');
    }
    t.equal(plane.counts.sessionsPaused, 0);
  }
});

t.test('what waits counts as buffers do, and goes with its client', async (t) => {
  for (const isPaused of [false, true]) {
    const { plane, client, call, sent } = loaded();
    const before = pendingsInUse();
    const admin = plane.client();
    const bytes = 60_000;
    client.send(...[ONE, TWO].map((source) => [...call(source), 'x'.repeat(bytes)]));
    sent(0);
    if (isPaused) {
      admin.send(['CLIENT', 'PAUSE', '1000', 'WRITE']);
      plane.turn();
      t.equal(admin.take(), '+OK\r\n');
    }
    plane.only(0).answer(NOSCRIPT);
    plane.turn();
    t.ok(plane.usedBytes > 2 * bytes, 'one waits, and one is in flight');
    if (isPaused) {
      plane.only(0).answer(NOSCRIPT);
      plane.turn();
      t.ok(plane.usedBytes > 2 * bytes, 'both wait');
      t.equal(plane.counts.sessionsPaused, 1);
    }
    const held = plane.usedBytes;
    client.connection.break(null);
    plane.turn();
    t.ok(plane.usedBytes < held - bytes);
    if (!isPaused) plane.only(0).answer(NOSCRIPT);
    t.equal(sent(0), '');
    t.equal(plane.counts.sessionsPaused, 0);
    t.equal(plane.usedBytes, 0);
    t.equal(pendingsInUse(), before);
    admin.send(['CLIENT', 'UNPAUSE']);
    t.equal(sent(0), '', 'nothing of theirs is carried out');
  }
});

t.test('where there is no room for what is to wait, its client is told', async (t) => {
  const { plane, client, call, sent } = loaded();
  const before = pendingsInUse();
  const { arena } = plane.transport;
  client.send(call(ONE), [...call(TWO), 'x'.repeat(1_000)]);
  sent(0);
  plane.only(0).answer(NOSCRIPT);
  plane.turn();
  // For short replies there is room.
  const small = arena.allocate(1);
  const filled: [block: number, bytes: number][] = [];
  for (const bytes of [UNIT_BYTES, 2_048])
    for (let block = arena.allocate(bytes); block >= 0; block = arena.allocate(bytes)) filled.push([block, bytes]);
  plane.only(0).answer(NOSCRIPT);
  t.match(client.take(), /^-NOSCRIPT [^\r]*\r\n-OVERLOADED no buffer memory [^\r]*; it had no effect\r\n$/);
  t.equal(plane.counts.commandsOverloaded, 1);
  for (const [block, bytes] of filled) arena.release(block, bytes);
  arena.release(small, 1);
  t.equal(sent(0), '');
  client.send(['PING']);
  t.equal(client.take(), '+PONG\r\n');
  t.equal(plane.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('a node that is lost while calls wait', async (t) => {
  const { plane, client, call, sent } = loaded();
  client.send(call(ONE), call(TWO));
  sent(0);
  plane.only(0).answer(NOSCRIPT);
  plane.turn();
  t.equal(client.take(), '');
  plane.only(0).connection.end();
  plane.turn();
  t.match(client.take(), /^-NOSCRIPT [^\r]*\r\n-UNKNOWN node node-0[^\r]*\r\n$/);
});

t.test('a client that goes while calls wait, and one that flushes the scripts', async (t) => {
  const { plane, client, call, sent } = loaded();
  client.send(call(ONE), call(TWO));
  sent(0);
  plane.only(0).answer(NOSCRIPT);
  plane.turn();
  client.connection.break(null);
  plane.turn();
  plane.only(0).answer(NOSCRIPT);
  t.equal(sent(0), '', 'nobody wants them any more');
  t.equal(plane.usedBytes, 0);

  const [one, other] = [plane.client(), plane.client()];
  one.send(call(ONE), call(TWO));
  other.send(['SCRIPT', 'FLUSH']);
  sent(0);
  sent(1);
  plane.only(1).answer('+OK\r\n');
  plane.only(0).answer(NOSCRIPT);
  plane.turn();
  plane.only(0).answer(NOSCRIPT, '+OK\r\n');
  plane.turn();
  plane.only(0).take();
  t.equal(other.take(), '+OK\r\n');
});
