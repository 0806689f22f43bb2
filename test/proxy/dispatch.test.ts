import t from 'tap';
import { COMMANDS } from '../../src/resp/commands.js';
import { bulk, command, type NodeLink, Plane, repliesIn } from '../help/plane.js';

function setUp() {
  const world = new Plane().greetAll();
  return {
    world,
    client: world.client(),
    keys: [world.key(0), world.key(1), world.key(2)] as [string, string, string],
  };
}

t.test("what no node can carry out is refused here, in Redis's words, and no node hears of it", async (t) => {
  const { world, client } = setUp();
  for (const [words, reply] of [
    [['x'.repeat(200)], `-ERR unknown command '${'x'.repeat(128)}', with args beginning with: \r\n`],
    [['a\r\nb'], "-ERR unknown command 'a  b', with args beginning with: \r\n"],
    [['GET'], "-ERR wrong number of arguments for 'get' command\r\n"],
    [['get', 'a', 'b'], "-ERR wrong number of arguments for 'get' command\r\n"],
    [['MGET'], "-ERR wrong number of arguments for 'mget' command\r\n"],
    [['CONFIG'], "-ERR wrong number of arguments for 'config' command\r\n"],
    [['CONFIG', 'NONSENSE'], "-ERR unknown subcommand 'NONSENSE'. Try CONFIG HELP.\r\n"],
    [['OBJECT', 'FREQ'], "-ERR wrong number of arguments for 'object|freq' command\r\n"],
    [
      ['CLUSTER', 'MEET', '127.0.0.1', '1'],
      '-ERR CLUSTER MEET is not supported by this proxy: it shows itself as a cluster of one node; which nodes are behind it, and which keys they have, its configuration says: change `pools` there, and reload it\r\n',
    ],
    [
      ['SHUTDOWN'],
      '-ERR SHUTDOWN is not supported by this proxy: a node is stopped by a connection to the node itself, and the proxy by SIGTERM\r\n',
    ],
  ] as const) {
    t.equal(client.send([...words]).take(), reply, words.join(' ').slice(0, 40));
  }
  world.turn();
  for (const node of [0, 1, 2]) t.equal(world.only(node).take(), '');
});

t.test(
  'keys of different shards are refused where more than one is written, with two of them and where they lie',
  async (t) => {
    const { world, client, keys } = setUp();
    const text = (a: string, b: string) =>
      `-CROSSSLOT Keys in request don't hash to the same shard: '${keys[0]}' on node ${a}, '${keys[1]}' on node ${b}; ` +
      'a {hash tag} keeps keys together\r\n';
    for (const words of [
      ['RENAME', keys[0], keys[1]],
      ['RENAMENX', keys[0], keys[1]],
      ['SMOVE', keys[0], keys[1], 'member'],
      ['RPOPLPUSH', keys[0], keys[1]],
      ['EVAL', 'return 1', '2', keys[0], keys[1]],
      ['FCALL', 'f', '2', keys[0], keys[1]],
      ['LMOVE', keys[0], keys[1], 'LEFT', 'RIGHT'],
      ['ZMPOP', '2', keys[0], keys[1], 'MIN'],
      ['XREAD', 'BLOCK', '0', 'STREAMS', keys[0], keys[1], '0', '0'],
      ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', keys[0], keys[1], '>', '>'],
      ['MSETNX', keys[0], '1', keys[1], '1'],
    ]) {
      t.equal(client.send(words).take(), text('node-0', 'node-1'), words.join(' '));
    }
    const odd = world.key(2, '\r\n\xff');
    const reply = client.send(['RENAME', keys[0], odd]).take();
    t.match(reply, /^-CROSSSLOT [^\r\n]*'\\x0d\\x0a\\xff:\d+' on node node-2;[^\r\n]*\r\n$/);
    for (const node of [0, 1, 2]) t.equal(world.only(node).take(), '');
  },
);

t.test('keys of one shard go to it as they came, hash tags or not', async (t) => {
  const { world, client, keys } = setUp();
  const other = world.key(1, 'other');
  for (const words of [
    ['GET', keys[1]],
    ['rename', keys[1], other],
    ['EVAL', 'return redis.call("get", KEYS[1])', '1', keys[1], 'argument'],
    ['SINTER', keys[1], other, `{${keys[1]}}`],
    ['MGET', keys[1], other],
    ['BITOP', 'NOT', keys[1], other],
    ['GEORADIUS', keys[1], '0', '0', '1', 'm', 'STORE', other],
  ]) {
    client.send(words);
    world.turn();
    t.equal(world.only(1).take(), command(...words), words.join(' '));
    world.only(1).answer(bulk(words[0] as string));
    t.equal(client.take(), bulk(words[0] as string));
  }
});

t.test('a command without keys goes to some one node', async (t) => {
  const { world, client } = setUp();
  client.send(['EVAL', 'return 1', '0']);
  world.turn();
  t.same(world.only(0).commands(), ['EVAL return 1 0']);
  world.only(0).answer(':1\r\n');
  t.equal(client.take(), ':1\r\n');
});

t.test('arguments that make no sense are for a node to explain', async (t) => {
  const { world, client, keys } = setUp();
  for (const words of [
    ['EVAL', 'return 1', 'x'],
    ['EVAL', 'return 1', '5', keys[1]],
    ['MSET', keys[1], '1', keys[2]],
    ['ZUNION', '-1', keys[1]],
    ['XREAD', 'STREAMS', keys[1], keys[2], '0'],
  ]) {
    client.send(words);
    world.turn();
    t.equal(world.only(0).take(), command(...words));
    world.only(0).answer('-ERR no\r\n');
    t.equal(client.take(), '-ERR no\r\n');
  }
});

t.test('what all nodes answer alike is asked of one that is up', async (t) => {
  const world = new Plane();
  const client = world.client();
  world.link(0)?.connection.break(new Error('connection refused'));
  (world.link(2) as NodeLink).greet();
  client.send(['CONFIG', 'GET', 'maxmemory']);
  world.turn();
  t.same(world.only(2).commands(), ['CONFIG GET maxmemory']);
});

t.test(
  'a RESP3 session, whose connections are made when needed, does not ask a node that is known to be down',
  async (t) => {
    const world = new Plane();
    const client = world.client();
    client.send(['HELLO', '3'], ['GET', world.key(0)]);
    client.take();
    for (const link of world.links(0, 3)) link.connection.break(new Error('connection refused'));
    world.turn();
    t.match(client.take(), /^-NODEDOWN /);
    client.send(['COMMAND', 'COUNT']);
    world.turn();
    const asked = [1, 2].map((node) => world.links(node, 3).length);
    t.ok(asked.includes(2), 'another node is connected to');
    t.equal(client.take(), '');
  },
);

t.test('with no node up the reason is that of the first', async (t) => {
  const world = new Plane({ nodes: 2 });
  for (const node of [0, 1]) world.link(node)?.connection.break(new Error('connection refused'));
  t.match(world.client().send(['COMMAND', 'COUNT']).take(), /^-NODEDOWN node node-0 /);
});

t.test('DBSIZE, FLUSHALL and INFO ask every node', async (t) => {
  const { world, client } = setUp();
  client.send(['DBSIZE'], ['FLUSHALL', 'ASYNC'], ['FLUSHDB']);
  world.turn();
  for (const node of [0, 1, 2]) {
    const link = world.only(node);
    t.same(link.commands(), ['DBSIZE', 'FLUSHALL ASYNC', 'FLUSHDB']);
    link.answer(`:${10 ** node}\r\n`, '+OK\r\n', '+OK\r\n');
  }
  t.equal(client.take(), ':111\r\n+OK\r\n+OK\r\n');
  t.equal(world.usedBytes, 0);
});

function infoReply(node: number): string {
  return bulk(`# Server\r\nredis_version:7.0.15\r\n\r\n# Keyspace\r\ndb0:keys=${node + 1},expires=0,avg_ttl=0\r\n`);
}

t.test('two sessions that ask INFO before anything was sent share one round', async (t) => {
  const { world, client } = setUp();
  const other = world.client();
  client.send(['INFO']);
  other.send(['INFO']);
  world.client().send(['INFO']).connection.break(null);
  world.turn();
  for (const node of [0, 1, 2]) {
    const link = world.only(node);
    t.same(link.commands(), ['INFO']);
    link.answer(infoReply(node));
  }
  const reply = client.take();
  t.match(reply, /db0:keys=6,/);
  t.equal(other.take(), reply);
  t.equal(world.usedBytes, 0);
  client.send(['INFO']);
  world.turn();
  t.same(world.only(0).commands(), ['INFO'], 'afterwards there is another round');
});

t.test('who asks INFO after it was sent to one node does not share the answer', async (t) => {
  const { world, client } = setUp();
  const other = world.client();
  client.send(['INFO']);
  world.turn();
  t.same(world.only(1).commands(), ['INFO']);
  other.send(['INFO']);
  world.turn();
  t.same(world.only(1).commands(), ['INFO']);
  t.same(world.only(0).commands(), ['INFO', 'INFO']);
});

t.test('other arguments, and another protocol, make another round', async (t) => {
  const { world, client } = setUp();
  client.send(['INFO']);
  world.client().send(['INFO', 'server']);
  world.client().send(['info']);
  world.turn();
  t.same(world.only(0).commands(), ['INFO', 'INFO server', 'info']);
});

t.test('INFO does not overtake what its own session asked before', async (t) => {
  const { world, client, keys } = setUp();
  const other = world.client();
  client.send(['INFO', 'keyspace']);
  other.send(['SET', keys[0], '1'], ['INFO', 'keyspace']);
  world.turn();
  t.same(world.only(0).commands(), ['INFO keyspace', `SET ${keys[0]} 1`, 'INFO keyspace']);
});

t.test('sessions that wait for the nodes to be connected to share one INFO', async (t) => {
  const world = new Plane({ nodes: 2 });
  const clients = Array.from({ length: 100 }, () => world.client().send(['INFO']));
  world.turn();
  for (const node of [0, 1]) {
    const link = (world.link(node) as NodeLink).greet();
    t.same(link.commands(), ['INFO']);
    link.answer(infoReply(node));
  }
  for (const client of clients) t.match(repliesIn(client.take())[0], /db0:keys=3,/);
});

t.test('every command of the table with as few arguments as it takes is answered or sent', async (t) => {
  // No time passes: a node that does not answer a script for SUSPECT_MS (busy-scripts) is asked by PING whether it is busy.
  const world = new Plane({ nodes: 2 }).greetAll();
  for (const spec of COMMANDS) {
    const client = world.client();
    const words = spec.name.split('|');
    while (words.length < Math.abs(spec.arity)) words.push('1');
    client.send(words);
    world.turn();
    // CLIENT PAUSE 1 holds up the next ones no longer.
    if (spec.name === 'client|pause') world.pass(2);
    // SCRIPT KILL goes by a connection of its own, and SUBSCRIBE by one that speaks RESP3.
    const links = (node: number) => new Set([...world.links(node), ...world.links(node, 3)]);
    for (const link of [0, 1].flatMap((node) => [...links(node)])) if (link.protocol === null) link.greet();
    world.turn();
    const sent = [0, 1].map((node) => [...links(node)].flatMap((link) => link.commands()).length);
    const replies = repliesIn(client.take()).length;
    const isSent = (sent[0] as number) + (sent[1] as number) > 0;
    if (replies + (isSent ? 1 : 0) !== 1) t.fail(`${words.join(' ')}: ${replies} replies, sent ${sent}`);
  }
  t.pass(`${COMMANDS.length} commands`);
});
