/** A gather amid what else happens to its session: CLIENT TRACKING, CLIENT PAUSE, another topology, a client that goes. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, type NodeLink, Plane, wordsIn } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const VALUES = '*2\r\n$3\r\nxyz\r\n$1\r\n0\r\n';
const DONE = '*3\r\n+OK\r\n*0\r\n:1\r\n';

function setUp() {
  const world = new Plane({ nodes: 2 }).greetAll();
  const [client, other] = [world.client(), world.client()];
  return { world, client, other, a: world.key(0, 'a'), b: world.key(1, 'b'), dest: world.key(0, 'dest') };
}

/** The node answers what it was asked, whose names it returns. */
function answer(world: Plane, link: NodeLink, ...replies: string[]): string[] {
  const names = wordsIn(link.take()).map(([name]) => name as string);
  link.answer(...replies);
  world.turn();
  return names;
}

function say(world: Plane, client: Client, ...words: string[]): string {
  client.send(words);
  world.turn();
  return client.take();
}

/** SINTERSTORE is asked for what lies elsewhere; all but the last answer has come. */
function storing() {
  const all = setUp();
  const { world, client, a, b, dest } = all;
  client.send(['SINTERSTORE', dest, a, b], ['PING']);
  world.turn();
  answer(world, world.only(1), ':10\r\n');
  return { ...all, bring: () => answer(world, world.only(1), VALUES) };
}

/** The same nodes, and all slots have the other one's number. */
function moved({ topology }: Plane) {
  const { nodes } = topology;
  const old = slotOwnersOf(topology);
  const owners = new Uint16Array(new SharedArrayBuffer(old.byteLength));
  for (const [slot, owner] of old.entries()) owners[slot] = 1 - owner;
  return plainTopology(topology.version + 1, nodes, owners, true);
}

t.test('what a node says of a key is told behind the reply that was made of it', async (t) => {
  const { world, client, a, b } = setUp();
  client.send(['HELLO', '3'], ['CLIENT', 'TRACKING', 'ON']);
  world.turn();
  client.take();
  client.send(['SINTER', a, b]);
  world.turn();
  const links = [0, 1].map((node) => {
    const fresh = world
      .links(node)
      .find(({ protocol }) => protocol === null)
      ?.greet() as NodeLink;
    world.turn();
    answer(world, fresh, '+OK\r\n');
    return fresh;
  });
  const [first, second] = links as [NodeLink, NodeLink];
  const push = (key: string) => `>2\r\n$10\r\ninvalidate\r\n*1\r\n${bulk(key)}`;
  world.turn();
  second.answer(push('earlier'));
  world.turn();
  t.equal(client.take(), push('earlier'), 'before anything was read nothing waits');
  answer(world, first, ':100\r\n');
  answer(world, second, ':10\r\n');
  answer(world, second, VALUES, push(b));
  first.answer(push(a));
  world.turn();
  t.equal(client.take(), '', 'it would be forgotten before it is known');
  const shared =
    world.links(0, 3).find((link) => link !== first) ?? world.links(0).find(({ protocol }) => protocol === null);
  if (shared?.protocol === null) shared.greet();
  world.turn();
  answer(world, shared as NodeLink, '+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n', DONE);
  t.equal(client.take(), `*0\r\n${push(b)}${push(a)}`);
});

t.test('a write is not carried out where its key has come to lie elsewhere meanwhile', async (t) => {
  const { world, client, bring } = storing();
  world.data.configure(moved(world), world.limits, world.rules);
  world.turn();
  bring();
  t.match(client.take(), /^-ERR the configuration has changed .*it had no effect: repeat it\r\n\+PONG\r\n$/);
  t.equal(world.only(0).take(), '');
  t.equal(world.only(1).take(), '');
});

t.test('a write is carried out where the configuration has changed, and its key lies where it lay', async (t) => {
  const { world, client, bring } = storing();
  const { nodes, version } = world.topology;
  world.data.configure(
    plainTopology(version + 1, nodes, slotOwnersOf(world.topology), false),
    world.limits,
    world.rules,
  );
  world.turn();
  bring();
  t.same(answer(world, world.only(0), ':3\r\n'), ['EVAL']);
  t.equal(client.take(), ':3\r\n+PONG\r\n');
});

t.test('a write that was begun before CLIENT PAUSE waits for its end, and then looks where its key lies', async (t) => {
  for (const isMoved of [false, true]) {
    const { world, client, other, bring } = storing();
    t.equal(say(world, other, 'CLIENT', 'PAUSE', '10000', 'WRITE'), '+OK\r\n');
    bring();
    t.equal(world.only(0).take(), '');
    t.equal(world.counts.sessionsPaused, 1);
    if (isMoved) world.data.configure(moved(world), world.limits, world.rules);
    t.equal(say(world, other, 'CLIENT', 'UNPAUSE'), '+OK\r\n');
    world.turn();
    t.equal(world.counts.sessionsPaused, 0);
    if (!isMoved) answer(world, world.only(0), ':3\r\n');
    t.match(client.take(), isMoved ? /^-ERR the configuration has changed/ : /^:3\r\n\+PONG\r\n$/);
  }
});

t.test('CLIENT PAUSE WRITE does not hold a read', async (t) => {
  const { world, client, other, a, b } = setUp();
  client.send(['SINTER', a, b]);
  world.turn();
  t.equal(say(world, other, 'CLIENT', 'PAUSE', '10000', 'WRITE'), '+OK\r\n');
  answer(world, world.only(0), ':100\r\n');
  answer(world, world.only(1), ':10\r\n');
  answer(world, world.only(1), VALUES);
  t.not(world.only(0).take(), '');
});

t.test('a write whose client goes is carried out as others are, and a read is given up', async (t) => {
  const before = pendingsInUse();
  const { world, client, bring } = storing();
  client.connection.break(new Error('reset'));
  world.turn();
  bring();
  t.same(answer(world, world.only(0), ':3\r\n'), ['EVAL']);
  const [a, b] = [world.key(0), world.key(1)];
  const reader = world.client();
  reader.send(['SINTER', a, b]);
  world.turn();
  reader.connection.break(new Error('reset'));
  world.turn();
  answer(world, world.only(0), ':100\r\n');
  answer(world, world.only(1), ':10\r\n');
  t.equal(world.only(1).take(), '');
  t.equal(world.usedBytes, 0);
  t.equal(pendingsInUse(), before);
});

t.test('a script that runs for long where its keys were brought is noticed', async (t) => {
  const { world, client, other, a, b } = setUp();
  client.send(['EVAL_RO', 'while true do end', '2', a, b]);
  world.turn();
  answer(world, world.only(0), ':100\r\n');
  answer(world, world.only(1), ':10\r\n');
  answer(world, world.only(1), VALUES);
  t.equal(say(world, other, 'PING'), '+PONG\r\n');
  world.pass(200);
  t.equal(say(world, other, 'PING'), '', 'the nodes are asked whether they are busy');
});

t.test('what a gather holds counts for workerMemoryMax, and is given back', async (t) => {
  const world = new Plane({ nodes: 2, limits: { workerMemoryMax: 100_000 } }).greetAll();
  const [client, small] = [world.client(), world.client()];
  const [a, b] = [world.key(0), world.key(1)];
  const large = `*2\r\n${bulk('x'.repeat(110_000))}${bulk('0')}`;
  client.send(['SINTER', a, b]);
  world.turn();
  answer(world, world.only(1), large);
  world.pass(200);
  t.ok(client.isClosed, 'while the other node has not answered');
  t.equal(world.counts.sessionMemoryCloses, 1);
  answer(world, world.only(0), large);
  world.pass(200);
  small.send(['SINTER', a, b]);
  world.turn();
  answer(world, world.only(0), VALUES);
  answer(world, world.only(1), VALUES);
  world.pass(200);
  t.notOk(small.isClosed);
  t.equal(world.counts.sessionMemoryCloses, 1);
});

t.test('what is coming in for a gather counts for its session', async (t) => {
  const world = new Plane({ nodes: 2, limits: { workerMemoryMax: 100_000 } }).greetAll();
  const client = world.client();
  const { arena } = world.transport;
  client.send(['XREAD', 'STREAMS', world.key(0), world.key(1), '0', '0']);
  world.turn();
  world.only(0).take();
  // The block stands for what has come of the reply.
  const bytes = 200_000;
  const block = arena.allocate(bytes);
  world.only(0).answer(`*1\r\n$400000\r\n${'x'.repeat(bytes)}`);
  world.pass(200);
  arena.release(block, bytes);
  t.ok(client.isClosed);
  t.equal(world.counts.sessionMemoryCloses, 1);
});
