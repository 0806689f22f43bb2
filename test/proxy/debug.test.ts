/** DEBUG: who may give it, where its subcommands go, and which are none for a client of several nodes. */
import t from 'tap';
import { DEBUG_SETTINGS, debugRow } from '../../src/resp/debug-rows.js';
import { bulk, command, Plane, type PlaneOptions } from '../help/plane.js';

const NOT_ALLOWED =
  /^-ERR DEBUG command not allowed\. If the enableDebugCommand option of the proxy is set to "local", /;
const QUEUED = '+QUEUED\r\n';

function planeOf(enableDebugCommand: 'no' | 'local' | 'yes', options: PlaneOptions = {}): Plane {
  return new Plane({ ...options, rules: { enableDebugCommand } }).greetAll();
}

t.test('it is refused unless the configuration allows it, and a reload changes that', async (t) => {
  const plane = new Plane().greetAll();
  const client = plane.client().send(['DEBUG', 'SLEEP', '0'], ['DEBUG', 'OBJECT', 'k']);
  t.match(client.take(), new RegExp(`${NOT_ALLOWED.source}[^\\n]*\\n-ERR DEBUG command not allowed`));
  client.send(['MULTI'], ['DEBUG', 'SLEEP', '0'], ['EXEC']);
  t.match(client.take(), /^\+OK\r\n-ERR DEBUG command not allowed[^\n]*\n-EXECABORT /);
  plane.turn();
  for (const node of [0, 1, 2]) t.equal(plane.only(node).take(), '');
  plane.data.configure(plane.topology, plane.limits, { ...plane.rules, enableDebugCommand: 'yes' });
  client.send(['DEBUG', 'SLEEP', '0']);
  plane.turn();
  for (const node of [0, 1, 2]) {
    t.equal(plane.only(node).take(), command('DEBUG', 'SLEEP', '0'));
    plane.only(node).answer('+OK\r\n');
  }
  t.equal(client.take(), '+OK\r\n');
});

t.test('`local` is for clients of this machine', async (t) => {
  const plane = planeOf('local');
  const addresses = [
    '127.0.0.1:5000',
    '[::1]:5000',
    '[::ffff:127.0.0.1]:5000',
    'unix:/run/x.sock',
    '10.1.2.3:5000',
    '127.0.0.2:5000',
    'unknown',
  ];
  const isLocal = addresses.map((address) => {
    const client = plane.client();
    client.connection.remoteAddress = () => address;
    client.send(['DEBUG', 'NOSUCH']);
    const reply = client.take();
    if (!NOT_ALLOWED.test(reply))
      t.match(reply, /^-ERR unknown subcommand or wrong number of arguments for 'NOSUCH'\. Try DEBUG HELP\.\r\n$/);
    return !NOT_ALLOWED.test(reply);
  });
  t.same(isLocal, [true, true, true, true, false, false, false]);
});

t.test('what is about a key goes to its shard, and what is about several is split', async (t) => {
  const plane = planeOf('yes', { nodes: 2 });
  const [a, b] = [plane.key(0), plane.key(1)];
  const client = plane.client();
  for (const words of [
    ['DEBUG', 'OBJECT', b],
    ['debug', 'sdslen', b],
    ['DEBUG', 'QUICKLIST', b, '1'],
    ['DEBUG', 'HTSTATS-KEY', b, 'full'],
  ]) {
    client.send(words);
    plane.turn();
    t.equal(plane.only(1).take(), command(...words));
    plane.only(1).answer('+x\r\n');
    t.equal(client.take(), '+x\r\n');
  }
  client.send(['DEBUG', 'DIGEST-VALUE', b, a, 'x', b]);
  plane.turn();
  const x = plane.nodeOf('x');
  t.equal(plane.only(0).take(), command('DEBUG', 'DIGEST-VALUE', a, ...(x === 0 ? ['x'] : [])));
  t.equal(plane.only(1).take(), command('DEBUG', 'DIGEST-VALUE', b, ...(x === 1 ? ['x'] : []), b));
  plane.only(0).answer(x === 0 ? '*2\r\n+a\r\n+x\r\n' : '*1\r\n+a\r\n');
  plane.only(1).answer(x === 1 ? '*3\r\n+b\r\n+x\r\n+c\r\n' : '*2\r\n+b\r\n+c\r\n');
  t.equal(client.take(), '*4\r\n+b\r\n+a\r\n+x\r\n+c\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('what lacks its key, or is about no data, any one node answers', async (t) => {
  const plane = planeOf('yes', { nodes: 2 });
  const client = plane.client();
  for (const words of [['OBJECT'], ['DIGEST-VALUE'], ['ERROR', 'x'], ['STRUCTSIZE'], ['HELP'], ['PROTOCOL', 'map']]) {
    client.send(['DEBUG', ...words]);
    plane.turn();
    t.equal(plane.only(0).take(), command('DEBUG', ...words));
    plane.only(0).answer('-x\r\n');
    t.equal(client.take(), '-x\r\n');
  }
  t.equal(plane.only(1).take(), '');
});

t.test('what a node does goes to all of them, and once', async (t) => {
  t.ok(DEBUG_SETTINGS.has('debug|sleep'));
  const plane = planeOf('yes', { nodes: 2 });
  const client = plane.client().send(['DEBUG', 'SLEEP', '1']);
  plane.turn();
  for (const node of [0, 1]) t.equal(plane.only(node).take(), command('DEBUG', 'SLEEP', '1'));
  plane.only(0).answer('+OK\r\n');
  plane.only(1).connection.end();
  plane.turn();
  t.match(client.take(), /^-UNKNOWN node node-1 /);
});

t.test('what stops a node, or leaves keys where nobody looks for them, is refused with the reason', async (t) => {
  const plane = planeOf('yes');
  const client = plane.client();
  for (const words of [
    ...['SEGFAULT', 'PANIC', 'OOM', 'ASSERT', 'RESTART', 'CRASH-AND-RECOVER', 'LOADAOF', 'REPLICATE', 'LEAK'].map(
      (word) => [word, 'x'],
    ),
    ...[
      ['POPULATE', '10'],
      ['RELOAD', 'NOSAVE'],
      ['PROTOCOL', 'push'],
      ['PROTOCOL', 'ATTRIB'],
      ['MALLCTL', 'x'],
      ['CLIENT-EVICTION'],
    ],
  ]) {
    client.send(['DEBUG', ...words]);
    t.match(
      client.take(),
      new RegExp(`^-ERR DEBUG ${words[0]} is not supported by this proxy: [^\\r]*; connect to the node itself\\r\\n$`),
      words.join(' '),
    );
  }
  plane.turn();
  for (const node of [0, 1, 2]) t.equal(plane.only(node).take(), '');
});

t.test('inside MULTI it is part of the transaction', async (t) => {
  const plane = planeOf('yes', { nodes: 2 });
  const key = plane.key(1);
  const client = plane
    .client()
    .send(['MULTI'], ['SET', key, '1'], ['DEBUG', 'OBJECT', key], ['DEBUG', 'SET-ACTIVE-EXPIRE', '0'], ['EXEC']);
  plane.turn();
  t.equal(
    plane.only(1).take(),
    [['MULTI'], ['SET', key, '1'], ['DEBUG', 'OBJECT', key], ['DEBUG', 'SET-ACTIVE-EXPIRE', '0'], ['EXEC']]
      .map((words) => command(...words))
      .join(''),
  );
  plane.only(1).answer('+OK\r\n', QUEUED.repeat(3), '*3\r\n+OK\r\n+Value\r\n+OK\r\n');
  plane.turn();
  t.equal(plane.only(0).take(), command('DEBUG', 'SET-ACTIVE-EXPIRE', '0'));
  plane.only(0).answer('+OK\r\n');
  plane.turn();
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(3)}*3\r\n+OK\r\n+Value\r\n+OK\r\n`);
  client.send(['MULTI'], ['DEBUG', 'OBJECT', key], ['DEBUG', 'OBJECT', plane.key(0)], ['DISCARD']);
  t.match(client.take(), /^\+OK\r\n\+QUEUED\r\n-CROSSSLOT Keys in transaction [^\n]*\n\+OK\r\n$/);
});

t.test('DIGEST is that of all keys together while they are in one database', async (t) => {
  // The digests that a Redis 7.0 gave of `set a 1`, of `set b 2`, and of both, in database 0.
  const ask = (...nodes: [databases: string, digest: string][]): string => {
    const plane = planeOf('yes', { nodes: nodes.length });
    const client = plane.client().send(['DEBUG', 'DIGEST']);
    plane.turn();
    for (const [node, [databases, digest]] of nodes.entries()) {
      const link = plane.only(node);
      t.same(link.commands(), ['INFO keyspace', 'DEBUG DIGEST']);
      link.answer(bulk(`# Keyspace\r\n${databases}`), `+${digest}\r\n`);
    }
    return client.take();
  };
  const none = '0'.repeat(40);
  const in0 = 'db0:keys=1,expires=0,avg_ttl=0\r\n';
  const one = '48f2d15c74ab41a1e29c9ecf5b7ac1ed31a1e2b5';
  t.equal(ask(['', none], ['', none]), `+${none}\r\n`);
  t.equal(ask([in0, one], ['', none]), `+${one}\r\n`);
  t.match(
    ask([in0, one], ['db3:keys=1,expires=0,avg_ttl=0\r\n', one]),
    /^-ERR DEBUG DIGEST is refused: several databases have keys/,
  );
  t.match(ask([in0, one], [in0, 'nonsense']), /^-ERR node node-1 answered the unexpected: /);
});

t.test('every subcommand has a row, in any case of letters, and no other has', async (t) => {
  t.equal(debugRow('SlEeP', '1', 3)?.route, 'all');
  t.equal(debugRow('object', '', 2)?.route, 'any');
  t.equal(debugRow('constructor', '', 2), null);
  t.equal(debugRow('', '', 2), null);
});
