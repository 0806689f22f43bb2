import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { command, type NodeLink, Plane, repliesIn } from '../help/plane.js';

t.test('commands wait while the node is connected to, and go out in the order in which they came', async (t) => {
  const world = new Plane({ nodes: 1 });
  const [alice, bob] = [world.client(), world.client()];
  alice.send(['SET', 'a', '1']);
  bob.send(['SET', 'a', '2'], ['GET', 'a']);
  world.turn();
  alice.send(['GET', 'a']);
  const link = world.only(0);
  t.equal(link.take(), '', 'nothing before the greeting');
  link.greet();
  t.same(link.commands(), ['SET a 1', 'SET a 2', 'GET a', 'GET a']);
  link.answer('+OK\r\n', '+OK\r\n', '$1\r\n2\r\n', '$1\r\n2\r\n');
  t.equal(alice.take(), '+OK\r\n$1\r\n2\r\n');
  t.equal(bob.take(), '+OK\r\n$1\r\n2\r\n');
  t.equal(world.usedBytes, 0);
});

t.test('a session that speaks RESP3 has connections of its own, made when it first needs them', async (t) => {
  const world = new Plane({ nodes: 1 }).greetAll();
  const client = world.client().send(['HELLO', '3'], ['GET', 'a']);
  world.turn();
  client.take();
  const link = world.link(0, 3) as NodeLink;
  link.open();
  t.same(link.commands(), ['HELLO 3', 'CONFIG GET proto-max-bulk-len', 'CONFIG GET databases']);
  link.answer('%1\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n-NOPERM no\r\n-NOPERM no\r\n');
  t.same(link.commands(), ['GET a']);
  link.answer('_\r\n');
  t.equal(client.take(), '_\r\n');
  t.equal(world.links(0, 2)[0]?.take(), '');
});

t.test('a command waits no longer than queueTimeoutMs, and is not sent afterwards', async (t) => {
  const world = new Plane({ nodes: 1, limits: { queueTimeoutMs: 500 } });
  const client = world.client().send(['SET', 'a', '1']);
  world.pass(300);
  client.send(['SET', 'a', '2'], ['PING']);
  world.pass(199);
  t.equal(client.take(), '');
  world.pass(60);
  const error =
    '-NODEDOWN node node-0 (10.0.0.1:7000): no connection to it within 500 ms; the command had no effect\r\n';
  t.equal(client.take(), error, 'the first');
  t.same(world.only(0).greet().commands(), ['SET a 2'], 'the second still waits, and is sent');
  world.only(0).answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n+PONG\r\n');
  t.equal(world.counts.commandsTimedOut, 1);
  t.equal(world.usedBytes, 0);
});

t.test('more commands than may wait for a node are refused, and those that wait are not harmed', async (t) => {
  const world = new Plane({ nodes: 1, limits: { nodeQueueCommandsMax: 3 } });
  const client = world.client();
  client.send(['SET', 'a', '1'], ['SET', 'a', '2'], ['SET', 'a', '3'], ['SET', 'a', '4'], ['PING']);
  const link = world.only(0).greet();
  t.same(link.commands(), ['SET a 1', 'SET a 2', 'SET a 3']);
  link.answer('+OK\r\n+OK\r\n+OK\r\n');
  t.same(repliesIn(client.take()), [
    '+OK\r\n',
    '+OK\r\n',
    '+OK\r\n',
    '-OVERLOADED node node-0 (10.0.0.1:7000): too much waits for it ' +
      '(nodeQueueBytesMax 268435456, nodeQueueCommandsMax 3); the command was not sent\r\n',
    '+PONG\r\n',
  ]);
  t.equal(world.counts.commandsOverloaded, 1);
});

t.test('more bytes than may wait for a node are refused', async (t) => {
  const frame = command('SET', 'a', 'x'.repeat(100));
  const world = new Plane({ nodes: 1, limits: { nodeQueueBytesMax: 3 * frame.length } });
  const client = world.client().sendText(frame.repeat(4));
  const link = world.only(0).greet();
  t.equal(link.take(), frame.repeat(3));
  link.answer('+OK\r\n+OK\r\n+OK\r\n');
  t.match(client.take(), /^(\+OK\r\n){3}-OVERLOADED .*nodeQueueBytesMax \d+,/);
});

t.test('the same limits hold on a connection that stands', async (t) => {
  const world = new Plane({ nodes: 1, limits: { nodeQueueCommandsMax: 2 } }).greetAll();
  const client = world.client().send(['SET', 'a', '1'], ['SET', 'a', '2'], ['SET', 'a', '3']);
  world.turn();
  const link = world.only(0);
  t.same(link.commands(), ['SET a 1', 'SET a 2']);
  link.answer('+OK\r\n');
  client.send(['SET', 'a', '4']);
  world.turn();
  t.same(link.commands(), ['SET a 4'], 'there is room again');
  link.answer('+OK\r\n', '+OK\r\n');
  t.match(client.take(), /^\+OK\r\n\+OK\r\n-OVERLOADED .*\r\n\+OK\r\n$/);
});

t.test('bytes in flight on a connection are bounded', async (t) => {
  const world = new Plane({ nodes: 1, limits: { nodeQueueBytesMax: 100_000 } }).greetAll();
  const client = world.client();
  let sent = 0;
  const link = world.only(0);
  for (; sent < 100 && world.counts.commandsOverloaded === 0; sent++) {
    client.send(['SET', 'a', 'x'.repeat(10_000)]);
    world.turn();
    link.take();
  }
  t.ok(sent >= 9 && sent <= 40, `refused after ${sent} commands of 10 kB`);
});

t.test('a node that is full does not hinder the others', async (t) => {
  const world = new Plane({ limits: { nodeQueueCommandsMax: 1 } }).greetAll();
  const client = world.client();
  const [a, b] = [world.key(0), world.key(1)];
  client.send(['SET', a, '1'], ['SET', a, '2'], ['SET', b, '3']);
  world.turn();
  t.same(world.only(1).commands(), [`SET ${b} 3`]);
});

t.test('what waits for a node goes with the connection that failed, and nothing of it later', async (t) => {
  const before = pendingsInUse();
  const world = new Plane({ nodes: 1 });
  const client = world.client().send(['SET', 'a', '1'], ['GET', 'a']);
  world.only(0).connection.break(new Error('connection refused'));
  t.match(
    client.take(),
    /^(-NODEDOWN node node-0 \(10.0.0.1:7000\): connection refused; the command had no effect\r\n){2}$/,
  );
  world.pass(60);
  t.equal(world.only(0).greet().take(), '');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a client that goes away while its commands wait for a connection', async (t) => {
  const before = pendingsInUse();
  const world = new Plane({ nodes: 1 });
  const client = world.client().send(['GET', 'a'], ['GET', 'b']);
  const other = world.client().send(['GET', 'c']);
  client.connection.break(null);
  const link = world.only(0).greet();
  t.same(link.commands(), ['GET a', 'GET b', 'GET c']);
  link.answer('$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n');
  t.equal(other.take(), '$1\r\nc\r\n', 'who stays gets the own reply');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});
