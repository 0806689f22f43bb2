import t from 'tap';
import { bulk, type Client, command, Plane, repliesIn } from '../help/plane.js';

function setUp(limits = {}, arenaBytes?: number) {
  const world = new Plane(arenaBytes === undefined ? { limits } : { limits, arenaBytes }).greetAll();

  return { world, client: world.client(), key: world.key(0), link: world.only(0) };
}

/** Has node 0 answer what it got, and the client take its replies, until neither has anything left. */
function run(world: Plane, client: Client, reply: (words: string) => string): string {
  let received = '';
  for (;;) {
    const asked = world.only(0).commands();
    for (const words of asked) world.only(0).answer(reply(words));
    world.turn();
    const taken = client.take();
    received += taken;
    world.turn();
    if (asked.length === 0 && taken === '') return received;
  }
}

t.test('beyond sessionCommandsMax a session is not read, and goes on when half of them are answered', async (t) => {
  const { world, client, key, link } = setUp({ sessionCommandsMax: 8 });
  for (let n = 0; n < 20; n++) client.send(['SET', key, `${n}`]);
  world.turn();
  t.equal(link.commands().length, 8);
  t.ok(client.connection.isPaused);
  t.equal(world.counts.sessionPauses, 1);
  for (let n = 0; n < 3; n++) link.answer('+OK\r\n');
  world.turn();
  t.equal(link.take(), '', 'not one command at a time');
  link.answer('+OK\r\n');
  world.turn();
  t.same(
    link.commands(),
    [8, 9, 10, 11].map((n) => `SET ${key} ${n}`),
  );
});

t.test('beyond sessionRequestBytesMax a session is not read', async (t) => {
  const { world, client, key, link } = setUp({ sessionRequestBytesMax: 1_000 });
  const frame = command('SET', key, 'x'.repeat(270));
  client.sendText(frame.repeat(10));
  world.turn();
  t.equal(link.take(), frame.repeat(4), 'the one that reaches the limit is the last');
  link.answer('+OK\r\n', '+OK\r\n');
  world.turn();
  t.equal(link.take(), '');
  link.answer('+OK\r\n');
  world.turn();
  t.equal(link.take(), frame.repeat(3));
});

t.test('a single command larger than the limit is carried out by itself', async (t) => {
  const { world, client, key, link } = setUp({ sessionRequestBytesMax: 100 });
  client.send(['SET', key, 'x'.repeat(5_000)], ['GET', key]);
  world.turn();
  t.same(link.commands(), [`SET ${key} ${'x'.repeat(5_000)}`]);
  link.answer('+OK\r\n');
  world.turn();
  t.same(link.commands(), [`GET ${key}`]);
});

t.test('one deep pipeline does not keep other sessions from being carried out', async (t) => {
  const { world, client, key, link } = setUp();
  client.sendText(command('GET', key).repeat(50_000));
  const other = world.client().send(['SET', key, '1']);
  world.turn();
  t.equal(link.commands().length, world.limits.sessionCommandsMax + 1);
  for (let n = 0; n < world.limits.sessionCommandsMax; n++) link.answer('$-1\r\n');
  link.answer('+OK\r\n');
  t.equal(other.take(), '+OK\r\n');
});

t.test('a hundred thousand commands at once, in one piece', async (t) => {
  const { world, client, key } = setUp();
  const count = 100_000;
  let text = '';
  for (let n = 0; n < count; n++) text += n % 4 === 3 ? command('ECHO', `e${n}`) : command('SET', key, `s${n}`);
  client.sendText(text);
  world.turn();
  let expected = '';
  for (let n = 0; n < count; n++) expected += n % 4 === 3 ? bulk(`e${n}`) : bulk(`s${n}`);
  const received = run(world, client, (words) => bulk(words.split(' ')[2] as string));
  t.equal(received.length, expected.length);
  t.ok(received === expected, 'every reply, in order');
  t.equal(world.usedBytes, 0);
  t.equal(world.counts.commands, count);
});

t.test('a hundred thousand commands that the proxy answers itself', async (t) => {
  const { world, client } = setUp();
  client.sendText(command('ECHO', 'x'.repeat(100)).repeat(100_000));
  world.turn();
  t.ok(client.connection.output.unsentBytes < 2 * world.limits.sessionOutputSoftBytes, 'not all at once');
  const received = run(world, client, () => '');
  t.equal(received.length, 100_000 * bulk('x'.repeat(100)).length);
  t.equal(world.usedBytes, 0);
});

t.test('a client that does not read stops being read', async (t) => {
  const { world, client, key, link } = setUp({ sessionOutputSoftBytes: 1_000 });
  const value = bulk('x'.repeat(400));
  let asked = 0;
  for (let n = 0; n < 20; n++) {
    client.send(['GET', key]);
    world.turn();
    const commands = link.commands();
    asked += commands.length;
    for (const _ of commands) link.answer(value);
  }
  t.equal(asked, 3, 'with 1,200 bytes unread no fourth is taken');
  t.ok(client.connection.isPaused);
  let received = client.connection.takeSome(300);
  world.turn();
  t.ok(client.connection.isPaused, 'most of it is still unread');
  received += client.take();
  world.turn();
  t.notOk(client.connection.isPaused);
  received += run(world, client, () => value);
  t.equal(repliesIn(received).length, 20);
});

t.test('a client that takes all at once what made it be held is read on', async (t) => {
  const { world, client, key, link } = setUp({ sessionOutputSoftBytes: 1_000 });
  client.send(['GET', key], ['ECHO', 'x'.repeat(2_000)], ['ECHO', 'last']);
  world.turn();
  link.take();
  link.answer(bulk('x'.repeat(2_000)));
  world.turn();
  const received = run(world, client, () => '');
  t.same(repliesIn(received), [bulk('x'.repeat(2_000)), bulk('x'.repeat(2_000)), bulk('last')]);
  client.sendText(command('ECHO', 'y'.repeat(900)).repeat(3));
  world.turn();
  t.equal(
    run(world, client, () => ''),
    bulk('y'.repeat(900)).repeat(3),
  );
});

t.test('a client beyond sessionOutputHardBytes is closed', async (t) => {
  const { world, client, key, link } = setUp({ sessionOutputHardBytes: 1_000 });
  const other = world.client().send(['GET', key]);
  client.send(['GET', key], ['GET', key], ['GET', key]);
  world.turn();
  link.take();
  link.answer(bulk('1'), bulk('x'.repeat(600)), bulk('x'.repeat(600)));
  world.turn();
  t.ok(client.isClosed);
  t.match(client.connection.closeError, { message: /sessionOutputHardBytes 1000/ });
  t.equal(world.counts.sessionOutputCloses, 1);
  t.match(world.logs, [{ level: 'warn', event: 'session-closed', fields: { reason: /sessionOutputHardBytes/ } }]);
  link.answer(bulk('3'));
  t.equal(other.take(), bulk('1'));
  other.send(['GET', key]);
  world.turn();
  t.equal(link.commands().length, 1);
  link.answer(bulk('4'));
  t.equal(other.take(), bulk('4'), 'others do not notice');
});

t.test('replies that wait for a slow shard count, too', async (t) => {
  const { world, client, key, link } = setUp({ sessionOutputHardBytes: 1_000 });
  client.send(['GET', world.key(1)], ['GET', key], ['GET', key]);
  world.turn();
  link.take();
  link.answer(bulk('x'.repeat(600)), bulk('x'.repeat(600)));
  world.only(1).take();
  world.only(1).answer(bulk('1'));
  world.turn();
  t.ok(client.isClosed);
  t.equal(world.counts.sessionOutputCloses, 1);
  t.equal(world.usedBytes, 0);
});

t.test('a client whose replies find no room in the arena is closed for that, and not for its own limit', async (t) => {
  const world = new Plane({ arenaBytes: 16 * 1024 * 1024 }).greetAll();
  const [client, key, link] = [world.client(), world.key(0), world.only(0)];
  client.send(...Array.from({ length: 200 }, () => ['GET', key]));
  world.turn();
  link.take();
  for (let count = 0; count < 200 && !client.isClosed; count++) link.answer(bulk('x'.repeat(100_000)));
  world.turn();
  t.ok(client.isClosed);
  t.match(client.connection.closeError, { message: 'no buffer memory is left for its replies' });
  t.equal(world.counts.sessionMemoryCloses, 1);
  t.equal(world.counts.sessionOutputCloses, 0);
});

t.test('when buffers exceed workerMemoryMax the largest session is closed, and the others stay', async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 100_000 });
  const small = world.client().send(['GET', key]);
  client.send(['GET', key], ['GET', key]);
  world.turn();
  link.take();
  link.answer(bulk('x'.repeat(10_000)), bulk('x'.repeat(50_000)), bulk('x'.repeat(50_000)));
  world.pass(200);
  t.ok(client.isClosed);
  t.notOk(small.isClosed);
  t.equal(world.counts.sessionMemoryCloses, 1);
  t.match(world.logs[0], { level: 'warn', event: 'session-closed-for-memory', fields: { limit: 100_000 } });
  t.equal(small.take(), bulk('x'.repeat(10_000)));
});

t.test('where the arena is smaller than workerMemoryMax, a part of the arena is the limit', async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 1_000_000_000 }, 32 * 1024 * 1024);
  for (let n = 0; n < 400; n++) client.send(['GET', key]);
  world.turn();
  link.take();
  for (let n = 0; n < 400; n++) link.answer(bulk('x'.repeat(60_000)));
  world.pass(200);
  t.match(client.connection.closeError, { message: `buffers exceed workerMemoryMax ${24 * 1024 * 1024}` });
});

t.test('half a large command counts for whom to close', async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 100_000 });
  const sender = world.client().sendText(`*2\r\n$4\r\nECHO\r\n$1000000\r\n`);
  sender.sendText('x'.repeat(300_000));
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer(bulk('x'.repeat(150_000)));
  world.pass(200);
  t.ok(sender.isClosed, 'it holds more than who waits for a reply');
});

t.test('what has come of a large reply counts for who asked for it', async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 100_000 });
  const bystander = world.client().sendText(`*2\r\n$4\r\nECHO\r\n$1000000\r\n${'x'.repeat(120_000)}`);
  const other = world.client().send(['GET', world.key(1)]);
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer(`$2000000\r\n${'x'.repeat(300_000)}`);
  world.link(1)?.take();
  world.link(1)?.answer(bulk('x'.repeat(110_000)));
  world.pass(200);
  t.ok(client.isClosed);
  t.notOk(bystander.isClosed);
  t.notOk(other.isClosed);
  world.pass(200);
  t.ok(link.isClosed, 'nobody waits for the rest of it');
});

t.test('what is closed for memory takes its time to give it back, and nobody else is closed for that', async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 100_000 });
  const bystander = world.client().sendText(`*2\r\n$4\r\nECHO\r\n$1000000\r\n${'x'.repeat(120_000)}`);
  const { arena } = world.transport;
  // Stands for what has come of the reply: the node driver gives it back when net has closed the socket.
  const [bytes, block] = [300_000, arena.allocate(300_000)];
  client.send(['GET', key]);
  world.turn();
  link.take();
  link.answer(`*2\r\n$2000000\r\n${'x'.repeat(bytes)}`);
  const close = client.connection.destroy.bind(client.connection);
  let reason: Error | null | undefined;
  client.connection.destroy = (error) => {
    reason = error;
  };
  // Turns as long as that, in which a large value is copied, are longer than the grace.
  const pass = (turns: number) => world.pass(turns * 60, 60);
  pass(20);
  t.ok(reason, 'who asked for it is closed');
  t.notOk(link.connection.isFinished);
  close(reason ?? null);
  for (let turns = 0; !link.connection.isFinished && turns < 20; turns++) pass(1);
  t.ok(link.connection.isFinished, 'and what came for it is dropped');
  pass(1);
  arena.release(block, bytes);
  pass(20);
  t.notOk(bystander.isClosed);
  t.equal(world.counts.sessionMemoryCloses, 1);
});

t.test("memory that a split command holds is its session's", async (t) => {
  const { world, client, key, link } = setUp({ workerMemoryMax: 100_000 });
  const small = world.client().send(['GET', key]);
  client.send(['MGET', key, world.key(1)]);
  world.turn();
  link.take();
  link.answer(bulk('x'.repeat(1_000)), `*1\r\n${bulk('x'.repeat(150_000))}`);
  world.pass(200);
  t.ok(client.isClosed, 'the one that causes it');
  t.notOk(small.isClosed);
  t.ok(world.usedBytes < 100_000);
});

t.test(
  "requests that wait for a node are their session's memory, and who holds next to nothing is not closed",
  async (t) => {
    const { world, client, key } = setUp({ workerMemoryMax: 2_000_000, sessionRequestBytesMax: 10_000_000 });
    const others = Array.from({ length: 5 }, () => world.client().send(['ECHO', 'x'.repeat(100)]));
    for (let n = 0; n < 5; n++) client.send(['SET', key, 'x'.repeat(900_000)]);
    world.pass(300);
    t.ok(client.isClosed);
    t.ok(world.usedBytes > world.limits.workerMemoryMax, 'the node has yet to take what was sent to it');
    for (const other of others) t.notOk(other.isClosed);
    t.equal(world.counts.sessionMemoryCloses, 1);
  },
);
