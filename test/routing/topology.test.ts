import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { planRing } from '../../src/routing/ring.js';
import { planTopology, type TopologyNode } from '../../src/routing/topology.js';

function node(name: string, weight: number): TopologyNode {
  const address = { kind: 'tcp', host: name, port: 6379 } as const;
  return { name, weight, pool: 'main', address, username: null, password: null, limits: DEFAULT_NODE_LIMITS };
}

t.test('a topology numbers the nodes in their order and gives each its slots of the ring', async (t) => {
  const nodes = [node('b', 1), node('a', 2), node('c', 0.5)];
  const topology = planTopology(nodes, 7);
  t.equal(topology.version, 7);
  t.strictSame(
    topology.nodes,
    ['b', 'a', 'c'].map((name, index) => ({
      ...{ name, index, pool: 'main', username: null, password: null, limits: DEFAULT_NODE_LIMITS },
      address: { kind: 'tcp', host: name, port: 6379 },
    })),
  );
  t.strictSame(Array.from(topology.slotOwners), Array.from(planRing(nodes)));
});

t.test('a topology that is sent to a worker shares its slot owners', async (t) => {
  const topology = planTopology([node('a', 1), node('b', 1)], 1);
  const received = structuredClone(topology);
  const slot = topology.slotOwners.indexOf(0);
  topology.slotOwners[slot] = 1;
  t.equal(received.slotOwners[slot], 1);
});

t.test('a topology cannot be changed, and none is made of nodes that no ring can be made of', async (t) => {
  const topology = planTopology([node('a', 1)], 1);
  t.ok(Object.isFrozen(topology) && Object.isFrozen(topology.nodes) && Object.isFrozen(topology.nodes[0]));
  t.throws(() => planTopology([node('a', 1), node('a', 1)], 1), RangeError);
});
