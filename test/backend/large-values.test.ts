import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, type NodeLink, Plane, repliesIn } from '../help/plane.js';

const LARGE = 1_000;
const BIG = 'x'.repeat(2 * LARGE);
/** A large reply that is held until it is whole. */
const LIST = `*1\r\n${bulk(BIG)}`;
/** One behind which reads do not wait. */
const HUGE = `*1\r\n${bulk('x'.repeat(16 * LARGE + 1))}`;

function plane(limits = {}): Plane {
  return new Plane({ limits: { largeValueBytes: LARGE, ...limits } }).greetAll();
}

/** Has `client` read a large list of node 0, the beginning of which has come: the connection that it comes on. `ask` is called between. */
function beginLargeReply(world: Plane, key: string, client = world.client(), list = LIST, ask = () => {}): NodeLink {
  const link = world.only(0);
  client.send(['LRANGE', key, '0', '-1']);
  world.turn();
  ask();
  world.turn();
  link.take();
  link.answer(list.slice(0, 500));
  world.turn();
  return link;
}

t.test('a large reply leaves the common connection to itself, and others go to a fresh one', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  t.equal(world.links(0).length, 2, 'a second connection is opened');
  const fresh = (world.link(0) as NodeLink).greet();
  bob.send(['GET', key]);
  world.turn();
  t.same(fresh.commands(), [`GET ${key}`]);
  fresh.answer('$1\r\n1\r\n');
  world.turn();
  t.equal(bob.take(), '$1\r\n1\r\n', 'the large reply does not stand in the way');
  t.equal(old.take(), '');
  old.answer(LIST.slice(500));
  world.turn();
  t.equal(alice.take(), LIST);
  t.equal(world.counts.nodeConnectionsRetired, 1);
});

/** A huge list of node 0 is read by `alice`, and behind that the others have asked what `ask` has them ask; then the beginning of the list comes. */
function standBehind(
  world: Plane,
  alice: ReturnType<Plane['client']>,
  ask: (key: string) => void,
  list = HUGE,
): NodeLink {
  const key = world.key(0);
  return beginLargeReply(world, key, alice, list, () => ask(key));
}

t.test('a read that stands behind a large reply is asked anew by the fresh connection', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const [alice, bob, carol] = [world.client(), world.client(), world.client()];
  const old = standBehind(world, alice, (key) => {
    bob.send(['GET', key], ['STRLEN', key]);
    carol.send(['EXISTS', key]);
  });
  const key = world.key(0);
  const fresh = (world.link(0) as NodeLink).greet();
  world.turn();
  t.same(fresh.commands(), [`GET ${key}`, `STRLEN ${key}`, `EXISTS ${key}`]);
  bob.send(['TTL', key]);
  world.turn();
  t.same(fresh.commands(), [`TTL ${key}`], 'what they ask now comes behind it');
  fresh.answer('$1\r\n1\r\n', ':1\r\n', ':1\r\n', ':-1\r\n');
  world.turn();
  t.same(repliesIn(bob.take()), ['$1\r\n1\r\n', ':1\r\n', ':-1\r\n']);
  t.equal(carol.take(), ':1\r\n');
  t.equal(world.counts.readsRetried, 3);
  old.answer(HUGE.slice(500), '$1\r\n0\r\n', ':1\r\n');
  world.turn();
  t.equal(alice.take(), HUGE);
  t.ok(old.isClosed, 'what else the node would answer there is for nobody');
  t.same([bob.take(), carol.take()], ['', '']);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test(
  'who has written, watches the order of its own, or asked for the large reply itself stays behind it',
  async (t) => {
    const world = plane();
    const [alice, bob, carol, dave] = [world.client(), world.client(), world.client(), world.client()];
    const other = world.key(1);
    const old = standBehind(world, alice, (key) => {
      alice.send(['GET', key]);
      bob.send(['GET', key], ['SET', key, '2']);
      carol.send(['SET', key, '3'], ['GET', key]);
      dave.send(['MGET', key, other], ['GET', key], ['DEL', key, other]);
    });
    const fresh = (world.link(0) as NodeLink).greet();
    world.turn();
    t.same(fresh.commands(), []);
    t.equal(world.counts.readsRetried, 0);
    old.answer(HUGE.slice(500), '$1\r\n1\r\n', '$1\r\n1\r\n', '+OK\r\n', '+OK\r\n', '$1\r\n3\r\n');
    world.turn();
    t.same(repliesIn(alice.take()), [HUGE, '$1\r\n1\r\n']);
    t.same(repliesIn(bob.take()), ['$1\r\n1\r\n', '+OK\r\n']);
    t.same(repliesIn(carol.take()), ['+OK\r\n', '$1\r\n3\r\n']);
  },
);

t.test('what the node answers to a read that was given up is for nobody, while others wait behind it', async (t) => {
  const world = plane();
  const [alice, bob, carol] = [world.client(), world.client(), world.client()];
  const old = standBehind(world, alice, (key) => {
    bob.send(['GET', key]);
    carol.send(['SET', key, '3']);
  });
  const fresh = (world.link(0) as NodeLink).greet();
  world.turn();
  t.same(fresh.commands(), [`GET ${world.key(0)}`]);
  fresh.answer('$1\r\n1\r\n');
  old.answer(HUGE.slice(500), '$1\r\n0\r\n');
  world.turn();
  t.notOk(old.isClosed);
  old.answer('+OK\r\n');
  world.turn();
  t.same([alice.take(), bob.take(), carol.take()], [HUGE, '$1\r\n1\r\n', '+OK\r\n']);
  t.ok(old.isClosed);
});

t.test('behind a reply that is soon there nothing is asked twice', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const list = `*1\r\n${bulk('x'.repeat(16 * LARGE))}`;
  const old = standBehind(world, alice, (key) => bob.send(['GET', key]), list);
  const fresh = (world.link(0) as NodeLink).greet();
  world.turn();
  t.same(fresh.commands(), []);
  old.answer(list.slice(500), '$1\r\n1\r\n');
  world.turn();
  t.same([alice.take(), bob.take()], [list, '$1\r\n1\r\n']);
  t.equal(world.counts.readsRetried, 0);
});

t.test(
  'behind the next huge reply of a retired connection it is the same; nothing is asked a third time',
  async (t) => {
    const world = plane();
    const [alice, bob, carol, dave] = [world.client(), world.client(), world.client(), world.client()];
    const key = world.key(0);
    const old = standBehind(
      world,
      alice,
      () => {
        bob.send(['LRANGE', key, '1', '-1']);
        carol.send(['GET', key]);
      },
      LIST,
    );
    const fresh = (world.link(0) as NodeLink).greet();
    old.answer(LIST.slice(500), HUGE.slice(0, 500));
    world.turn();
    t.same(fresh.commands(), [`GET ${key}`]);
    t.equal(alice.take(), LIST);
    dave.send(['GET', key]);
    world.turn();
    t.same(fresh.commands(), [`GET ${key}`]);
    old.answer(HUGE.slice(500));
    world.turn();
    t.equal(bob.take(), HUGE);
    t.ok(old.isClosed);
    fresh.answer('$1\r\n1\r\n', '$1\r\n2\r\n');
    world.turn();
    t.same([carol.take(), dave.take()], ['$1\r\n1\r\n', '$1\r\n2\r\n']);
    t.equal(world.counts.readsRetried, 1);
  },
);

t.test('part of a command that reads at several nodes does not wait for a large reply either', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const other = world.key(1);
  standBehind(world, alice, (key) => bob.send(['MGET', key, other]));
  const fresh = (world.link(0) as NodeLink).greet();
  world.turn();
  t.same(fresh.commands(), [`MGET ${world.key(0)}`]);
  t.same(world.only(1).commands(), [`MGET ${other}`]);
  fresh.answer('*1\r\n$1\r\n1\r\n');
  world.only(1).answer('*1\r\n$1\r\n2\r\n');
  world.turn();
  t.equal(bob.take(), '*2\r\n$1\r\n1\r\n$1\r\n2\r\n');
});

t.test('where no fresh connection can be had it is asked once more behind the large reply', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const old = standBehind(world, alice, (key) => bob.send(['GET', key]));
  (world.link(0) as NodeLink).connection.break(new Error('max number of clients reached'));
  world.turn();
  t.same(old.commands(), [`GET ${world.key(0)}`]);
  old.answer(HUGE.slice(500), '$1\r\n0\r\n', '$1\r\n1\r\n');
  world.turn();
  t.equal(alice.take(), HUGE);
  t.equal(bob.take(), '$1\r\n1\r\n');
});

t.test('a session that awaits the large reply goes on where it waits, so that nothing overtakes', async (t) => {
  const world = plane();
  const alice = world.client();
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  const fresh = (world.link(0) as NodeLink).greet();
  alice.send(['SET', key, '2'], ['GET', key]);
  world.turn();
  t.same(old.commands(), [`SET ${key} 2`, `GET ${key}`]);
  t.equal(fresh.take(), '');
  old.answer(LIST.slice(500), '+OK\r\n$1\r\n2\r\n');
  world.turn();
  t.same(repliesIn(alice.take()), [LIST, '+OK\r\n', '$1\r\n2\r\n']);
  t.ok(old.isClosed, 'drained, it is closed');
  alice.send(['GET', key]);
  world.turn();
  t.same(fresh.commands(), [`GET ${key}`], 'then the session goes on with the fresh one');
});

t.test('the part of a split command does not overtake what its session awaits elsewhere', async (t) => {
  const world = plane();
  const alice = world.client();
  const [key, other] = [world.key(0), world.key(1)];
  const old = beginLargeReply(world, key, alice);
  const fresh = (world.link(0) as NodeLink).greet();
  alice.send(['MSET', key, '2', other, '3']);
  world.turn();
  t.equal(fresh.take(), '', 'the fresh connection would answer before the large reply is through');
  t.same(old.commands(), [`MSET ${key} 2`]);
});

t.test('what follows a split command goes where its part is awaited', async (t) => {
  const world = plane();
  const alice = world.client();
  const [key, other] = [world.key(0), world.key(1)];
  alice.send(['MGET', key, other]);
  world.turn();
  const old = world.only(0);
  old.take();
  old.answer(LIST.slice(0, 500));
  world.turn();
  const fresh = (world.link(0) as NodeLink).greet();
  alice.send(['SET', key, '2'], ['MSET', key, '3', other, '3']);
  world.turn();
  t.same(old.commands(), [`SET ${key} 2`, `MSET ${key} 3`]);
  t.equal(fresh.take(), '');
});

t.test('a large request likewise has its connection to itself', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = world.only(0);
  bob.send(['GET', key]);
  alice.send(['SET', key, BIG]);
  bob.send(['GET', `${key}`]);
  world.turn();
  const fresh = (world.link(0) as NodeLink).greet();
  t.same(old.commands(), [`GET ${key}`, `SET ${key} ${BIG}`, `GET ${key}`], 'who awaits replies there stays');
  old.answer('$-1\r\n', '+OK\r\n');
  world.turn();
  t.notOk(old.isClosed, 'it is not drained yet');
  old.answer('$-1\r\n');
  world.turn();
  t.ok(old.isClosed);
  bob.send(['GET', key]);
  world.turn();
  t.same(fresh.commands(), [`GET ${key}`]);
});

t.test('while the fresh connection is being made, other sessions wait', async (t) => {
  const world = plane();
  const bob = world.client();
  const key = world.key(0);
  beginLargeReply(world, key);
  bob.send(['GET', key], ['SET', key, '1']);
  world.turn();
  t.equal(bob.take(), '');
  const fresh = (world.link(0) as NodeLink).greet();
  t.same(fresh.commands(), [`GET ${key}`, `SET ${key} 1`]);
});

t.test('a retired connection that is lost: its reads go to the one that stands, in order', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  alice.send(['GET', `${key}`], ['SET', key, 'late']);
  const fresh = (world.link(0) as NodeLink).greet();
  bob.send(['GET', key]);
  world.turn();
  fresh.take();
  old.connection.break(new Error('reset'));
  world.turn();
  t.same(
    fresh.commands(),
    [`LRANGE ${key} 0 -1`, `GET ${key}`, `SET ${key} late`],
    'at once, and not after a time-out',
  );
  fresh.answer('$1\r\n0\r\n', '$1\r\n1\r\n', '$1\r\n2\r\n', '+OK\r\n');
  world.turn();
  t.equal(bob.take(), '$1\r\n0\r\n');
  t.same(repliesIn(alice.take()), ['$1\r\n1\r\n', '$1\r\n2\r\n', '+OK\r\n']);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('where the node refuses a fresh connection the retired one is taken back', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  bob.send(['GET', key]);
  world.turn();
  const states = [...world.nodeStates];
  const refused = (world.link(0) as NodeLink).open();
  refused.take();
  refused.answer('-ERR max number of clients reached\r\n');
  world.turn();
  t.same(world.nodeStates, states, 'the node is up');
  t.same(old.commands(), [`GET ${key}`], 'what waited goes behind the large value');
  t.equal(world.counts.nodeConnectFailures, 1);
  t.equal(world.counts.largeValuesShared, 0, 'none yet');
  const before = world.transport.connections.length;
  for (let n = 0; n < 10; n++) old.answer('x'.repeat(10));
  t.equal(world.transport.connections.length, before, 'nothing more is tried for the moment');
  world.client().send(['SET', key, BIG]);
  world.turn();
  t.equal(world.counts.largeValuesShared, 1, 'another large value goes that way');
  old.take();
  world.pass(50);
  old.answer('x'.repeat(10));
  world.turn();
  t.equal(world.transport.connections.length, before + 1, 'and then again');
  const carol = world.client().send(['SET', key, '1']);
  (world.link(0) as NodeLink).greet();
  world.turn();
  t.same((world.link(0) as NodeLink).commands(), [`SET ${key} 1`]);
  (world.link(0) as NodeLink).answer('+OK\r\n');
  t.equal(carol.take(), '+OK\r\n');
  old.connection.break(new Error('reset'));
  world.turn();
  t.same((world.link(0) as NodeLink).commands(), [`LRANGE ${key} 0 -1`, `GET ${key}`], 'the reads of both');
  t.equal(world.counts.nodeConnectionsLost, 1);
});

t.test('a retired connection that was taken back and is lost: its commands fail when the node is down', async (t) => {
  const world = plane();
  const alice = world.client();
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  (world.link(0) as NodeLink).connection.break(new Error('connection refused'));
  world.turn();
  old.connection.break(new Error('reset'));
  world.turn();
  world.pass(50);
  (world.link(0) as NodeLink).connection.break(new Error('connection refused'));
  world.turn();
  t.match(
    alice.take(),
    /^-NODEDOWN node node-0 \(10\.0\.0\.1:7000\): connection refused; the command had no effect\r\n$/,
  );
  t.equal(world.usedBytes, 0);
});

t.test('a retired connection that is lost while the fresh one is made: its reads go before what waits', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  bob.send(['GET', 'later']);
  bob.send(['SET', key, 'later']);
  world.turn();
  old.connection.break(new Error('reset'));
  world.turn();
  alice.send(['SET', key, 'last']);
  world.turn();
  const fresh = (world.link(0) as NodeLink).greet();
  const sent = fresh.commands().filter((text) => text.includes(key));
  t.same(sent, [`LRANGE ${key} 0 -1`, `SET ${key} later`, `SET ${key} last`]);
});

t.test('a lost retired connection makes writes that were sent unknown', async (t) => {
  const world = plane();
  const alice = world.client();
  const key = world.key(0);
  const link = world.only(0);
  alice.send(['SET', key, BIG]);
  world.turn();
  link.take();
  (world.link(0) as NodeLink).greet();
  link.connection.break(new Error('reset'));
  world.turn();
  t.match(alice.take(), /^-UNKNOWN node node-0 \(10\.0\.0\.1:7000\): the connection was lost: reset;/);
  t.equal(world.counts.writesUnknown, 1);
  t.equal(world.links(0).length, 1, 'the common connection stays');
});

t.test('no more than sixteen connections of a node finish large values at a time', async (t) => {
  const world = plane();
  const key = world.key(0);
  for (let n = 0; n < 20; n++) {
    world.client().send(['SET', key, BIG]);
    world.turn();
    const link = world.link(0) as NodeLink;
    if (link.protocol === null) link.greet();
  }
  t.equal(world.links(0).length, 17);
  const sent = world
    .links(0)
    .map((link) => link.take())
    .join('');
  t.equal(sent, command('SET', key, BIG).repeat(20), 'beyond, they share the common one');
  t.equal(world.counts.largeValuesShared, 4);
  t.equal(world.counts.nodeConnectionsRetired, 16);
});

t.test('a large value that was retired for is not counted as a stall of the others', async (t) => {
  const world = plane();
  const bob = world.client();
  const key = world.key(0);
  const old = beginLargeReply(world, key);
  const fresh = (world.link(0) as NodeLink).greet();
  world.pass(world.limits.requestTimeoutMs + 100);
  bob.send(['GET', key]);
  world.turn();
  t.same(fresh.commands().slice(-1), [`GET ${key}`], 'the retired connection is late, this one is not');
  t.ok(old.isClosed, 'nobody waits for its reply any more');
});

t.test('a large reply whose client has gone is not received to its end', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const old = beginLargeReply(world, key, alice);
  (world.link(0) as NodeLink).greet();
  alice.connection.break(null);
  world.pass(100);
  t.ok(old.isClosed);
  t.equal(world.counts.nodeConnectionsLost, 0, 'it was closed by us');
  t.equal(world.counts.readsRetried, 0);
  bob.send(['GET', key]);
  world.turn();
  t.same((world.link(0) as NodeLink).commands(), [`GET ${key}`]);
  (world.link(0) as NodeLink).answer('$1\r\n1\r\n');
  t.equal(bob.take(), '$1\r\n1\r\n');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a write whose client has gone, and what others await behind a large reply, are waited for', async (t) => {
  const world = plane();
  const [alice, bob] = [world.client(), world.client()];
  const key = world.key(0);
  const link = world.only(0);
  alice.send(['SET', key, BIG]);
  world.turn();
  link.connection.takeSome(100);
  alice.connection.break(null);
  world.pass(200);
  t.notOk(link.isClosed, 'a write that was read from its client is carried out');
  link.take();
  link.answer('+OK\r\n');
  world.turn();
  t.ok(link.isClosed);
  (world.link(0) as NodeLink).greet();
  const carol = world.client();
  const old = beginLargeReply(world, key, carol);
  bob.send(['PING']);
  carol.connection.break(null);
  world.pass(100);
  t.ok(old.isClosed);
});

t.test('the large part of a split command whose client has gone is not received to its end', async (t) => {
  const world = plane();
  const before = pendingsInUse();
  const client = world.client().send(['MGET', world.key(0), world.key(1)]);
  world.turn();
  const [large, small] = [world.only(0), world.only(1)];
  large.take();
  small.take();
  large.answer(LIST.slice(0, 500));
  world.turn();
  (world.link(0) as NodeLink).greet();
  client.connection.break(null);
  world.pass(100);
  t.ok(large.isClosed);
  t.notOk(small.isClosed, 'what is not large is awaited');
  small.answer('*1\r\n$1\r\n1\r\n');
  world.turn();
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});
