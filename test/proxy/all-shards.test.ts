/** KEYS, RANDOMKEY and SCRIPT over all nodes. */
import t from 'tap';
import { ANSWERS, bulk, type Client, HELLO_REPLY, type NodeLink, Plane } from '../help/plane.js';
import { plainTopology } from '../help/topology.js';

/** The node answers what it has been sent. */
function answer(plane: Plane, node: number, ...replies: string[]): void {
  const link = plane.only(node);
  link.take();
  link.answer(...replies);
}

t.test('KEYS puts the keys of all nodes behind each other', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['KEYS', 'a*']);
  plane.turn();
  for (const node of [2, 0, 1]) {
    t.same(plane.only(node).commands(), ['KEYS a*']);
    answer(plane, node, ['*1\r\n$1\r\na\r\n', '*0\r\n', '*2\r\n$2\r\nab\r\n$2\r\nac\r\n'][node] as string);
  }
  t.equal(client.take(), `*3\r\n${bulk('a')}${bulk('ab')}${bulk('ac')}`);
  t.equal(plane.usedBytes, 0);
});

t.test('KEYS with a node down is an error that names it', async (t) => {
  const plane = new Plane({ nodes: 2 });
  plane.link(0)?.greet();
  plane.link(1)?.connection.break(new Error('connection refused'));
  const client = plane.client().send(['KEYS', '*']);
  plane.turn();
  answer(plane, 0, '*0\r\n');
  t.match(client.take(), /^-NODEDOWN node node-1 /);
});

/** RANDOMKEY of a plane whose nodes have so many keys; a node without keys says nil. */
function randomKey(random: number, sizes: readonly number[], protocol: 2 | 3 = 2): string {
  const plane = new Plane({ nodes: sizes.length, random: () => random }).greetAll();
  const client = plane.client();
  if (protocol === 3) client.send(['HELLO', '3']).take();
  client.send(['RANDOMKEY']);
  plane.turn();
  for (const [node, size] of sizes.entries()) {
    const link = plane.links(node, protocol).at(-1);
    if (link?.protocol === null) link.greet();
    if (link?.commands().join() !== 'DBSIZE,RANDOMKEY') throw new Error('another question was asked');
    const nil = protocol === 3 ? '_\r\n' : '$-1\r\n';
    link.answer(`:${size}\r\n`, size === 0 ? nil : bulk(`key of ${node}`));
  }
  const reply = client.take();
  if (plane.usedBytes !== 0) throw new Error('memory is still held');
  return reply;
}

t.test('RANDOMKEY draws a node by how many keys it has', async (t) => {
  const counts = new Map<string, number>();
  for (let step = 0; step < 100; step++) {
    const key = randomKey(step / 100, [50, 0, 20, 30]);
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  t.same(
    counts,
    new Map([
      [bulk('key of 0'), 50],
      [bulk('key of 2'), 20],
      [bulk('key of 3'), 30],
    ]),
  );
});

t.test('RANDOMKEY is nil only when no node has a key', async (t) => {
  t.equal(randomKey(0.5, [0, 0]), '$-1\r\n');
  t.equal(randomKey(0.5, [0, 0], 3), '_\r\n');
  for (const random of [0, 0.5, 0.999999]) {
    t.equal(randomKey(random, [0, 1, 0]), bulk('key of 1'));
    t.equal(randomKey(random, [1, 0], 3), bulk('key of 0'));
  }
});

t.test('RANDOMKEY: a node whose keys have all expired says nil, whatever its size', async (t) => {
  const plane = new Plane({ nodes: 2, random: () => 0.1 }).greetAll();
  const client = plane.client().send(['RANDOMKEY']);
  plane.turn();
  answer(plane, 0, ':1000\r\n', '$-1\r\n');
  answer(plane, 1, ':1\r\n', bulk('k'));
  t.equal(client.take(), bulk('k'));
});

t.test('RANDOMKEY with a node that is down, fails, or answers something else', async (t) => {
  for (const [size, key, expected] of [
    [':1\r\n', '-ERR x\r\n', /^-ERR x \(from node node-1; 1 other shards were asked too\)/],
    ['+OK\r\n', bulk('k'), /^-ERR node node-1 answered the unexpected: a simple string, 5 bytes in all/],
    [':1\r\n', ':5\r\n', /^-ERR node node-1 answered the unexpected: an integer, 4 bytes in all/],
  ] as const) {
    const plane = new Plane({ nodes: 2, random: () => 0.999 }).greetAll();
    const client = plane.client().send(['RANDOMKEY']);
    plane.turn();
    answer(plane, 0, ':1\r\n', bulk('k'));
    answer(plane, 1, size, key);
    t.match(client.take(), expected);
  }
  const plane = new Plane({ nodes: 2 });
  plane.link(0)?.greet();
  plane.link(1)?.connection.break(new Error('connection refused'));
  const client = plane.client().send(['RANDOMKEY']);
  plane.turn();
  answer(plane, 0, ':1\r\n', bulk('k'));
  t.match(client.take(), /^-NODEDOWN node node-1 /);
});

t.test('SCRIPT LOAD, EXISTS and FLUSH hold for all nodes', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client();
  client.send(['SCRIPT', 'LOAD', 'return 1'], ['SCRIPT', 'EXISTS', 'a', 'b'], ['SCRIPT', 'FLUSH', 'SYNC']);
  plane.turn();
  for (const node of [0, 1]) {
    const link = plane.only(node);
    t.same(link.commands(), ['SCRIPT LOAD return 1', 'SCRIPT EXISTS a b', 'SCRIPT FLUSH SYNC']);
    link.answer(bulk('e0e1'), `*2\r\n:1\r\n:${node}\r\n`, '+OK\r\n');
  }
  t.equal(client.take(), `${bulk('e0e1')}*2\r\n:1\r\n:0\r\n`);
  // The other workers hear of it, and there are none.
  plane.turn();
  t.equal(client.take(), '+OK\r\n');
});

t.test('a SCRIPT LOAD that is lost on its way is not said to have had no effect', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['SCRIPT', 'LOAD', 'return 1']);
  plane.turn();
  plane.only(0).take();
  answer(plane, 0, bulk('e0e1'));
  plane.only(1).take();
  plane.only(1).connection.break(new Error('reset'));
  t.match(client.take(), /^-UNKNOWN node node-1 /);
});

t.test('SCRIPT KILL goes by connections of its own, and one success counts', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const [blocked, client] = [plane.client(), plane.client()];
  const key = plane.key(1);
  blocked.send(['EVAL', 'while true do end', '1', key]);
  plane.turn();
  const stuck = plane.only(1);
  stuck.take();
  client.send(['SCRIPT', 'KILL']);
  for (const node of [0, 1]) {
    const fresh = plane.links(node).at(-1);
    t.same(fresh?.greet().commands(), ['SCRIPT KILL']);
    fresh?.answer(node === 0 ? '-NOTBUSY No scripts in execution right now.\r\n' : '+OK\r\n');
  }
  t.equal(client.take(), '+OK\r\n');
  t.equal(stuck.take(), '', 'what waits for the script is left alone');
  stuck.answer('-ERR killed\r\n');
  t.equal(blocked.take(), '-ERR killed\r\n');

  client.send(['SCRIPT', 'KILL']);
  plane.turn();
  for (const node of [0, 1]) {
    const again = plane.links(node).at(-1);
    t.same(again?.commands(), ['SCRIPT KILL'], 'the connection is kept');
    again?.answer('-NOTBUSY No scripts in execution right now.\r\n');
  }
  t.equal(client.take(), '-NOTBUSY No scripts in execution right now.\r\n');
});

/** The script has run for so long that its node, by a connection that was opened before, listens. Returns what it is told to do, but for PING. */
function listen(link: NodeLink): string[] {
  t.match(link.take(), /^\*2\r\n\$5\r\nHELLO/);
  link.answer(`${HELLO_REPLY[2]}${ANSWERS[2]}`);
  return link.commands().filter((words) => words !== 'PING');
}

t.test('SCRIPT KILL waits for a node that greets nobody while its script runs, as long as for a reply', async (t) => {
  const plane = new Plane({ nodes: 2, limits: { connectTimeoutMs: 2_000, requestTimeoutMs: 5_000 } }).greetAll();
  const [blocked, client, late] = [plane.client(), plane.client(), plane.client()];
  blocked.send(['EVAL', 'while true do end', '1', plane.key(1)]);
  plane.turn();
  plane.pass(1_000);
  client.send(['SCRIPT', 'KILL']);
  plane.turn();
  plane.links(0).at(-1)?.greet().answer('-NOTBUSY none\r\n');
  const fresh = plane.link(1) as NodeLink;
  fresh.open();
  plane.pass(3_500);
  late.send(['FUNCTION', 'KILL']);
  plane.links(0).at(-1)?.answer('-NOTBUSY none\r\n');
  t.equal(client.take(), '', 'it waits');
  t.equal(plane.link(1), fresh, 'by the connection that was opened when the script had run for a while');
  t.same(listen(fresh), ['SCRIPT KILL', 'FUNCTION KILL']);
});

t.test('SCRIPT KILL has had no effect where the node of a script greets nobody for too long', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { connectTimeoutMs: 2_000, requestTimeoutMs: 5_000 } }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  plane.turn();
  const fresh = plane.link(0) as NodeLink;
  fresh.open();
  plane.pass(4_900);
  t.equal(client.take(), '');
  plane.pass(200);
  t.match(client.take(), /^-NODEDOWN node node-0 .*: no connection to it within 5000 ms; the command had no effect/);
  plane.pass(100);
  t.ok(fresh.isClosed, 'nobody waits for it any more');
});

t.test(
  'SCRIPT KILL is sent to a node that has not answered for too long, and is not said to have had no effect',
  async (t) => {
    const plane = new Plane({ nodes: 1, limits: { requestTimeoutMs: 1_000, stallTimeoutMs: 60_000 } }).greetAll();
    const clients = [0, 1, 2].map(() => plane.client());
    const [first, second, third] = clients as [Client, Client, Client];
    first.send(['SCRIPT', 'KILL']);
    plane.turn();
    const link = (plane.link(0) as NodeLink).greet();
    t.same(link.commands(), ['SCRIPT KILL']);
    plane.pass(1_100);
    t.match(first.take(), /^-UNKNOWN node node-0 .*: it did not answer within 1000 ms/);
    second.send(['SCRIPT', 'KILL']);
    plane.turn();
    t.same(link.commands(), ['SCRIPT KILL']);
    plane.pass(500);
    third.send(['SCRIPT', 'KILL']);
    plane.turn();
    t.same(link.commands(), ['SCRIPT KILL']);
    plane.pass(550);
    t.match(second.take(), /^-UNKNOWN /);
    link.answer('+OK\r\n', '-NOTBUSY none\r\n', '-NOTBUSY none\r\n');
    t.equal(third.take(), '-NOTBUSY none\r\n');
  },
);

t.test('SCRIPT KILL does not go by what was found of a node before its script began', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  plane.turn();
  const first = (plane.link(0) as NodeLink).greet();
  t.same(first.commands(), ['SCRIPT KILL']);
  first.answer('-NOTBUSY none\r\n');
  t.equal(client.take(), '-NOTBUSY none\r\n');
  plane.pass(1_000);
  // The node is started anew.
  for (const link of plane.links(0)) link.connection.break(new Error('reset'));
  plane.pass(10);
  const [common, urgent] = plane.links(0) as [NodeLink, NodeLink];
  urgent.connection.break(new Error('connection refused'));
  plane.turn();
  client.send(['SCRIPT', 'KILL']);
  plane.turn();
  t.match(client.take(), /^-NODEDOWN node node-0 .*: connection refused; the command had no effect/, 'a moment ago');
  common.greet();
  plane.pass(50);
  client.send(['SCRIPT', 'KILL']);
  plane.turn();
  // It runs a script by now, and greets nobody.
  const fresh = plane.link(0) as NodeLink;
  t.not(fresh, common, 'it is connected to anew');
  fresh.open();
  plane.pass(3_000);
  t.equal(client.take(), '', 'it waits');
  t.same(listen(fresh), ['SCRIPT KILL']);
  fresh.answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
});

t.test('SCRIPT KILL waits for the attempt to connect that is under way to a node that is down', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  plane.turn();
  (plane.link(0) as NodeLink).connection.break(new Error('connection refused'));
  t.match(client.take(), /^-NODEDOWN /);
  plane.pass(1_000);
  const fresh = (plane.links(0)[1] as NodeLink).open();
  client.send(['SCRIPT', 'KILL']);
  plane.pass(3_000);
  t.equal(client.take(), '', 'it waits');
  t.equal(plane.links(0).length, 2, 'by no other connection');
  t.same(listen(fresh), ['SCRIPT KILL']);
});

t.test('SCRIPT KILL, however often, does not wait for the same connection for ever', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { requestTimeoutMs: 5_000, stallTimeoutMs: 6_000 } }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  plane.turn();
  const first = (plane.link(0) as NodeLink).open();
  plane.pass(3_000);
  client.send(['SCRIPT', 'KILL']);
  plane.pass(3_200);
  t.ok(first.isClosed);
  t.match(client.take(), /^-NODEDOWN .* within 5000 ms; .*\r\n-NODEDOWN .* and greeting within 6000 ms; /);
});

t.test('SCRIPT KILL waits no longer than others for a node that does not take the connection', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { connectTimeoutMs: 2_000, requestTimeoutMs: 5_000 } }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  plane.turn();
  plane.pass(2_100);
  t.match(client.take(), /^-NODEDOWN node node-0 .*: no answer to connecting and greeting within 2000 ms; /);
});

t.test('the connection for SCRIPT KILL ends with its node', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['SCRIPT', 'KILL']);
  const links = [0, 1].map((node) => plane.links(node).at(-1)?.greet());
  for (const link of links) {
    link?.take();
    link?.answer('-NOTBUSY none\r\n');
  }
  t.equal(client.take(), '-NOTBUSY none\r\n');
  const nodes = plane.topology.nodes.slice(0, 1);
  plane.data.configure(plainTopology(2, nodes, new Uint16Array(16_384)), plane.limits, plane.rules);
  plane.pass(1_000);
  t.notOk(links[0]?.isClosed);
  t.ok(links[1]?.isClosed);
});

t.test('SCRIPT DEBUG is refused', async (t) => {
  const reply = new Plane().greetAll().client().send(['SCRIPT', 'DEBUG', 'YES']).take();
  t.match(reply, /^-ERR SCRIPT DEBUG is not supported by this proxy: the debugger stops a node/);
});
