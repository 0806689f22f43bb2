import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import type { PlacementRule } from '../../src/base/placement.js';
import type { KeyspaceSnapshot, TopologySnapshot } from '../../src/messages.js';
import type { KeyspaceConfig } from '../../src/routing/keyspace-section.js';
import { strongLevel } from '../../src/routing/levels.js';
import { planCopies, planRing } from '../../src/routing/ring.js';
import { planTopology, type TopologyPool, type TopologyService } from '../../src/routing/topology.js';
import { PLACER } from '../help/topology.js';

const SLOTS = { kind: 'slots', colocate: [] } as const;

function pool(name: string, weights: Record<string, number>): TopologyPool {
  const nodes = Object.entries(weights).map(([name, weight]) => {
    const address = { kind: 'tcp', host: name, port: 6379 } as const;
    return { name, weight, address, username: null, password: null };
  });
  return { name, nodes, limits: DEFAULT_NODE_LIMITS };
}

function keyspace(prefix: string, pool: string, placement: PlacementRule = SLOTS): KeyspaceConfig {
  return { prefix, pool, mode: 'sharded', placement, multiKeyWrites: 'split' };
}

function service(name: string, ...keyspaces: KeyspaceConfig[]): TopologyService {
  return { name, port: 0, announced: [], keyspaces };
}

function plan(pools: TopologyPool[], services: TopologyService[], before: TopologySnapshot | null = null) {
  return planTopology(before, pools, services, PLACER);
}

function keyspaceOf(topology: TopologySnapshot, service: number, keyspace = 0): KeyspaceSnapshot {
  return topology.services[service]?.keyspaces[keyspace] as KeyspaceSnapshot;
}

t.test('a topology numbers the nodes in their order and gives each its slots of the ring', async (t) => {
  const weights = { b: 1, a: 2, c: 0.5 };
  const topology = await plan([pool('main', weights)], [service('main', keyspace('', 'main'))]);
  t.equal(topology.version, 1);
  t.strictSame(
    topology.nodes,
    ['b', 'a', 'c'].map((name, index) => ({
      name,
      weight: weights[name as 'a' | 'b' | 'c'],
      address: { kind: 'tcp', host: name, port: 6379 },
      username: null,
      password: null,
      pool: 'main',
      limits: DEFAULT_NODE_LIMITS,
      index,
      label: name,
    })),
  );
  const nodes = Object.entries(weights).map(([name, weight]) => ({ name, weight }));
  t.same(keyspaceOf(topology, 0).placement, { ...SLOTS, owners: planRing(nodes) });
});

t.test('the nodes of several pools stand in one list, and each placement names those of its pool', async (t) => {
  const pools = [pool('idle', { z: 1 }), pool('one', { a: 1, b: 1 }), pool('two', { b: 1, c: 1 })];
  const ketama = { kind: 'ketama', hash: 'fnv1a_64', hashTag: null } as const;
  const modula = { kind: 'modula', hash: 'murmur', hashTag: null } as const;
  const topology = await plan(pools, [
    service('main', keyspace('', 'one'), keyspace('k:', 'two', ketama), keyspace('m:', 'two', modula)),
  ]);
  t.same(
    topology.nodes.map(({ label }) => label),
    ['a', 'one/b', 'two/b', 'c'],
    'a pool that nothing lies on has no place; a name that two pools have is shown with its pool',
  );
  const owners = [0, 1, 2].map((index) => [...new Set(keyspaceOf(topology, 0, index).placement.owners)].sort());
  t.same(owners, [
    [0, 1],
    [2, 3],
    [2, 3],
  ]);
});

t.test('a topology that is sent to a worker shares its slot owners', async (t) => {
  const topology = await plan([pool('main', { a: 1, b: 1 })], [service('main', keyspace('', 'main'))]);
  const received = structuredClone(topology);
  const { owners } = keyspaceOf(topology, 0).placement;
  const slot = owners.indexOf(0);
  owners[slot] = 1;
  t.equal(keyspaceOf(received, 0).placement.owners[slot], 1);
});

t.test('a topology cannot be changed, and none is made of nodes that no ring can be made of', async (t) => {
  const topology = await plan([pool('main', { a: 1 })], [service('main', keyspace('', 'main'))]);
  const parts = [topology, topology.nodes, topology.nodes[0], topology.services, topology.services[0]];
  t.ok([...parts, topology.services[0]?.keyspaces, keyspaceOf(topology, 0)].every((part) => Object.isFrozen(part)));
  const twice = { ...pool('main', {}), nodes: [...pool('main', { a: 1 }).nodes, ...pool('main', { a: 1 }).nodes] };
  await t.rejects(plan([twice], [service('main', keyspace('', 'main'))]), RangeError);
});

t.test('what is placed by the same rule on the same nodes is not planned again', async (t) => {
  const pools = [pool('one', { a: 1, b: 1 }), pool('two', { c: 1 })];
  const services = [service('main', keyspace('', 'one'), keyspace('x:', 'one')), service('two', keyspace('', 'two'))];
  const first = await plan(pools, services);
  t.equal(keyspaceOf(first, 0, 0).placement, keyspaceOf(first, 0, 1).placement, 'two keyspaces share it');
  const moved = pool('one', { a: 1, b: 1 });
  const address = { kind: 'unix', path: '/a' } as const;
  const readdressed = { ...moved, nodes: moved.nodes.map((node) => ({ ...node, address })) };
  const second = await plan([readdressed, pool('two', { c: 2 })], services, first);
  t.equal(second.version, 2);
  t.equal(keyspaceOf(second, 0).placement, keyspaceOf(first, 0).placement);
  t.not(keyspaceOf(second, 1).placement, keyspaceOf(first, 1).placement, 'a weight has changed');
  const third = await plan([pool('two', { c: 1 }), pool('one', { a: 1, b: 1 })], services, second);
  t.not(keyspaceOf(third, 0).placement, keyspaceOf(second, 0).placement, 'the nodes have other numbers');
});

t.test(
  'a node is the same object while all that is said of it is the same, and another one by each word',
  async (t) => {
    const services = [service('main', keyspace('', 'main'))];
    const [main] = [pool('main', { a: 1, b: 1 })];
    const first = await plan([main], services);
    const [a, b] = main.nodes as [TopologyPool['nodes'][0], TopologyPool['nodes'][0]];
    const again = await plan(structuredClone([main]), services, first);
    t.strictSame(
      again.nodes.map((node, index) => node === first.nodes[index]),
      [true, true],
      'limits that say the same are the same, too',
    );
    const others = [
      { ...b, name: 'c' },
      { ...b, weight: 2 },
      { ...b, address: { kind: 'tcp', host: 'b', port: 6380 } as const },
      { ...b, address: { kind: 'tcp', host: 'c', port: 6379 } as const },
      { ...b, address: { kind: 'unix', path: 'b:6379' } as const },
      { ...b, username: 'b' },
      { ...b, password: 'b' },
    ];
    for (const other of others) {
      const next = await plan([{ ...main, nodes: [a, other] }], services, first);
      t.equal(next.nodes[0], first.nodes[0]);
      t.match(next.nodes[1], other);
    }
    const hurried = await plan([{ ...main, limits: { ...main.limits, idlePingMs: 1 } }], services, first);
    t.notOk(hurried.nodes.some((node, index) => node === first.nodes[index]));
  },
);

t.test('a rule is another one by each of its words', async (t) => {
  const rules: PlacementRule[] = [
    SLOTS,
    { kind: 'slots', colocate: ['bull:{queue}:*'] },
    { kind: 'ketama', hash: 'fnv1a_64', hashTag: null },
    { kind: 'ketama', hash: 'md5', hashTag: null },
    { kind: 'ketama', hash: 'md5', hashTag: '{}' },
    { kind: 'modula', hash: 'md5', hashTag: '{}' },
  ];
  const pools = [pool('main', { a: 1, b: 1 })];
  const planned = async (all: readonly PlacementRule[], before: TopologySnapshot | null) => {
    const keyspaces = all.map((rule, index) => keyspace(`${index}:`, 'main', rule));
    return plan(pools, [service('main', ...keyspaces)], before);
  };
  const first = await planned(rules, null);
  const placements = rules.map((_, index) => keyspaceOf(first, 0, index).placement);
  t.equal(new Set(placements).size, rules.length);
  t.match(placements, rules);
  const again = await planned(rules, first);
  t.equal(again.services[0], first.services[0]);
  const turned = await planned([...rules.slice(1), SLOTS], first);
  for (const [index, placement] of [...placements.slice(1), placements[0]].entries()) {
    t.equal(keyspaceOf(turned, 0, index).placement, placement);
  }
});

t.test('a service keeps its number while it is there', async (t) => {
  const pools = [pool('main', { a: 1 })];
  const named = (...names: string[]) => names.map((name) => service(name, keyspace('', 'main')));
  const names = (topology: TopologySnapshot) => topology.services.map((service) => service?.name ?? null);
  const first = await plan(pools, named('a', 'b', 'c'));
  t.same(names(first), ['a', 'b', 'c']);
  const second = await plan(pools, named('c', 'a'), first);
  t.same(names(second), ['a', null, 'c']);
  const third = await plan(pools, named('d', 'c', 'a', 'e'), second);
  t.same(names(third), ['a', 'd', 'c', 'e']);
  const fourth = await plan(pools, named('x', 'd', 'c', 'e'), third);
  t.same(names(fourth), ['x', 'd', 'c', 'e'], 'also under another name');
  const other = [service('y', keyspace('y:', 'main')), ...named('d', 'c', 'e')];
  t.same(names(await plan(pools, other, fourth)), [null, 'd', 'c', 'e', 'y'], 'but not with other keys');
});

t.test('a service whose pool has keys that only another one sees knows of it', async (t) => {
  const pools = [pool('one', { a: 1 }), pool('two', { b: 1 })];
  const shared = async (...services: TopologyService[]) =>
    (await plan(pools, services)).services.map((service) => service?.shared ?? null);
  const both = (name: string) => service(name, keyspace('', 'one'), keyspace('x:', 'two'));
  t.same(await shared(both('a'), both('b')), [null, null], 'both see the same');
  t.same(await shared(service('a', keyspace('', 'one')), service('b', keyspace('', 'two'))), [null, null]);
  t.same(
    await shared(service('a', keyspace('', 'one')), service('b', keyspace('b:', 'one'))),
    [null, { pool: 'one', service: 'a' }],
    'the one with all keys sees those of the other, and not the other way round',
  );
  t.same(await shared(service('a', keyspace('a:', 'one')), service('b', keyspace('b:', 'one'))), [
    { pool: 'one', service: 'b' },
    { pool: 'one', service: 'a' },
  ]);
  t.same(
    await shared(both('a'), service('b', keyspace('', 'one'))),
    [{ pool: 'one', service: 'b' }, null],
    'the keys of b that begin with x: lie where a does not look for them',
  );
});

function replicated(prefix: string, pool: string, copies: 3 | 5, tombstoneTtlMs = 1_000): KeyspaceConfig {
  return {
    prefix,
    pool,
    mode: 'replicated',
    placement: SLOTS,
    multiKeyWrites: 'split',
    copies,
    level: strongLevel(copies),
    tombstoneTtlMs,
  };
}

t.test('a replicated keyspace has the nodes of all copies, by their numbers in the topology', async (t) => {
  const five = { a: 1, b: 1, c: 2, d: 1, e: 1 };
  const pools = [pool('one', { z: 1 }), pool('two', five)];
  const topology = await plan(pools, [service('main', keyspace('', 'one'), replicated('r:', 'two', 3, 5))]);
  t.equal(keyspaceOf(topology, 0, 0).replication, null);
  const { placement, replication } = keyspaceOf(topology, 0, 1);
  const nodes = Object.entries(five).map(([name, weight]) => ({ name, weight }));
  t.match(replication, { copies: 3, tombstoneTtlMs: 5 });
  t.same(
    replication?.owners,
    planCopies(nodes, 3).map((owner) => owner + 1),
  );
  t.ok(placement.owners.every((owner, slot) => owner === replication?.owners[slot * 3]));
  t.ok(replication?.owners.buffer instanceof SharedArrayBuffer, 'all workers share it');
});

function locking(prefix: string, pool: string, copies: 3 | 5 | null, ttlMaxMs = 1_000): KeyspaceConfig {
  const basics = { prefix, pool, placement: SLOTS, multiKeyWrites: 'split' } as const;
  return { ...basics, mode: 'lock', provider: 'redlock', copies, ttlMaxMs, fenceTtlMs: 10_000 };
}

t.test('locks are on all nodes of their pool, or on some, where copies of keys would be', async (t) => {
  const weights = { a: 1, b: 1, c: 1, d: 1 };
  const planned = (before: TopologySnapshot | null, ttlMaxMs: number) => {
    const keyspaces = [
      locking('all:', 'main', null, ttlMaxMs),
      locking('some:', 'main', 3),
      replicated('r:', 'main', 3),
    ];
    return plan([pool('main', weights)], [service('main', ...keyspaces)], before);
  };
  const first = await planned(null, 7);
  const [all, some, others] = [0, 1, 2].map((index) => keyspaceOf(first, 0, index));
  t.match(all?.locks, { copies: 4, ttlMaxMs: 7 });
  t.equal(all?.replication, null);
  t.same(all?.locks?.owners.slice(0, 4).sort(), [0, 1, 2, 3]);
  t.match(some?.locks, { copies: 3, ttlMaxMs: 1_000 });
  t.equal(some?.locks?.owners, others?.replication?.owners, 'one memory for all that are placed alike');
  t.equal(others?.locks, null);
  t.equal((await planned(first, 7)).services[0], first.services[0], 'nothing is new');
  const longer = await planned(first, 8);
  t.not(longer.services[0], first.services[0]);
  t.equal(keyspaceOf(longer, 0).locks?.ttlMaxMs, 8);
  t.equal(keyspaceOf(longer, 0).locks?.owners, all?.locks?.owners);
});

t.test('copies are planned anew for other nodes and other numbers of them alone', async (t) => {
  const weights = { a: 1, b: 1, c: 1, d: 1, e: 1 };
  const planned = async (weights: Record<string, number>, before: TopologySnapshot | null, ttl = 1) => {
    const keyspaces = [replicated('', 'main', 3, ttl), replicated('x:', 'main', 3), replicated('y:', 'main', 5)];
    return plan([pool('main', weights)], [service('main', ...keyspaces)], before);
  };
  const first = await planned(weights, null);
  const owners = (topology: TopologySnapshot, index: number) => keyspaceOf(topology, 0, index).replication?.owners;
  t.equal(owners(first, 0), owners(first, 1));
  t.equal(owners(first, 2)?.length, 5 * 16_384);
  const again = await planned(weights, first);
  t.equal(again.services[0], first.services[0], 'nothing is new');
  const other = await planned(weights, first, 2);
  t.not(other.services[0], first.services[0]);
  t.equal(keyspaceOf(other, 0).replication?.tombstoneTtlMs, 2);
  t.equal(owners(other, 0), owners(first, 0));
  const heavy = await planned({ ...weights, a: 2 }, other);
  t.not(owners(heavy, 0), owners(first, 0));
  await t.rejects(plan([pool('main', { a: 1 })], [service('main', replicated('', 'main', 3))]), RangeError);
});
