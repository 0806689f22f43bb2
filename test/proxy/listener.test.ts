import t from 'tap';
import { TransportError } from '../../src/transport/transport.js';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, Plane } from '../help/plane.js';

t.test('a client beyond clientsMax is told so, as Redis does, and closed', async (t) => {
  const world = new Plane({ limits: { clientsMax: 2 } }).greetAll();
  const [first] = [world.client(), world.client()];
  const third = world.client();
  t.equal(third.send(['PING']).take(), '-ERR max number of clients reached\r\n');
  world.turn();
  t.ok(third.isClosed);
  t.equal(world.counts.sessionsRefused, 1);
  t.equal(world.counts.sessionsOpen, 2);
  first.connection.break(null);
  t.equal(world.counts.sessionsOpen, 1);
  t.equal(world.client().send(['PING']).take(), '+PONG\r\n', 'when one has gone there is room again');
  t.equal(world.counts.sessionsAccepted, 3);
});

t.test("a connection that is being refused takes nobody's place", async (t) => {
  const world = new Plane({ limits: { clientsMax: 2 } }).greetAll();
  const [first] = [world.client(), world.client()];
  const refused = Array.from({ length: 5 }, () => world.client().send(['PING']));
  world.turn();
  t.equal(world.transport.totalSessions(), 7, 'they have not gone yet');
  first.connection.break(null);
  t.equal(world.client().send(['PING']).take(), '+PONG\r\n');
  t.equal(world.client().send(['PING']).take(), '-ERR max number of clients reached\r\n');
  for (const client of refused) t.equal(client.take(), '-ERR max number of clients reached\r\n');
  t.equal(world.counts.sessionsRefused, 6);
});

t.test('a command that stays unfinished is given up after requestDeadlineMs', async (t) => {
  const world = new Plane({ limits: { requestDeadlineMs: 5_000 } }).greetAll();
  const [half, idle] = [world.client(), world.client()];
  half.sendText('*2\r\n$3\r\nGE');
  world.pass(4_000);
  half.sendText('T\r\n');
  world.pass(900);
  t.notOk(half.isClosed);
  world.pass(1_300);
  t.ok(half.isClosed, 'a few bytes more buy no time');
  t.match(half.connection.closeError, { message: /a command stayed unfinished \(requestDeadlineMs 5000\)/ });
  t.notOk(idle.isClosed, 'who asks nothing may stay');
  t.equal(world.counts.sessionDeadlineCloses, 1);
});

t.test('each command has a deadline of its own', async (t) => {
  const world = new Plane({ limits: { requestDeadlineMs: 5_000 } }).greetAll();
  const client = world.client();
  for (let n = 0; n < 10; n++) {
    client.sendText('PI');
    world.pass(2_000);
    client.sendText('NG\r\n');
    world.pass(2_000);
  }
  t.notOk(client.isClosed);
  t.equal(client.take(), '+PONG\r\n'.repeat(10));
});

t.test('a large command that comes slowly but steadily has time, one that hardly comes has not', async (t) => {
  // One that is held until it is whole.
  const largeValueBytes = 16 * 1024 * 1024;
  const world = new Plane({ limits: { requestDeadlineMs: 5_000, idlePingMs: 1_000_000, largeValueBytes } }).greetAll();
  const [steady, slow] = [world.client(), world.client()];
  const mebi = 'x'.repeat(1024 * 1024);
  const head = `*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${8 * mebi.length}\r\n`;
  steady.sendText(head);
  slow.sendText(head);
  for (let n = 0; n < 8; n++) {
    world.pass(1_500);
    if (!slow.isClosed) slow.sendText('x'.repeat(100_000));
    world.pass(1_500);
    steady.sendText(mebi);
  }
  t.notOk(steady.isClosed, 'a MiB every 3 s');
  t.ok(slow.isClosed, 'a MiB every 30 s');
  t.match(slow.connection.closeError, { message: /a command stayed unfinished \(requestDeadlineMs 5000\)/ });
  steady.sendText('\r\n');
  world.turn();
  const [link] = world.links(world.nodeOf('k'));
  t.equal(link?.take().length, head.length + 8 * mebi.length + 2);
});

t.test('half a command that is not read because too much is in flight has no deadline', async (t) => {
  const limits = { requestDeadlineMs: 5_000, requestTimeoutMs: 60_000, stallTimeoutMs: 60_000, sessionCommandsMax: 2 };
  const world = new Plane({ limits }).greetAll();
  const key = world.key(0);
  const client = world.client().sendText('*2\r\n$3\r\nGE');
  client.sendText(`T\r\n$${key.length}\r\n${key}\r\n${command('GET', key)}${command('GET', key).slice(0, -5)}`);
  world.turn();
  const link = world.only(0);
  t.equal(link.commands().length, 2);
  world.pass(20_000);
  t.notOk(client.isClosed);
  link.answer('$1\r\na\r\n', '$1\r\nb\r\n');
  world.pass(100);
  t.equal(client.take(), '$1\r\na\r\n$1\r\nb\r\n');
  world.pass(7_000);
  t.ok(client.isClosed, 'when it is read again it has');
});

t.test('with requestDeadlineMs 0 half a command may wait for ever', async (t) => {
  const world = new Plane({ limits: { requestDeadlineMs: 0 } }).greetAll();
  const client = world.client().sendText('PI');
  world.pass(1_000_000, 10_000);
  t.notOk(client.isClosed);
});

t.test('an idle client is closed after idleTimeoutMs, one that awaits a reply is not', async (t) => {
  const limits = { idleTimeoutMs: 3_000, requestTimeoutMs: 60_000, stallTimeoutMs: 60_000 };
  const world = new Plane({ limits }).greetAll();
  const [idle, waits, busy] = [world.client(), world.client(), world.client()];
  waits.send(['GET', world.key(0)]);
  for (let n = 0; n < 6; n++) {
    busy.send(['PING']);
    world.pass(1_000);
  }
  t.ok(idle.isClosed);
  t.match(idle.connection.closeError, { message: /idle \(idleTimeoutMs 3000\)/ });
  t.notOk(waits.isClosed);
  t.notOk(busy.isClosed);
});

t.test('a client whose reply has just come is not idle, however long it waited', async (t) => {
  const limits = { idleTimeoutMs: 3_000, requestTimeoutMs: 60_000, stallTimeoutMs: 60_000 };
  const world = new Plane({ limits }).greetAll();
  const client = world.client().send(['GET', world.key(0)]);
  world.turn();
  const link = world.only(0);
  t.equal(link.commands().length, 1);
  world.pass(6_000);
  link.answer('$5\r\nvalue\r\n');
  // The next look at the clocks comes before the kernel has taken any of it.
  world.pass(1_500);
  t.notOk(client.isClosed);
  t.equal(client.take(), '$5\r\nvalue\r\n');
  world.pass(5_000);
  t.match(client.connection.closeError, { message: /idle \(idleTimeoutMs 3000\)/ });
});

t.test('a client that slowly sends a large command, or slowly takes a large reply, is not idle', async (t) => {
  const limits = { idleTimeoutMs: 3_000, requestDeadlineMs: 0 };
  const world = new Plane({ limits }).greetAll();
  const [sends, takes, stuck] = [world.client(), world.client(), world.client()];
  sends.sendText('*2\r\n$4\r\nECHO\r\n$1000\r\n');
  takes.send(['ECHO', 'x'.repeat(1_000)]);
  stuck.send(['ECHO', 'x'.repeat(1_000)]);
  stuck.connection.takeSome(10);
  for (let n = 0; n < 10; n++) {
    world.pass(1_000);
    sends.sendText('x'.repeat(100));
    takes.connection.takeSome(50);
  }
  t.notOk(sends.isClosed);
  t.notOk(takes.isClosed);
  t.ok(stuck.isClosed);
  t.match(stuck.connection.closeError, { message: /idle \(idleTimeoutMs 3000\)/ });
});

t.test('a client that quits and does not take its last replies is cut off', async (t) => {
  const world = new Plane().greetAll();
  const client = world.client().send(['ECHO', 'x'.repeat(1_000)], ['QUIT']);
  client.connection.takeSome(10);
  world.pass(29_000, 1_000);
  t.notOk(client.isClosed);
  world.pass(3_000, 1_000);
  t.ok(client.isClosed);
  t.equal(world.counts.sessionDeadlineCloses, 1);
  t.equal(world.usedBytes, 0);
});

t.test('draining lets what is in flight finish, takes nothing new, and then is done', async (t) => {
  const before = pendingsInUse();
  const world = new Plane().greetAll();
  const [busy, idle, slow] = [world.client(), world.client(), world.client()];
  const key = world.key(0);
  busy.send(['SET', key, '1'], ['GET', key]);
  slow.send(['ECHO', 'last words']);
  world.turn();
  const link = world.only(0);
  t.equal(link.commands().length, 2);
  let isDone = false;
  world.data.drain(world.transport.now + 10_000, () => {
    isDone = true;
  });
  t.equal(world.transport.acceptor, null);
  busy.send(['SET', key, '2']);
  world.turn();
  t.ok(idle.isClosed, 'who has nothing in flight is closed at once');
  t.equal(link.take(), '');
  t.equal(slow.take(), bulk('last words'));
  link.answer('+OK\r\n');
  world.turn();
  t.notOk(isDone);
  link.answer(bulk('1'));
  t.equal(busy.take(), `+OK\r\n${bulk('1')}`);
  world.turn();
  world.turn();
  t.ok(isDone);
  t.ok(busy.isClosed);
  world.turn();
  t.ok(link.isClosed, 'the nodes are let go');
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('draining with nobody there is done at once', async (t) => {
  const world = new Plane().greetAll();
  let isDone = false;
  world.data.drain(world.transport.now + 10_000, () => {
    isDone = true;
  });
  t.ok(isDone);
});

t.test('who is still there at the end of the drain is cut off', async (t) => {
  const before = pendingsInUse();
  const world = new Plane().greetAll();
  const client = world.client().send(['SET', world.key(0), '1']);
  world.turn();
  world.only(0).take();
  let isDone = false;
  world.data.drain(world.transport.now + 1_000, () => {
    isDone = true;
  });
  world.pass(900);
  t.notOk(isDone);
  world.pass(200);
  t.ok(isDone);
  t.ok(client.isClosed);
  t.match(world.logs, [
    { level: 'warn', event: 'drain-cut-off', fields: { sessions: 1 } },
    { level: 'warn', event: 'session-closed', fields: { reason: 'the proxy is stopping' } },
  ]);
  world.turn();
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a session that waits for HELLO, or is held, drains as well', async (t) => {
  const world = new Plane({ limits: { sessionCommandsMax: 2 } }).greetAll();
  const key = world.key(0);
  const hello = world.client().send(['GET', key], ['HELLO', '3'], ['GET', key]);
  const held = world.client().sendText(command('SET', key, '1').repeat(5));
  world.turn();
  const link = world.only(0);
  t.equal(link.commands().length, 3);
  let isDone = false;
  world.data.drain(world.transport.now + 10_000, () => {
    isDone = true;
  });
  link.answer('$-1\r\n', '+OK\r\n', '+OK\r\n');
  world.turn();
  t.equal(hello.take(), '$-1\r\n');
  t.equal(held.take(), '+OK\r\n+OK\r\n', 'what was not read was not carried out, and is not answered');
  world.turn();
  t.equal(link.take(), '');
  t.ok(isDone);
});

t.test('a pause in accepting is counted and logged', async (t) => {
  const world = new Plane().greetAll();
  world.transport.acceptor?.onAcceptPaused(new TransportError('EMFILE', 'accept: too many open files'), 100);
  t.equal(world.counts.acceptPauses, 1);
  t.match(world.logs, [{ level: 'error', event: 'accept-paused', fields: { code: 'EMFILE', pausedMs: 100 } }]);
});
