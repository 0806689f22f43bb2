import t from 'tap';
import { PacedQueue } from '../../src/backend/paced-queue.js';
import type { Endpoint } from '../../src/base/endpoint.js';
import type { NodeSnapshot } from '../../src/messages.js';
import { type FakeConnection, FakeTransport } from '../help/fake-transport.js';
import { NodeLink, Plane } from '../help/plane.js';
import { plainTopology, slotOwnersOf } from '../help/topology.js';

t.test('so many tasks are done in a turn, in their order, and the rest later', async (t) => {
  const transport = new FakeTransport();
  const queue = new PacedQueue(transport, 2);
  const done: number[] = [];
  for (let task = 0; task < 5; task++) queue.request(() => done.push(task));
  t.same(done, [0, 1], 'at once, as far as they may');
  transport.turn();
  t.same(done, [0, 1], 'not before a millisecond has passed');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3]);
  queue.request(() => done.push(5));
  t.same(done, [0, 1, 2, 3], 'it waits behind the one that waits');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3, 4, 5]);
  transport.pass(1);
  queue.request(() => done.push(6));
  t.same(done.at(-1), 6);
});

t.test('a turn takes more tasks than it has to where they are soon done', async (t) => {
  const transport = new FakeTransport();
  let nowMs = 0;
  transport.exactNow = () => nowMs;
  const queue = new PacedQueue(transport, 2, { max: 4, ms: 3 });
  const done: number[] = [];
  const takes = [5, 5, 1, 1, 1, 0, 0, 0, 0, 0];
  for (const [task, ms] of takes.entries()) {
    queue.request(() => {
      done.push(task);
      nowMs += ms;
    });
  }
  t.same(done, [0, 1], 'so many in any case');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3, 4], 'none is begun when the time is up');
  transport.pass(1);
  t.same(done, [0, 1, 2, 3, 4, 5, 6, 7, 8], 'and never more than the most');
  transport.pass(1);
  t.equal(done.length, takes.length);
});

t.test('of many that wait together all but the first rest once', async (t) => {
  const transport = new FakeTransport();
  const queue = new PacedQueue(transport, 1, undefined, { intervalMs: 2, rest: { after: 2, ms: 10 } });
  const done: number[] = [];
  const request = (count: number) => {
    for (let task = 0; task < count; task++) queue.request(() => done.push(task));
  };
  const pass = (ms: number) => {
    for (let passed = 0; passed < ms; passed++) transport.pass(1);
  };
  request(5);
  pass(4);
  t.same(done, [0, 1, 2], 'one at once, and two that waited');
  pass(9);
  t.same(done, [0, 1, 2], 'the others rest');
  pass(1);
  t.same(done, [0, 1, 2, 3]);
  pass(2);
  t.same(done, [0, 1, 2, 3, 4], 'once');
  done.length = 0;
  pass(2);
  request(3);
  pass(4);
  t.same(done, [0, 1, 2], 'few do not');
});

t.test(
  'of many nodes that move, most are connected to when all who are told of them have had time to be',
  async (t) => {
    const count = 400;
    const plane = new Plane().greetAll();
    const { connections } = plane.transport;
    configure(plane, 2, nodesAt(plane, count, 2));
    const turnsOf = (opened: number) =>
      mostInTurn(
        plane,
        () => 0,
        () => connections.length - before >= opened,
      ).turns;
    plane.pass(1_000, 1);
    const before = connections.length;
    configure(plane, 3, nodesAt(plane, count, 3));
    t.ok(turnsOf(OPENING_REST.after) < OPENING_REST.ms, 'some begin at once');
    t.ok(turnsOf(OPENING_REST.after + 2 * DIALS_PER_TURN) >= OPENING_REST.ms - OPENING_INTERVAL_MS);
    t.ok(turnsOf(count) <= (count / DIALS_PER_TURN) * OPENING_INTERVAL_MS);
  },
);

t.test('a task may ask for another', async (t) => {
  const transport = new FakeTransport();
  const queue = new PacedQueue(transport, 1);
  const done: string[] = [];
  queue.request(() => {
    done.push('first');
    queue.request(() => done.push('third'));
  });
  queue.request(() => done.push('fourth'));
  t.same(done, ['first']);
  transport.pass(1);
  transport.pass(1);
  t.same(done, ['first', 'third', 'fourth']);
});

/** As pool.ts has them. */
const NEWS_PER_TURN = 32;
const NODES_PER_TURN = 32;
const DIALS_PER_TURN = 4;
const OPENING_INTERVAL_MS = 4;
const OPENING_REST = { after: 32, ms: 100 };

t.test('a thousand nodes that come and go are connected to and given up a few in a turn', async (t) => {
  const count = 1_000;
  const plane = new Plane().greetAll();
  const { connections } = plane.transport;
  const nodes = nodesAt(plane, count, 1);
  plane.data.prepare(nodes);
  const before = connections.length;
  configure(plane, 2, nodes);
  t.ok(connections.length - before <= DIALS_PER_TURN, 'in the turn that they came in');
  const isOpen = () => connections.length - before === count;
  const opened = mostInTurn(plane, () => connections.length, isOpen);
  t.ok(opened.most <= DIALS_PER_TURN, `${opened.most} were opened in one turn`);
  t.ok(opened.turns <= (count / DIALS_PER_TURN) * OPENING_INTERVAL_MS + OPENING_REST.ms, `after ${opened.turns} turns`);
  for (const connection of connections) connection.open();
  configure(plane, 3, nodes.slice(0, 3));
  const isDone = () => openOnes(plane).length === 3;
  const given = mostInTurn(plane, () => -openOnes(plane).length, isDone);
  t.ok(given.most <= NODES_PER_TURN, `${given.most} were given up in one turn`);
});

t.test('nodes that change ten times before their turn are told once, of what they are at last', async (t) => {
  const count = 100;
  const plane = new Plane().greetAll();
  const { connections } = plane.transport;
  configure(plane, 2, nodesAt(plane, count, 0));
  const before = connections.length;
  const last = nodesAt(plane, count, 10);
  for (let reload = 1; reload < 10; reload++) configure(plane, 2 + reload, nodesAt(plane, count, reload));
  configure(plane, 12, last);
  const openAt = (network: number) => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, network)).length;
  const opened = mostInTurn(
    plane,
    () => connections.length,
    () => openAt(10) === count,
  );
  t.ok(opened.most <= DIALS_PER_TURN, `${opened.most} were opened in one turn`);
  // Those of the first turn were on their way already.
  const turnsMax = ((count + NODES_PER_TURN) / DIALS_PER_TURN + 1) * OPENING_INTERVAL_MS + OPENING_REST.ms;
  t.ok(opened.turns <= turnsMax, `after ${opened.turns} turns`);
  t.ok(connections.length - before <= count + NODES_PER_TURN, `${connections.length - before} were opened`);

  configure(plane, 13, [...last, ...nodesAt(plane, count + 1, 11).slice(count)]);
  const next = mostInTurn(
    plane,
    () => connections.length,
    () => openAt(11) === 1,
  );
  t.ok(next.turns <= OPENING_INTERVAL_MS, `what came next was done after ${next.turns} turns`);
  plane.pass(1_000, 1);
  t.equal(openOnes(plane).length, count + 1, 'one for each node');
});

t.test('a node that changes while it waits to be connected to is connected to once', async (t) => {
  const count = 100;
  const plane = new Plane().greetAll();
  const { connections } = plane.transport;
  for (let reload = 1; reload <= 10; reload++) {
    configure(plane, 1 + reload, nodesAt(plane, count, reload));
    // All channels know of it, and half of them have asked to be connected.
    for (let turn = 0; turn <= count / NODES_PER_TURN; turn++) plane.transport.pass(1);
  }
  const before = connections.length;
  const isDone = () => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, 10)).length === count;
  const opened = mostInTurn(plane, () => connections.length, isDone);
  const turnsMax = (count / DIALS_PER_TURN + 1) * OPENING_INTERVAL_MS + OPENING_REST.ms;
  t.ok(opened.turns <= turnsMax, `after ${opened.turns} turns`);
  t.ok(connections.length - before <= count, `${connections.length - before} were opened`);
});

t.test('a node that goes before its turn is not connected to', async (t) => {
  const plane = new Plane().greetAll();
  const { connections } = plane.transport;
  const nodes = nodesAt(plane, 100, 1);
  const before = connections.length;
  configure(plane, 2, nodes);
  configure(plane, 3, nodes.slice(0, 3));
  plane.pass(1_000, 1);
  t.ok(connections.length - before <= NODES_PER_TURN, `${connections.length - before} were opened`);
  t.equal(openOnes(plane).length, 3);
});

t.test('that a topology is gone by is told when nothing goes to where nodes were before', async (t) => {
  const count = 400;
  const plane = new Plane().greetAll();
  const { transport } = plane;
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  const go = (version: number, done = () => {}) => {
    const topology = plainTopology(version, nodesAt(plane, count, version), owners);
    plane.data.configure(topology, plane.limits, plane.rules, done);
  };
  const openAt = (network: number) => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, network));
  go(2);
  mostInTurn(
    plane,
    () => 0,
    () => openAt(2).length === count,
  );
  for (const connection of openAt(2)) NodeLink.of(connection).greet();
  const client = plane.client();
  const sentTo = (network: number) =>
    openAt(network).reduce((sum, connection) => sum + (connection.take() === '' ? 0 : 1), 0);
  sentTo(2);
  client.send(['GET', plane.key(0)]);
  plane.turn();
  t.equal(sentTo(2), 1);

  // Each look at the clock finds it a little later.
  let lateMs = 0;
  transport.exactNow = () => {
    lateMs += 0.01;
    return transport.now + lateMs;
  };
  let isDone = false;
  go(3, () => {
    isDone = true;
  });
  t.notOk(isDone, 'not all at once');
  const { turns } = mostInTurn(
    plane,
    () => 0,
    () => isDone,
  );
  t.ok(turns <= count / NEWS_PER_TURN, `after ${turns} turns`);
  t.ok(openAt(2).length > 0, 'to close them takes longer');
  sentTo(2);
  for (let node = 0; node < 3; node++) plane.client().send(['SET', plane.key(node), 'a']);
  plane.turn();
  t.equal(sentTo(2), 0);
  const given = mostInTurn(
    plane,
    () => -openAt(2).length,
    () => openAt(2).length <= 1,
  );
  t.ok(given.most <= NODES_PER_TURN, `${given.most} were closed in one turn`);
  t.equal(openAt(2).length, 1, 'what awaits a reply is finished');
});

t.test('a connection on its way to where a node was before is not used when it stands', async (t) => {
  const count = 100;
  const plane = new Plane().greetAll();
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  const go = (version: number) =>
    plane.data.configure(plainTopology(version, nodesAt(plane, count, version), owners), plane.limits, plane.rules);
  const openAt = (network: number) => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, network));
  go(2);
  mostInTurn(
    plane,
    () => 0,
    () => openAt(2).length === count,
  );
  go(3);
  t.ok(openAt(2).length >= count - NODES_PER_TURN, 'they are given up a few in a turn');
  const stood = openAt(2).map((connection) => NodeLink.of(connection).greet());
  plane.client().send(['GET', plane.key(0)]);
  plane.turn();
  t.same(
    stood.map((link) => link.take()).filter((text) => text !== ''),
    [],
  );
  t.equal(plane.nodeStates.filter((state) => state.startsWith('other')).length, 0);
  plane.pass(count + OPENING_REST.ms, 1);
  t.equal(openAt(2).length, 0);
  const now = openAt(3).map((connection) => NodeLink.of(connection).greet());
  t.equal(now.length, count);
  plane.turn();
  t.equal(now.filter((link) => link.take() !== '').length, 1);
});

t.test('nodes that a command waits for are connected to before others, each once', async (t) => {
  const count = 400;
  const plane = new Plane().greetAll();
  const { connections } = plane.transport;
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  plane.data.configure(plainTopology(2, nodesAt(plane, count, 2), owners), plane.limits, plane.rules);
  const last = (at: number) =>
    openOnes(plane).filter(({ endpoint }) => endpoint?.kind === 'tcp' && endpoint.port === count - at).length;
  const commands = [0, 1, 2, 0].map((node) => ['GET', plane.key(node)]);
  plane.client().send(...commands);
  plane.turn();
  t.same([0, 1, 2].map(last), [1, 1, 1]);
  t.ok(connections.length < count / 4, 'the others wait');
  plane.pass(count * 2, 1);
  t.same([0, 1, 2].map(last), [1, 1, 1]);
  t.equal(openOnes(plane).filter(({ endpoint }) => isAt(endpoint, 2)).length, count);
});

t.test('a node that is gone while it waits to be connected to is, for a command that waits for it', async (t) => {
  const count = 100;
  const plane = new Plane().greetAll();
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  const nodes = nodesAt(plane, count, 2);
  plane.data.configure(plainTopology(2, nodes, owners), plane.limits, plane.rules);
  const client = plane.client().send(['GET', plane.key(0)]);
  configure(plane, 3, nodes.slice(0, 3));
  const openAt = () => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, 2));
  plane.pass(count + OPENING_REST.ms, 1);
  const links = openAt().map((connection) => NodeLink.of(connection).greet());
  t.equal(links.length, 4);
  plane.turn();
  const asked = links.filter((link) => link.take() !== '');
  t.equal(asked.length, 1);
  asked[0]?.answer('$1\r\na\r\n');
  plane.turn();
  t.equal(client.take(), '$1\r\na\r\n');
});

t.test('who waits for its turn to connect is not late', async (t) => {
  const count = 1_000;
  const plane = new Plane().greetAll();
  const nodes = nodesAt(plane, count, 2).map((node) => ({
    ...node,
    limits: { ...node.limits, connectTimeoutMs: 400 },
  }));
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  plane.data.configure(plainTopology(2, nodes, owners), plane.limits, plane.rules);
  const greeted = new Set<FakeConnection>();
  let client = plane.client();
  for (let ms = 0; ms < 1_100; ms++) {
    plane.pass(1, 1);
    if (ms === 600) client = plane.client().send(['GET', plane.key(0)]);
    for (const connection of openOnes(plane)) {
      if (greeted.has(connection)) continue;
      greeted.add(connection);
      if (isAt(connection.endpoint, 2)) NodeLink.of(connection).greet();
    }
  }
  t.same(
    plane.nodeStates.filter((state) => / down/.test(state)),
    [],
  );
  t.equal(plane.nodeStates.filter((state) => /^other-\d+ up/.test(state)).length, count);
  t.equal(client.take(), '', 'it awaits its reply');
});

t.test('what a lost connection leaves does not wait behind nodes that nobody needs', async (t) => {
  const count = 400;
  const plane = new Plane().greetAll();
  const owners = slotOwnersOf(plane.topology).map((node) => count - 1 - node);
  const openAt = (network: number) => openOnes(plane).filter(({ endpoint }) => isAt(endpoint, network));
  const go = (version: number, nodes: readonly NodeSnapshot[], own = owners) =>
    plane.data.configure(plainTopology(version, nodes, own), plane.limits, plane.rules);
  for (const isRemoved of [false, true]) {
    const network = isRemoved ? 4 : 2;
    go(network, nodesAt(plane, count, network));
    mostInTurn(
      plane,
      () => 0,
      () => openAt(network).length === count,
    );
    const links = openAt(network).map((connection) => NodeLink.of(connection).greet());
    const client = plane.client().send(['GET', plane.key(0)]);
    plane.turn();
    const asked = links.find((link) => link.take() !== '') as NodeLink;
    const moved = nodesAt(plane, count, network + 1);
    go(network + 1, moved);
    if (isRemoved) {
      configure(plane, network + 2, moved.slice(0, 3));
      plane.pass(2_000, 1);
    }
    const before = openAt(network + 1);
    asked.connection.break(null);
    plane.pass(2, 1);
    const fresh = openAt(network + 1).filter((connection) => !before.includes(connection));
    const link = fresh
      .map((connection) => NodeLink.of(connection).greet())
      .find(({ connection }) => {
        return connection.endpoint?.kind === 'tcp' && connection.endpoint.port === count;
      });
    plane.turn();
    t.match(link?.take(), /GET/, isRemoved ? 'a node that is removed' : 'a node that waits for its turn');
    link?.answer('$1\r\na\r\n');
    plane.turn();
    t.equal(client.take(), '$1\r\na\r\n');
  }
});

t.test('a node that is down is tried again before nodes that nobody needs', async (t) => {
  const count = 400;
  const plane = new Plane({ nodes: 1 }).greetAll();
  const kept = plane.topology.nodes[0] as NodeSnapshot;
  const tries = () => openOnes(plane).filter(({ endpoint }) => !isAt(endpoint, 2));
  plane.only(0).connection.break(null);
  for (let ms = 0; ms < 100 && plane.nodeStates.at(-1)?.includes('down') !== true; ms++) {
    plane.pass(1, 1);
    for (const connection of tries()) connection.break(new Error('refused'));
  }
  t.match(plane.nodeStates.at(-1), /down/);
  configure(plane, 2, [kept, ...nodesAt(plane, count, 2).slice(1)]);
  plane.pass(200, 1);
  t.ok(openOnes(plane).length < count / 2 + 10, 'the others take their time');
  t.equal(tries().length, 1);
});

/** So many nodes, each with a name of its own, in the network of that number. */
function nodesAt(plane: Plane, count: number, network: number): NodeSnapshot[] {
  const first = plane.topology.nodes[0] as NodeSnapshot;
  return Array.from({ length: count }, (_, index) => {
    const name = `other-${index}`;
    return { ...first, index, name, label: name, address: { kind: 'tcp', host: `10.1.${network}.1`, port: 1 + index } };
  });
}

function isAt(endpoint: Endpoint | null, network: number): boolean {
  return endpoint?.kind === 'tcp' && endpoint.host === `10.1.${network}.1`;
}

function configure(plane: Plane, version: number, nodes: readonly NodeSnapshot[], done?: () => void): void {
  plane.data.configure(plainTopology(version, nodes, slotOwnersOf(plane.topology)), plane.limits, plane.rules, done);
}

function openOnes({ transport }: Plane): FakeConnection[] {
  return transport.connections.filter(({ isFinished }) => !isFinished);
}

/** Takes turns, a millisecond each, until it is done: how many, and by how much `count` grew in one of them at the most. */
function mostInTurn({ transport }: Plane, count: () => number, isDone: () => boolean): { turns: number; most: number } {
  let most = 0;
  let turns = 0;
  for (; !isDone(); turns++) {
    if (turns === 2_000) throw new Error('it is not done after 2,000 turns');
    const had = count();
    transport.pass(1);
    most = Math.max(most, count() - had);
  }
  return { turns, most };
}
