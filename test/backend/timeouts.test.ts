import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { command, Plane, repliesIn } from '../help/plane.js';

const LIMITS = { requestTimeoutMs: 1_000, stallTimeoutMs: 3_000, idlePingMs: 60_000, queueTimeoutMs: 400 };

function setUp(limits = {}) {
  const world = new Plane({ limits: { ...LIMITS, ...limits } }).greetAll();
  world.pass(100);
  const key = world.key(0);
  return { world, key, client: world.client(), link: world.only(0) };
}

t.test('replies that do not come are given up after requestTimeoutMs, and say what is true', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key], ['SET', key, '1'], ['PING']);
  world.turn();
  link.take();
  world.pass(999);
  t.equal(client.take(), '');
  world.pass(60);
  t.same(repliesIn(client.take()), [
    '-NODEDOWN node node-0 (10.0.0.1:7000): it did not answer within 1000 ms; the command had no effect\r\n',
    '-UNKNOWN node node-0 (10.0.0.1:7000): it did not answer within 1000 ms; the write may or may not have been done\r\n',
    '+PONG\r\n',
  ]);
  t.equal(world.counts.commandsTimedOut, 2);
  t.equal(world.counts.writesUnknown, 1);
});

t.test("a late reply is nobody's", async (t) => {
  const before = pendingsInUse();
  const { world, key, client, link } = setUp();
  const other = world.client();
  client.send(['GET', key]);
  world.turn();
  link.take();
  world.pass(500);
  other.send(['GET', key], ['GET', key]);
  world.turn();
  link.take();
  world.pass(600);
  t.match(client.take(), /^-NODEDOWN /);
  link.answer('$4\r\nlate\r\n', '$1\r\n1\r\n');
  world.turn();
  t.equal(client.take(), '');
  t.equal(other.take(), '$1\r\n1\r\n');
  link.answer('$1\r\n2\r\n');
  t.equal(other.take(), '$1\r\n2\r\n');
  client.send(['GET', key]);
  world.turn();
  t.same(link.commands(), [`GET ${key}`], 'and the connection goes on');
  link.answer('$1\r\n3\r\n');
  t.equal(client.take(), '$1\r\n3\r\n');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('while a reply is overdue further commands fail at once, and other nodes go on', async (t) => {
  const { world, key, client, link } = setUp();
  const elsewhere = world.key(1);
  client.send(['GET', key]);
  world.turn();
  link.take();
  world.pass(1_100);
  client.take();
  client.send(['SET', key, '1'], ['SET', elsewhere, '1']);
  world.turn();
  t.equal(link.take(), '');
  t.same(world.only(1).commands(), [`SET ${elsewhere} 1`]);
  t.match(
    client.take(),
    /^-NODEDOWN node node-0 \(10\.0\.0\.1:7000\): it has not answered for \d+ ms; the command had/,
  );
  link.answer('$-1\r\n');
  world.only(1).answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
  client.send(['SET', key, '1']);
  world.turn();
  t.same(link.commands(), [`SET ${key} 1`], 'until it has caught up');
});

t.test('a connection whose oldest reply is older than stallTimeoutMs is closed', async (t) => {
  const before = pendingsInUse();
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  world.pass(2_950);
  t.notOk(link.isClosed);
  world.pass(200);
  t.ok(link.isClosed);
  t.match(client.take(), /^-NODEDOWN [^\n]*\n$/, 'one reply, and one only');
  const fresh = world.only(0).greet();
  client.send(['GET', key]);
  world.turn();
  t.same(fresh.commands(), [`GET ${key}`]);
  fresh.answer('$1\r\n1\r\n');
  t.equal(client.take(), '$1\r\n1\r\n');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a command that was not wholly sent is not carried out after its client was told so', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key], ['SET', key, 'x'.repeat(100)]);
  world.turn();
  link.connection.takeSome(command('GET', key).length + 20);
  world.pass(1_100);
  t.ok(link.isClosed, 'the node does not read: only closing keeps it from carrying out the rest');
  t.match(client.take(), /^-NODEDOWN .*did not answer within 1000 ms[^\n]*\n$/);
  world.pass(250);
  t.equal(client.take(), '', 'its time in the queue begins when it is put back');
  world.pass(200);
  const [write] = repliesIn(client.take());
  t.match(write, /^-NODEDOWN .*no connection to it within 400 ms; the command had no effect\r\n$/);
  t.equal(world.only(0).greet().take(), '');
});

t.test('a node that answers others is busy, not stalled', async (t) => {
  const { world, key, client, link } = setUp();
  const other = world.client();
  for (let n = 0; n < 100; n++) other.send(['GET', key]);
  client.send(['GET', key]);
  world.turn();
  link.take();
  for (let n = 0; n < 100; n++) {
    world.pass(100);
    link.answer('$1\r\n1\r\n');
  }
  t.equal(client.take(), '', 'ten seconds later');
  link.answer('$1\r\n2\r\n');
  t.equal(client.take(), '$1\r\n2\r\n');
  t.equal(world.counts.commandsTimedOut, 0);
});

t.test('a silent connection is tried with PING, and no client sees its reply', async (t) => {
  const { world, key, client, link } = setUp({ idlePingMs: 500, requestTimeoutMs: 5_000 });
  world.pass(2_000);
  t.equal(link.take(), command('PING'));
  client.send(['GET', key]);
  world.turn();
  t.same(link.commands(), [`GET ${key}`]);
  link.answer('+PONG\r\n');
  t.equal(client.take(), '');
  link.answer('$1\r\n1\r\n');
  t.equal(client.take(), '$1\r\n1\r\n');
});

t.test('a silent connection whose PING is not answered is closed before any client meets it', async (t) => {
  const { world, link } = setUp({ idlePingMs: 500 });
  for (let n = 0; n < 100 && !link.isClosed; n++) {
    world.pass(100);
    link.take();
  }
  t.ok(link.isClosed);
  t.equal(world.counts.commandsTimedOut, 0, 'no command of a client timed out');
  t.equal(world.counts.commandsNodeDown, 0);
  t.equal(world.usedBytes, 0);
});

t.test('a client that went away does not make its overdue replies come to others', async (t) => {
  const before = pendingsInUse();
  const { world, key, client, link } = setUp();
  const other = world.client();
  client.send(['GET', key], ['GET', key]);
  other.send(['GET', key]);
  world.turn();
  link.take();
  client.connection.break(null);
  world.pass(1_100);
  t.match(other.take(), /^-NODEDOWN /);
  link.answer('$1\r\n1\r\n$1\r\n2\r\n$1\r\n3\r\n');
  t.equal(other.take(), '');
  t.equal(pendingsInUse(), before);
});

t.test('a large reply that comes slowly but steadily is not late', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer('$1000000\r\n');
  for (let n = 0; n < 10; n++) {
    world.pass(900);
    link.answer('x'.repeat(100_000));
  }
  world.pass(900);
  t.notOk(link.isClosed);
  link.answer('\r\n');
  t.equal(client.take().length, 1_000_000 + '$1000000\r\n\r\n'.length);
  t.equal(world.counts.commandsTimedOut, 0);
});

t.test('a large reply that stops coming is late', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer('$1000000\r\n');
  world.pass(900);
  link.answer('x'.repeat(100_000));
  world.pass(1_200);
  t.match(client.take(), /^-NODEDOWN .*it did not answer within 1000 ms/);
  world.pass(2_000);
  t.ok(link.isClosed);
});

t.test('a large request that the node takes slowly but steadily is not late', async (t) => {
  const { world, key, client, link } = setUp();
  const frame = command('SET', key, 'x'.repeat(1_000_000));
  client.send(['SET', key, 'x'.repeat(1_000_000)]);
  world.turn();
  let taken = link.connection.takeSome(100_000);
  for (let n = 0; n < 10; n++) {
    world.pass(900);
    taken += link.connection.takeSome(100_000);
  }
  t.equal(taken, frame);
  world.pass(900);
  link.answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
});

t.test('a node that takes nothing more of a large request is late', async (t) => {
  const { world, key, client, link } = setUp();
  client.send(['SET', key, 'x'.repeat(1_000_000)]);
  world.turn();
  link.connection.takeSome(100_000);
  world.pass(1_200);
  t.ok(link.isClosed, 'only a closed connection keeps it from being carried out');
  t.equal(client.take(), '', 'it was not sent: it waits for another connection');
});

t.test('what the kernel takes for a node that reads nothing is no sign of life', async (t) => {
  const { world, key, client, link } = setUp();
  for (let n = 0; n < 4; n++) {
    client.send(['GET', key]);
    world.turn();
    link.take();
    world.pass(300);
  }
  t.match(client.take(), /^-NODEDOWN .*it did not answer within 1000 ms/);
});
