/** Ranges in which keys of consistency eventual are compared: each such key of a pool is in one, whatever services there are. */
import t from 'tap';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import type { LevelSnapshot } from '../../src/messages.js';
import { KeyRanges } from '../../src/routing/key-ranges.js';
import { strongLevel } from '../../src/routing/levels.js';
import { planTopology, type TopologyPool, type TopologyService } from '../../src/routing/topology.js';
import { PLACER } from '../help/topology.js';

const EVENTUAL: LevelSnapshot = { consistency: 'eventual', reads: 1, writes: 1, allowsChanges: true };

function pool(name: string): TopologyPool {
  const nodes = ['a', 'b', 'c'].map((node) => {
    const address = { kind: 'tcp', host: `${name}-${node}`, port: 6379 } as const;
    return { name: node, weight: 1, address, username: null, password: null };
  });
  return { name, nodes, limits: DEFAULT_NODE_LIMITS };
}

function service(
  name: string,
  pools: Readonly<Record<string, string>>,
  level: LevelSnapshot = EVENTUAL,
): TopologyService {
  const keyspaces = Object.entries(pools).map(([prefix, pool]) => {
    const placement = { kind: 'slots', colocate: [] } as const;
    const how = { mode: 'replicated', placement, multiKeyWrites: 'split', copies: 3, tombstoneTtlMs: 1_000 } as const;
    return { prefix, pool, ...how, level };
  });
  return { name, port: 0, announced: [], keyspaces };
}

async function rangesOf(services: readonly TopologyService[], name: string): Promise<KeyRanges> {
  const topology = await planTopology(null, [pool('one'), pool('two')], services, PLACER);
  const nodes = topology.nodes.flatMap((node) => (node.pool === name ? [node.index] : []));
  return new KeyRanges({ services: topology.services.map((one) => one?.keyspaces ?? []), nodes });
}

t.test('a key that two services have in different pools is compared in both', async (t) => {
  const services = [service('first', { '': 'one' }), service('second', { '': 'two' })];
  for (const [name, nodes] of [
    ['one', [0, 1, 2]],
    ['two', [3, 4, 5]],
  ] as const) {
    const ranges = await rangesOf(services, name);
    const range = ranges.find(Buffer.from('k'));
    t.ok(range >= 0 && range < ranges.count, `${name}: ${range}`);
    t.same([...ranges.nodesOf(range)].sort(), nodes);
  }
});

t.test('keys of other levels, and of other pools, are in none', async (t) => {
  const services = [service('first', { 'e:': 'one' }), service('second', { 's:': 'one' }, strongLevel(3))];
  const ranges = await rangesOf(services, 'one');
  t.ok(ranges.find(Buffer.from('e:1')) >= 0);
  t.equal(ranges.find(Buffer.from('s:1')), -1);
  t.equal(ranges.find(Buffer.from('x')), -1);
});
