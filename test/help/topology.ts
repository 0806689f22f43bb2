/** Topologies for tests of a data plane: nodes and slot owners as the test wants them, seen through one service. */
import type { NodeSnapshot, TopologySnapshot } from '../../src/messages.js';
import { planCopySets } from '../../src/routing/copy-sets.js';
import { planPlacement } from '../../src/routing/route.js';

/** Plans at once, in the thread of the test. */
export const PLACER = { placeKeys: planPlacement, placeCopies: planCopySets };

/** One service, `main` on port 6380, with one keyspace of all keys, whose slots have these owners. */
export function plainTopology(
  version: number,
  nodes: readonly NodeSnapshot[],
  owners: Uint16Array,
  splitsWrites = true,
): TopologySnapshot {
  const placement = { kind: 'slots', owners, colocate: [] } as const;
  const keyspaces = [
    { prefix: '', pool: 'main', placement, splitsWrites, replication: null, locks: null, storeLocks: null },
  ];
  return {
    version,
    nodes,
    services: [{ name: 'main', port: 6380, announced: [], keyspaces, shared: null, hasFences: false }],
  };
}

/** The owners of the slots of a topology made by `plainTopology`. */
export function slotOwnersOf({ services }: TopologySnapshot): Uint16Array {
  const placement = services[0]?.keyspaces[0]?.placement;
  if (placement?.kind !== 'slots') throw new Error('the topology has no slots');
  return placement.owners;
}
