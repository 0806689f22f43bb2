/** A large request on its way from a client to its node goes on in parts, as it comes. */
import t, { type Test } from 'tap';
import { UNIT_BYTES } from '../../src/transport/arena.js';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, type NodeLink, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const LARGE = 1_000;
/** Of the value that is written. */
const BYTES = 20 * LARGE;

function plane(limits = {}): Plane {
  return new Plane({ limits: { largeValueBytes: LARGE, ...limits } }).greetAll();
}

/** SET of `key`, without the value's end: so much is still to come, and the line end. */
function set(key: string, left = 0): string {
  return `*3\r\n${bulk('SET')}${bulk(key)}$${BYTES}\r\n${'x'.repeat(BYTES - left)}`;
}

/** The newest connection to node 0, by which the request goes. */
function ownLink(world: Plane): NodeLink {
  return world.link(0) as NodeLink;
}

/** `client` has begun a SET on node 0, all but the last `left` bytes of which are at the node: its connection, and what came by it. */
function begin(world: Plane, client: Client, left: number): { link: NodeLink; seen: string } {
  client.sendText(set(world.key(0), left));
  world.turn();
  const link = ownLink(world).greet();
  world.turn();
  let seen = link.take();
  for (let turn = 0; turn < 10; turn++) {
    world.turn();
    seen += link.take();
  }
  return { link, seen };
}

/** Lets time pass, in which the nodes answer what they are tried with, but by `except`. */
function pass(world: Plane, ms: number, except: NodeLink | null = null): void {
  for (let left = ms; left > 0; left -= 500) {
    world.pass(Math.min(left, 500));
    for (const { index } of world.topology.nodes)
      for (const link of world.links(index))
        if (link !== except && link.take().includes('PING')) link.answer('+PONG\r\n');
  }
}

t.test('what has come of a large request is at its node, and the rest follows', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  const { link, seen } = begin(world, alice, 500);
  t.equal(seen, set(world.key(0), 500));
  alice.sendText('x'.repeat(500));
  alice.sendText('\r\n');
  world.turn();
  t.equal(link.take(), `${'x'.repeat(500)}\r\n`);
  link.answer('+OK\r\n');
  world.turn();
  t.equal(alice.take(), '+OK\r\n');
  t.equal(world.counts.requestsPassedOn, 1);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test(
  'a node that takes nothing has its client not read from; then the rest is the client’s to send in time',
  async (t) => {
    const deadline = { requestDeadlineMs: 2_000, idleTimeoutMs: 0 };
    const world = plane(deadline);
    const before = pendingsInUse();
    const alice = world.client();
    const { link } = begin(world, alice, 10 * LARGE);
    alice.sendText('x'.repeat(5 * LARGE));
    world.turn();
    t.ok(alice.connection.isPaused, 'more than may waits for the node');
    // It takes some, though not all: it is well.
    for (let ms = 0; ms < 2 * deadline.requestDeadlineMs; ms += 500) {
      link.connection.takeSome(10);
      world.pass(500);
    }
    t.notOk(alice.isClosed, 'what is not read for the sake of the node is not late');
    link.take();
    world.turn();
    t.notOk(alice.connection.isPaused);
    pass(world, deadline.requestDeadlineMs + 1_500);
    t.ok(alice.isClosed, 'it has stopped in the middle');
    t.equal(world.counts.sessionDeadlineCloses, 1);
    world.turn();
    t.ok(link.isClosed);
    t.equal(pendingsInUse(), before);
  },
);

t.test('what a node says before it resets the connection is told, though it took no more of the request', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  const { link } = begin(world, alice, 10 * LARGE);
  alice.sendText('x'.repeat(5 * LARGE));
  world.turn();
  t.ok(alice.connection.isPaused, 'more than may waits for the node');
  link.answer('-OOM command not allowed\r\n');
  link.connection.break(new Error('reset'));
  world.turn();
  world.turn();
  t.equal(alice.take(), '-OOM command not allowed\r\n');
  alice.sendText(`${'x'.repeat(5 * LARGE)}\r\n`);
  alice.send(['PING']);
  world.turn();
  t.equal(alice.take(), '+PONG\r\n', 'the rest of the request is dropped');
  t.equal(pendingsInUse(), before);
});

t.test('where the node takes no further connection the request goes whole, by the common one', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  const key = world.key(0);
  const common = world.only(0);
  alice.send(['CLIENT', 'REPLY', 'SKIP']);
  alice.sendText(set(key, 500));
  world.turn();
  const refused = ownLink(world).open();
  refused.answer('-ERR max number of clients reached\r\n');
  world.turn();
  world.turn();
  t.notOk(alice.connection.isPaused, 'the client is read on');
  alice.sendText(`${'x'.repeat(500)}\r\n`);
  alice.send(['GET', key]);
  world.turn();
  t.same(common.commands(), [`SET ${key} ${'x'.repeat(BYTES)}`, `GET ${key}`]);
  common.answer('+OK\r\n', bulk('x'));
  world.turn();
  t.equal(alice.take(), bulk('x'), 'one reply is wanted, and one is not');
  t.equal(world.counts.requestsPassedOn, 0);
  t.equal(world.counts.requestsHeldWhole, 1);
  t.equal(pendingsInUse(), before);
  world.pass(200);
  t.equal(world.usedBytes, 0);
});

t.test('where the node is not there at all the client is told at once, and the rest is dropped', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  const common = world.only(0);
  alice.sendText(set(world.key(0), 500));
  world.turn();
  const own = ownLink(world);
  common.connection.break(new Error('reset'));
  own.connection.break(new Error('refused'));
  world.turn();
  t.match(alice.take(), /^-NODEDOWN node node-0 .*\r\n$/);
  alice.sendText(`${'x'.repeat(500)}\r\n`);
  alice.send(['PING']);
  world.turn();
  t.equal(alice.take(), '+PONG\r\n');
  t.equal(pendingsInUse(), before);
});

t.test('a client that goes while its request waits for a connection leaves nothing behind', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  alice.sendText(set(world.key(0), 500));
  world.turn();
  const own = ownLink(world);
  alice.connection.break(null);
  world.turn();
  t.ok(own.isClosed);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

/** Everybody's writes are held for so long. */
function pause(world: Plane, ms = 10_000): void {
  const admin = world.client().send(['CLIENT', 'PAUSE', String(ms), 'WRITE']);
  world.turn();
  if (admin.take() !== '+OK\r\n') throw new Error('nothing is paused');
  admin.connection.end();
  world.turn();
}

/** `client` has sent all of its SET in a pause, but what makes the node carry it out is held. */
function hold(t: Test, world: Plane, client: Client): NodeLink {
  const { link } = begin(world, client, 500);
  pause(world);
  client.sendText(`${'x'.repeat(500)}\r\n`);
  world.turn();
  t.equal(link.take(), `${'x'.repeat(500)}\r`);
  t.equal(world.counts.sessionsPaused, 1);
  return link;
}

t.test('a pause that begins in the midst of it holds its last byte until its end, and what comes behind', async (t) => {
  const world = plane({ requestDeadlineMs: 2_000, idleTimeoutMs: 2_000 });
  const before = pendingsInUse();
  const alice = world.client();
  const link = hold(t, world, alice);
  alice.send(['GET', world.key(1)]);
  pass(world, 9_000, link);
  t.equal(link.take(), '');
  t.notOk(alice.isClosed, 'what is not read for the sake of the pause is not late');
  pass(world, 1_000, link);
  t.equal(link.take(), '\n');
  t.equal(world.counts.sessionsPaused, 0);
  t.same(world.only(1).commands(), []);
  link.answer('+OK\r\n');
  world.turn();
  world.turn();
  t.same(world.only(1).commands(), [`GET ${world.key(1)}`]);
  world.only(1).answer('$-1\r\n');
  t.equal(alice.take(), '+OK\r\n$-1\r\n');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a client that goes in the pause has nothing carried out, and leaves nothing behind', async (t) => {
  for (const isReset of [false, true]) {
    const world = plane();
    const before = pendingsInUse();
    const alice = world.client();
    const link = hold(t, world, alice);
    if (isReset) alice.connection.break(new Error('reset'));
    else alice.connection.end();
    world.turn();
    t.ok(alice.isClosed, 'its end is noticed');
    world.turn();
    t.ok(link.isClosed);
    t.equal(world.counts.sessionsPaused, 0);
    t.equal(world.counts.sessionsOpen, 0);
    pass(world, 11_000, link);
    t.equal(link.take(), '', 'nothing of it is carried out');
    t.equal(pendingsInUse(), before);
    t.equal(world.usedBytes, 0);
  }
});

t.test('what a client sends behind a request that a pause holds is bounded', async (t) => {
  const world = plane();
  const alice = world.client();
  const link = hold(t, world, alice);
  for (let n = 0; n < 7; n++) alice.sendText('x'.repeat(10_000));
  t.ok(alice.connection.isPaused);
  pass(world, 10_500, link);
  t.equal(link.take(), '\n');
});

t.test('a node that is lost in the pause, or has the key no more, is told at once', async (t) => {
  for (const isMoved of [false, true]) {
    const world = plane();
    const before = pendingsInUse();
    const alice = world.client();
    const link = hold(t, world, alice);
    if (isMoved) {
      const { topology, limits, rules } = world;
      const slotOwners = Uint16Array.from(slotOwnersOf(topology), (owner) => (owner === 0 ? 1 : owner));
      world.data.configure(plainTopology(2, topology.nodes, slotOwners), limits, rules);
    } else link.connection.break(new Error('reset'));
    world.turn();
    world.turn();
    t.match(
      alice.take(),
      isMoved ? /^-NODEDOWN .*the key lies elsewhere now/ : /^-NODEDOWN node node-0 .*had no effect/,
    );
    t.equal(world.counts.sessionsPaused, 0, 'it waits for nothing');
    alice.send(['PING']);
    world.turn();
    t.equal(alice.take(), '+PONG\r\n', 'the pause holds writes alone');
    pass(world, 10_500, link);
    t.equal(link.take(), '');
    t.equal(pendingsInUse(), before);
    t.equal(world.usedBytes, 0);
  }
});

t.test('where there is no memory for a part of it the client is told, and the rest is dropped', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const { arena } = world.transport;
  const alice = world.client();
  const { link } = begin(world, alice, 15 * LARGE);
  // What comes has room, and what is to go on has none.
  const part = 14 * LARGE;
  const coming = arena.allocate(part);
  const filled: [block: number, bytes: number][] = [];
  for (const bytes of [UNIT_BYTES, part])
    for (let block = arena.allocate(bytes); block >= 0; block = arena.allocate(bytes)) filled.push([block, bytes]);
  arena.release(coming, part);
  alice.sendText('x'.repeat(part));
  world.turn();
  for (const [block, bytes] of filled) arena.release(block, bytes);
  world.turn();
  t.ok(link.isClosed);
  t.match(
    alice.take(),
    /^-NODEDOWN node node-0 .*no buffer memory is left for its requests; the command had no effect\r\n$/,
  );
  alice.sendText(`${'x'.repeat(LARGE)}\r\n`);
  alice.send(['PING']);
  world.turn();
  t.equal(alice.take(), '+PONG\r\n');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('what is no RESP ends the client, also behind an early answer', async (t) => {
  for (const isAnswered of [false, true]) {
    const world = plane();
    const before = pendingsInUse();
    const alice = world.client();
    alice.sendText(`*5\r\n${bulk('SET')}${bulk(world.key(0))}$${BYTES}\r\n${'x'.repeat(BYTES - 500)}`);
    world.turn();
    const link = ownLink(world).greet();
    world.turn();
    for (let turn = 0; turn < 10; turn++) {
      world.turn();
      link.take();
    }
    const refusal = isAnswered ? '-OOM command not allowed\r\n' : '';
    if (isAnswered) link.answer(refusal);
    world.turn();
    t.equal(alice.take(), refusal);
    alice.sendText(`${'x'.repeat(500)}\r\n!2\r\n`);
    world.turn();
    world.turn();
    t.equal(alice.take(), "-ERR Protocol error: expected '$', got '!'\r\n");
    world.turn();
    t.ok(alice.isClosed);
    t.ok(link.isClosed, 'the node carries nothing out');
    t.equal(world.counts.protocolErrors, 1);
    t.equal(pendingsInUse(), before);
    t.equal(world.usedBytes, 0);
  }
});

t.test('what has no connection for itself goes whole, and is counted for that', async (t) => {
  for (const limits of [{ largeConnectionsMax: 1 }, { privateConnectionsMax: 1, privateConnectionsSpareMax: 0 }]) {
    const world = plane(limits);
    const before = pendingsInUse();
    const [alice, bob] = [world.client(), world.client()];
    const common = world.only(0);
    const { link } = begin(world, alice, 500);
    bob.sendText(set(world.key(0), 500));
    world.turn();
    t.equal(world.counts.requestsHeldWhole, 1);
    for (const client of [alice, bob]) client.sendText(`${'x'.repeat(500)}\r\n`);
    world.turn();
    t.same(common.commands(), [`SET ${world.key(0)} ${'x'.repeat(BYTES)}`]);
    for (const each of [common, link]) each.answer('+OK\r\n');
    world.turn();
    for (const client of [alice, bob]) t.equal(client.take(), '+OK\r\n');
    t.equal(world.counts.requestsHeldWhole, 1);
    t.equal(world.counts.requestsPassedOn, 1);
    t.equal(world.counts.privateConnectionsRefused, 0, 'nobody was refused anything');
    t.equal(world.counts.commandsOverloaded, 0);
    t.equal(pendingsInUse(), before);
  }
});
