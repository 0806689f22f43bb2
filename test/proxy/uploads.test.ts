/** A large request on its way from a client to its node goes on in parts, as it comes. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, type NodeLink, Plane } from '../help/plane.js';

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

/** Lets time pass, in which the nodes answer what they are tried with. */
function pass(world: Plane, ms: number): void {
  for (let left = ms; left > 0; left -= 500) {
    world.pass(Math.min(left, 500));
    for (const { index } of world.topology.nodes)
      for (const link of world.links(index)) if (link.take().includes('PING')) link.answer('+PONG\r\n');
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
