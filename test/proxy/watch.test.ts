/** WATCH: by a connection of the session's own, whose fate decides what becomes of EXEC. */
import t from 'tap';
import type { Limits } from '../../src/base/limits.js';
import { pendingsInUse } from '../help/pending-watch.js';
import { answerPings, bulk, type Client, command, type NodeLink, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

const BLOCK = (...commands: string[][]) => [['MULTI'], ...commands, ['EXEC']].map((w) => command(...w)).join('');

interface Watching {
  plane: Plane;
  client: Client;
  key: string;
  /** The private connection, on which the key is watched. */
  own: NodeLink;
  /** The shared one. */
  shared: NodeLink;
}

/** A client that watches a key of node 0. */
function watching(protocol: 2 | 3 = 2, limits: Partial<Limits> = {}): Watching {
  const plane = new Plane({ nodes: 2, limits }).greetAll();
  const key = plane.key(0);
  const client = plane.client();
  if (protocol === 3) {
    client.send(['HELLO', '3'], ['GET', key]);
    plane.turn();
    const link = plane.link(0, 3)?.greet();
    link?.take();
    link?.answer('_\r\n');
    plane.turn();
    client.take();
  }
  client.send(['WATCH', key]);
  const own = lastLink(plane, 0, protocol).greet();
  const shared = plane.links(0, protocol)[0] as NodeLink;
  plane.turn();
  if (own.take() !== command('WATCH', key)) throw new Error('it does not watch');
  own.answer('+OK\r\n');
  plane.turn();
  if (client.take() !== '+OK\r\n') throw new Error('it was not told');
  return { plane, client, key, own, shared };
}

function lastLink(plane: Plane, node: number, protocol: 2 | 3 = 2): NodeLink {
  plane.turn();
  return plane.links(node, protocol).at(-1) as NodeLink;
}

t.test('what comes after WATCH waits for its reply, and EXEC goes where the keys are watched', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const shared = plane.only(0);
  const client = plane.client().send(['SET', 'k', '1'], ['WATCH', 'k'], ['GET', 'k'], ['MULTI'], ['SET', 'k', '2']);
  plane.turn();
  t.equal(shared.take(), command('SET', 'k', '1'));
  t.equal(plane.links(0).length, 1, 'what came before WATCH is answered first');
  shared.answer('+OK\r\n');
  plane.turn();
  plane.turn();
  const own = lastLink(plane, 0).greet();
  plane.turn();
  t.equal(own.take(), command('WATCH', 'k'));
  t.equal(shared.take(), '', 'the read waits: the key must be watched when it is read');
  own.answer('+OK\r\n');
  plane.turn();
  plane.turn();
  t.equal(shared.take(), command('GET', 'k'));
  t.equal(client.take(), '+OK\r\n+OK\r\n');
  client.send(['EXEC'], ['GET', 'k']);
  plane.turn();
  t.equal(own.take(), '', 'EXEC waits for the read');
  shared.answer('$1\r\n1\r\n');
  plane.turn();
  plane.turn();
  t.equal(own.take(), BLOCK(['SET', 'k', '2']) + command('UNWATCH'));
  t.equal(shared.take(), '', 'and what comes after EXEC for EXEC');
  own.answer('+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n', '+OK\r\n');
  plane.turn();
  plane.turn();
  t.equal(shared.take(), command('GET', 'k'));
  t.equal(client.take(), '$1\r\n1\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n');
  shared.answer('$1\r\n2\r\n');
  plane.turn();
  t.equal(client.take(), '$1\r\n2\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('the connection serves the next one who watches; each gets it clean', async (t) => {
  const { plane, client, key, own } = watching();
  client.send(['UNWATCH']);
  plane.turn();
  t.equal(client.take(), '+OK\r\n');
  t.equal(own.take(), command('UNWATCH'));
  const other = plane.client().send(['WATCH', key]);
  plane.turn();
  const second = lastLink(plane, 0);
  t.not(second, own, 'one that has not answered yet is not lent');
  second.greet();
  plane.turn();
  second.take();
  second.answer('+OK\r\n');
  own.answer('+OK\r\n');
  plane.turn();
  t.equal(other.take(), '+OK\r\n');
  client.send(['WATCH', key]);
  plane.turn();
  t.equal(own.take(), command('WATCH', key));
  t.equal(plane.counts.privateConnectionsLent, 3);
});

for (const [end, words] of [
  ['DISCARD', [['MULTI'], ['DISCARD']]],
  ['a refused EXEC', [['MULTI'], ['CONFIG', 'NONSENSE'], ['EXEC']]],
  ['RESET', [['RESET']]],
] as const) {
  t.test(`${end} ends the watch`, async (t) => {
    const { plane, client, own } = watching();
    client.send(...words.map((line) => [...line]));
    plane.turn();
    t.equal(own.take(), command('UNWATCH'));
    own.answer('+OK\r\n');
    client.take();
    client.send(['MULTI'], ['EXEC']);
    plane.turn();
    t.equal(client.take(), '+OK\r\n*0\r\n', 'no node is asked');
  });
}

t.test('an empty transaction asks the node whether the keys have changed', async (t) => {
  const { plane, client, own } = watching();
  client.send(['MULTI'], ['EXEC']);
  plane.turn();
  t.equal(own.take(), BLOCK() + command('UNWATCH'));
  own.answer('+OK\r\n*-1\r\n+OK\r\n');
  plane.turn();
  t.equal(client.take(), '+OK\r\n*-1\r\n');
});

t.test('where the connection is lost, EXEC is not carried out', async (t) => {
  for (const [protocol, nothing] of [
    [2, '*-1\r\n'],
    [3, '_\r\n'],
  ] as const) {
    const { plane, client, key, own, shared } = watching(protocol);
    own.connection.break(new Error('reset'));
    plane.turn();
    client.send(['MULTI'], ['SET', key, '2'], ['EXEC'], ['GET', key]);
    plane.turn();
    t.equal(client.take(), `+OK\r\n+QUEUED\r\n${nothing}`);
    t.equal(shared.take(), command('GET', key), 'and afterwards all is as before');
    t.equal(plane.counts.privateConnectionsOpen, 1, 'the spare one');
  }
});

t.test('another database, or protocol, after the connection was lost leaves nothing behind', async (t) => {
  const before = pendingsInUse();
  const { plane, client, own } = watching();
  own.connection.break(new Error('reset'));
  plane.turn();
  client.send(['SELECT', '1'], ['HELLO', '3'], ['MULTI'], ['EXEC']);
  plane.turn();
  t.match(client.take(), /^\+OK\r\n%7\r\n[\s\S]*\+OK\r\n_\r\n$/);
  t.equal(pendingsInUse(), before);
  t.equal(plane.usedBytes, 0);
});

t.test('so it is where keys may lie elsewhere now', async (t) => {
  const { plane, client, key, own } = watching();
  const topology = plainTopology(2, plane.topology.nodes, slotOwnersOf(plane.topology));
  plane.data.configure(topology, plane.limits, plane.rules);
  client.send(['MULTI'], ['SET', key, '2'], ['EXEC']);
  plane.turn();
  t.equal(client.take(), '+OK\r\n+QUEUED\r\n*-1\r\n');
  t.equal(own.take(), command('UNWATCH'));
});

t.test('EXEC whose connection is lost while it is carried out is unknown', async (t) => {
  const { plane, client, key, own } = watching();
  client.send(['MULTI'], ['SET', key, '2'], ['EXEC'], ['GET', key]);
  plane.turn();
  own.take();
  own.connection.break(new Error('reset'));
  plane.turn();
  t.match(client.take(), /^\+OK\r\n\+QUEUED\r\n-UNKNOWN node node-0 /);
});

t.test('a WATCH that no connection can be had for watches nothing', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['WATCH', 'k']);
  lastLink(plane, 0).open().answer('-ERR max number of clients reached\r\n');
  plane.turn();
  t.match(client.take(), /^-NODEDOWN node node-0 .*it refused the greeting: ERR max number of clients reached/);
  client.send(['MULTI'], ['GET', 'k'], ['EXEC']);
  plane.turn();
  t.equal(plane.links(0)[0]?.take(), BLOCK(['GET', 'k']));
});

t.test('keys of two nodes cannot be watched together, nor one watched and the other written', async (t) => {
  const { plane, client, key } = watching();
  const other = plane.key(1);
  client.send(['WATCH', key, other], ['WATCH', other], ['MULTI'], ['SET', other, '1'], ['DISCARD']);
  plane.turn();
  t.match(
    client.take(),
    new RegExp(
      `^-CROSSSLOT Keys in request .*'${key}'.*'${other}'.*\r\n-CROSSSLOT Keys in transaction .*'${key}'.*'${other}'.*\r\n` +
        `\\+OK\r\n-CROSSSLOT Keys in transaction .*'${key}'.*'${other}'.*\r\n\\+OK\r\n$`,
    ),
  );
});

t.test('WATCH inside MULTI is refused, and the transaction goes on', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['MULTI'], ['WATCH', 'k'], ['SET', 'k', '1'], ['EXEC']);
  plane.turn();
  t.equal(client.take(), '+OK\r\n-ERR WATCH inside MULTI is not allowed\r\n+QUEUED\r\n');
  t.equal(plane.only(0).take(), BLOCK(['SET', 'k', '1']));
});

t.test('another database, or protocol, while keys are watched: EXEC works there', async (t) => {
  const { plane, client, key, own } = watching();
  client.send(['SELECT', '3'], ['HELLO', '3'], ['MULTI'], ['SET', key, '2'], ['EXEC']);
  plane.turn();
  t.equal(own.take(), command('SELECT', '3') + command('HELLO', '3') + BLOCK(['SET', key, '2']) + command('UNWATCH'));
  own.answer('+OK\r\n%0\r\n+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n');
  plane.turn();
  t.match(client.take(), /\r\n\+QUEUED\r\n\*1\r\n\+OK\r\n$/);
});

t.test('at the limit, a client is told which', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { privateConnectionsMax: 2, privateConnectionsSpareMax: 1 } }).greetAll();
  const clients = [plane.client(), plane.client(), plane.client()];
  for (const client of clients) client.send(['WATCH', 'k']);
  plane.turn();
  t.match(clients[2]?.take(), /^-OVERLOADED node node-0 .*\(privateConnectionsMax 2\); nothing was sent\r\n$/);
  t.equal(plane.counts.privateConnectionsRefused, 1);
  clients[0]?.connection.end();
  plane.turn();
  for (const link of plane.links(0).slice(1)) {
    link.greet().take();
    link.answer('+OK\r\n');
  }
  plane.turn();
  plane.turn();
  clients[0]?.take();
  plane.turn();
  plane.turn();
  clients[2]?.send(['WATCH', 'k']);
  plane.turn();
  plane.turn();
  t.equal(plane.counts.privateConnectionsRefused, 1, 'one has come back');
});

t.test('where the name of its node cannot be resolved the client is told, and the place is free again', async (t) => {
  const plane = new Plane({
    nodes: 1,
    limits: { privateConnectionsMax: 1, privateConnectionsSpareMax: 0 },
    node: () => ({ address: { kind: 'tcp', host: 'redis.local', port: 7000 } }),
  });
  const resolved = (host: string | null, error: string | null) => {
    plane.turn();
    t.equal(plane.resolving.length, 1);
    plane.resolving.pop()?.done(host, error);
    plane.turn();
  };
  resolved('10.0.0.1', null);
  plane.only(0).greet();
  const client = plane.client().send(['WATCH', 'k']);
  resolved(null, 'ENOTFOUND');
  t.match(client.take(), /^-NODEDOWN node node-0 .*redis\.local cannot be resolved: ENOTFOUND; [^\r]*\r\n$/);
  t.equal(plane.counts.privateConnectionsOpen, 0);
  plane.pass(plane.limits.reconnectMinMs + 1);
  client.send(['WATCH', 'k']);
  resolved('10.0.0.1', null);
  const own = lastLink(plane, 0).greet();
  plane.turn();
  t.same(own.commands(), ['WATCH k']);
  own.answer('+OK\r\n');
  t.equal(client.take(), '+OK\r\n');
});

t.test('no more than may be are kept spare, however many come back at once', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { privateConnectionsSpareMax: 2 } }).greetAll();
  const clients = Array.from({ length: 10 }, () => plane.client().send(['WATCH', 'k']));
  for (let turn = 0; turn < 10; turn++) plane.pass(1);
  for (const link of plane.links(0).slice(1)) {
    link.greet().take();
    link.answer('+OK\r\n');
  }
  plane.turn();
  for (const client of clients) client.send(['UNWATCH']);
  plane.turn();
  for (const link of plane.links(0).slice(1)) if (link.take() !== '') link.answer('+OK\r\n');
  plane.turn();
  t.equal(plane.counts.privateConnectionsOpen, 2);
  t.equal(plane.links(0).length, 3);
});

/** What happens to the connection that EXEC has gone by, and is given back. */
const ENDS: [name: string, limits: Partial<Limits>, end: (plane: Plane) => void][] = [
  ['none is kept spare', { privateConnectionsSpareMax: 0 }, () => {}],
  [
    'the node has other credentials now',
    {},
    ({ data, topology, limits, rules }) => {
      const nodes = topology.nodes.map((node) => ({ ...node, password: 'another' }));
      data.configure({ ...topology, nodes }, limits, rules);
    },
  ],
];
for (const [name, limits, end] of ENDS) {
  t.test(`EXEC in flight is answered though its connection is given up: ${name}`, async (t) => {
    const { plane, client, key, own } = watching(2, limits);
    client.send(['MULTI'], ['SET', key, '2'], ['EXEC'], ['PING']);
    plane.turn();
    t.equal(own.take(), BLOCK(['SET', key, '2']) + command('UNWATCH'));
    end(plane);
    plane.turn();
    plane.turn();
    t.equal(client.take(), '+OK\r\n+QUEUED\r\n', 'nothing overtakes EXEC');
    own.answer('+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n', '+OK\r\n');
    plane.turn();
    plane.turn();
    t.equal(client.take(), '*1\r\n+OK\r\n+PONG\r\n');
    t.ok(own.isClosed, 'then it goes');
    t.equal(plane.counts.privateConnectionsOpen, 0);
    t.equal(plane.counts.nodeConnectionsLost, 0);
  });

  t.test(`EXEC in flight by a connection that is given up, and silent, or lost, is unknown: ${name}`, async (t) => {
    for (const lose of [
      (plane: Plane) => plane.pass(plane.limits.requestTimeoutMs + 1_000),
      (plane: Plane, own: NodeLink) => {
        own.connection.break(new Error('reset'));
        plane.turn();
      },
    ]) {
      const { plane, client, key, own } = watching(2, limits);
      client.send(['MULTI'], ['SET', key, '2'], ['EXEC']);
      plane.turn();
      own.take();
      end(plane);
      client.take();
      lose(plane, own);
      plane.turn();
      t.match(client.take(), /^-UNKNOWN node node-0 /);
      t.ok(own.isClosed);
      t.equal(plane.counts.privateConnectionsOpen, 0);
    }
  });
}

t.test('a client that goes leaves nothing behind', async (t) => {
  const before = pendingsInUse();
  const { plane, client, key, own } = watching();
  client.send(['MULTI'], ['SET', key, '2'], ['EXEC']);
  plane.turn();
  t.equal(own.take(), BLOCK(['SET', key, '2']) + command('UNWATCH'));
  client.connection.break(null);
  plane.turn();
  t.notOk(own.isClosed, 'what was sent is carried out');
  own.answer('+OK\r\n+QUEUED\r\n*1\r\n+OK\r\n+OK\r\n');
  plane.turn();
  t.equal(pendingsInUse(), before);
  t.equal(plane.usedBytes, 0);
  for (let step = 0; step < 70; step++) {
    plane.pass(1_000, 500);
    answerPings(plane);
  }
  t.ok(own.isClosed, 'nobody needs it');
  t.equal(plane.counts.privateConnectionsOpen, 0);
  t.equal(plane.counts.nodeConnectionsLost, 0);
});

t.test('a node that does not answer WATCH', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const client = plane.client().send(['WATCH', 'k']);
  const own = lastLink(plane, 0).greet();
  plane.turn();
  t.equal(own.take(), command('WATCH', 'k'));
  plane.pass(plane.limits.requestTimeoutMs + 600);
  t.match(client.take(), /^-NODEDOWN node node-0 .*it did not answer within 5000 ms/);
  t.ok(own.isClosed);
  client.send(['MULTI'], ['SET', 'k', bulk('x')], ['EXEC']);
  t.match(client.take(), /\*-1\r\n$/);
});

t.test('what the proxy does itself is done when EXEC was carried out, and before what comes after it', async (t) => {
  for (const [reply, name, shown] of [
    ['*1\r\n:1\r\n', '$2\r\nme\r\n', '*3\r\n+OK\r\n:1\r\n+OK\r\n'],
    ['*-1\r\n', '$-1\r\n', '*-1\r\n'],
    ['-EXECABORT no\r\n', '$-1\r\n', '-EXECABORT no\r\n'],
  ] as const) {
    const before = pendingsInUse();
    const { plane, client, key, own } = watching();
    client.send(['MULTI'], ['CLIENT', 'SETNAME', 'me'], ['INCR', key], ['CLIENT', 'UNPAUSE'], ['EXEC']);
    client.send(['CLIENT', 'GETNAME']);
    plane.turn();
    t.equal(client.take(), `+OK\r\n${'+QUEUED\r\n'.repeat(3)}`);
    t.equal(own.take(), BLOCK(['INCR', key]) + command('UNWATCH'));
    own.answer('+OK\r\n+QUEUED\r\n', reply, '+OK\r\n');
    for (let turn = 0; turn < 4; turn++) plane.turn();
    t.equal(client.take(), `${shown}${name}`);
    client.connection.break(null);
    plane.turn();
    t.equal(pendingsInUse(), before);
    t.equal(plane.usedBytes, 0);
  }
});

t.test('it is not done where EXEC could not be sent, or its node is lost', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { nodeQueueCommandsMax: 1 } }).greetAll();
  const [other, client] = [plane.client().send(['GET', 'k']), plane.client()];
  client.send(
    ['MULTI'],
    ['CLIENT', 'SETNAME', 'me'],
    ['INCR', 'k'],
    ['CLIENT', 'UNPAUSE'],
    ['EXEC'],
    ['CLIENT', 'GETNAME'],
  );
  for (let turn = 0; turn < 4; turn++) plane.turn();
  t.match(client.take(), /\+QUEUED\r\n-OVERLOADED node node-0 .*\r\n\$-1\r\n$/);
  plane.only(0).take();
  plane.only(0).answer('$-1\r\n');
  plane.turn();
  t.equal(other.take(), '$-1\r\n');
  client.send(
    ['MULTI'],
    ['CLIENT', 'SETNAME', 'me'],
    ['INCR', 'k'],
    ['CLIENT', 'UNPAUSE'],
    ['EXEC'],
    ['CLIENT', 'GETNAME'],
  );
  plane.turn();
  plane.only(0).take();
  plane.only(0).connection.break(new Error('reset'));
  for (let turn = 0; turn < 4; turn++) plane.turn();
  t.match(client.take(), /\+QUEUED\r\n-UNKNOWN node node-0 .*\r\n\$-1\r\n$/);
});
