import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, type NodeLink, Plane, repliesIn } from '../help/plane.js';

const UNKNOWN =
  '-UNKNOWN node node-0 (10.0.0.1:7000): the connection was lost: reset; the write may or may not have been done\r\n';

function setUp(limits = {}) {
  const world = new Plane({ limits }).greetAll();
  world.pass(1_000);
  const key = world.key(0);
  return { world, key, client: world.client(), link: world.only(0) };
}

/** Greets the connection that node 0 got in place of a lost one. */
function again(world: Plane): NodeLink {
  world.pass(100);
  return world.only(0).greet();
}

t.test('a write that was sent is unknown, and is not sent again', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1']);
  world.turn();
  link.take();
  link.connection.break(new Error('reset'));
  const fresh = again(world);
  t.equal(client.take(), UNKNOWN);
  t.equal(fresh.take(), '');
  t.equal(world.counts.writesUnknown, 1);
  t.equal(world.counts.readsRetried, 0);
  t.equal(world.counts.nodeConnectionsLost, 1);
});

t.test('a write that was not handed to the kernel is sent on the next connection', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1']);
  world.turn();
  link.connection.break(new Error('reset'));
  const fresh = again(world);
  t.same(fresh.commands(), [`SET ${key} 1`]);
  fresh.answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
  t.equal(world.counts.writesUnknown, 0);
});

t.test('every prefix of a write: half of it was not carried out, and only the whole may have been', async (t) => {
  const frame = command('SET', 'k:8', '1');
  for (let sent = 0; sent <= frame.length; sent++) {
    const { world, client, link } = setUp();
    client.sendText(frame);
    world.turn();
    link.connection.takeSome(sent);
    link.connection.break(new Error('reset'));
    const fresh = again(world);
    if (sent === frame.length) {
      t.equal(client.take(), UNKNOWN, `${sent} bytes: unknown`);
      continue;
    }
    t.equal(fresh.take(), frame, `${sent} bytes: sent again, whole`);
    fresh.answer('+OK\r\n');
    t.equal(client.take(), '+OK\r\n');
    t.equal(world.usedBytes, 0);
  }
});

t.test('a write that was not sent, and is lost with no other connection to be had, had no effect', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1']);
  world.turn();
  link.connection.takeSome(10);
  link.connection.break(new Error('reset'));
  world.turn();
  world.only(0).connection.break(new Error('connection refused'));
  world.turn();
  t.equal(client.take(), '-NODEDOWN node node-0 (10.0.0.1:7000): connection refused; the command had no effect\r\n');
  t.equal(world.counts.commandsNodeDown, 1);
  t.equal(again(world).take(), '', 'and is not sent later');
});

t.test('a read is sent again once, and its answer is the answer', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer('$5\r\nhal');
  link.connection.break(new Error('reset'));
  const fresh = again(world);
  t.same(fresh.commands(), [`GET ${key}`]);
  fresh.answer('$3\r\nnew\r\n');
  t.equal(client.take(), '$3\r\nnew\r\n', 'nothing is left of the half reply');
  t.equal(world.counts.readsRetried, 1);
});

t.test('a read that is lost twice fails, without effect', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.connection.break(new Error('reset'));
  const second = again(world);
  second.take();
  second.connection.break(new Error('reset'));
  const third = again(world);
  t.equal(third.take(), '');
  t.equal(
    client.take(),
    '-NODEDOWN node node-0 (10.0.0.1:7000): the connection was lost twice: reset; the command had no effect\r\n',
  );
});

t.test('a retried read that was not sent a second time may wait for a third connection', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.connection.break(new Error('reset'));
  again(world).connection.break(new Error('reset'));
  const third = again(world);
  t.same(third.commands(), [`GET ${key}`]);
  third.answer('$-1\r\n');
  t.equal(client.take(), '$-1\r\n');
});

t.test('a retried read goes before anything later of its session', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  client.send(['SET', key, '2'], ['GET', key]);
  world.turn();
  link.connection.break(new Error('reset'));
  world.turn();
  client.send(['SET', key, '3']);
  const fresh = again(world);
  t.same(fresh.commands(), [`GET ${key}`, `SET ${key} 2`, `GET ${key}`, `SET ${key} 3`]);
});

t.test(
  'a read that was sent before a write of its session is not retried: it would see what came after it',
  async (t) => {
    const { world, key, client, link } = setUp();
    const other = world.client();
    client.send(['GET', key], ['SET', key, '2'], ['GET', key]);
    other.send(['GET', key]);
    world.turn();
    link.take();
    link.connection.break(new Error('reset'));
    const fresh = again(world);
    t.same(fresh.commands(), [`GET ${key}`, `GET ${key}`], 'the later read, and the one of another session');
    fresh.answer('$1\r\n2\r\n', '$1\r\n3\r\n');
    t.same(repliesIn(client.take()), [
      '-NODEDOWN node node-0 (10.0.0.1:7000): the connection was lost: reset; the command had no effect\r\n',
      UNKNOWN,
      '$1\r\n2\r\n',
    ]);
    t.equal(other.take(), '$1\r\n3\r\n');
  },
);

t.test('the read part of a split command is not retried either when a later write was sent', async (t) => {
  const { world, key, client, link } = setUp();
  const elsewhere = world.key(1);
  client.send(['MGET', key, elsewhere], ['MSET', key, '2', elsewhere, '2']);
  world.turn();
  link.take();
  world.only(1).take();
  world.only(1).answer('*1\r\n$1\r\n1\r\n', '+OK\r\n');
  link.connection.break(new Error('reset'));
  const fresh = again(world);
  t.equal(fresh.take(), '');
  const [read, write] = repliesIn(client.take());
  t.match(read, /^-NODEDOWN node node-0 .*the connection was lost: reset/);
  t.equal(write, UNKNOWN);
});

t.test('what others sent keeps its order, whoever fails', async (t) => {
  const { world, key, client, link } = setUp();
  const other = world.client();
  client.send(['SET', key, '1']);
  other.send(['GET', key]);
  world.turn();
  link.take();
  client.send(['GET', key], ['SET', key, '2']);
  other.send(['SET', key, '3']);
  world.turn();
  link.connection.break(new Error('reset'));
  const fresh = again(world);
  t.same(fresh.commands(), [`GET ${key}`, `GET ${key}`, `SET ${key} 2`, `SET ${key} 3`]);
  fresh.answer('$1\r\na\r\n$1\r\nb\r\n+OK\r\n+OK\r\n');
  t.same(repliesIn(client.take()), [UNKNOWN, '$1\r\nb\r\n', '+OK\r\n']);
  t.same(repliesIn(other.take()), ['$1\r\na\r\n', '+OK\r\n']);
});

t.test('replies that came before the connection broke are answers', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1'], ['SET', key, '2'], ['SET', key, '3']);
  world.turn();
  link.take();
  link.answer('+OK\r\n+O');
  link.connection.break(new Error('reset'));
  world.turn();
  t.same(repliesIn(client.take()), ['+OK\r\n', UNKNOWN, UNKNOWN]);
});

t.test('the node that closes in order is lost all the same', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1']);
  world.turn();
  link.take();
  link.connection.end();
  world.turn();
  t.match(
    client.take(),
    /^-UNKNOWN node node-0 \(10\.0\.0\.1:7000\): the connection was lost: it closed the connection;/,
  );
  t.ok(link.isClosed);
});

t.test('a node that answers garbage is disconnected, and says so to whom it concerns', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, '1'], ['GET', key]);
  world.turn();
  link.take();
  link.answer('+OK\r\nHTTP/1.1 400 Bad\r\n');
  const fresh = again(world);
  t.ok(link.isClosed);
  t.equal(client.take(), '+OK\r\n');
  t.same(fresh.commands(), [`GET ${key}`]);
  fresh.answer('\0\0\0\0');
  world.turn();
  t.equal(
    client.take(),
    '-NODEDOWN node node-0 (10.0.0.1:7000): the connection was lost twice: it answered what is not RESP: ' +
      "'\\x00\\x00\\x00\\x00'; the command had no effect\r\n",
  );
});

t.test('a reply that nobody asked for closes the connection: who knows whose the next would be', async (t) => {
  const { world, key, client, link } = setUp();
  link.answer('+OK\r\n');
  world.turn();
  t.ok(link.isClosed);
  const fresh = again(world);
  client.send(['GET', key]);
  world.turn();
  fresh.take();
  fresh.answer('$1\r\n1\r\n');
  t.equal(client.take(), '$1\r\n1\r\n');
});

t.test("a reply to a command of which nothing was sent is nobody's", async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.answer('$5\r\nalien\r\n');
  const fresh = again(world);
  t.ok(link.isClosed);
  t.same(fresh.commands(), [`GET ${key}`]);
  fresh.answer('$-1\r\n');
  t.equal(client.take(), '$-1\r\n');
});

t.test('a node that refuses a command of which it has only half: its words are the reply', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, 'x'.repeat(1_000)], ['GET', key]);
  world.turn();
  link.connection.takeSome(40);
  link.answer('-ERR Protocol error: invalid bulk length\r\n');
  link.connection.end();
  const fresh = again(world);
  t.equal(client.take(), '-ERR Protocol error: invalid bulk length\r\n');
  t.same(fresh.commands(), [`GET ${key}`]);
});

t.test('a push belongs to no request', async (t) => {
  const { world, key, client } = setUp();
  client.send(['HELLO', '3'], ['GET', key]);
  world.turn();
  const resp3 = (world.link(0, 3) as NodeLink).greet();
  repliesIn(client.take());
  resp3.take();
  resp3.answer(`>2\r\n${bulk('invalidate')}*1\r\n${bulk('x')}`, '_\r\n');
  t.equal(client.take(), '_\r\n');
});

t.test('nothing is kept for clients that went away while their commands were out', async (t) => {
  const { world, key, client, link } = setUp();
  const before = pendingsInUse();
  client.send(['GET', key], ['SET', key, '1'], ['GET', key], ['MGET', key, world.key(1)]);
  world.turn();
  link.connection.takeSome(30);
  client.connection.break(null);
  t.equal(pendingsInUse(), before + 5, 'in flight they stand in their connections still');
  link.connection.break(new Error('reset'));
  world.only(1).connection.break(new Error('reset'));
  again(world);
  world.only(1).greet();
  world.pass(20_000);
  for (const node of [0, 1]) world.link(node)?.connection.break(new Error('reset'));
  world.pass(20_000);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});
