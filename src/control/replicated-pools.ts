/**
 * Which pools have replicated keys or locks, and where the copies of these are: what a caretaker needs to know of a topology. The pool
 * of a coordination store on Redis is one of them, though no keyspace may lie on it.
 */

import type { NodeLimits } from '../base/limits.js';
import type { PoolConfig } from '../base/pools-section.js';
import type { Config } from '../config.js';
import type { LevelSnapshot, NodeSnapshot, ServiceSnapshot, TopologySnapshot } from '../messages.js';
import { EPOCH_KEY, FENCE_PREFIX, REGISTER_PREFIX } from '../replica/meta.js';
import { setsWithoutQuorum } from '../replica/repair.js';
import { planCopySets } from '../routing/copy-sets.js';
import type { RangePlan } from '../routing/key-ranges.js';
import { describeLevel, strongLevel } from '../routing/levels.js';
import { planPlacement } from '../routing/route.js';
import { Router } from '../routing/router.js';
import { planTopology, type TopologyPool } from '../routing/topology.js';
import { epochNodes } from './pool-rounds.js';

const EPOCH = Buffer.from(EPOCH_KEY);
const REGISTERS = Buffer.from(REGISTER_PREFIX);
const FENCES = Buffer.from(FENCE_PREFIX);

type PoolsConfig = Pick<Config, 'pools' | 'services' | 'coordination'>;

export interface ReplicatedPool {
  name: string;
  nodes: readonly NodeSnapshot[];
  /** Of its keyspaces; none where only registers of a coordination store are. */
  prefixes: readonly string[];
  /** In words, of which of its keys less is promised than of strong ones. */
  levels: readonly string[];
  /** Indices of nodes: each different set that keys have their copies on, that of the registers of the proxy's own among them. */
  copySets: readonly (readonly number[])[];
  epochNodes: readonly number[];
  /** Nothing in the pool takes a quorum: all its keys are of consistency eventual. */
  isEventual: boolean;
  /** How its keys of consistency eventual are compared; null where there are none. */
  ranges: RangePlan | null;
  /** How long keyspaces want deleted keys, and fences of locks that nobody asks for, to be remembered: the different lengths, milliseconds. */
  idleTtlsMs: readonly number[];
  /** Null for a key that is not replicated, or in another pool. */
  placeOf(key: Uint8Array): KeyPlace | null;
  /** Whether the key is of consistency eventual: the larger version stays, wherever it is found. */
  isMerged(key: Uint8Array): boolean;
  /** Whether the key is a lock that belongs on that node: it has a value there, and no ballots. */
  isLockOn(node: number, key: Uint8Array): boolean;
}

export interface KeyPlace {
  nodes: readonly number[];
  /** After which it is forgotten, once it is deleted. Null: it never is. */
  idleTtlMs: number | null;
  /** It has the fences of a lock: it is deleted when nobody has asked for it for so long. */
  isFence: boolean;
  level: LevelSnapshot;
}

/** `store`: the pool that a coordination store lies on. */
export function replicatedPools({ nodes, services }: TopologySnapshot, store: TopologyPool | null): ReplicatedPool[] {
  const own = services.flatMap((service) => (service === null ? [] : [service]));
  const names = new Set(
    own.flatMap(({ keyspaces }) =>
      keyspaces.flatMap(({ pool, replication, locks }) => (replication === null && locks === null ? [] : [pool])),
    ),
  );
  const pools = [...names].map((name) => {
    return planPool(
      name,
      nodes.filter(({ pool }) => pool === name),
      own,
      store?.name === name,
    );
  });
  if (store !== null && !names.has(store.name)) pools.push(planPool(store.name, poolNodes(store), [], true));
  return pools;
}

/** The pool that the coordination store of a configuration lies on; null where that is elsewhere. */
export function storePool({ coordination, pools }: Pick<Config, 'coordination' | 'pools'>): PoolConfig | null {
  if (coordination.store !== 'redis') return null;
  return pools.find(({ name }) => name === coordination.pool) ?? null;
}

/** The nodes of a pool that no topology has. */
export function poolNodes({ name: pool, nodes, limits }: TopologyPool): NodeSnapshot[] {
  return nodes.map((node, index) => ({ ...node, pool, index, label: node.name, limits }));
}

/** Those of a configuration, for who runs no proxy. */
export async function planReplicatedPools(config: PoolsConfig): Promise<ReplicatedPool[]> {
  const { pools, services } = config;
  const doors = services.map(({ name, keyspaces }) => ({ name, port: 0, announced: [], keyspaces }));
  const placer = { placeKeys: planPlacement, placeCopies: planCopySets };
  return replicatedPools(await planTopology(null, pools, doors, placer), storePool(config));
}

/** Those of its nodes, which all have the same. */
export function limitsOf({ nodes }: ReplicatedPool): NodeLimits {
  const [first] = nodes;
  if (first === undefined) throw new Error('a pool has nodes');
  return first.limits;
}

/** The sets of nodes of which too few are members for their keys to be served. */
export function unservedSets(
  { copySets, isEventual }: ReplicatedPool,
  isMember: (node: number) => boolean,
): (readonly number[])[] {
  return isEventual ? copySets.filter((set) => !set.some(isMember)) : setsWithoutQuorum(copySets, isMember);
}

/** `isStore`: what coordination agrees on lies there, too. */
function planPool(
  name: string,
  nodes: readonly NodeSnapshot[],
  services: readonly ServiceSnapshot[],
  isStore: boolean,
): ReplicatedPool {
  const keyspaces = services.flatMap(({ keyspaces }) => keyspaces).filter(({ pool }) => pool === name);
  const replications = keyspaces.flatMap(({ replication }) => (replication === null ? [] : [replication]));
  const register = epochNodes(nodes);
  const sets = new Map<string, readonly number[]>([[register.toSorted().join(), register]]);
  const lockings = keyspaces.flatMap(({ locks }) => (locks === null ? [] : [locks]));
  for (const { copies, owners } of [...replications, ...lockings]) {
    for (let at = 0; at < owners.length; at += copies) {
      const set = [...owners.subarray(at, at + copies)];
      // Who has its first copy where does not matter to who votes.
      const id = set.toSorted().join();
      if (!sets.has(id)) sets.set(id, set);
    }
  }
  const routers = services.map(({ keyspaces }) => new Router(keyspaces));
  const indices = new Set(nodes.map(({ index }) => index));
  const ownLevels = replications.map(({ level }) => level.consistency);
  const hasEventual = ownLevels.includes('eventual');
  const ownPlace: KeyPlace = { nodes: register, idleTtlMs: null, isFence: false, level: strongLevel(register.length) };
  const placeOf = (key: Uint8Array): KeyPlace | null => {
    if (EPOCH.equals(key) || REGISTERS.equals(key.subarray(0, REGISTERS.length))) return ownPlace;
    const isFence = FENCES.equals(key.subarray(0, FENCES.length));
    const start = isFence ? FENCES.length : 0;
    for (const router of routers) {
      // The fences of a lock are where it is.
      const locks = isFence ? router.lockSetsOf(key, start, key.length) : null;
      const copies = isFence ? null : router.copySetsOf(key, start, key.length);
      const sets = locks ?? copies;
      if (sets === null) continue;
      const first = sets.find(key, start, key.length);
      const owners = [...sets.owners.subarray(first, first + sets.copies)];
      const idleTtlMs = locks?.fenceTtlMs ?? copies?.tombstoneTtlMs ?? null;
      if (indices.has(owners[0] as number))
        return { nodes: owners, idleTtlMs, isFence, level: copies?.level ?? strongLevel(owners.length) };
    }
    return null;
  };
  return {
    name,
    nodes,
    prefixes: [...new Set(keyspaces.map(({ prefix }) => prefix))],
    levels: keyspaces.flatMap(({ prefix, replication }) => {
      if (replication === null || replication.level.consistency === 'strong') return [];
      return [`keys "${prefix}*": ${describeLevel(replication.level)}`];
    }),
    copySets: [...sets.values()],
    epochNodes: register,
    isEventual:
      !isStore && lockings.length === 0 && hasEventual && ownLevels.every((consistency) => consistency === 'eventual'),
    ranges: hasEventual
      ? { services: services.map(({ keyspaces }) => keyspaces), nodes: nodes.map(({ index }) => index) }
      : null,
    idleTtlsMs: [
      ...new Set([
        ...replications.map(({ tombstoneTtlMs }) => tombstoneTtlMs),
        ...lockings.map(({ fenceTtlMs }) => fenceTtlMs),
      ]),
    ],
    placeOf,
    isMerged: (key) => placeOf(key)?.level.consistency === 'eventual',
    isLockOn: (node, key) => {
      return routers.some(
        (router) => (router.lockSetsOf(key, 0, key.length)?.placeOf(node, key, 0, key.length) ?? -1) >= 0,
      );
    },
  };
}
