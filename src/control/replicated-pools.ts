/** Which pools have replicated keys, and where the copies of these are: what a caretaker needs to know of a topology. */

import type { NodeLimits } from '../base/limits.js';
import type { Config } from '../config.js';
import type { NodeSnapshot, ServiceSnapshot, TopologySnapshot } from '../messages.js';
import { planCopySets } from '../routing/copy-sets.js';
import { planPlacement } from '../routing/route.js';
import { Router } from '../routing/router.js';
import { planTopology } from '../routing/topology.js';
import { EPOCH_KEY, epochNodes } from './pool-rounds.js';

export interface ReplicatedPool {
  name: string;
  nodes: readonly NodeSnapshot[];
  /** Of its keyspaces. */
  prefixes: readonly string[];
  /** Indices of nodes: each different set that keys have their copies on, that of the register of epochs among them. */
  copySets: readonly (readonly number[])[];
  epochNodes: readonly number[];
  /** How long keyspaces want deleted keys to be remembered: the different lengths, milliseconds. */
  tombstoneTtlsMs: readonly number[];
  /** Null for a key that is not replicated, or in another pool. */
  placeOf(key: Uint8Array): KeyPlace | null;
}

export interface KeyPlace {
  nodes: readonly number[];
  /** Null: it is never deleted. */
  tombstoneTtlMs: number | null;
}

export function replicatedPools({ nodes, services }: TopologySnapshot): ReplicatedPool[] {
  const own = services.flatMap((service) => (service === null ? [] : [service]));
  const names = new Set(
    own.flatMap(({ keyspaces }) => keyspaces.flatMap(({ pool, replication }) => (replication === null ? [] : [pool]))),
  );
  return [...names].map((name) => {
    return planPool(
      name,
      nodes.filter(({ pool }) => pool === name),
      own,
    );
  });
}

/** Those of a configuration, for who runs no proxy. */
export async function planReplicatedPools({
  pools,
  services,
}: Pick<Config, 'pools' | 'services'>): Promise<ReplicatedPool[]> {
  const doors = services.map(({ name, keyspaces }) => ({ name, port: 0, keyspaces }));
  const placer = { placeKeys: planPlacement, placeCopies: planCopySets };
  return replicatedPools(await planTopology(null, pools, doors, placer));
}

/** Those of its nodes, which all have the same. */
export function limitsOf({ nodes }: ReplicatedPool): NodeLimits {
  const [first] = nodes;
  if (first === undefined) throw new Error('a pool has nodes');
  return first.limits;
}

function planPool(name: string, nodes: readonly NodeSnapshot[], services: readonly ServiceSnapshot[]): ReplicatedPool {
  const keyspaces = services.flatMap(({ keyspaces }) => keyspaces).filter(({ pool }) => pool === name);
  const replications = keyspaces.flatMap(({ replication }) => (replication === null ? [] : [replication]));
  const register = epochNodes(nodes);
  const sets = new Map<string, readonly number[]>([[register.toSorted().join(), register]]);
  for (const { copies, owners } of replications) {
    for (let at = 0; at < owners.length; at += copies) {
      const set = [...owners.subarray(at, at + copies)];
      // Who has its first copy where does not matter to who votes.
      const id = set.toSorted().join();
      if (!sets.has(id)) sets.set(id, set);
    }
  }
  const routers = services.map(({ keyspaces }) => new Router(keyspaces));
  const indices = new Set(nodes.map(({ index }) => index));
  const epochPlace: KeyPlace = { nodes: register, tombstoneTtlMs: null };
  return {
    name,
    nodes,
    prefixes: [...new Set(keyspaces.map(({ prefix }) => prefix))],
    copySets: [...sets.values()],
    epochNodes: register,
    tombstoneTtlsMs: [...new Set(replications.map(({ tombstoneTtlMs }) => tombstoneTtlMs))],
    placeOf(key) {
      if (EPOCH_KEY.equals(key)) return epochPlace;
      for (const router of routers) {
        const sets = router.copySetsOf(key, 0, key.length);
        if (sets === null) continue;
        const first = sets.find(key, 0, key.length);
        const owners = [...sets.owners.subarray(first, first + sets.copies)];
        if (indices.has(owners[0] as number)) return { nodes: owners, tombstoneTtlMs: sets.tombstoneTtlMs };
      }
      return null;
    },
  };
}
