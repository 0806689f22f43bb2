import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { bulk, command, Plane, repliesIn, wordsIn } from '../help/plane.js';
import { type Random, randomFromSeed } from '../help/random.js';
import { ModelRedis } from './model-redis.js';

/** A plane whose nodes are models, and a twin that holds all keys in one. */
class Twins {
  readonly world: Plane;
  readonly client;
  readonly nodes: ModelRedis[];
  readonly twin = new ModelRedis();
  /** Commands that the nodes got. */
  asked = 0;

  constructor(nodes: number) {
    this.world = new Plane({ nodes }).greetAll();
    this.client = this.world.client();
    this.nodes = Array.from({ length: nodes }, () => new ModelRedis());
  }

  /** What the plane replies to these commands, sent at once. */
  ask(commands: readonly string[][]): string {
    this.client.send(...commands);
    this.world.turn();
    for (const [index, node] of this.nodes.entries()) {
      const link = this.world.only(index);
      for (const words of wordsIn(link.take())) {
        this.asked++;
        link.answer(node.execute(words));
      }
    }
    return this.client.take();
  }

  expected(commands: readonly string[][]): string {
    return commands.map((words) => this.twin.execute(words)).join('');
  }
}

const KEYS = ['', 'a', '{tag}1', '{tag}2', '{}x', 'k\r\n', '\0', '*3\r\n', '\xff\xfe', '$-1\r\n', 'x'.repeat(300)];

function key(random: Random): string {
  return random.chance(40) ? random.pick(KEYS) : `key:${random.below(60)}`;
}

function value(random: Random): string {
  if (random.chance(20)) return random.pick(['', '\r\n', '$5\r\n', '\0\xff', '+OK\r\n']);
  return random.bytesOf(random.size(400), Buffer.from('ab\r\n$*\0\xff', 'latin1')).toString('latin1');
}

function randomCommand(random: Random): string[] {
  const keys = Array.from({ length: random.size(20) }, () => key(random));
  const name = random.pick(['MGET', 'MSET', 'DEL', 'EXISTS', 'TOUCH', 'UNLINK', 'mget', 'DBSIZE', 'GET']);
  if (name === 'MSET') return [name, ...keys.flatMap((one) => [one, value(random)])];
  if (name === 'DBSIZE') return [name];
  if (name === 'GET') return [name, keys[0] as string];
  return [name, ...keys];
}

t.test('split commands over any number of shards do what one Redis does', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (const nodes of [1, 2, 3, 7]) {
    const twins = new Twins(nodes);
    for (let round = 0; round < 300; round++) {
      const commands = Array.from({ length: random.size(6) }, () => randomCommand(random));
      const received = twins.ask(commands);
      const expected = twins.expected(commands);
      if (received === expected) continue;
      t.equal(received, expected, `${nodes} nodes: ${JSON.stringify(commands)}`);
      return;
    }
    t.equal(
      twins.nodes.reduce((sum, node) => sum + node.data.size, 0),
      twins.twin.data.size,
    );
    t.equal(twins.world.usedBytes, 0);
  }
});

t.test('a shard is asked once, however many of the keys it holds', async (t) => {
  const twins = new Twins(3);
  const keys = Array.from({ length: 100 }, (_, n) => `key:${n}`);
  twins.ask([['MGET', ...keys]]);
  t.equal(twins.asked, 3);
});

t.test('a thousand keys, and ten thousand', async (t) => {
  const twins = new Twins(3);
  for (const count of [1_000, 10_000]) {
    const keys = Array.from({ length: count }, (_, n) => `key:${n}`);
    const commands = [
      ['MSET', ...keys.flatMap((one) => [one, `value of ${one}`])],
      ['MGET', ...keys],
      ['DEL', ...keys, ...keys],
    ];
    for (const words of commands) t.ok(twins.ask([words]) === twins.expected([words]), `${words[0]} of ${count} keys`);
  }
  t.equal(twins.world.usedBytes, 0);
});

t.test('the parts are in the words of the client', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const client = world.client();
  const [a, b, c] = [world.key(0, 'a'), world.key(1, 'b'), world.key(0, 'c')];
  client.send(['mSeT', a, '1', b, '', c, '3']);
  world.turn();
  t.equal(world.only(0).take(), command('mSeT', a, '1', c, '3'));
  t.equal(world.only(1).take(), command('mSeT', b, ''));
});

/** A client that has asked something of nodes 0 and 1, which have taken it. */
function asked(name: string, options = {}) {
  const world = new Plane({ nodes: 2, ...options }).greetAll();
  world.pass(1_000);
  const client = world.client();
  const keys = [world.key(0), world.key(1)] as [string, string];
  client.send(name === 'MSET' ? ['MSET', keys[0], '1', keys[1], '2'] : [name, ...keys]);
  world.turn();
  const links = [world.only(0), world.only(1)] as const;
  return { world, client, keys, links, take: () => links.map((link) => link.take()) };
}

t.test('a part that a node refuses makes the whole an error that names the node', async (t) => {
  for (const [name, reply] of [
    ['MGET', '*1\r\n$-1\r\n'],
    ['DEL', ':1\r\n'],
    ['MSET', '+OK\r\n'],
  ] as const) {
    for (const bad of [0, 1]) {
      const { world, client, links, take } = asked(name);
      take();
      links[bad]?.answer("-OOM command not allowed when used memory > 'maxmemory'.\r\n");
      links[1 - bad]?.answer(reply);
      const others =
        name === 'MGET' ? '1 other shards were asked too' : '1 of 2 shards have carried out their part of it';
      t.equal(
        client.take(),
        `-OOM command not allowed when used memory > 'maxmemory'. (from node node-${bad}; ${others})\r\n`,
      );
      t.equal(world.usedBytes, 0);
    }
  }
});

t.test('a read of which a part is lost fails with the name of the node', async (t) => {
  const { world, client, links, take } = asked('MGET');
  take();
  links[0].answer('*1\r\n$-1\r\n');
  links[1].connection.break(new Error('reset'));
  world.only(1).connection.break(new Error('connection refused'));
  world.turn();
  t.match(
    client.take(),
    /^-NODEDOWN node node-1 \(10\.0\.0\.1:7001\): connection refused; the command had no effect\r\n$/,
  );
  t.equal(world.usedBytes, 0);
});

t.test('a write of which a part was carried out, and another was not, is unknown', async (t) => {
  for (const bad of [0, 1]) {
    const { world, client, links } = asked('DEL');
    links[1 - bad]?.take();
    links[1 - bad]?.answer(':1\r\n');
    links[bad]?.connection.break(new Error('reset'));
    world.only(bad).connection.break(new Error('connection refused'));
    world.turn();
    t.equal(
      client.take(),
      `-UNKNOWN node node-${bad} (10.0.0.1:${7000 + bad}): connection refused; the command had no effect there, ` +
        'but other shards have carried out their part of it\r\n',
    );
    t.equal(world.usedBytes, 0);
  }
});

t.test('a write of which no part was carried out had no effect', async (t) => {
  const { world, client, links } = asked('MSET');
  for (const node of [0, 1]) {
    links[node]?.connection.break(new Error('reset'));
    world.only(node).connection.break(new Error('connection refused'));
  }
  world.turn();
  t.match(client.take(), /^-NODEDOWN node node-0 .*; the command had no effect \(failed too: node-1\)\r\n$/);
});

t.test('a write of which one part was refused by its node, and the other not sent, had no effect', async (t) => {
  const { world, client, links } = asked('MSET');
  links[0].take();
  links[0].answer('-MISCONF no\r\n');
  links[1].connection.break(new Error('reset'));
  world.only(1).connection.break(new Error('connection refused'));
  world.turn();
  t.match(client.take(), /^-MISCONF no \(from node node-0;/);
});

t.test('a write of which a part is unknown is unknown, whatever became of the others', async (t) => {
  for (const bad of [0, 1]) {
    const { world, client, links } = asked('UNLINK');
    links[bad]?.take();
    links[bad]?.connection.break(new Error('reset'));
    links[1 - bad]?.connection.break(new Error('reset'));
    world.only(1 - bad).connection.break(new Error('connection refused'));
    world.turn();
    t.match(client.take(), new RegExp(`^-UNKNOWN node node-${bad} .*: the connection was lost: reset;`));
  }
});

t.test('a part that is refused for a limit, while another is carried out', async (t) => {
  const world = new Plane({ nodes: 2, limits: { nodeQueueCommandsMax: 1 } }).greetAll();
  const [a, b] = [world.key(0), world.key(1)];
  world.client().send(['GET', b]);
  const client = world.client().send(['MSET', a, '1', b, '2']);
  world.turn();
  world.only(0).take();
  t.equal(client.take(), '');
  world.only(0).answer('+OK\r\n');
  t.match(client.take(), /^-UNKNOWN node node-1 .*; the command was not sent there, but other shards have carried out/);
  const reader = world.client().send(['MGET', a, b]);
  world.turn();
  world.only(0).take();
  world.only(0).answer('*1\r\n$-1\r\n');
  t.match(reader.take(), /^-OVERLOADED node node-1 /);
});

t.test('a node that answers a part with the unexpected ends nothing but that command', async (t) => {
  for (const [name, good, ...bads] of [
    [
      'MGET',
      '*1\r\n$-1\r\n',
      '+OK\r\n',
      ':1\r\n',
      '*0\r\n',
      '*2\r\n$-1\r\n$-1\r\n',
      '*-1\r\n',
      '$-1\r\n',
      '*1\r\n*1\r\n:1\r\n',
    ],
    ['DEL', ':1\r\n', '+OK\r\n', '*0\r\n', '$1\r\n1\r\n', '_\r\n'],
    ['MSET', '+OK\r\n', ':1\r\n', '_\r\n', '*0\r\n'],
  ] as const) {
    for (const bad of bads) {
      const { world, client, keys, links, take } = asked(name);
      take();
      links[1].answer(bad);
      links[0].answer(good);
      const reply = client.take();
      if (bad === '*1\r\n*1\r\n:1\r\n')
        t.equal(reply, '*2\r\n$-1\r\n*1\r\n:1\r\n', 'a value of another type is a value');
      else
        t.match(
          reply,
          /^-ERR node node-1 answered the unexpected: (an? [a-z ]+|null), \d+ bytes in all\r\n$/,
          `${name}: ${JSON.stringify(bad)}`,
        );
      t.equal(world.usedBytes, 0);
      client.send(['GET', keys[1]]);
      world.turn();
      links[1].answer(links[1].take() && bulk('1'));
      t.equal(client.take(), bulk('1'));
    }
  }
});

t.test('INFO with a node that answers no text', async (t) => {
  const { client, links, take } = asked('INFO');
  take();
  links[0].answer(bulk('# Server\r\n'));
  links[1].answer(':1\r\n');
  t.match(client.take(), /ringleader_nodes_missing:node-1\r\n/);
});

t.test('a client that goes away while parts are out: the rest is dropped as it comes', async (t) => {
  const before = pendingsInUse();
  for (const name of ['MGET', 'MSET', 'DEL', 'INFO']) {
    const { world, client, links, take } = asked(name);
    const other = world.client().send(['MGET', world.key(0), world.key(1)]);
    world.turn();
    take();
    client.connection.break(null);
    links[0].answer('-ERR whatever\r\n', `*1\r\n${bulk('a')}`);
    links[1].connection.break(new Error('reset'));
    const fresh = world.only(1).greet();
    const again = wordsIn(fresh.take()).map((words) => words[0]);
    t.same(again, name === 'MGET' || name === 'INFO' ? [name, 'MGET'] : ['MGET'], 'reads are retried');
    if (again.length === 2) fresh.answer('*1\r\n$-1\r\n');
    fresh.answer(`*1\r\n${bulk('b')}`);
    t.equal(other.take(), `*2\r\n${bulk('a')}${bulk('b')}`);
    t.equal(world.usedBytes, 0, name);
  }
  t.equal(pendingsInUse(), before);
});

t.test('a split command in RESP3 has RESP3 values', async (t) => {
  const world = new Plane({ nodes: 2 }).greetAll();
  const [a, b] = [world.key(0), world.key(1)];
  const client = world.client().send(['HELLO', '3'], ['MGET', a, b, a], ['EXISTS', a, b]);
  world.turn();
  client.take();
  for (const node of [0, 1]) {
    const link = world.links(node, 3).at(-1)?.greet();
    t.equal(link?.take(), command('MGET', ...(node === 0 ? [a, a] : [b])) + command('EXISTS', node === 0 ? a : b));
    link?.answer(node === 0 ? `*2\r\n_\r\n${bulk('x')}` : '*1\r\n_\r\n', ':1\r\n');
  }
  t.same(repliesIn(client.take()), [`*3\r\n_\r\n_\r\n${bulk('x')}`, ':2\r\n']);
});
