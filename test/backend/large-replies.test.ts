/** A large value on its way from a node to a client goes on in parts, as it comes. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, type Client, type NodeLink, Plane, repliesIn } from '../help/plane.js';

const LARGE = 1_000;
const SOFT = 4_000;
const VALUE = 'x'.repeat(50 * LARGE);
const REPLY = bulk(VALUE);
/** Of the reply that has come at first. */
const HEAD = 500;

function plane(limits = {}): Plane {
  return new Plane({ limits: { largeValueBytes: LARGE, sessionOutputSoftBytes: SOFT, ...limits } }).greetAll();
}

/** `client` asks for the large value, of which the head has come: the connection that it comes on. */
function begin(world: Plane, client: Client, key = world.key(0)): NodeLink {
  const link = world.only(0);
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer(REPLY.slice(0, HEAD));
  world.turn();
  return link;
}

t.test('a large value goes to its client as it comes, and is never held as a whole', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  const link = begin(world, alice);
  (world.link(0) as NodeLink).greet();
  let seen = alice.take();
  t.equal(seen, REPLY.slice(0, HEAD), 'what has come is there already');
  for (let at = HEAD; at < REPLY.length; at += 1_500) {
    link.answer(REPLY.slice(at, at + 1_500));
    world.turn();
    t.ok(world.usedBytes < 20_000, 'next to nothing is held');
    seen += alice.take();
    world.turn();
  }
  t.equal(seen, REPLY);
  t.ok(link.isClosed, 'the connection is done with');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('however the bytes are cut, the reply is the same, and what comes behind it too', async (t) => {
  for (const cut of [1, 2, 3, 7]) {
    const world = plane();
    const alice = world.client();
    const [key] = [world.key(0)];
    const value = 'y'.repeat(LARGE + 3);
    const link = world.only(0);
    alice.send(['GET', key], ['GET', key]);
    world.turn();
    link.take();
    const both = `${bulk(value)}$1\r\n1\r\n`;
    for (let at = 0; at < both.length; at += cut) {
      link.answer(both.slice(at, at + cut));
      world.turn();
    }
    t.same(repliesIn(alice.take()), [bulk(value), '$1\r\n1\r\n'], `pieces of ${cut}`);
  }
});

t.test('a node is read from no faster than the client takes it', async (t) => {
  const world = plane();
  const alice = world.client();
  const link = begin(world, alice);
  for (let at = HEAD; at < REPLY.length; at += 1_500) {
    link.answer(REPLY.slice(at, at + 1_500));
    world.turn();
  }
  const { unsentBytes } = alice.connection.output;
  t.ok(unsentBytes >= SOFT && unsentBytes < 2 * SOFT, `${unsentBytes} bytes wait for the client`);
  // It takes its time, and nobody takes the node for silent.
  world.pass(3 * world.limits.requestTimeoutMs);
  let seen = '';
  for (let turn = 0; turn < 100 && seen.length < REPLY.length; turn++) {
    seen += alice.take();
    world.turn();
  }
  t.equal(seen, REPLY);
  alice.send(['PING']);
  world.turn();
  t.equal(alice.take(), '+PONG\r\n', 'and the client is read again');
});

t.test('a client that is behind with half a command is not late while it is not read', async (t) => {
  const world = plane({ requestDeadlineMs: 1_000 });
  const alice = world.client();
  const key = world.key(0);
  const link = begin(world, alice, key);
  const next = (world.link(0) as NodeLink).greet();
  alice.sendText('*2\r\n$3\r\nGET\r\n');
  world.turn();
  for (let at = HEAD; at < REPLY.length; at += 1_500) {
    link.answer(REPLY.slice(at, at + 1_500));
    world.turn();
  }
  world.pass(2 * world.limits.requestDeadlineMs);
  t.notOk(alice.isClosed);
  alice.sendText(bulk(key));
  let seen = '';
  for (let turn = 0; turn < 100 && seen.length < REPLY.length; turn++) {
    seen += alice.take();
    world.turn();
  }
  t.equal(seen, REPLY);
  world.turn();
  t.same(next.commands(), [`GET ${key}`]);
});

t.test('clients that read slowly do not keep the places of the large values that come later', async (t) => {
  const world = plane({ largeConnectionsMax: 1 });
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const link = begin(world, alice, key);
  const next = (world.link(0) as NodeLink).greet();
  link.answer(REPLY.slice(HEAD, 20 * LARGE));
  world.turn();
  t.ok(link.connection.isPaused, 'its client is slow');
  bob.send(['GET', key]);
  world.turn();
  next.take();
  next.answer(REPLY.slice(0, 2 * LARGE));
  world.turn();
  t.notOk(link.connection.isPaused, 'it is taken from the node now, to make room');
  link.answer(REPLY.slice(20 * LARGE));
  world.turn();
  t.ok(link.isClosed);
  next.answer(REPLY.slice(2 * LARGE));
  world.turn();
  t.equal(bob.take(), REPLY);
  t.equal(alice.take(), REPLY);
});

t.test('a node that dies while it is held back: what it had said is told, and nobody waits for the rest', async (t) => {
  for (const isWhole of [true, false]) {
    const world = plane();
    const alice = world.client();
    const link = begin(world, alice);
    link.answer(REPLY.slice(HEAD, 20 * LARGE));
    world.turn();
    t.ok(link.connection.isPaused, 'its client is slow');
    link.answer(REPLY.slice(20 * LARGE, isWhole ? REPLY.length : 30 * LARGE));
    link.connection.break(new Error('reset'));
    world.turn();
    world.turn();
    if (isWhole) t.equal(alice.take(), REPLY);
    t.equal(alice.isClosed, !isWhole);
    t.equal(world.counts.repliesBrokenOff, isWhole ? 0 : 1);
  }
});

t.test('while others wait for what comes behind it, the node is read from, however slow its client is', async (t) => {
  const { world, alice, bob, link } = oneBehindTheOther();
  link.answer(REPLY.slice(0, HEAD));
  world.turn();
  link.answer(REPLY.slice(HEAD), ':1\r\n');
  world.turn();
  t.equal(bob.take(), ':1\r\n');
  t.equal(alice.take(), REPLY);
});

t.test(
  'of a very large one not all is taken in for a slow client, but others wait for that for two seconds at most',
  async (t) => {
    const { world, bob, link } = oneBehindTheOther();
    const piece = 'v'.repeat(1024 * 1024);
    const pieces = 40;
    link.answer(`$${pieces * piece.length}\r\n${piece}`);
    world.turn();
    let sent = 1;
    const answerUntilPaused = () => {
      for (; sent < pieces && !link.connection.isPaused; sent++) {
        link.answer(piece);
        world.turn();
      }
    };
    answerUntilPaused();
    t.equal(sent, 32, 'there is an end to what is taken in');
    world.pass(1_900);
    t.ok(link.connection.isPaused);
    world.pass(200);
    t.notOk(link.connection.isPaused);
    answerUntilPaused();
    link.answer('\r\n:1\r\n');
    world.turn();
    t.equal(bob.take(), ':1\r\n');
  },
);

t.test('a connection that was taken back waits for the next slow client as for the first', async (t) => {
  const world = plane({ connectTimeoutMs: 60_000 });
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const link = world.only(0);
  const piece = 'v'.repeat(1024 * 1024);
  const pieces = 40;
  for (const which of ['first', 'second']) {
    alice.send(['GET', key]);
    bob.send(['APPEND', key, '']);
    world.turn();
    link.take();
    link.answer(`$${pieces * piece.length}\r\n${piece}`);
    world.turn();
    let sent = 1;
    for (; sent < pieces && !link.connection.isPaused; sent++) {
      link.answer(piece);
      world.turn();
    }
    t.equal(sent, 32, `the ${which} is held back`);
    world.pass(1_900);
    t.ok(link.connection.isPaused);
    world.pass(200);
    t.notOk(link.connection.isPaused);
    const refused = (world.link(0) as NodeLink).open();
    refused.answer('-ERR max number of clients reached\r\n');
    world.turn();
    for (; sent < pieces; sent++) link.answer(piece);
    link.answer('\r\n:1\r\n');
    world.turn();
    t.equal(alice.take().length, pieces * piece.length + `$${pieces * piece.length}\r\n\r\n`.length);
    t.equal(bob.take(), ':1\r\n');
    t.notOk(link.isClosed, 'it is the common one again');
    world.pass(2_000);
  }
});

t.test('where the node refused a fresh connection at first another one is tried for while parts go on', async (t) => {
  const world = plane();
  const alice = world.client();
  const key = world.key(0);
  const link = begin(world, alice, key);
  const refused = world.link(0) as NodeLink;
  refused.open();
  refused.take();
  refused.answer('-ERR max number of clients reached\r\n');
  world.turn();
  let seen = alice.take();
  const before = world.transport.connections.length;
  world.pass(world.limits.reconnectMinMs * 2 + 1_000);
  t.equal(world.transport.connections.length, before + 1, 'it is set aside again');
  const fresh = (world.link(0) as NodeLink).greet();
  const bob = world.client().send(['SET', key, '1']);
  world.turn();
  t.same(fresh.commands(), [`SET ${key} 1`]);
  fresh.answer('+OK\r\n');
  world.turn();
  t.equal(bob.take(), '+OK\r\n', 'nobody waits for the rest');
  link.answer(REPLY.slice(HEAD));
  world.turn();
  seen += alice.take();
  t.equal(seen, REPLY);
  t.ok(link.isClosed);
});

t.test('a value whose turn has not come waits for the replies before it', async (t) => {
  const world = plane();
  const alice = world.client();
  const [key, other] = [world.key(0), world.key(1)];
  const [link, elsewhere] = [world.only(0), world.only(1)];
  alice.send(['GET', other], ['GET', key]);
  world.turn();
  link.take();
  elsewhere.take();
  link.answer(REPLY.slice(0, HEAD));
  world.turn();
  t.equal(alice.take(), '');
  elsewhere.answer('$1\r\n1\r\n');
  world.turn();
  link.answer(REPLY.slice(HEAD));
  world.turn();
  t.same(repliesIn(alice.take()), ['$1\r\n1\r\n', REPLY]);
});

t.test(
  'a node that is lost in the middle: the client is closed, and told nothing that is no part of the value',
  async (t) => {
    const world = plane();
    const before = pendingsInUse();
    const alice = world.client();
    const link = begin(world, alice);
    (world.link(0) as NodeLink).greet();
    t.equal(alice.take(), REPLY.slice(0, HEAD));
    link.connection.break(new Error('reset'));
    // Before the turn ends the client could take what is appended.
    t.equal(alice.take(), '');
    world.turn();
    t.ok(alice.isClosed);
    t.same((world.link(0) as NodeLink).commands(), [], 'it is not asked for again');
    t.equal(world.counts.repliesBrokenOff, 1);
    t.equal(pendingsInUse(), before);
    t.equal(world.usedBytes, 0);
  },
);

t.test('of a large value that comes when its client was told a time-out, nothing is held', async (t) => {
  const world = plane({ stallTimeoutMs: 60_000 });
  const alice = world.client();
  const link = world.only(0);
  alice.send(['GET', world.key(0)]);
  world.turn();
  link.take();
  world.pass(world.limits.requestTimeoutMs + 1_000);
  t.match(alice.take(), /^-NODEDOWN/);
  for (let at = 0; at < REPLY.length; at += 1_500) {
    link.answer(REPLY.slice(at, at + 1_500));
    world.turn();
    t.ok(world.usedBytes < 20_000, 'next to nothing is held');
  }
  t.equal(alice.take(), '');
  t.ok(link.isClosed, 'the connection is done with');
});

t.test('a node that falls silent in the middle: likewise', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const alice = world.client();
  begin(world, alice);
  (world.link(0) as NodeLink).greet();
  world.pass(world.limits.requestTimeoutMs + world.limits.stallTimeoutMs + 1_000);
  t.ok(alice.isClosed);
  t.equal(world.counts.repliesBrokenOff, 1);
  t.equal(pendingsInUse(), before);
});

t.test(
  'a client that goes in the middle has its connection to the node closed, also where that is not read from',
  async (t) => {
    for (const isSlow of [false, true]) {
      const world = plane();
      const before = pendingsInUse();
      const alice = world.client();
      const link = begin(world, alice);
      (world.link(0) as NodeLink).greet();
      if (isSlow) {
        link.answer(REPLY.slice(HEAD, 20 * LARGE));
        world.turn();
      }
      alice.connection.break(null);
      world.pass(200);
      t.ok(link.isClosed);
      t.equal(pendingsInUse(), before);
      t.equal(world.usedBytes, 0);
    }
  },
);

t.test('what must be carried out to its end is, when its client goes in the middle of the reply', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const [alice, key] = [world.client(), world.key(0)];
  const link = world.only(0);
  alice.send(['GETDEL', key], ['SET', key, '1']);
  world.turn();
  link.take();
  link.answer(REPLY.slice(0, 20 * LARGE));
  world.turn();
  alice.connection.break(null);
  world.turn();
  link.answer(REPLY.slice(20 * LARGE), '+OK\r\n');
  world.pass(200);
  t.ok(link.isClosed);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a client that wants no replies gets nothing of a large one', async (t) => {
  const world = plane();
  const alice = world.client();
  const key = world.key(0);
  alice.send(['CLIENT', 'REPLY', 'SKIP']);
  const link = begin(world, alice, key);
  link.answer(REPLY.slice(HEAD));
  world.turn();
  alice.send(['PING']);
  world.turn();
  t.equal(alice.take(), '+PONG\r\n');
});

t.test('what a value does not end with is no reply', async (t) => {
  const world = plane();
  const alice = world.client();
  const link = begin(world, alice);
  link.answer(`${REPLY.slice(HEAD, -2)}xx`);
  world.turn();
  world.turn();
  t.ok(link.isClosed);
  t.ok(alice.isClosed);
});

/** Two who ask for the same, one behind the other on the same connection: what comes for bob waits behind what comes for alice. */
function oneBehindTheOther() {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const link = world.only(0);
  alice.send(['GET', key]);
  bob.send(['APPEND', key, '']);
  world.turn();
  link.take();
  return { world, alice, bob, link };
}
