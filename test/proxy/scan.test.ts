/** SCAN over several nodes: what each is asked, and what the client's cursors are. */
import t from 'tap';
import { DEFAULT_LIMITS, DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import type { NodeSnapshot } from '../../src/messages.js';
import { Scan } from '../../src/proxy/scan.js';
import { bulk, type Client, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';
import { Seeded } from '../transport/seeded.js';

/** The node answers what it has been sent. */
function answer(plane: Plane, node: number, ...replies: string[]): void {
  const link = plane.only(node);
  link.take();
  link.answer(...replies);
}

function page(cursor: string, ...keys: string[]): string {
  return `*2\r\n${bulk(cursor)}*${keys.length}\r\n${keys.map(bulk).join('')}`;
}

/** The cursor and the keys of a page. */
function read(reply: string): { cursor: string; keys: string[] } {
  const [, cursor] = /^\*2\r\n\$\d+\r\n(\d+)\r\n\*/.exec(reply) ?? [];
  if (cursor === undefined) throw new Error(`no page: ${JSON.stringify(reply)}`);
  return { cursor, keys: [...reply.matchAll(/\$\d+\r\n([a-z]+)\r\n/g)].map(([, key]) => key as string) };
}

/** Scans by `command` from the cursor given; node n answers with its pages, and tells what it was asked. */
function walk(plane: Plane, client: Client, pages: string[][], words: (cursor: string) => string[], from = '0') {
  const asked: string[] = [];
  const keys: string[] = [];
  const cursors: string[] = [];
  let cursor = from;
  do {
    client.send(words(cursor));
    plane.turn();
    for (const [node, answers] of pages.entries()) {
      const commands = plane.only(node).commands();
      asked.push(...commands.map((command) => `${node}: ${command}`));
      for (const _ of commands) answer(plane, node, answers.shift() as string);
    }
    const read_ = read(client.take());
    cursor = read_.cursor;
    cursors.push(cursor);
    keys.push(...read_.keys);
  } while (cursor !== '0');
  return { asked, keys, cursors };
}

t.test('SCAN walks node after node, each with its own cursors', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  const pages = [[page('6', 'a', 'b'), page('0', 'c')], [page('0')], [page('5', 'd'), page('3'), page('0', 'e', 'f')]];
  const { asked, keys, cursors } = walk(plane, client, pages, (cursor) => ['SCAN', cursor]);
  t.same(asked, ['0: SCAN 0', '0: SCAN 6', '1: SCAN 0', '2: SCAN 0', '2: SCAN 5', '2: SCAN 3']);
  t.same(keys, ['a', 'b', 'c', 'd', 'e', 'f']);
  t.equal(new Set(cursors).size, cursors.length, 'no cursor comes twice');
  t.equal(plane.usedBytes, 0);
});

t.test('MATCH, COUNT and TYPE go with every page, and the command as the client writes it', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const words = (cursor: string) => ['sCaN', cursor, 'COUNT', '7', 'match', 'x\r\n*', 'TYPE', 'string'];
  const { asked } = walk(plane, plane.client(), [[page('9'), page('0')], [page('0')]], words);
  const rest = 'COUNT 7 match x\r\n* TYPE string';
  t.same(asked, [`0: SCAN 0 ${rest}`, `0: SCAN 9 ${rest}`, `1: SCAN 0 ${rest}`]);
});

t.test('an inline SCAN', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().sendText('scan 0 match "a b"\r\n');
  plane.turn();
  t.same(plane.only(0).commands(), ['SCAN 0 match a b']);
  answer(plane, 0, page('0', 'a'));
  t.same(read(client.take()).keys, ['a']);
});

t.test('the order of the walk is that of the names, so that any proxy of a fleet can go on', async (t) => {
  const names = ['c', 'a', 'b'];
  const first = new Plane({ node: (index) => ({ name: names[index] as string }) }).greetAll();
  const client = first.client().send(['SCAN', '0']);
  first.turn();
  t.same(first.only(1).commands(), ['SCAN 0'], 'a is the first');
  first.only(1).answer(page('0'));
  const { cursor } = read(client.take());

  const second = new Plane({ node: (index) => ({ name: [...names].sort()[index] as string }) }).greetAll();
  second.client().send(['SCAN', cursor]);
  second.turn();
  t.same(second.only(1).commands(), ['SCAN 0'], 'then b, wherever it stands in the configuration');
});

t.test('a single node has its cursors and its errors to itself', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client();
  const words = (cursor: string) => ['SCAN', cursor];
  const { asked, cursors } = walk(plane, client, [[page('77', 'a'), page('0')]], words, '12345');
  t.same(asked, ['0: SCAN 12345', '0: SCAN 77']);
  t.same(cursors, ['77', '0']);
});

const INVALID = '-ERR invalid cursor\r\n';

t.test("what is no cursor gets Redis's error, and no node is asked", async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  for (const text of ['x', '1x', '18446744073709551616', ' 1', '0x10', '-', '+', '1 ', '--1', '\x001x'.slice(1)]) {
    t.equal(client.send(['SCAN', text]).take(), INVALID, JSON.stringify(text));
    t.equal(client.send(['SCAN', text, 'NONSENSE']).take(), INVALID, 'the cursor is looked at first');
  }
  t.equal(client.send(['SCAN']).take(), "-ERR wrong number of arguments for 'scan' command\r\n");
  plane.turn();
  for (const node of [0, 1, 2]) t.equal(plane.only(node).take(), '');
});

t.test('what Redis takes for 0 is the beginning', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client();
  for (const text of ['0', '00', '', '+0', '-0', '0\x00x', '\x00']) {
    client.send(['SCAN', text]);
    plane.turn();
    t.same(plane.only(0).commands(), ['SCAN 0'], JSON.stringify(text));
    answer(plane, 0, page('0'));
    client.take();
  }
});

const STALE = /^-ERR invalid cursor: it is of a scan over other nodes than there are; begin again with 0\r\n$/;

t.test('a cursor from before a node was taken out is refused with the reason', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['SCAN', '0']);
  plane.turn();
  plane.only(0).take();
  const nodes = plane.topology.nodes.slice(0, 2);
  const topology = plainTopology(
    2,
    nodes,
    slotOwnersOf(plane.topology).map((n) => n % 2),
  );
  plane.data.configure(topology, DEFAULT_LIMITS, plane.rules);
  answer(plane, 0, page('4', 'a'));
  const { cursor, keys } = read(client.take());
  t.same(keys, ['a'], 'the page under way is the last of the old walk');
  t.match(client.send(['SCAN', cursor]).take(), STALE);
  t.match(client.send(['SCAN', '1']).take(), STALE, 'as is a made-up one');
});

t.test('a change of weights or addresses leaves cursors good', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['SCAN', '0']);
  plane.turn();
  plane.only(0).take();
  answer(plane, 0, page('4', 'a'));
  const { cursor } = read(client.take());
  plane.data.configure({ ...plane.topology, version: 2 }, DEFAULT_LIMITS, plane.rules);
  client.send(['SCAN', cursor]);
  plane.turn();
  t.same(plane.only(0).commands(), ['SCAN 4']);
});

t.test('a node that is down is named', async (t) => {
  const plane = new Plane();
  for (const node of [0, 2]) plane.link(node)?.greet();
  plane.link(1)?.connection.break(new Error('connection refused'));
  plane.turn();
  const client = plane.client().send(['SCAN', '0']);
  plane.turn();
  answer(plane, 0, page('0', 'a'));
  const { cursor } = read(client.take());
  t.match(
    client.send(['SCAN', cursor]).take(),
    /^-NODEDOWN node node-1 .*connection refused; the command had no effect/,
  );
});

t.test("a node's error is passed on as it came", async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['SCAN', '0', 'NONSENSE']);
  plane.turn();
  answer(plane, 0, '-ERR syntax error\r\n');
  t.equal(client.take(), '-ERR syntax error\r\n');
});

t.test('a node that answers no page', async (t) => {
  for (const reply of ['+OK\r\n', '*1\r\n$1\r\n0\r\n', '*2\r\n:0\r\n*0\r\n', `*2\r\n${bulk('x')}*0\r\n`, '*-1\r\n']) {
    const plane = new Plane().greetAll();
    const client = plane.client().send(['SCAN', '0']);
    plane.turn();
    answer(plane, 0, reply);
    t.match(client.take(), /^-ERR node node-0 answered the unexpected: /, JSON.stringify(reply));
    t.equal(plane.usedBytes, 0);
  }
});

t.test('a cursor of a node that is too large to be carried is an error, not another place', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['SCAN', '0']);
  plane.turn();
  answer(plane, 0, page('18446744073709551615'));
  t.match(client.take(), /^-ERR node node-0: its SCAN cursor 18446744073709551615 leaves no room/);
});

function nodesNamed(names: readonly string[]): NodeSnapshot[] {
  const address = { kind: 'unix', path: '/unused' } as const;
  const server = { pool: 'main', weight: 1, address, username: null, password: null, limits: DEFAULT_NODE_LIMITS };
  return names.map((name, index) => ({ index, name, label: name, ...server }));
}

t.test('cursors go there and back, exactly, and stay small', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  for (const count of [2, 3, 7, 100, 1000]) {
    const scan = new Scan(nodesNamed(Array.from({ length: count }, (_, index) => `n${index}`)), null);
    for (let round = 0; round < 200; round++) {
      const place = random.below(count);
      const cursor = BigInt(random.below(2 ** 31)) + 1n;
      const next = scan.next(place, cursor) as bigint;
      t.ok((next > 0n && next < 2n ** 53n) || t.fail(`${next}`));
      const again = scan.page(String(next));
      if (again instanceof Uint8Array) t.fail(Buffer.from(again).toString());
      else if (again.cursor !== String(cursor)) t.fail(`${cursor} became ${again.cursor}`);
    }
  }
});

t.test('the tag differs with the set of nodes, and not with their order', async (t) => {
  const cursor = (names: string[]) => String(new Scan(nodesNamed(names), null).next(0, 5n));
  t.equal(cursor(['a', 'b']), cursor(['b', 'a']));
  const others = [
    ['a', 'c'],
    ['a', 'b', 'c'],
    ['ab', ''],
    ['main/a', 'b'],
  ];
  for (const names of others) t.not(BigInt(cursor(names)) % 4096n, BigInt(cursor(['a', 'b'])) % 4096n, names.join());
});

t.test('a node dies between two pages: an error names it, and the same cursor goes on when it is back', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['SCAN', '0']);
  plane.turn();
  answer(plane, 0, page('6', 'a', 'b'));
  const { cursor } = read(client.take());
  plane.only(0).connection.end();
  plane.turn();
  while (!plane.nodeStates.some((state) => state.startsWith('node-0 down'))) {
    plane.pass(50);
    plane.links(0).at(-1)?.connection.break(new Error('connection refused'));
  }
  t.match(client.send(['SCAN', cursor]).take(), /^-NODEDOWN node node-0 /);
  while (plane.links(0).length === 0) plane.pass(50);
  plane.only(0).greet();
  plane.turn();
  client.send(['SCAN', cursor]);
  plane.turn();
  t.same(plane.only(0).commands(), ['SCAN 6']);
  plane.only(0).answer(page('0', 'c'));
  t.same(read(client.take()).keys, ['c']);
});
