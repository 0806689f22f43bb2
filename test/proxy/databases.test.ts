/** SELECT: each database has connections of its own, and a session works in one of them. */
import t from 'tap';
import { command, type NodeLink, Plane } from '../help/plane.js';

function lastLink(plane: Plane, node = 0): NodeLink {
  plane.turn();
  return plane.links(node).at(-1) as NodeLink;
}

t.test('the commands of a session go by connections that work in its database', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const [one, other] = [plane.client(), plane.client()];
  one.send(['SELECT', '3'], ['SET', 'k', '1']);
  other.send(['GET', 'k']);
  t.equal(one.take(), '+OK\r\n');
  plane.turn();
  const third = lastLink(plane).greet();
  t.same(third.commands(), [], 'it is not ready before it works there');
  third.answer('+OK\r\n');
  plane.turn();
  t.same(third.commands(), ['SET k 1']);
  t.same(plane.links(0)[0]?.commands(), ['GET k']);
  third.answer('+OK\r\n');
  plane.client().send(['SELECT', '3'], ['DBSIZE'], ['SCAN', '0'], ['KEYS', '*'], ['FLUSHDB'], ['RANDOMKEY']);
  plane.turn();
  t.same(third.commands(), ['DBSIZE', 'SCAN 0', 'KEYS *', 'FLUSHDB', 'DBSIZE', 'RANDOMKEY'], 'and so do all others');
});

t.test('each connection is told its database when it is greeted', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  plane.client().send(['SELECT', '15'], ['GET', 'k']);
  plane.turn();
  const link = lastLink(plane).open();
  t.same(link.commands(), ['HELLO 2', 'CONFIG GET proto-max-bulk-len', 'CONFIG GET databases', 'SELECT 15']);
});

t.test('a node that refuses the database', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['SELECT', '15'], ['GET', 'k']);
  plane.turn();
  const link = lastLink(plane).greet();
  link.take();
  link.answer('-NOPERM this user has no permissions\r\n');
  plane.turn();
  t.match(client.take(), /^\+OK\r\n-NODEDOWN .*it refused the greeting: NOPERM this user has no permissions/);
});

t.test('there are as many as every node has', async (t) => {
  const plane = new Plane({ nodes: 2 });
  for (const [node, count] of ['4', '8'].entries()) {
    const link = plane.link(node)?.open();
    link?.take();
    link?.answer('*0\r\n', '*0\r\n', `*2\r\n$9\r\ndatabases\r\n$1\r\n${count}\r\n`);
  }
  plane.turn();
  const client = plane.client();
  t.equal(client.send(['SELECT', '3']).take(), '+OK\r\n');
  for (const out of ['4', '-1', '2147483647']) {
    t.equal(client.send(['SELECT', out]).take(), '-ERR DB index is out of range\r\n', out);
  }
  t.match(client.send(['SELECT', '2147483648']).take(), /^-ERR value is out of range/);
  t.equal(client.send(['SELECT', 'x']).take(), '-ERR value is not an integer or out of range\r\n');
  t.match(client.send(['CLIENT', 'INFO']).take(), / db=3 /);
  client.send(['RESET']);
  client.take();
  t.match(client.send(['CLIENT', 'INFO']).take(), / db=0 /);
});

t.test('where no node says how many there are, sixteen', async (t) => {
  const plane = new Plane({ nodes: 1 });
  const client = plane.client().send(['SELECT', '15'], ['SELECT', '16']);
  t.equal(client.take(), '+OK\r\n-ERR DB index is out of range\r\n');
});

t.test('SELECT waits for what was asked before it: other connections might be faster', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['SET', 'k', '1'], ['MOVE', 'k', '1'], ['SELECT', '1'], ['GET', 'k']);
  plane.turn();
  const link = plane.only(0);
  t.equal(link.take(), command('SET', 'k', '1') + command('MOVE', 'k', '1'));
  plane.turn();
  t.equal(plane.links(0).length, 1);
  link.answer('+OK\r\n:1\r\n');
  plane.turn();
  plane.turn();
  t.equal(client.take(), '+OK\r\n:1\r\n+OK\r\n');
  const first = lastLink(plane).greet().answer('+OK\r\n');
  plane.turn();
  t.same(first.commands(), ['GET k']);
});

t.test('inside MULTI another database is refused', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['MULTI'], ['SELECT', '0'], ['SELECT', '1'], ['EXEC']);
  t.match(client.take(), /^\+OK\r\n\+QUEUED\r\n-ERR SELECT inside MULTI is not supported by this proxy\r\n-EXECABORT /);
});
