/** MULTI and EXEC: one block for one node, in the order of the session's other commands, and what becomes of it when things fail. */
import t from 'tap';
import { slotOf } from '../../src/routing/slot.js';
import { bulk, command, Plane } from '../help/plane.js';
import { plainTopology } from '../help/topology.js';

const QUEUED = '+QUEUED\r\n';
const BLOCK = (...commands: string[][]) =>
  [['MULTI'], ...commands, ['EXEC']].map((words) => command(...words)).join('');

t.test('the commands go out in one piece at EXEC, between what the session asked before and after', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const [key, other] = [plane.key(0), plane.key(1)];
  const client = plane.client();
  const second = plane.client();
  client.send(['GET', key], ['MULTI'], ['SET', key, '1'], ['INCR', key]);
  second.send(['GET', key]);
  plane.turn();
  const node = plane.only(0);
  t.equal(node.take(), command('GET', key).repeat(2));
  client.send(['MGET', key, key], ['EXEC'], ['GET', other], ['GET', key]);
  plane.turn();
  t.equal(node.take(), BLOCK(['SET', key, '1'], ['INCR', key], ['MGET', key, key]) + command('GET', key));
  plane.only(1).take();
  plane.only(1).answer('$1\r\no\r\n');
  node.answer('$-1\r\n$-1\r\n', '+OK\r\n', QUEUED.repeat(3));
  plane.turn();
  t.equal(second.take(), '$-1\r\n');
  t.equal(client.take(), `$-1\r\n+OK\r\n${QUEUED.repeat(3)}`);
  node.answer('*3\r\n+OK\r\n:2\r\n*2\r\n$1\r\n2\r\n$1\r\n2\r\n', '$1\r\n2\r\n');
  plane.turn();
  t.equal(client.take(), '*3\r\n+OK\r\n:2\r\n*2\r\n$1\r\n2\r\n$1\r\n2\r\n$1\r\no\r\n$1\r\n2\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('keys of different shards are refused where the second comes, and EXEC then refuses all', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const [a, b] = [plane.key(0), plane.key(1)];
  const client = plane.client().send(['MULTI'], ['SET', a, '1'], ['SET', b, '2'], ['EXEC'], ['EXEC']);
  t.equal(
    client.take(),
    `+OK\r\n${QUEUED}-CROSSSLOT Keys in transaction don't hash to the same shard: '${a}' on node node-0, '${b}' on node node-1; ` +
      'a {hash tag} keeps keys together\r\n-EXECABORT Transaction discarded because of previous errors.\r\n-ERR EXEC without MULTI\r\n',
  );
  client.send(['MULTI'], ['MSET', a, '1', b, '2'], ['DISCARD']);
  t.match(client.take(), /^\+OK\r\n-CROSSSLOT Keys in request .*\r\n\+OK\r\n$/);
  plane.turn();
  for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
  t.equal(plane.usedBytes, 0);
});

t.test('with one node, commands about all keys are part of a transaction', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  plane.client().send(['MULTI'], ['DBSIZE'], ['SCAN', '0'], ['EXEC']);
  plane.turn();
  t.equal(plane.only(0).take(), BLOCK(['DBSIZE'], ['SCAN', '0']));
});

t.test('what the proxy answers itself stands in its place in the reply', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane
    .client()
    .send(
      ['MULTI'],
      ['CLIENT', 'SETNAME', 'me'],
      ['GET', 'k'],
      ['PING'],
      ['CLIENT', 'GETNAME'],
      ['GET', 'l'],
      ['EXEC'],
    );
  plane.turn();
  const node = plane.only(0);
  t.equal(node.take(), BLOCK(['GET', 'k'], ['GET', 'l']));
  node.answer('+OK\r\n', QUEUED, QUEUED, '*2\r\n$1\r\na\r\n-WRONGTYPE no\r\n');
  plane.turn();
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(5)}*5\r\n+OK\r\n$1\r\na\r\n+PONG\r\n${bulk('me')}-WRONGTYPE no\r\n`);
  client.send(['MULTI'], ['PING'], ['ECHO', 'x'], ['EXEC'], ['MULTI'], ['EXEC']);
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(2)}*2\r\n+PONG\r\n${bulk('x')}+OK\r\n*0\r\n`);
  t.equal(plane.usedBytes, 0);
});

t.test('a command that the node refuses to queue is named by EXEC', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['MULTI'], ['SET', 'k', 'v'], ['INCR', 'k'], ['EXEC']);
  plane.turn();
  const node = plane.only(0);
  node.take();
  const abort = '-EXECABORT Transaction discarded because of previous errors.\r\n';
  node.answer('+OK\r\n', '-OOM command not allowed\r\n', '-OOM again\r\n', abort);
  plane.turn();
  t.equal(
    client.take(),
    `+OK\r\n${QUEUED.repeat(2)}-EXECABORT Transaction discarded because of: OOM command not allowed\r\n`,
  );
});

t.test('a node that refuses MULTI may have carried the commands out one by one', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['MULTI'], ['SET', 'k', 'v'], ['EXEC']);
  plane.turn();
  plane.only(0).take();
  plane.only(0).answer("-NOPERM no permission for 'multi'\r\n", '+OK\r\n', '-ERR EXEC without MULTI\r\n');
  plane.turn();
  t.match(
    client.take(),
    /-UNKNOWN node node-0 refused MULTI: NOPERM .*; the commands may have been carried out one by one/,
  );
});

t.test('a lost connection: what was not sent waits, reads are sent once more, and writes are unknown', async (t) => {
  for (const isWrite of [false, true]) {
    const plane = new Plane({ nodes: 1 }).greetAll();
    const client = plane.client().send(['MULTI'], isWrite ? ['INCR', 'k'] : ['GET', 'k'], ['GET', 'k'], ['EXEC']);
    plane.turn();
    const node = plane.only(0);
    const block = node.take();
    // Two of the three replies before EXEC's have come.
    node.answer('+OK\r\n', QUEUED);
    node.connection.break(new Error('cut'));
    plane.pass(200);
    const next = plane.only(0).greet();
    plane.turn();
    if (isWrite) {
      t.match(client.take(), /-UNKNOWN node node-0 \(.*the connection was lost: cut/);
      t.equal(next.take(), '');
      continue;
    }
    t.equal(next.take(), block);
    next.answer('+OK\r\n', QUEUED, QUEUED, '*2\r\n$1\r\n1\r\n$1\r\n1\r\n');
    plane.turn();
    t.equal(client.take(), `+OK\r\n${QUEUED.repeat(2)}*2\r\n$1\r\n1\r\n$1\r\n1\r\n`);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('a time-out leaves a tombstone that takes all replies of the block', async (t) => {
  const limits = { requestTimeoutMs: 1_000, stallTimeoutMs: 60_000 };
  const plane = new Plane({ nodes: 1, limits }).greetAll();
  const client = plane.client().send(['MULTI'], ['INCR', 'k'], ['EXEC']);
  plane.turn();
  const node = plane.only(0);
  node.take();
  node.answer('+OK\r\n');
  plane.pass(1_500);
  t.match(client.take(), /-UNKNOWN node node-0 \(.*it did not answer within 1000 ms/);
  node.answer(QUEUED, '*1\r\n:1\r\n');
  client.send(['GET', 'k']);
  plane.turn();
  node.take();
  node.answer('$1\r\n1\r\n');
  plane.turn();
  t.equal(client.take(), '$1\r\n1\r\n');
});

t.test('what is too much for a transaction is refused, and what it held is given back', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { sessionTransactionBytesMax: 2_000 } }).greetAll();
  const client = plane
    .client()
    .send(['MULTI'], ['SET', 'k', 'x'.repeat(900)], ['SET', 'k', 'x'.repeat(1_000)], ['EXEC']);
  t.match(
    client.take(),
    /^\+OK\r\n\+QUEUED\r\n-OVERLOADED the commands after MULTI .*sessionTransactionBytesMax 2000\)\r\n-EXECABORT /,
  );
  t.equal(plane.counts.commandsOverloaded, 1);
  t.equal(plane.usedBytes, 0);
  client.send(['MULTI'], ['SET', 'k', 'v']);
  t.ok(plane.usedBytes > 0);
  client.connection.break(null);
  plane.turn();
  t.equal(plane.usedBytes, 0, 'also when the client goes');
  const other = plane.client().send(['MULTI'], ['SET', 'k', 'v'], ['RESET']);
  t.equal(other.take(), '+OK\r\n+QUEUED\r\n+RESET\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('a topology that changes between the commands and EXEC is looked at again', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const [a, b] = [plane.key(0, 'a'), plane.key(0, 'b')];
  const client = plane.client();
  const { nodes } = plane.topology;
  const configure = (version: number, owners: Uint16Array) =>
    plane.data.configure(plainTopology(version, nodes, owners), plane.limits, plane.rules);
  client.send(['MULTI'], ['SET', a, '1'], ['PING'], ['SET', b, '2']);
  configure(2, new Uint16Array(16_384).fill(1));
  client.send(['EXEC']);
  plane.turn();
  t.equal(plane.only(0).take(), '');
  t.equal(plane.only(1).take(), BLOCK(['SET', a, '1'], ['SET', b, '2']));
  client.take();
  const second = plane.client().send(['MULTI'], ['SET', a, '1'], ['SET', b, '2']);
  const bytes = Buffer.from(a);
  const owners = new Uint16Array(16_384).fill(1);
  owners[slotOf(bytes, 0, bytes.length)] = 0;
  configure(3, owners);
  second.send(['EXEC']);
  t.match(
    second.take(),
    /-EXECABORT Transaction discarded because of: CROSSSLOT .*'a:\d+' on node node-0.* on node node-1/,
  );
});
