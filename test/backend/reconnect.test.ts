import t from 'tap';
import { pendingsInUse } from '../help/pending-watch.js';
import { type NodeLink, Plane } from '../help/plane.js';

/** Milliseconds until there is another attempt to connect after the one connection of node 0 broke. */
function breakAndWait(world: Plane, error: string): number {
  const before = world.transport.connections.length;
  world.only(0).connection.break(new Error(error));
  for (let ms = 0; ms <= 20_000; ms++) {
    if (world.transport.connections.length > before) return ms;
    world.transport.pass(1);
  }
  throw new Error('no attempt within 20 s');
}

const REFUSED = 'connection refused';

t.test('the wait between attempts doubles up to reconnectMaxMs', async (t) => {
  const world = new Plane({ nodes: 1, random: () => 1 });
  const waits: number[] = [];
  for (let attempt = 0; attempt < 9; attempt++) {
    waits.push(breakAndWait(world, REFUSED));
  }
  t.same(waits, [50, 100, 200, 400, 800, 1600, 2000, 2000, 2000]);
  t.equal(world.counts.nodeConnectFailures, 9);
});

t.test('the wait is cut by up to a half at random, and never longer than reconnectMaxMs', async (t) => {
  for (const [random, expected] of [
    [0, 25],
    [0.5, 38],
    [0.999, 50],
  ] as const) {
    const world = new Plane({ nodes: 1, random: () => random });
    t.equal(breakAndWait(world, REFUSED), expected);
  }
});

t.test('a connection that stands ends the doubling', async (t) => {
  const world = new Plane({ nodes: 1 });
  for (let attempt = 0; attempt < 5; attempt++) {
    breakAndWait(world, REFUSED);
  }
  world.only(0).greet();
  world.pass(5_000);
  world.only(0).take();
  t.equal(breakAndWait(world, 'reset'), 0, 'the first attempt is made at once');
  t.equal(breakAndWait(world, REFUSED), 38);
});

t.test('a node that greets and closes is not connected to without end', async (t) => {
  const world = new Plane({ nodes: 1 });
  const started = world.transport.now;
  for (let attempt = 0; attempt < 100; attempt++) {
    world.only(0).greet();
    breakAndWait(world, 'reset');
  }
  t.ok(world.transport.now - started >= 100 * 25, `100 attempts within ${world.transport.now - started} ms`);
});

t.test('while the next attempt of such a node waits, commands wait for it', async (t) => {
  const world = new Plane({ nodes: 1 });
  const client = world.client();
  world.only(0).greet();
  world.only(0).connection.break(new Error('reset'));
  client.send(['GET', 'a']);
  world.turn();
  t.equal(client.take(), '');
  t.equal(world.links(0).length, 0);
  world.pass(50);
  t.same(world.only(0).greet().commands(), ['GET a']);
  t.equal(world.data.pool.common.channels[0]?.state, 'ready');
});

t.test('while a node is down its commands fail at once, with the reason, and others go on', async (t) => {
  const world = new Plane({ nodes: 2 });
  world.link(1)?.greet();
  world.only(0).connection.break(new Error(REFUSED));
  const client = world.client();
  client.send(['SET', world.key(0), '1'], ['SET', world.key(1), '1']);
  world.turn();
  world.only(1).answer(world.only(1).take() === '' ? '' : '+OK\r\n');
  t.match(client.take(), /^-NODEDOWN node node-0 \(10\.0\.0\.1:7000\): connection refused; .*\r\n\+OK\r\n$/);
  world.pass(50);
  client.send(['SET', world.key(0), '1']);
  world.turn();
  t.match(client.take(), /^-NODEDOWN /, 'also while the next attempt is under way');
  world.only(0).greet();
  client.send(['SET', world.key(0), '2']);
  world.turn();
  t.same(world.only(0).commands(), [`SET ${world.key(0)} 2`]);
});

t.test('a state is told once, and again when it changes', async (t) => {
  const world = new Plane({ nodes: 1 });
  for (let attempt = 0; attempt < 3; attempt++) {
    breakAndWait(world, REFUSED);
  }
  world.only(0).greet();
  world.pass(3_000);
  breakAndWait(world, 'reset');
  t.same(world.nodeStates, ['node-0 down connection refused', 'node-0 up 7.0.15'], 'a short loss is no news');
  world.only(0).connection.break(new Error(REFUSED));
  t.equal(world.nodeStates.at(-1), 'node-0 down connection refused');
});

t.test('a name is resolved again at every attempt', async (t) => {
  const world = new Plane({ nodes: 1, node: () => ({ address: { kind: 'tcp', host: 'redis.local', port: 7000 } }) });
  t.equal(world.transport.connections.length, 0);
  const client = world.client().send(['GET', 'a']);
  t.same(
    world.resolving.map(({ host }) => host),
    ['redis.local'],
  );
  world.resolving[0]?.done('10.1.1.1', null);
  t.same(world.only(0).connection.endpoint, { kind: 'tcp', host: '10.1.1.1', port: 7000 });
  world.only(0).connection.break(new Error(REFUSED));
  t.match(client.take(), /^-NODEDOWN node node-0 \(redis\.local:7000\): connection refused;/);
  world.pass(100);
  t.equal(world.resolving.length, 2);
  world.resolving[1]?.done('10.1.1.2', null);
  t.match(world.only(0).connection.endpoint, { host: '10.1.1.2' });
});

t.test('a name that does not resolve', async (t) => {
  const world = new Plane({ nodes: 1, node: () => ({ address: { kind: 'tcp', host: 'nowhere', port: 7000 } }) });
  const client = world.client().send(['GET', 'a']);
  world.resolving[0]?.done(null, 'ENOTFOUND');
  t.match(client.take(), /^-NODEDOWN node node-0 \(nowhere:7000\): nowhere cannot be resolved: ENOTFOUND; the command/);
  t.same(world.nodeStates, ['node-0 down nowhere cannot be resolved: ENOTFOUND']);
  world.pass(100);
  t.equal(world.resolving.length, 2, 'it is asked for again');
});

t.test('a resolver that answers too late is not listened to', async (t) => {
  const world = new Plane({ nodes: 1, node: () => ({ address: { kind: 'tcp', host: 'slow', port: 7000 } }) });
  const client = world.client().send(['GET', 'a']);
  world.pass(world.limits.connectTimeoutMs + 100);
  t.match(client.take(), /^-NODEDOWN /);
  world.pass(100);
  t.equal(world.resolving.length, 2, 'the second attempt asks again');
  world.resolving[0]?.done('10.9.9.9', null);
  t.equal(world.transport.connections.length, 0, 'the answer to the first came too late');
  world.resolving[1]?.done('10.1.1.1', null);
  world.only(0).greet();
  t.equal(world.data.pool.common.channels[0]?.state, 'ready');
});

t.test('a resolver that answers after the plane was closed', async (t) => {
  const world = new Plane({ nodes: 1, node: () => ({ address: { kind: 'tcp', host: 'slow', port: 7000 } }) });
  world.data.pool.close('the proxy is stopping');
  world.resolving[0]?.done('10.1.1.1', null);
  t.equal(world.transport.connections.length, 0);
  world.resolving[0]?.done(null, 'ENOTFOUND');
  world.pass(10_000);
  t.equal(world.resolving.length, 1);
});

t.test('a unix socket needs no resolver', async (t) => {
  const world = new Plane({ nodes: 1, node: () => ({ address: { kind: 'unix', path: '/run/redis.sock' } }) });
  t.same(world.transport.connections[0]?.endpoint, { kind: 'unix', path: '/run/redis.sock' });
  world.only(0).connection.break(new Error(REFUSED));
  const client = world.client().send(['GET', 'a']);
  t.match(client.take(), /^-NODEDOWN node node-0 \(unix:\/run\/redis\.sock\): connection refused/);
});

t.test('closing gives up everything, and tells everyone what is true', async (t) => {
  const before = pendingsInUse();
  const world = new Plane({ nodes: 2, limits: { largeValueBytes: 100 } });
  const greeted = (world.link(1) as NodeLink).greet();
  const waits = world.client().send(['SET', world.key(0), '1']);
  const sent = world.client().send(['SET', world.key(1), '1'], ['GET', world.key(1)]);
  const large = world.client().send(['SET', world.key(1), 'x'.repeat(200)]);
  world.turn();
  greeted.take();
  world.data.pool.close('the proxy is stopping');
  world.turn();
  t.match(waits.take(), /^-NODEDOWN node node-0 .*: the proxy is stopping; the command had no effect\r\n$/);
  t.match(sent.take(), /^-UNKNOWN .*: the proxy is stopping; .*\r\n-NODEDOWN .*: the proxy is stopping; .*\r\n$/);
  t.match(large.take(), /^-UNKNOWN .*: the connection was lost: the proxy is stopping;/);
  waits.send(['GET', world.key(0)]);
  t.match(waits.take(), /^-NODEDOWN .*: the proxy is stopping;/);
  world.pass(10_000);
  t.ok(
    world.transport.connections.every((connection) => connection.isClosed),
    'and connects no more',
  );
  t.equal(pendingsInUse(), before);
  t.equal(world.usedBytes, 0);
});

t.test('a node that does not speak RESP3 is up for all others', async (t) => {
  const world = new Plane({ nodes: 1 }).greetAll();
  const client = world.client().send(['HELLO', '3']);
  client.take();
  client.send(['GET', 'a']);
  world.turn();
  const link = world.links(0, 3).at(-1) as NodeLink;
  link.open().take();
  link.answer("-ERR unknown command 'HELLO'\r\n");
  world.turn();
  t.match(client.take(), /^-NODEDOWN .*it refused the greeting/, 'who speaks it learns why');
  t.same(world.nodeStates, ['node-0 up 7.0.15']);
  for (let round = 0; round < 2; round++) {
    for (const open of world.links(0, 2)) open.connection.break(new Error('connection refused'));
    world.pass(100);
  }
  t.match(world.nodeStates.at(-1), /^node-0 down connection refused/);
});
