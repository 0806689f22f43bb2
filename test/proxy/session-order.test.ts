import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, Plane, repliesIn } from '../help/plane.js';

function setUp(limits = {}) {
  const world = new Plane({ limits }).greetAll();
  return {
    world,
    client: world.client(),
    keys: [world.key(0), world.key(1), world.key(2)] as [string, string, string],
  };
}

t.test('a slow shard does not reorder replies', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['GET', keys[0]], ['GET', keys[1]], ['GET', keys[2]], ['GET', keys[0]]);
  world.turn();
  world.only(2).answer(world.only(2).take() && bulk('two'));
  t.equal(client.take(), '');
  world.only(1).answer(world.only(1).take() && bulk('one'));
  t.equal(client.take(), '', 'still behind the first');
  world.only(0).answer(world.only(0).take() && bulk('zero'));
  t.equal(client.take(), bulk('zero') + bulk('one') + bulk('two'));
  world.only(0).answer(bulk('last'));
  t.equal(client.take(), bulk('last'));
  t.equal(world.usedBytes, 0);
});

t.test('every order in which three shards may answer gives the same replies', async (t) => {
  for (const order of [
    [0, 1, 2],
    [0, 2, 1],
    [1, 0, 2],
    [1, 2, 0],
    [2, 0, 1],
    [2, 1, 0],
  ]) {
    const { world, client, keys } = setUp();
    client.send(
      ['GET', keys[0]],
      ['PING'],
      ['GET', keys[1]],
      ['CONFIG', 'NONSENSE'],
      ['MGET', ...keys],
      ['GET', keys[2]],
      ['PING'],
    );
    world.turn();
    for (const node of order) {
      const link = world.only(node);
      t.same(link.commands().length, 2);
      const [single, part] = [bulk(`single ${node}`), `*1\r\n${bulk(`part ${node}`)}`];
      link.answer(node === 2 ? part + single : single + part);
    }
    t.same(repliesIn(client.take()), [
      bulk('single 0'),
      '+PONG\r\n',
      bulk('single 1'),
      "-ERR unknown subcommand 'NONSENSE'. Try CONFIG HELP.\r\n",
      `*3\r\n${bulk('part 0')}${bulk('part 1')}${bulk('part 2')}`,
      bulk('single 2'),
      '+PONG\r\n',
    ]);
    t.equal(world.usedBytes, 0);
  }
});

t.test('a parked reply is a copy: what the node sends next does not change it', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['GET', keys[0]], ['GET', keys[1]]);
  world.turn();
  world.only(1).take();
  world.only(1).answer(bulk('a'.repeat(500)));
  const other = world.client().send(['GET', keys[1]]);
  world.turn();
  world.only(1).take();
  world.only(1).answer(bulk('b'.repeat(500)));
  t.equal(other.take(), bulk('b'.repeat(500)));
  world.only(0).take();
  world.only(0).answer(bulk('first'));
  t.equal(client.take(), bulk('first') + bulk('a'.repeat(500)));
});

t.test('replies of sessions that share a connection do not mix', async (t) => {
  const { world, keys } = setUp();
  const clients = Array.from({ length: 10 }, () => world.client());
  for (let n = 0; n < 5; n++) {
    for (const [index, client] of clients.entries()) client.send(['ECHO', `${index}.${n}`], ['GET', `${keys[0]}`]);
  }
  world.turn();
  const link = world.only(0);
  t.equal(link.commands().length, 50);
  for (let n = 0; n < 5; n++) for (const index of clients.keys()) link.answer(bulk(`reply ${index}.${n}`));
  for (const [index, client] of clients.entries()) {
    const expected = [0, 1, 2, 3, 4].map((n) => bulk(`${index}.${n}`) + bulk(`reply ${index}.${n}`));
    t.equal(client.take(), expected.join(''));
  }
});

t.test('replies in pieces of a byte', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['GET', keys[0]], ['INCR', keys[0]], ['MGET', keys[0], keys[1]], ['HGETALL', keys[0]]);
  world.turn();
  world.only(0).take();
  world.only(1).take();
  world.only(1).answer(`*1\r\n${bulk('b')}`);
  const map = `*2\r\n${bulk('field')}${bulk('value')}`;
  for (const byte of `${bulk('value')}:12\r\n*1\r\n$-1\r\n${map}`) world.only(0).answer(byte);
  t.equal(client.take(), `${bulk('value')}:12\r\n*2\r\n$-1\r\n${bulk('b')}${map}`);
});

t.test('a pipeline cut anywhere is the same pipeline', async (t) => {
  const key = new Plane().key(0);
  const text = `${command('SET', key, 'a\r\nb')}GET ${key}\r\n\r\n${command('PING')}*0\r\n${command('ECHO', '')}ping\r\n`;
  const cuts = [...Array(text.length + 1).keys()];
  for (const cut of cuts) {
    const { world, client } = setUp();
    client.sendText(text.slice(0, cut));
    world.turn();
    client.sendText(text.slice(cut));
    world.turn();
    const link = world.only(0);
    if (link.take() !== command('SET', key, 'a\r\nb') + command('GET', key)) t.fail(`cut at ${cut}`);
    link.answer('+OK\r\n', bulk('a\r\nb'));
    if (client.take() !== `+OK\r\n${bulk('a\r\nb')}+PONG\r\n${bulk('')}+PONG\r\n`) t.fail(`cut at ${cut}`);
    if (world.usedBytes !== 0) t.fail(`cut at ${cut} leaves ${world.usedBytes} bytes`);
  }
  t.equal(cuts.length, text.length + 1);
});

t.test('inline commands mean what they mean to Redis', async (t) => {
  const { world, client, keys } = setUp();
  client.sendText(`  set ${keys[0]} "a b\\x41\\n" \r\nGET '${keys[0]}'\nMGET ${keys[0]} ${keys[1]}\r\n`);
  world.turn();
  t.equal(world.only(0).take(), command('set', keys[0], 'a bA\n') + command('GET', keys[0]) + command('MGET', keys[0]));
  t.equal(world.only(1).take(), command('MGET', keys[1]));
});

t.test('a protocol error comes after the replies before it, and then the connection closes', async (t) => {
  for (const [garbage, error] of [
    ['*2\r\n$3\r\nGET\r\n+x\r\n', "Protocol error: expected '$', got '+'"],
    ['*a\r\n', 'Protocol error: invalid multibulk length'],
    ['*1\r\n$-5\r\n', 'Protocol error: invalid bulk length'],
    ['*1\r\n$99999999999\r\n', 'Protocol error: invalid bulk length'],
    ['GET "\r\n', 'Protocol error: unbalanced quotes in request'],
    ['x'.repeat(70_000), 'Protocol error: too big inline request'],
  ] as const) {
    const { world, client, keys } = setUp();
    client.sendText(command('GET', keys[0]) + command('PING') + garbage + command('GET', keys[0]));
    world.turn();
    t.equal(client.take(), '');
    t.notOk(client.isClosed);
    t.same(world.only(0).commands(), [`GET ${keys[0]}`], 'nothing after it is carried out');
    world.only(0).answer(bulk('1'));
    world.turn();
    t.equal(client.take(), `${bulk('1')}+PONG\r\n-ERR ${error}\r\n`);
    world.turn();
    t.ok(client.isClosed);
    t.equal(world.counts.protocolErrors, 1);
    t.equal(world.usedBytes, 0);
  }
});

t.test('QUIT is answered after the replies before it; what follows it is not carried out', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['GET', keys[0]], ['QUIT'], ['SET', keys[0], 'no']);
  world.turn();
  t.same(world.only(0).commands(), [`GET ${keys[0]}`]);
  t.equal(client.take(), '');
  world.only(0).answer(bulk('1'));
  t.equal(client.take(), `${bulk('1')}+OK\r\n`);
  world.turn();
  t.ok(client.isClosed);
});

t.test('a client that sends no more still gets its replies', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['GET', keys[0]], ['SET', keys[1], '1']).sendText('*1\r\n$4\r\nPI');
  client.connection.end();
  world.turn();
  world.only(1).answer(world.only(1).take() && '+OK\r\n');
  t.notOk(client.isClosed);
  world.only(0).answer(world.only(0).take() && bulk('1'));
  t.equal(client.take(), `${bulk('1')}+OK\r\n`);
  world.turn();
  t.ok(client.isClosed);
});

t.test('a client that goes away with replies in flight: nobody gets them, and nothing is kept', async (t) => {
  const before = pendingsInUse();
  const { world, client, keys } = setUp();
  const other = world.client();
  client.send(['GET', keys[0]], ['GET', keys[1]], ['MGET', ...keys], ['SET', keys[1], '1'], ['PING']);
  other.send(['GET', keys[0]], ['GET', keys[1]]);
  world.turn();
  for (const node of [0, 1, 2]) world.only(node).take();
  world.only(1).answer(bulk('parked'), `*1\r\n${bulk('part')}`);
  client.connection.break(new Error('reset'));
  t.equal(world.counts.sessionsOpen, 1);
  world.only(1).answer('+OK\r\n', bulk('mine'));
  t.equal(other.take(), '');
  world.only(0).answer(bulk('not mine'), `*1\r\n${bulk('part')}`, bulk('first'));
  t.equal(other.take(), bulk('first') + bulk('mine'));
  world.only(2).answer(`*1\r\n${bulk('part')}`);
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('the memory of a split command of a client that went away is not kept until the last part comes', async (t) => {
  const { world, client, keys } = setUp();
  client.send(['MGET', ...keys]);
  world.turn();
  for (const node of [0, 1, 2]) world.only(node).take();
  world.only(0).answer(`*1\r\n${bulk('x'.repeat(100_000))}`);
  t.ok(world.usedBytes > 100_000);
  client.connection.break(null);
  world.only(1).answer(`*1\r\n${bulk('x'.repeat(100_000))}`);
  t.ok(world.usedBytes < 10_000, `${world.usedBytes} bytes are held`);
  world.only(2).answer('*1\r\n$-1\r\n');
  t.equal(world.usedBytes, 0);
});
