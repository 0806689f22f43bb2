/** Commands that wait at the node: alone, by connections of the session's own, and what ends the wait. */
import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { answerPings, bulk, type Client, command, type NodeLink, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

interface Blocked {
  plane: Plane;
  client: Client;
  /** The private connection. */
  own: NodeLink;
}

/** A client that waits for data of node 0. */
function blocked(words = ['BLPOP', 'k', '0'], limits = {}): Blocked {
  const plane = new Plane({ nodes: 1, limits }).greetAll();
  const client = plane.client().send(words);
  const own = lastLink(plane).greet();
  plane.turn();
  if (own.take() !== command(...words)) throw new Error('it does not wait');
  return { plane, client, own };
}

function lastLink(plane: Plane, node = 0): NodeLink {
  plane.turn();
  return plane.links(node).at(-1) as NodeLink;
}

/** What another client is answered. */
function ask(plane: Plane, words: string[]): string {
  const client = plane.client().send(words);
  plane.turn();
  plane.turn();
  return client.take();
}

t.test('it comes after the replies to all before it, and what comes behind it waits', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  const shared = plane.only(0);
  const client = plane.client().send(['LPUSH', 'k', '1'], ['BLPOP', 'k', '0'], ['GET', 'a']);
  const other = plane.client();
  plane.turn();
  t.equal(shared.take(), command('LPUSH', 'k', '1'));
  shared.answer(':1\r\n');
  plane.turn();
  plane.turn();
  const own = lastLink(plane).greet();
  plane.turn();
  t.equal(own.take(), command('BLPOP', 'k', '0'));
  other.send(['GET', 'b']);
  plane.turn();
  t.equal(shared.take(), command('GET', 'b'), 'others go on');
  own.answer(`*2\r\n${bulk('k')}${bulk('1')}`);
  plane.turn();
  plane.turn();
  t.equal(shared.take(), command('GET', 'a'));
  t.equal(client.take(), `:1\r\n*2\r\n${bulk('k')}${bulk('1')}`);
  client.send(['BRPOP', 'k', '1']);
  shared.answer('$-1\r\n$-1\r\n');
  plane.turn();
  plane.turn();
  t.equal(own.take(), command('BRPOP', 'k', '1'), 'the connection serves again');
});

t.test('a client that goes is seen to go, and its place in the queue at the node with it', async (t) => {
  const before = pendingsInUse();
  for (const goes of [
    ({ connection }: Client) => connection.end(),
    ({ connection }: Client) => connection.break(new Error('reset')),
    (client: Client) => {
      client.send(['GET', 'a']);
      client.connection.end();
    },
  ]) {
    const { plane, client, own } = blocked(['BLPOP', 'k', '0'], { privateConnectionsSpareMax: 0 });
    goes(client);
    plane.turn();
    plane.turn();
    t.ok(own.isClosed);
    t.equal(pendingsInUse(), before);
    t.equal(plane.usedBytes, 0);
    t.equal(plane.counts.privateConnectionsOpen, 0);
    t.equal(plane.counts.writesUnknown, 0, 'nobody was told so');
    t.equal(plane.counts.sessionsOpen, 0);
  }
});

t.test('what comes meanwhile is kept, up to a bound', async (t) => {
  const { plane, client, own } = blocked();
  client.send(['SET', 'a', 'x'.repeat(30_000)]);
  plane.turn();
  t.notOk(client.connection.isPaused);
  client.send(['SET', 'b', 'x'.repeat(60_000)]);
  plane.turn();
  t.ok(client.connection.isPaused, 'more is not read');
  own.answer('*-1\r\n');
  plane.turn();
  plane.turn();
  t.equal(client.take(), '*-1\r\n');
  t.match(plane.links(0)[0]?.take(), /^\*3\r\n\$3\r\nSET\r\n\$1\r\na\r\n.*SET\r\n\$1\r\nb\r\n/s);
});

t.test('what comes meanwhile goes on, too, when the reply fills the output', async (t) => {
  const { plane, client, own } = blocked(['BLPOP', 'k', '0'], { sessionOutputSoftBytes: 1_000 });
  client.send(['GET', 'a']);
  plane.turn();
  own.answer(`*2\r\n${bulk('k')}${bulk('x'.repeat(900))}`);
  plane.turn();
  plane.turn();
  t.match(client.take(), /x{900}/);
  plane.turn();
  plane.turn();
  t.equal(plane.links(0)[0]?.take(), command('GET', 'a'));
});

t.test('the wait has no time-out of ours, but ends where the node is lost', async (t) => {
  const { plane, client, own } = blocked();
  // The shared connection is tried now and then.
  for (let step = 0; step < 100; step++) {
    plane.pass(600, 300);
    answerPings(plane);
  }
  t.equal(client.take(), '');
  own.connection.break(new Error('reset'));
  plane.turn();
  t.match(
    client.take(),
    /^-UNKNOWN node node-0 .*the connection was lost: reset; the write may or may not have been done/,
  );
  const reader = blocked(['XREAD', 'BLOCK', '0', 'STREAMS', 's', '$']);
  reader.own.connection.break(new Error('reset'));
  reader.plane.turn();
  t.match(reader.client.take(), /^-NODEDOWN node node-0 .*the connection was lost: reset; the command had no effect/);
});

t.test('it ends where the node falls silent, which others notice', async (t) => {
  const { plane, client, own } = blocked();
  plane.pass(plane.limits.idlePingMs + plane.limits.requestTimeoutMs + plane.limits.connectTimeoutMs + 2_000, 500);
  t.match(client.take(), /^-UNKNOWN node node-0 .*the connection was lost: /);
  t.ok(own.isClosed);
  client.send(['PING']);
  t.equal(client.take(), '+PONG\r\n');
});

t.test('the next one who waits finds a connection', async (t) => {
  const { plane } = blocked();
  const spare = lastLink(plane).greet();
  plane.turn();
  t.same(spare.commands(), []);
  const second = plane.client().send(['BLPOP', 'l', '0']);
  plane.turn();
  t.same(spare.commands(), ['BLPOP l 0']);
  t.equal(plane.links(0).length, 4, 'and so will the one after it');
  spare.answer('*-1\r\n');
  plane.turn();
  t.equal(second.take(), '*-1\r\n');
  const refused = lastLink(plane).open();
  refused.take();
  refused.answer('-ERR max number of clients reached\r\n');
  plane.turn();
  plane.pass(1_000);
  t.equal(plane.links(0).length, 3, 'one that cannot be had is not tried for again and again');
});

t.test('reading streams blocks only with BLOCK', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  plane.client().send(['XREAD', 'STREAMS', 's', '0'], ['XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>']);
  plane.turn();
  t.equal(
    plane.only(0).take(),
    command('XREAD', 'STREAMS', 's', '0') + command('XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 's', '>'),
  );
});

t.test('inside MULTI nothing blocks', async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  plane.client().send(['MULTI'], ['BLPOP', 'k', '0'], ['EXEC']);
  plane.turn();
  t.equal(plane.only(0).take(), command('MULTI') + command('BLPOP', 'k', '0') + command('EXEC'));
});

t.test('keys of several shards are refused', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const [a, b] = [plane.key(0), plane.key(1)];
  const client = plane.client().send(['BLPOP', a, b, '0'], ['BLMOVE', a, b, 'LEFT', 'LEFT', '0']);
  plane.turn();
  t.match(client.take(), new RegExp(`^(-CROSSSLOT Keys in request .*'${a}'.*'${b}'.*\r\n){2}$`));
});

t.test('at the limit a client is told so', async (t) => {
  const { plane } = blocked(['BLPOP', 'k', '0'], { privateConnectionsMax: 1, privateConnectionsSpareMax: 0 });
  const client = plane.client().send(['BLPOP', 'k', '0'], ['PING']);
  t.match(client.take(), /^-OVERLOADED node node-0 .*privateConnectionsMax 1.*\r\n\+PONG\r\n$/);
});

t.test('a node that is taken out of the configuration', async (t) => {
  const plane = new Plane({ nodes: 2 }).greetAll();
  const client = plane.client().send(['BLPOP', plane.key(1), '0']);
  const own = lastLink(plane, 1).greet();
  plane.turn();
  own.take();
  const [first] = plane.topology.nodes;
  if (first === undefined) throw new Error('there is no node');
  plane.data.configure(plainTopology(2, [first], new Uint16Array(16_384)), plane.limits, plane.rules);
  plane.pass(2_000, 500);
  t.match(client.take(), /^-UNKNOWN node node-1 .*the node is no longer in the configuration/);
  t.ok(own.isClosed);
});

t.test('a node that has moved to another address: who waits there is told, and waits at the new one', async (t) => {
  const { plane, client, own } = blocked();
  const [node] = plane.topology.nodes;
  if (node === undefined) throw new Error('there is no node');
  const moved = { ...node, address: { kind: 'tcp', host: '10.0.0.2', port: 7000 } } as const;
  plane.data.configure(plainTopology(2, [moved], slotOwnersOf(plane.topology)), plane.limits, plane.rules);
  plane.pass(100);
  t.match(client.take(), /^-UNKNOWN .*the connection was lost: the node has another address or other credentials now/);
  t.ok(own.isClosed);
  client.send(['BLPOP', 'k', '0']);
  plane.turn();
  plane.turn();
  const { endpoint } = plane.transport.connections.at(-1) ?? {};
  t.match(endpoint, { host: '10.0.0.2' });
});

t.test('so many at once that their connections take longer to open than one may', async (t) => {
  const plane = new Plane({ nodes: 1, limits: { connectTimeoutMs: 100 } }).greetAll();
  const clients = Array.from({ length: 1_000 }, () => plane.client().send(['BLPOP', 'k', '0']));
  for (let step = 0; step < 300; step++) {
    plane.pass(2);
    for (const link of plane.links(0).slice(1)) if (link.protocol === null) link.greet();
  }
  plane.turn();
  for (const link of plane.links(0).slice(1)) if (link.take() !== '') link.answer('*-1\r\n');
  plane.turn();
  t.same(new Set(clients.map((client) => client.take())), new Set(['*-1\r\n']));
});

t.test('CLIENT UNBLOCK asks the node whether the client waits', async (t) => {
  for (const [words, sent, reply] of [
    [[], 'CLIENT UNBLOCK 77 TIMEOUT', ':1\r\n'],
    [['TIMEOUT'], 'CLIENT UNBLOCK 77 TIMEOUT', ':0\r\n'],
    [['error'], 'CLIENT UNBLOCK 77 ERROR', ':1\r\n'],
  ] as const) {
    const { plane, client, own } = blocked();
    const id = /id=(\d+) [^\n]* flags=b /.exec(ask(plane, ['CLIENT', 'LIST']))?.[1] ?? 'none';
    const other = plane.client().send(['CLIENT', 'UNBLOCK', id, ...words]);
    plane.turn();
    const shared = plane.links(0)[0] as NodeLink;
    t.same(shared.commands(), [sent]);
    t.equal(other.take(), '', 'the node knows');
    shared.answer(reply);
    plane.turn();
    t.equal(other.take(), reply);
    own.answer('*-1\r\n');
    plane.turn();
    t.equal(client.take(), '*-1\r\n');
    t.equal(ask(plane, ['CLIENT', 'UNBLOCK', id]), ':0\r\n', 'it waits no more');
  }
});

t.test('CLIENT UNBLOCK that comes late to the node unblocks nobody else', async (t) => {
  const before = pendingsInUse();
  for (const isAnswered of [true, false]) {
    const { plane, client, own } = blocked();
    const shared = plane.links(0)[0] as NodeLink;
    const other = plane.client().send(['CLIENT', 'UNBLOCK', '1', 'ERROR']);
    plane.turn();
    t.same(shared.commands(), ['CLIENT UNBLOCK 77 ERROR']);
    own.answer(`*2\r\n${bulk('k')}${bulk('1')}`);
    plane.turn();
    t.equal(client.take(), `*2\r\n${bulk('k')}${bulk('1')}`);
    const next = plane.client().send(['BLPOP', 'k', '0']);
    plane.turn();
    t.equal(own.take(), '', 'its connection is lent to nobody while the node may unblock it');
    if (isAnswered) shared.answer(':0\r\n');
    else plane.pass(plane.limits.requestTimeoutMs + 1_000);
    plane.turn();
    t.equal(other.take(), ':0\r\n');
    t.equal(own.isClosed, !isAnswered, 'nor when nobody knows whether it will');
    for (const { connection } of [client, other, next]) connection.break(null);
    plane.data.drain(plane.transport.now, () => {});
    plane.turn();
    plane.turn();
  }
  t.equal(pendingsInUse(), before);
});

t.test('CLIENT UNBLOCK of a client whose node is lost, or is not yet connected to', async (t) => {
  const before = pendingsInUse();
  const { plane, client } = blocked(['BLPOP', 'k', '0'], { privateConnectionsSpareMax: 0 });
  const other = plane.client().send(['CLIENT', 'UNBLOCK', '1']);
  plane.turn();
  for (const link of plane.links(0)) {
    link.take();
    link.connection.break(new Error('reset'));
  }
  plane.turn();
  plane.turn();
  t.equal(other.take(), ':0\r\n');
  t.match(client.take(), /^-UNKNOWN /);
  client.send(['BLPOP', 'k', '0']);
  plane.turn();
  t.equal(ask(plane, ['CLIENT', 'UNBLOCK', '1']), ':0\r\n');
  client.connection.break(null);
  plane.turn();
  plane.turn();
  t.equal(pendingsInUse(), before);
});

t.test("CLIENT UNBLOCK's mistakes are told in Redis's words", async (t) => {
  const plane = new Plane({ nodes: 1 }).greetAll();
  for (const [words, reply] of [
    [['x'], '-ERR value is not an integer or out of range\r\n'],
    [['1', 'x'], '-ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR\r\n'],
    [['1', 'error', 'x'], "-ERR unknown subcommand or wrong number of arguments for 'UNBLOCK'. Try CLIENT HELP.\r\n"],
    [['-1'], ':0\r\n'],
    [['99'], ':0\r\n'],
  ] as const) {
    t.equal(ask(plane, ['CLIENT', 'UNBLOCK', ...words]), reply, words.join(' '));
  }
});

t.test('the proxy ends: who waits is not waited for', async (t) => {
  const { plane, client } = blocked();
  let isDrained = false;
  plane.data.drain(plane.transport.now + 10_000, () => {
    isDrained = true;
  });
  plane.turn();
  plane.turn();
  t.ok(isDrained);
  t.ok(client.isClosed);
});

t.test('WAIT asks the shards that were written to, each after a PING, and says the least', async (t) => {
  const plane = new Plane({ nodes: 3 }).greetAll();
  const client = plane.client().send(['SET', plane.key(0), '1'], ['SET', plane.key(2), '1'], ['GET', plane.key(1)]);
  plane.turn();
  for (const [node, reply] of ['+OK\r\n', '$-1\r\n', '+OK\r\n'].entries()) {
    plane.only(node).take();
    plane.only(node).answer(reply);
  }
  plane.turn();
  client.take();
  client.send(['WAIT', '2', '100'], ['PING']);
  plane.turn();
  plane.turn();
  t.equal(plane.links(1).length, 1);
  const [first, third] = [lastLink(plane, 0).greet(), lastLink(plane, 2).greet()];
  plane.turn();
  for (const own of [first, third]) t.equal(own.take(), command('PING') + command('WAIT', '2', '100'));
  first.answer('+PONG\r\n', ':2\r\n');
  plane.turn();
  t.equal(client.take(), '');
  third.answer('+PONG\r\n', ':1\r\n');
  plane.turn();
  plane.turn();
  t.equal(client.take(), ':1\r\n+PONG\r\n');
  t.equal(plane.usedBytes, 0);
});

t.test('WAIT of a client that has written nothing asks one node', async (t) => {
  const plane = new Plane({ nodes: 3 }).greetAll();
  const client = plane.client().send(['WAIT', '0', '0']);
  plane.turn();
  const own = lastLink(plane, 0).greet();
  own.take();
  own.answer('+PONG\r\n', ':0\r\n');
  plane.turn();
  t.equal(client.take(), ':0\r\n');
});
