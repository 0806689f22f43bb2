/** CONFIG SET at several nodes: what is set back where one of them refuses it, and what the client is told. */
import t from 'tap';
import { bulk, command, Plane } from '../help/plane.js';

const SET = ['CONFIG', 'SET', 'maxmemory', '1mb', 'Hz', '7'];
const ASKED = command('CONFIG', 'GET', 'maxmemory', 'Hz') + command(...SET);
const former = (maxmemory: string, hz: string) =>
  `*4\r\n${bulk('hz')}${bulk(hz)}${bulk('maxmemory')}${bulk(maxmemory)}`;
const BACK = (maxmemory: string, hz: string) => command('CONFIG', 'SET', 'maxmemory', maxmemory, 'Hz', hz);
const REFUSAL = '-ERR CONFIG SET failed\r\n';

/** A plane of three nodes that were asked to. */
function asked() {
  const plane = new Plane({ nodes: 3 }).greetAll();
  const client = plane.client().send(SET, ['PING']);
  plane.turn();
  const [a, b, c] = [0, 1, 2].map((node) => plane.only(node)) as [Link, Link, Link];
  for (const node of [a, b, c]) t.equal(node.take(), ASKED);
  return { plane, client, a, b, c };
}
type Link = ReturnType<Plane['only']>;

t.test('what all nodes take, or all refuse, is told as by one Redis', async (t) => {
  for (const reply of ['+OK\r\n', REFUSAL]) {
    const { plane, client, a, b, c } = asked();
    for (const node of [a, b]) node.answer(former('0', '0'), reply);
    plane.turn();
    t.equal(client.take(), '');
    c.answer(former('0', '0'), reply);
    plane.turn();
    t.equal(client.take(), `${reply}+PONG\r\n`);
    for (const node of [a, b, c]) t.equal(node.take(), '');
    t.equal(plane.usedBytes, 0);
  }
});

t.test('where one refuses, those that have set it are set back before anything later', async (t) => {
  const { plane, client, a, b, c } = asked();
  a.answer(former('0', '1'), '+OK\r\n');
  b.answer(former('0', '2'), REFUSAL);
  c.answer(former('5', '3'), '+OK\r\n');
  plane.turn();
  t.equal(a.take(), BACK('0', '1'));
  t.equal(b.take(), '');
  t.equal(c.take(), BACK('5', '3'));
  a.answer('+OK\r\n');
  plane.turn();
  t.equal(client.take(), '');
  c.answer('+OK\r\n');
  plane.turn();
  const told =
    '-ERR CONFIG SET failed (from node node-1; 2 of 3 shards have carried out their part of it, and were set back)\r\n';
  t.equal(client.take(), `${told}+PONG\r\n`);
});

t.test('the same in RESP3, and of a client that has gone', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['HELLO', '3']);
  plane.turn();
  client.send(SET);
  plane.turn();
  const [a, b] = [0, 1].map((node) => {
    const link = plane.link(node, 3) as Link;
    return link.protocol === 3 ? link : link.greet();
  }) as [Link, Link];
  plane.turn();
  for (const node of [a, b]) t.equal(node.take(), ASKED);
  a.answer(`%2\r\n${bulk('hz')}${bulk('1')}${bulk('maxmemory')}${bulk('0')}`, '+OK\r\n');
  plane.turn();
  client.connection.break(null);
  plane.turn();
  b.answer('%0\r\n', REFUSAL);
  plane.turn();
  t.equal(a.take(), BACK('0', '1'));
});

t.test('what cannot be set back is named', async (t) => {
  for (const said of ['-NOPERM no\r\n', `*2\r\n${bulk('hz')}${bulk('1')}`]) {
    const { plane, client, a, b, c } = asked();
    a.answer(said, '+OK\r\n');
    b.answer(former('0', '0'), '+OK\r\n');
    c.answer(former('0', '0'), REFUSAL);
    plane.turn();
    t.equal(a.take(), '');
    t.equal(b.take(), BACK('0', '0'));
    b.answer('+OK\r\n');
    plane.turn();
    t.match(
      client.take(),
      /^-ERR CONFIG SET failed \(from node node-2; [^)]*, and were set back, but for node-0\)\r\n/,
    );
  }
  const { plane, client, a, b, c } = asked();
  for (const node of [a, b]) node.answer(former('0', '0'), '+OK\r\n');
  c.answer(former('0', '0'), REFUSAL);
  plane.turn();
  for (const node of [a, b]) t.equal(node.take(), BACK('0', '0'));
  a.answer('-ERR no\r\n');
  b.connection.end();
  plane.turn();
  t.match(client.take(), /, and were set back, but for node-0, node-1\)\r\n/);
});

t.test('where a node does not say, the others keep it', async (t) => {
  const { plane, client, a, b, c } = asked();
  for (const node of [a, b]) node.answer(former('0', '0'), '+OK\r\n');
  c.connection.end();
  plane.pass(1_000);
  plane.only(2).greet();
  plane.turn();
  t.match(client.take(), /^-UNKNOWN node node-2[^\r]*\r\n/);
  for (const node of [a, b, plane.only(2)]) t.equal(node.take(), '', 'and nothing is sent twice');
});

t.test('where one refuses, and one does not say, both are named', async (t) => {
  const { plane, client, a, b, c } = asked();
  a.answer(former('0', '0'), '+OK\r\n');
  b.answer(former('0', '0'), REFUSAL);
  c.connection.end();
  plane.turn();
  t.equal(a.take(), BACK('0', '0'));
  a.answer('+OK\r\n');
  plane.turn();
  t.match(
    client.take(),
    /^-ERR CONFIG SET failed \(from node node-1; 1 of 3 shards [^)]* set back\) \(failed too: node-2\)\r\n/,
  );
});

t.test('a refusal has its bytes, whatever they are', async (t) => {
  const { plane, client, a, b, c } = asked();
  a.answer(former('0', '0'), '-ERR caf\xc3\xa9\r\n');
  for (const node of [b, c]) node.answer(former('0', '0'), REFUSAL);
  plane.turn();
  t.match(client.take(), /^-ERR caf\xc3\xa9 \(from node node-0; /);
});

t.test('one node is asked for nothing besides', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(SET);
  plane.turn();
  t.equal(plane.only(0).take(), command(...SET));
  plane.only(0).answer('+OK\r\n');
  plane.turn();
  t.equal(client.take(), '+OK\r\n');
});

t.test('what all nodes are to have alike is not begun while one of them is known to be away', async (t) => {
  const plane = new Plane({ nodes: 3 });
  for (const node of [0, 1]) plane.link(node)?.greet();
  plane.link(2)?.connection.break(new Error('connection refused'));
  plane.turn();
  const client = plane.client();
  const refused: [words: string[], what: string][] = [
    [SET, 'no node has changed a setting'],
    [['FUNCTION', 'LOAD', '#!lua name=l\n'], 'no node has loaded the library'],
    [['FUNCTION', 'RESTORE', 'x'], 'no node has restored libraries'],
    [['FUNCTION', 'DELETE', 'l'], 'no node has deleted the library'],
    [['FUNCTION', 'FLUSH'], 'no node has deleted libraries'],
  ];
  for (const [words, what] of refused) {
    client.send(words);
    plane.turn();
    t.match(client.take(), new RegExp(`^-NODEDOWN node node-2 .*: connection refused; ${what}\r\n$`), words.join(' '));
    for (const node of [0, 1]) t.same(plane.only(node).commands(), []);
  }
});

t.test('nor while one of them does not answer', async (t) => {
  const plane = new Plane({ nodes: 3 }).greetAll();
  const client = plane.client().send(['GET', plane.key(2)]);
  plane.turn();
  for (const node of [0, 1, 2]) plane.only(node).take();
  plane.pass(plane.limits.requestTimeoutMs + 100);
  t.match(client.take(), /^-NODEDOWN node node-2 /);
  for (const node of [0, 1]) plane.only(node).take();
  client.send(SET);
  plane.turn();
  t.match(
    client.take(),
    /^-NODEDOWN node node-2 .*: it has not answered for \d+ ms; no node has changed a setting\r\n$/,
  );
  for (const node of [0, 1]) t.same(plane.only(node).commands(), []);
});
