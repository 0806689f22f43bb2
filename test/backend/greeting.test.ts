import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { ANSWERS, bulk, type Client, command, type NodeLink, Plane } from '../help/plane.js';

/** Goes with every greeting. */
const ASK = ['CONFIG GET proto-max-bulk-len', 'CONFIG GET databases'];
const NODE = 'node node-0 (10.0.0.1:7000)';

/** A plane with one node, whose connection was accepted, and a client that asked something meanwhile. */
function setUp(node = {}, limits = {}): { world: Plane; link: NodeLink; client: Client } {
  const world = new Plane({ nodes: 1, node: () => node, limits });
  const client = world.client().send(['GET', 'a'], ['SET', 'a', '1']);
  world.turn();
  return { world, link: world.only(0).open(), client };
}

t.test('without a password HELLO 2 is the greeting, and nothing goes before its reply', async (t) => {
  const { world, link } = setUp();
  t.same(link.commands(), ['HELLO 2', ...ASK]);
  world.turn();
  t.equal(link.take(), '');
  link.answer('*2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n');
  t.equal(link.take(), '', 'nor before the reply to the other question');
  link.answer(ANSWERS[2]);
  t.same(link.commands(), ['GET a', 'SET a 1']);
  t.equal(world.data.pool.version(world.topology.nodes), '7.0.15');
  t.same(world.nodeStates, ['node-0 up 7.0.15']);
  t.equal(world.counts.nodeConnects, 1);
});

t.test('the greeting carries the name and the password', async (t) => {
  t.same(setUp({ password: 's3cret' }).link.commands(), ['HELLO 2 AUTH default s3cret', ...ASK]);
  t.same(
    setUp({ username: 'app', password: 's 3' }).link.take(),
    command('HELLO', '2', 'AUTH', 'app', 's 3') + ASK.map((line) => command(...line.split(' '))).join(''),
  );
});

t.test('what Redis 7.0 really says to HELLO', async (t) => {
  const { world, link, client } = setUp();
  link.take();
  const fields =
    '$6\r\nserver\r\n$5\r\nredis\r\n$7\r\nversion\r\n$5\r\n7.2.4\r\n$5\r\nproto\r\n:2\r\n$2\r\nid\r\n:3\r\n';
  link.answer(
    `*14\r\n${fields}$4\r\nmode\r\n$10\r\nstandalone\r\n$4\r\nrole\r\n$6\r\nmaster\r\n$7\r\nmodules\r\n*0\r\n`,
  );
  link.answer(ANSWERS[2]);
  t.equal(world.data.pool.version(world.topology.nodes), '7.2.4');
  t.same(link.commands(), ['GET a', 'SET a 1']);
  link.answer('$-1\r\n+OK\r\n');
  t.equal(client.take(), '$-1\r\n+OK\r\n');
});

t.test('a greeting in pieces of a byte', async (t) => {
  const { world, link } = setUp();
  link.take();
  for (const byte of `*2\r\n$7\r\nversion\r\n$6\r\n7.0.15\r\n${ANSWERS[2]}`) {
    t.equal(link.take(), '');
    link.answer(byte);
  }
  t.same(link.commands(), ['GET a', 'SET a 1']);
  t.same(world.nodeStates, ['node-0 up 7.0.15']);
});

t.test('a greeting that is refused: the node is down, and the reason is told', async (t) => {
  for (const error of [
    'WRONGPASS invalid username-password pair or user is disabled.',
    'NOAUTH HELLO must be called with the client already authenticated',
    'ERR max number of clients reached',
    'DENIED Redis is running in protected mode',
    'NOPERM this user has no permissions to run the hello command',
  ]) {
    const { world, link, client } = setUp();
    link.take();
    link.answer(`-${error}\r\n`);
    link.connection.end();
    world.turn();
    const why = `${NODE}: it refused the greeting: ${error}; the command had no effect`;
    t.equal(client.take(), `-NODEDOWN ${why}\r\n-NODEDOWN ${why}\r\n`);
    t.same(world.nodeStates, [`node-0 down it refused the greeting: ${error}`]);
    t.ok(link.isClosed);
    t.equal(world.counts.nodeConnectFailures, 1);
    t.equal(world.usedBytes, 0);
  }
});

t.test('a node that says back what it was greeted with does not give the password away', async (t) => {
  const echoes: [string, RegExp][] = [
    [
      '-ERR unknown command `HELLO`, with args beginning with: `2`, `AUTH`, `default`, `s3cr',
      /unknown command `HELLO`;/,
    ],
    ['-ERR unknown user or password s3cret\r\n', /unknown user or password \.\.\.;/],
    ['HELLO 2 AUTH default s3cret?', /'HELLO 2 AUTH default \.\.\.\?'/],
    ['HELLO 2 AUTH default s3cre', /'HELLO 2 AUTH default \.\.\.'/],
  ];
  for (const [echo, shown] of echoes) {
    const { world, link, client } = setUp({ password: 's3cret' });
    link.take();
    link.answer(echo);
    if (echo.startsWith('-ERR unknown command')) {
      link.answer('`\r\n', '-NOAUTH no\r\n'.repeat(2));
      t.same(link.commands(), ['AUTH s3cret', ...ASK], 'RESP2 needs no HELLO');
      link.answer('-ERR unknown command `AUTH`, with args beginning with: `s3cret`\r\n');
    }
    world.turn();
    const said = `${client.take()}${world.nodeStates}`;
    t.notMatch(said, /s3cr/);
    t.match(said, echo.startsWith('-ERR unknown command') ? /unknown command `AUTH`;/ : shown);
  }
});

t.test('a refusal that comes before the greeting was taken', async (t) => {
  const { world, link, client } = setUp();
  link.answer('-ERR max number of clients reached\r\n');
  link.connection.break(new Error('reset'));
  world.turn();
  t.match(client.take(), /it refused the greeting: ERR max number of clients reached/, 'the reason, not that it broke');
});

t.test('a Redis without HELLO is greeted with PING', async (t) => {
  const { world, link } = setUp();
  link.take();
  link.answer('-ERR unknown command `HELLO`, with args beginning with: `2`, \r\n', ANSWERS[2]);
  t.same(link.commands(), ['PING', ...ASK]);
  link.answer('+PONG\r\n', ANSWERS[2]);
  t.same(link.commands(), ['GET a', 'SET a 1']);
  t.same(world.nodeStates, ['node-0 up']);
});

t.test('a Redis without HELLO is given the password with AUTH', async (t) => {
  const { link } = setUp({ password: 'pw' });
  link.take();
  link.answer("-ERR unknown command 'HELLO'\r\n", '-NOAUTH Authentication required.\r\n'.repeat(2));
  t.same(link.commands(), ['AUTH pw', ...ASK]);
  link.answer('+OK\r\n', ANSWERS[2]);
  t.same(link.commands(), ['GET a', 'SET a 1']);
});

t.test('a Redis without HELLO that wants another password', async (t) => {
  const { world, link, client } = setUp({ username: 'app', password: 'pw' });
  link.take();
  link.answer("-ERR unknown command 'HELLO'\r\n", '-NOAUTH Authentication required.\r\n'.repeat(2));
  t.same(link.commands(), ['AUTH app pw', ...ASK]);
  link.answer("-ERR wrong number of arguments for 'auth' command\r\n");
  world.turn();
  t.match(client.take(), /it refused the greeting: ERR wrong number of arguments for 'auth' command/);
});

t.test('a Redis that does not know PING either is no Redis', async (t) => {
  const { world, link, client } = setUp();
  link.take();
  link.answer('-ERR unknown command\r\n'.repeat(3));
  link.take();
  link.answer('-ERR unknown command\r\n');
  world.turn();
  t.match(client.take(), /^-NODEDOWN .*it refused the greeting: ERR unknown command;/);
});

t.test('an old Redis cannot serve RESP3, and says so', async (t) => {
  const world = new Plane({ nodes: 1 }).greetAll();
  const client = world.client().send(['HELLO', '3']);
  client.take();
  client.send(['GET', 'a']);
  world.turn();
  const link = world.links(0, 3).at(-1) as NodeLink;
  link.open();
  t.same(link.commands(), ['HELLO 3', ...ASK]);
  link.answer("-ERR unknown command 'HELLO'\r\n", '-NOAUTH Authentication required.\r\n'.repeat(2));
  world.turn();
  t.match(client.take(), /^-NODEDOWN .*it refused the greeting: ERR unknown command 'HELLO';/);
});

t.test('a "Redis" that answers the greeting with garbage', async (t) => {
  for (const [garbage, reason] of [
    [
      'HTTP/1.1 400 Bad Request\r\n\r\n',
      "it answered what is not RESP: 'HTTP/1.1 400 Bad Request\\x0d\\x0a\\x0d\\x0a'",
    ],
    ['\0\0\0\0\0', "it answered what is not RESP: '\\x00\\x00\\x00\\x00\\x00'"],
    ['220 mail.example.com ESMTP\r\n', "it answered what is not RESP: '220 mail.example.com ESMTP\\x0d\\x0a'"],
  ] as const) {
    const { world, link, client } = setUp();
    link.answer(garbage);
    world.turn();
    t.ok(link.isClosed);
    t.match(client.take(), `-NODEDOWN ${NODE}: ${reason}; the command had no effect\r\n`);
    t.equal(world.usedBytes, 0);
  }
});

t.test('greetings that are RESP but no greeting neither hang nor read beyond themselves', async (t) => {
  for (const reply of ['+OK\r\n', ':1\r\n', '*0\r\n', '*-1\r\n', '$-1\r\n', '_\r\n', '*1\r\n$7\r\nversion\r\n']) {
    const { world, link } = setUp();
    link.take();
    link.answer(reply, '-ERR no\r\n'.repeat(2));
    t.same(link.commands(), ['GET a', 'SET a 1'], JSON.stringify(reply));
    t.same(world.nodeStates, ['node-0 up']);
  }
  for (const reply of ['*3\r\n$1\r\na\r\n*2\r\n:1\r\n:2\r\n$7\r\nversion\r\n', '*2\r\n$7\r\nversion\r\n*1\r\n:7\r\n']) {
    const { link } = setUp();
    link.take();
    link.answer(reply, '-ERR no\r\n'.repeat(2));
    t.same(link.commands(), ['GET a', 'SET a 1'], JSON.stringify(reply));
  }
});

t.test('a version is not read beyond the end of the greeting', async (t) => {
  const { world, link } = setUp();
  link.answer('*1\r\n$7\r\nversion\r\n', '-NOPERM no\r\n'.repeat(2), '$6\r\n9.9.99\r\n');
  t.equal(world.data.pool.version(world.topology.nodes), '');
  world.turn();
  t.ok(link.isClosed, 'the reply behind them is one that nobody asked for');
});

t.test('two replies to one greeting', async (t) => {
  const { world, link } = setUp();
  link.answer('-ERR no\r\n+OK\r\n');
  world.turn();
  t.ok(link.isClosed);
  t.same(world.nodeStates, ['node-0 down it refused the greeting: ERR no']);
});

t.test('a node that never answers the greeting is given up after connectTimeoutMs', async (t) => {
  const before = pendingsInUse();
  const { world, link, client } = setUp({}, { queueTimeoutMs: 60_000 });
  world.pass(world.limits.connectTimeoutMs);
  t.equal(client.take(), '', 'until then the commands wait');
  world.pass(100);
  const why = `${NODE}: no answer to connecting and greeting within 2000 ms; the command had no effect`;
  t.equal(client.take(), `-NODEDOWN ${why}\r\n-NODEDOWN ${why}\r\n`);
  t.ok(link.isClosed);
  t.equal(pendingsInUse(), before);
});

t.test('a node that never accepts is given up after connectTimeoutMs', async (t) => {
  const world = new Plane({ nodes: 1 });
  const link = world.only(0);
  world.pass(world.limits.connectTimeoutMs + 100);
  t.ok(link.isClosed);
  t.same(world.nodeStates, ['node-0 down no answer to connecting and greeting within 2000 ms']);
});

t.test('what the node takes no more of is refused, by its name, before it is sent', async (t) => {
  const greetings: [2 | 3, string][] = [
    [2, '*2\r\n$18\r\nproto-max-bulk-len\r\n$4\r\n1000\r\n'],
    [3, '%1\r\n$18\r\nproto-max-bulk-len\r\n$4\r\n1000\r\n'],
  ];
  for (const [protocol, reply] of greetings) {
    const world = new Plane({ nodes: 1 }).greetAll();
    world.only(0).connection.break(new Error('reset'));
    world.pass(100);
    const client = world.client().send(['HELLO', `${protocol}`]);
    client.take();
    const small = 'x'.repeat(1_000);
    const large = 'x'.repeat(1_001);
    client.send(['SET', 'waits', large], ['SET', 'a', small]);
    world.turn();
    const link = world.links(0, protocol).at(-1) as NodeLink;
    link.open().take();
    link.protocol = protocol;
    link.answer(protocol === 2 ? '*0\r\n' : '%0\r\n', reply, '-NOPERM no\r\n');
    client.send(['SET', 'b', small], ['SET', 'c', large], ['MSET', 'd', small, 'e', small], [large]);
    world.turn();
    t.equal(
      link.take(),
      command('SET', 'a', small) + command('SET', 'b', small) + command('MSET', 'd', small, 'e', small),
    );
    link.answer('+OK\r\n'.repeat(3));
    const limit = 'an argument is larger than it takes (proto-max-bulk-len 1000); the command was not sent';
    const refusal = `-OVERLOADED ${NODE}: ${limit}\r\n`;
    t.match(client.take(), `${refusal}+OK\r\n+OK\r\n${refusal}+OK\r\n-ERR unknown command`);
    t.equal(world.counts.commandsOverloaded, 2);
  }
});

t.test('where the node says nothing of its bound, or refuses to, it is believed to have none', async (t) => {
  for (const reply of ['-NOPERM no\r\n', '*0\r\n', `*2\r\n${bulk('proto-max-bulk-len')}${bulk('?')}`, ':1\r\n']) {
    const { link, client } = setUp();
    link.take();
    link.answer('*0\r\n', reply, '-NOPERM no\r\n');
    link.take();
    const words = ['SET', 'b', 'x'.repeat(2_000_000)];
    client.send(words);
    t.equal(link.take(), command(...words), reply);
  }
});
