/** Commands for all shards inside of MULTI, and what changes while EXEC waits: the topology, the rules, the scripts, the room for its reply. */
import { createHash } from 'node:crypto';
import t from 'tap';
import type { NodeSnapshot, TopologySnapshot } from '../../src/messages.js';
import {
  ANSWERS,
  type Client,
  command,
  commandsIn,
  HELLO_REPLY,
  type NodeLink,
  Plane,
  type PlaneOptions,
} from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const QUEUED = '+QUEUED\r\n';

/** Three nodes, whose client's EXEC is at the middle one: SET, FLUSHALL, DBSIZE. */
function begun(options: PlaneOptions = {}) {
  const plane = new Plane({ nodes: 3, ...options }).greetAll();
  const client = plane.client().send(['MULTI'], ['SET', plane.key(1), '1'], ['FLUSHALL'], ['DBSIZE'], ['EXEC']);
  plane.turn();
  const links = [0, 1, 2].map((node) => plane.only(node)) as [NodeLink, NodeLink, NodeLink];
  for (const link of links) link.take();
  client.take();
  const carryOut = () => {
    links[1].answer('+OK\r\n', QUEUED.repeat(3), '*3\r\n+OK\r\n+OK\r\n:1\r\n');
    plane.turn();
  };
  return { plane, client, links, carryOut };
}

function configure(plane: Plane, nodes: readonly NodeSnapshot[], services?: TopologySnapshot['services']): void {
  const topology = plainTopology(2, nodes, slotOwnersOf(plane.topology));
  plane.data.configure({ ...topology, services: services ?? topology.services }, plane.limits, plane.rules);
  plane.turn();
}

const renumbered = (nodes: readonly NodeSnapshot[]) => nodes.map((node, index) => ({ ...node, index }));
const BOTH = ['FLUSHALL', 'DBSIZE'];

t.test('a topology that changes before EXEC is answered does not change who the other shards are', async (t) => {
  const stranger: Partial<NodeSnapshot> = {
    name: 'z',
    pool: 'aaa',
    label: 'z',
    address: { kind: 'tcp', host: '10.0.0.9', port: 9000 },
  };
  for (const isGone of [false, true]) {
    for (const order of ['in front', 'turned round', 'as it was']) {
      const { plane, client, links, carryOut } = begun();
      const { nodes, services } = plane.topology;
      if (isGone) client.connection.break(new Error('reset'));
      const front = { ...(nodes[0] as NodeSnapshot), ...stranger };
      if (order === 'in front') configure(plane, renumbered([front, ...nodes]), services);
      else configure(plane, renumbered(order === 'as it was' ? nodes : nodes.toReversed()));
      carryOut();
      for (const other of [links[0], links[2]]) {
        t.same(other.commands(), BOTH, `${order}, ${isGone ? 'gone' : 'there'}`);
        other.answer('+OK\r\n', ':2\r\n');
      }
      plane.turn();
      t.equal(client.take(), isGone ? '' : '*3\r\n+OK\r\n+OK\r\n:5\r\n');
      for (const { connection } of [plane.only(0), plane.only(1), plane.only(2)]) t.equal(connection.isClosed, false);
      for (const connection of plane.transport.connections)
        if (connection.endpoint?.kind === 'tcp' && connection.endpoint.port === 9000)
          t.notMatch(connection.take(), /FLUSHALL|DBSIZE/, 'a node of another service');
    }
  }
});

t.test('a shard that is no more gets nothing, and its element says so', async (t) => {
  const { plane, client, links, carryOut } = begun();
  const [, second, third] = plane.topology.nodes as [NodeSnapshot, NodeSnapshot, NodeSnapshot];
  const before = plane.counts.commandsNodeDown;
  configure(plane, renumbered([second, third]));
  carryOut();
  t.equal(links[0].take(), '');
  t.same(links[2].commands(), BOTH);
  links[2].answer('+OK\r\n', ':2\r\n');
  plane.turn();
  const why = 'node node-0: the service does not have it any more, by a change of the topology since EXEC was sent';
  t.equal(
    client.take(),
    `*3\r\n+OK\r\n-UNKNOWN ${why}; the command had no effect there, but other shards have carried out their part of it\r\n` +
      `-NODEDOWN ${why}; the command had no effect\r\n`,
  );
  t.equal(plane.counts.commandsNodeDown, before + 2);
});

t.test('a client that tracks keys has its own connections, wherever the nodes stand meanwhile', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['HELLO', '3'], ['CLIENT', 'TRACKING', 'ON']);
  plane.turn();
  client.take();
  client.send(['MULTI'], ['SET', plane.key(1), '1'], ['FLUSHALL'], ['EXEC']);
  plane.turn();
  const own = greetTracking(plane, 1);
  t.same(own.commands().slice(-1), ['EXEC']);
  configure(plane, renumbered(plane.topology.nodes.toReversed()));
  own.answer('+OK\r\n', QUEUED.repeat(2), '*2\r\n+OK\r\n+OK\r\n');
  plane.turn();
  const other = greetTracking(plane, 0);
  t.same(other.commands(), ['FLUSHALL']);
  for (const node of [0, 1]) t.equal(plane.only(node).take(), '', 'nothing by the shared ones');
  other.answer('+OK\r\n');
  plane.turn();
  t.match(client.take(), /\*2\r\n\+OK\r\n\+OK\r\n/);
});

/** The newest connection to that node, which tracks. */
function greetTracking(plane: Plane, node: number): NodeLink {
  plane.turn();
  const fresh = plane.links(node, 3).find(({ protocol }) => protocol === null) as NodeLink;
  const [, , , ...setUp] = commandsIn(fresh.open().take());
  fresh.protocol = 3;
  fresh.answer(HELLO_REPLY[3], ANSWERS[3], '+OK\r\n'.repeat(setUp.length));
  plane.turn();
  return fresh;
}

t.test('DEBUG that was queued is not carried out where a reload has forbidden it since', async (t) => {
  for (const words of [
    ['DEBUG', 'SLEEP', '0'],
    ['DEBUG', 'OBJECT', 'k'],
  ]) {
    const plane = new Plane({ nodes: 2, rules: { enableDebugCommand: 'yes' } }).greetAll();
    const client = plane.client().send(['MULTI'], ['PING'], words);
    plane.turn();
    t.equal(client.take(), `+OK\r\n${QUEUED.repeat(2)}`);
    plane.data.configure(plane.topology, plane.limits, { ...plane.rules, enableDebugCommand: 'no' });
    client.send(['EXEC'], ['MULTI'], ['PING'], ['EXEC']);
    plane.turn();
    t.match(
      client.take(),
      /^-EXECABORT Transaction discarded because of: ERR DEBUG command not allowed[^\n]*\n\+OK\r\n\+QUEUED\r\n\*1\r\n\+PONG\r\n$/,
    );
    for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
    t.equal(plane.usedBytes, 0);
  }
});

const SOURCE = 'return 1';
const SHA = createHash('sha1').update(SOURCE).digest('hex');

/** A client whose script the proxy knows. */
function knowing() {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client();
  client.send(['EVAL', SOURCE, '0']);
  plane.turn();
  for (const node of [0, 1]) if (plane.only(node).take() !== '') plane.only(node).answer(':1\r\n');
  plane.turn();
  if (client.take() !== ':1\r\n') throw new Error('the script was not run');
  const own = plane.nodeOf('x');
  const exec = (commands: string[][], replies: string, others: readonly [asked: string, replies: string]) => {
    client.send(['MULTI'], ['GET', 'x'], ...commands, ['EXEC']);
    plane.turn();
    const block = plane.only(own).commands();
    plane
      .only(own)
      .answer('+OK\r\n', QUEUED.repeat(commands.length + 1), `*${commands.length + 1}\r\n$-1\r\n${replies}`);
    plane.turn();
    t.equal(plane.only(1 - own).take(), others[0]);
    plane.only(1 - own).answer(others[1]);
    plane.turn();
    const reply = client.take();
    const head = `+OK\r\n${QUEUED.repeat(commands.length + 1)}*${commands.length + 1}\r\n$-1\r\n`;
    t.equal(reply.slice(0, head.length), head);
    return { block: block.slice(2, -1), reply: reply.slice(head.length) };
  };
  return { plane, client, exec };
}

const FLUSH = ['SCRIPT', 'FLUSH'];
const EXISTS = ['SCRIPT', 'EXISTS', SHA];
const NOSCRIPT = '-NOSCRIPT No matching script. Please use EVAL.\r\n';

t.test('behind SCRIPT FLUSH in a transaction a script is not there, and before it is', async (t) => {
  const { exec } = knowing();
  const { reply } = exec([EXISTS, FLUSH, EXISTS], '*1\r\n:1\r\n+OK\r\n*1\r\n:0\r\n', [
    command(...EXISTS) + command(...FLUSH) + command(...EXISTS),
    '*1\r\n:0\r\n+OK\r\n*1\r\n:0\r\n',
  ]);
  t.equal(reply, '*1\r\n:1\r\n+OK\r\n*1\r\n:0\r\n');
});

t.test('also without MULTI', async (t) => {
  const { plane, client } = knowing();
  client.send(EXISTS, FLUSH, EXISTS);
  plane.turn();
  for (const node of [0, 1]) {
    t.same(plane.only(node).commands(), [EXISTS.join(' '), FLUSH.join(' ')]);
    plane.only(node).answer('*1\r\n:0\r\n', '+OK\r\n');
  }
  plane.turn();
  for (const node of [0, 1]) {
    t.same(plane.only(node).commands(), [EXISTS.join(' ')], 'read when all workers have heard of the flush');
    plane.only(node).answer('*1\r\n:0\r\n');
  }
  plane.turn();
  t.equal(client.take(), '*1\r\n:1\r\n+OK\r\n*1\r\n:0\r\n');
});

t.test('and where what came before it is answered later', async (t) => {
  const { plane, client } = knowing();
  client.send(['SCRIPT', 'KILL'], EXISTS, FLUSH);
  plane.turn();
  const urgent = [0, 1].map((node) => plane.link(node)?.greet() as NodeLink);
  plane.turn();
  for (const link of urgent) t.same(link.commands(), ['SCRIPT KILL']);
  for (const node of [0, 1]) {
    const link = plane.links(node)[0] as NodeLink;
    t.same(link.commands(), [EXISTS.join(' '), FLUSH.join(' ')]);
    link.answer('*1\r\n:0\r\n', '+OK\r\n');
  }
  plane.turn();
  t.equal(client.take(), '');
  for (const link of urgent) link.answer('-NOTBUSY none\r\n');
  plane.turn();
  t.equal(client.take(), '-NOTBUSY none\r\n*1\r\n:1\r\n+OK\r\n');
});

t.test('EVALSHA behind it goes as it is, and what EVAL shows behind it is known again', async (t) => {
  const { exec, plane, client } = knowing();
  const first = exec([FLUSH, ['EVALSHA', SHA, '0']], `+OK\r\n${NOSCRIPT}`, [command(...FLUSH), '+OK\r\n']);
  t.same(first.block, ['SCRIPT FLUSH', `EVALSHA ${SHA} 0`]);
  t.equal(first.reply, `+OK\r\n${NOSCRIPT}`);

  const second = exec(
    [FLUSH, ['EVAL', SOURCE, '0'], ['EVALSHA', SHA, '0'], EXISTS, ['EVAL', 'bad', '0']],
    '+OK\r\n:1\r\n:1\r\n*1\r\n:1\r\n-ERR Error compiling script (new function)\r\n',
    [command(...FLUSH) + command(...EXISTS), '+OK\r\n*1\r\n:0\r\n'],
  );
  t.equal(second.block[2], `EVALSHA ${SHA} 0`);
  t.equal(second.reply, '+OK\r\n:1\r\n:1\r\n*1\r\n:1\r\n-ERR Error compiling script (new function)\r\n');

  const bad = createHash('sha1').update('bad').digest('hex');
  // All workers hear of the flush, and then of what is known again.
  plane.pass(100);
  client.send(['SCRIPT', 'EXISTS', SHA, bad]);
  plane.turn();
  for (const node of [0, 1]) {
    t.same(plane.only(node).commands(), [`SCRIPT EXISTS ${SHA} ${bad}`]);
    plane.only(node).answer('*2\r\n:0\r\n:0\r\n');
  }
  plane.turn();
  t.equal(client.take(), '*2\r\n:1\r\n:0\r\n');
});

t.test('SCRIPT FLUSH that Redis finds fault with takes nothing away', async (t) => {
  const { exec } = knowing();
  const { block } = exec(
    [
      ['SCRIPT', 'FLUSH', 'now'],
      ['EVALSHA', SHA, '0'],
    ],
    '-ERR no\r\n:1\r\n',
    ['', ''],
  );
  t.same(block, ['SCRIPT FLUSH now', `EVAL ${SOURCE} 0`]);
});

t.test('where there is no room for the reply of its node, the others get nothing', async (t) => {
  for (const isGone of [false, true]) {
    const plane = new Plane({ nodes: 2, arenaBytes: 16 * 1024 * 1024 }).greetAll();
    const client: Client = plane.client().send(['MULTI'], ['PING'], ['GET', 'x'], ['FLUSHALL'], ['EXEC']);
    plane.turn();
    const own = plane.nodeOf('x');
    plane.only(own).take();
    client.take();
    if (isGone) client.connection.break(new Error('reset'));
    const { arena } = plane.transport;
    const value = `$${300_000}\r\n${'x'.repeat(300_000)}\r\n`;
    const reply = Buffer.from(`+OK\r\n${QUEUED.repeat(2)}*2\r\n${value}+OK\r\n`).toString('latin1');
    // There is room for it where it comes in, and not where it would wait.
    const blocks: number[] = [];
    for (let block = arena.allocate(400_000); block >= 0; block = arena.allocate(400_000)) blocks.push(block);
    arena.release(blocks.pop() as number, 400_000);
    plane.only(own).answer(reply);
    plane.turn();
    for (const block of blocks) arena.release(block, 400_000);
    plane.turn();
    const other = plane.only(1 - own).take();
    if (isGone) t.equal(other, command('FLUSHALL'), 'nobody waits for the reply');
    else {
      t.equal(other, '');
      t.match(client.take(), new RegExp(`^-UNKNOWN node node-${own}: no buffer memory is left for its reply`));
    }
  }
});
