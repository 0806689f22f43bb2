/** Nodes of two pools in one topology: each keeps to its own pool's limits, also when they change. */
import t from 'tap';
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../../src/base/limits.js';
import type { TopologySnapshot } from '../../src/messages.js';
import { bulk, command, Plane, repliesIn } from '../help/plane.js';

const NEAR: NodeLimits = { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 500, stallTimeoutMs: 1_000, idlePingMs: 60_000 };
const FAR: NodeLimits = { ...DEFAULT_NODE_LIMITS, requestTimeoutMs: 3_000, stallTimeoutMs: 6_000, idlePingMs: 2_000 };

/** Node 0 is of the pool `near`, node 1 of the pool `far`. The limits of all are those of neither. */
function setUp(near: Partial<NodeLimits> = {}, far: Partial<NodeLimits> = {}) {
  return new Plane({
    nodes: 2,
    limits: { requestTimeoutMs: 1, stallTimeoutMs: 1, nodeQueueCommandsMax: 1 },
    node: (index) => {
      return index === 0 ? { pool: 'near', limits: { ...NEAR, ...near } } : { pool: 'far', limits: { ...FAR, ...far } };
    },
  });
}

/** The plane's topology with other limits for the pool `near`. */
function withNear(plane: Plane, near: Partial<NodeLimits>): TopologySnapshot {
  const nodes = plane.topology.nodes.map((node) => {
    return node.pool === 'near' ? { ...node, limits: { ...node.limits, ...near } } : node;
  });
  return { ...plane.topology, version: plane.topology.version + 1, nodes };
}

function configure(plane: Plane, near: Partial<NodeLimits>): void {
  plane.data.configure(withNear(plane, near), plane.limits, plane.rules);
  plane.turn();
}

t.test(
  'a node is given up on after the requestTimeoutMs of its pool, and closed after its stallTimeoutMs',
  async (t) => {
    const plane = setUp().greetAll();
    const [near, far] = [plane.only(0), plane.only(1)];
    const [one, other] = [plane.client(), plane.client()];
    one.send(['GET', plane.key(0)]);
    other.send(['GET', plane.key(1)]);
    plane.turn();
    near.take();
    far.take();
    plane.pass(1_000);
    t.same(repliesIn(one.take()), [
      '-NODEDOWN node node-0 (10.0.0.1:7000): it did not answer within 500 ms; the command had no effect\r\n',
    ]);
    plane.pass(1_000);
    t.ok(near.isClosed);
    plane.pass(950);
    t.equal(other.take(), '');
    plane.pass(150);
    t.same(repliesIn(other.take()), [
      '-NODEDOWN node node-1 (10.0.0.1:7001): it did not answer within 3000 ms; the command had no effect\r\n',
    ]);
    t.notOk(far.isClosed);
    plane.pass(3_000);
    t.ok(far.isClosed);
  },
);

t.test('a silent node is tried after the idlePingMs of its pool', async (t) => {
  const plane = setUp().greetAll();
  plane.pass(2_600);
  t.same(plane.only(0).commands(), []);
  t.same(plane.only(1).commands(), ['PING']);
});

t.test('connecting takes the connectTimeoutMs of the pool, and a command waits its queueTimeoutMs', async (t) => {
  const plane = setUp({ connectTimeoutMs: 500 }, { connectTimeoutMs: 5_000, queueTimeoutMs: 1_000 });
  const client = plane.client();
  client.send(['GET', plane.key(0)], ['GET', plane.key(1)]);
  plane.turn();
  plane.pass(600);
  t.match(client.take(), /^-NODEDOWN node node-0 .*: no answer to connecting and greeting within 500 ms; /);
  plane.pass(500);
  t.match(client.take(), /^-NODEDOWN node node-1 .*: no connection to it within 1000 ms; /);
  t.same(
    plane.nodeStates.filter((state) => state.startsWith('node-1')),
    [],
    'which is still being connected to',
  );
  plane.pass(4_000);
  t.match(plane.nodeStates.at(-1), /^node-1 down no answer to connecting and greeting within 5000 ms/);
});

t.test('how much may wait for a node is said by its pool', async (t) => {
  const plane = setUp({ nodeQueueCommandsMax: 2 }).greetAll();
  const client = plane.client();
  const [near, far] = [plane.key(0), plane.key(1)];
  client.send(['GET', far], ['GET', far], ['GET', far], ['GET', near], ['GET', near], ['GET', near]);
  plane.turn();
  t.equal(plane.only(1).take(), command('GET', far).repeat(3));
  t.equal(plane.only(0).take(), command('GET', near).repeat(2));
  plane.only(1).answer(bulk('1'), bulk('1'), bulk('1'));
  plane.only(0).answer(bulk('1'), bulk('1'));
  plane.turn();
  t.match(repliesIn(client.take()).at(-1), /^-OVERLOADED node node-0 .*\(.*nodeQueueCommandsMax 2\)/);
});

t.test('new limits of a pool hold at once, also for what is in flight, and no connection is lost', async (t) => {
  const plane = setUp().greetAll();
  const links = [plane.only(0), plane.only(1)];
  const client = plane.client();
  const opened = plane.transport.connections.length;
  client.send(['GET', plane.key(0)]);
  plane.turn();
  links[0]?.take();
  plane.pass(300);
  configure(plane, { requestTimeoutMs: 5_000, stallTimeoutMs: 9_000, idlePingMs: 50 });
  plane.pass(3_000);
  t.equal(client.take(), '');
  links[0]?.answer(bulk('1'));
  plane.turn();
  t.equal(client.take(), bulk('1'));
  plane.pass(600);
  t.same(links[0]?.commands(), ['PING']);
  t.notOk(links.some((link) => link.isClosed));
  t.equal(plane.transport.connections.length, opened);
});

t.test('a shorter wait between attempts holds for the one that is under way', async (t) => {
  const plane = setUp({ reconnectMinMs: 3_600_000, reconnectMaxMs: 3_600_000 }, {});
  plane.link(0)?.connection.break(new Error('refused'));
  plane.turn();
  t.match(plane.nodeStates.at(-1), /^node-0 down/);
  plane.pass(10_000, 1_000);
  t.same(plane.links(0), []);
  configure(plane, { reconnectMinMs: 50, reconnectMaxMs: 1_000 });
  t.same(plane.links(0), [], 'not at once: a loop of reloads is no loop of attempts');
  plane.pass(1_600);
  t.equal(plane.links(0).length, 1);
});
