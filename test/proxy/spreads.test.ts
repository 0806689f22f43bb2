/** Commands for all shards inside of MULTI: where each shard gets them, what EXEC answers, and what becomes of it when things fail. */
import t from 'tap';
import { bulk, command, type NodeLink, Plane } from '../help/plane.js';

const QUEUED = '+QUEUED\r\n';
const BLOCK = (...commands: string[][]) =>
  [['MULTI'], ...commands, ['EXEC']].map((words) => command(...words)).join('');

/** A plane whose client has sent these, a transaction of `nodes - 1` with EXEC, and all before EXEC's reply. */
function begun(commands: readonly string[][], nodes = 3) {
  const plane = new Plane({ nodes }).greetAll();
  const client = plane.client().send(['MULTI'], ...commands, ['EXEC']);
  plane.turn();
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(commands.length)}`);
  return { plane, client };
}

t.test(
  'the shard of the keys has each in its place, and the others get it when that has carried out EXEC',
  async (t) => {
    const plane = new Plane({ nodes: 3 }).greetAll();
    const key = plane.key(1);
    const client = plane
      .client()
      .send(['MULTI'], ['FLUSHALL'], ['SET', key, '1'], ['DBSIZE'], ['EXEC'], ['GET', plane.key(0)]);
    plane.turn();
    const [a, b, c] = [0, 1, 2].map((node) => plane.only(node)) as [
      ReturnType<Plane['only']>,
      ReturnType<Plane['only']>,
      ReturnType<Plane['only']>,
    ];
    t.equal(b.take(), BLOCK(['FLUSHALL'], ['SET', key, '1'], ['DBSIZE']));
    for (const other of [a, c]) t.equal(other.take(), '', 'nothing before it is known that EXEC was carried out');
    t.equal(client.take(), `+OK\r\n${QUEUED.repeat(3)}`);
    b.answer('+OK\r\n', QUEUED.repeat(3), '*3\r\n+OK\r\n+OK\r\n:1\r\n');
    plane.turn();
    for (const other of [a, c]) {
      t.equal(other.take(), command('FLUSHALL') + command('DBSIZE'), 'and nothing that comes later before it');
      other.answer('+OK\r\n', ':0\r\n');
      plane.turn();
    }
    t.equal(client.take(), '*3\r\n+OK\r\n+OK\r\n:1\r\n');
    t.equal(a.take(), command('GET', plane.key(0)));
    a.answer('$-1\r\n');
    t.equal(client.take(), '$-1\r\n');
    t.equal(plane.usedBytes, 0);
  },
);

t.test('replies of all shards are merged, whatever else is in the transaction', async (t) => {
  const { plane, client } = begun(
    [
      ['KEYS', '*'],
      ['PING'],
      ['CLIENT', 'ID'],
      ['RANDOMKEY'],
      ['CLIENT', 'LIST'],
      ['EXISTS', 'x'],
      ['SCRIPT', 'EXISTS', 'f'.repeat(40)],
    ],
    2,
  );
  const own = plane.nodeOf('x');
  const other = 1 - own;
  t.equal(
    plane.only(own).take(),
    BLOCK(['KEYS', '*'], ['DBSIZE'], ['RANDOMKEY'], ['EXISTS', 'x'], ['SCRIPT', 'EXISTS', 'f'.repeat(40)]),
  );
  plane.only(own).answer('+OK\r\n', QUEUED.repeat(5), `*5\r\n*1\r\n${bulk('x')}:1\r\n${bulk('x')}:1\r\n*1\r\n:1\r\n`);
  plane.turn();
  t.equal(
    plane.only(other).take(),
    command('KEYS', '*') + command('DBSIZE') + command('RANDOMKEY') + command('SCRIPT', 'EXISTS', 'f'.repeat(40)),
  );
  plane.only(other).answer(`*2\r\n${bulk('y')}${bulk('z')}`, ':0\r\n', '$-1\r\n', '*1\r\n:0\r\n');
  plane.turn();
  const reply = client.take();
  const keys = own === 0 ? ['x', 'y', 'z'] : ['y', 'z', 'x'];
  t.ok(reply.startsWith(`*7\r\n*3\r\n${keys.map(bulk).join('')}+PONG\r\n:1\r\n${bulk('x')}$`), reply);
  t.match(reply, / cmd=exec [^\n]*\n\r\n:1\r\n\*1\r\n:0\r\n$/);
  t.equal(plane.usedBytes, 0);
});

t.test('what fails at the own shard does not go to the others, unless one success is enough', async (t) => {
  const { plane, client } = begun(
    [['SET', 'x', '1'], ['CONFIG', 'SET', 'maxmemory', 'bla'], ['SCRIPT', 'KILL'], ['FLUSHALL']],
    2,
  );
  const own = plane.nodeOf('x');
  plane.only(own).take();
  plane.only(own).answer('+OK\r\n', QUEUED.repeat(4), '*4\r\n+OK\r\n-ERR no\r\n-NOTBUSY none\r\n+OK\r\n');
  plane.turn();
  // SCRIPT KILL goes by a connection that a script does not keep.
  const [other, urgent] = plane.links(1 - own) as [NodeLink, NodeLink];
  urgent.greet();
  plane.turn();
  t.equal(other.take(), command('FLUSHALL'));
  t.equal(urgent.take(), command('SCRIPT', 'KILL'));
  other.answer('+OK\r\n');
  urgent.answer('-NOTBUSY none\r\n');
  plane.turn();
  t.equal(client.take(), '*4\r\n+OK\r\n-ERR no\r\n-NOTBUSY none\r\n+OK\r\n');
});

t.test('another shard that fails makes an error of its own element, and of no other', async (t) => {
  const { plane, client } = begun([['SET', 'x', '1'], ['FLUSHALL'], ['DBSIZE'], ['INFO', 'keyspace'], ['GET', 'x']], 2);
  const own = plane.nodeOf('x');
  plane.only(own).take();
  const info = bulk('# Keyspace\r\ndb0:keys=1,expires=0,avg_ttl=0\r\n');
  plane.only(own).answer('+OK\r\n', QUEUED.repeat(5), `*5\r\n+OK\r\n+OK\r\n:0\r\n${info}$-1\r\n`);
  plane.turn();
  const other = plane.only(1 - own);
  t.equal(other.take(), command('FLUSHALL') + command('DBSIZE') + command('INFO', 'keyspace'));
  other.connection.end();
  plane.pass(10_000);
  const reply = client.take();
  t.match(
    reply,
    new RegExp(
      `^\\*5\\r\\n\\+OK\\r\\n-UNKNOWN node node-${1 - own}[^\\r]*\\r\\n-NODEDOWN node node-${1 - own}[^\\r]*\\r\\n\\$\\d+\\r\\n# Keyspace\\r\\ndb0:keys=1,[^$]*ringleader_nodes_missing:node-${1 - own}[^$]*\\$-1\\r\\n$`,
    ),
  );
});

t.test('a write that one of the other shards may have done is -UNKNOWN', async (t) => {
  const { plane, client } = begun([['SET', 'x', '1'], ['FLUSHALL']], 3);
  const own = plane.nodeOf('x');
  const [down, up] = [0, 1, 2].filter((node) => node !== own) as [number, number];
  plane.only(own).take();
  plane.only(own).answer('+OK\r\n', QUEUED.repeat(2), '*2\r\n+OK\r\n+OK\r\n');
  plane.turn();
  t.equal(plane.only(up).take(), command('FLUSHALL'));
  plane.only(up).answer('+OK\r\n');
  t.equal(plane.only(down).take(), command('FLUSHALL'));
  plane.only(down).connection.end();
  plane.turn();
  t.match(client.take(), new RegExp(`^\\*2\\r\\n\\+OK\\r\\n-UNKNOWN node node-${down} [^\\r]*\\r\\n$`));
});

t.test('the others get nothing where EXEC was refused, found a key changed, or was not answered', async (t) => {
  for (const [replies, expected] of [
    [
      ['+OK\r\n', '-OOM no memory\r\n', QUEUED, '-EXECABORT Transaction discarded because of previous errors.\r\n'],
      /^-EXECABORT Transaction discarded because of: OOM no memory/,
    ],
    [['+OK\r\n', QUEUED, QUEUED, '*-1\r\n'], /^\*-1\r\n$/],
    [['-NOPERM no\r\n', '+OK\r\n', '+OK\r\n', '-ERR EXEC without MULTI\r\n'], /^-UNKNOWN node node-\d refused MULTI/],
    [null, /^-UNKNOWN /],
  ] as const) {
    const { plane, client } = begun([['SET', 'x', '1'], ['FLUSHALL']], 2);
    const own = plane.nodeOf('x');
    plane.only(own).take();
    if (replies === null) plane.only(own).connection.end();
    else plane.only(own).answer(...replies);
    plane.turn();
    plane.pass(1_000);
    t.match(client.take(), expected);
    t.equal(plane.only(1 - own).take(), '');
  }
});

t.test('without keys any shard is that of the transaction, and with WATCH that of the watched keys', async (t) => {
  const { plane, client } = begun(
    [
      ['CONFIG', 'GET', 'maxmemory'],
      ['CONFIG', 'RESETSTAT'],
    ],
    2,
  );
  t.equal(plane.only(0).take(), BLOCK(['CONFIG', 'GET', 'maxmemory'], ['CONFIG', 'RESETSTAT']));
  plane.only(0).answer('+OK\r\n', QUEUED.repeat(2), '*2\r\n*0\r\n+OK\r\n');
  plane.turn();
  t.equal(plane.only(1).take(), command('CONFIG', 'RESETSTAT'));
  plane.only(1).answer('+OK\r\n');
  plane.turn();
  t.equal(client.take(), '*2\r\n*0\r\n+OK\r\n');

  client.send(['WATCH', plane.key(1)]);
  plane.turn();
  const watching = plane.links(1).at(-1);
  watching?.greet();
  plane.turn();
  t.equal(watching?.take(), command('WATCH', plane.key(1)));
  watching?.answer('+OK\r\n');
  client.send(['MULTI'], ['FLUSHDB'], ['EXEC']);
  plane.turn();
  t.equal(watching?.take(), BLOCK(['FLUSHDB']) + command('UNWATCH'));
  watching?.answer('+OK\r\n', QUEUED, '*1\r\n+OK\r\n', '+OK\r\n');
  plane.turn();
  t.equal(plane.only(0).take(), command('FLUSHDB'));
  plane.only(0).answer('+OK\r\n');
  plane.turn();
  t.equal(client.take(), `+OK\r\n+OK\r\n${QUEUED}*1\r\n+OK\r\n`);
});

t.test('the other shards do theirs also when the client has gone, or wants no reply', async (t) => {
  for (const isGone of [true, false]) {
    const plane = new Plane({ nodes: 2 }).greetAll();
    const client = plane.client();
    if (!isGone) client.send(['CLIENT', 'REPLY', 'OFF']);
    client.send(['MULTI'], ['SET', 'x', '1'], ['FLUSHALL'], ['EXEC']);
    plane.turn();
    const own = plane.nodeOf('x');
    plane.only(own).take();
    if (isGone) client.connection.break(new Error('reset'));
    plane.turn();
    plane.only(own).answer('+OK\r\n', QUEUED.repeat(2), '*2\r\n+OK\r\n+OK\r\n');
    plane.turn();
    t.equal(plane.only(1 - own).take(), command('FLUSHALL'));
    plane.only(1 - own).answer('+OK\r\n');
    plane.turn();
    t.notMatch(client.take(), /\*2/);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('what has no meaning in a transaction over several shards is refused when it comes', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['MULTI'], ['SCAN', '0'], ['EXEC']);
  plane.turn();
  t.match(
    client.take(),
    /^\+OK\r\n-ERR SCAN inside MULTI is not supported by this proxy: its cursor is of one node\r\n-EXECABORT /,
  );
  for (const node of [0, 1]) t.equal(plane.only(node).take(), '');
  t.equal(plane.usedBytes, 0);
});

t.test('in RESP3 what all shards say is one value of its kind, and EXEC without one is null', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['HELLO', '3']);
  plane.turn();
  client.take();
  const own = plane.nodeOf('x');
  client.send(['MULTI'], ['KEYS', '*'], ['HGETALL', 'x'], ['RANDOMKEY'], ['EXEC']);
  plane.turn();
  const ours = plane.link(own, 3)?.greet() as NodeLink;
  plane.turn();
  t.equal(ours.take(), BLOCK(['KEYS', '*'], ['HGETALL', 'x'], ['DBSIZE'], ['RANDOMKEY']));
  ours.answer('+OK\r\n', QUEUED.repeat(4), `*4\r\n*1\r\n${bulk('x')}%1\r\n${bulk('f')}${bulk('v')}:0\r\n_\r\n`);
  plane.turn();
  const other = plane.link(1 - own, 3)?.greet() as NodeLink;
  plane.turn();
  t.equal(other.take(), command('KEYS', '*') + command('DBSIZE') + command('RANDOMKEY'));
  other.answer(`*1\r\n${bulk('y')}`, ':0\r\n', '_\r\n');
  plane.turn();
  const keys = own === 0 ? ['x', 'y'] : ['y', 'x'];
  t.equal(
    client.take(),
    `+OK\r\n${QUEUED.repeat(3)}*3\r\n*2\r\n${keys.map(bulk).join('')}%1\r\n${bulk('f')}${bulk('v')}_\r\n`,
  );
  client.send(['MULTI'], ['GET', 'x'], ['FLUSHALL'], ['EXEC']);
  plane.turn();
  ours.take();
  ours.answer('+OK\r\n', QUEUED.repeat(2), '_\r\n');
  plane.turn();
  t.equal(client.take(), `+OK\r\n${QUEUED.repeat(2)}_\r\n`);
  t.equal(other.take(), '');
});
