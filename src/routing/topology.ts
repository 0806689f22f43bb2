/**
 * Makes the immutable snapshot that all workers route by: the nodes of all pools in one list, and for each keyspace which of
 * them has a key.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Announced } from '../base/announced.js';
import { isSameEndpoint } from '../base/endpoint.js';
import type { NodeLimits } from '../base/limits.js';
import type { PlacementRule } from '../base/placement.js';
import type {
  KeyspaceSnapshot,
  LockSnapshot,
  NodeSnapshot,
  PlacementSnapshot,
  ReplicationSnapshot,
  ServiceSnapshot,
  TopologySnapshot,
} from '../messages.js';
import { isSameRule, type KeyspaceConfig, narrowestKeyspace } from './keyspace-section.js';
import type { Locks } from './lock-section.js';
import type { Replication } from './replication-section.js';
import type { RingNode } from './ring.js';

/** A pool as the configuration names it. */
export interface TopologyPool {
  name: string;
  nodes: readonly Omit<NodeSnapshot, 'index' | 'pool' | 'label' | 'limits'>[];
  limits: NodeLimits;
}

export interface TopologyService {
  name: string;
  /** The first TCP port that it listens on, or 0. */
  port: number;
  announced: readonly Announced[];
  keyspaces: readonly KeyspaceConfig[];
}

/** Places keys on nodes; maybe elsewhere, since 1,000 nodes take a third of a second. */
export interface Placer {
  /** As `planPlacement`. */
  placeKeys(nodes: readonly RingNode[], rule: PlacementRule): PlacementSnapshot | Promise<PlacementSnapshot>;
  /** As `planCopySets`. */
  placeCopies(nodes: readonly RingNode[], copies: number): Uint16Array | Promise<Uint16Array>;
}

/**
 * The topology that follows `before` (null: the first). Nodes are in the order given, and only those of pools that a keyspace
 * lies on. A service keeps its number; what is placed by the same rule on the same nodes is not planned again. Rejects with a
 * RangeError for what keys cannot be placed on (`planPlacement`, `planCopySets`).
 */
export async function planTopology(
  before: TopologySnapshot | null,
  pools: readonly TopologyPool[],
  services: readonly TopologyService[],
  placer: Placer,
): Promise<TopologySnapshot> {
  const used = new Set(services.flatMap(({ keyspaces }) => keyspaces.map(({ pool }) => pool)));
  const nodes = listNodes(
    before?.nodes ?? [],
    pools.filter(({ name }) => used.has(name)),
  );
  const planned: (ServiceSnapshot | null)[] = (before?.services ?? []).map(() => null);
  const known: KeyspaceSnapshot[] =
    before === null ? [] : before.services.flatMap((service) => service?.keyspaces ?? []).filter(isAsIn(before, nodes));
  for (const service of services) {
    const keyspaces: KeyspaceSnapshot[] = [];
    for (const config of service.keyspaces) {
      const { prefix, pool, placement: rule, multiKeyWrites } = config;
      const same = known.find((other) => other.pool === pool && isSameRule(ruleOf(other.placement), rule));
      const placement = same?.placement ?? (await placeKeys(nodes, pool, rule, placer));
      const replication = config.mode === 'replicated' ? await replicate(nodes, pool, config, known, placer) : null;
      const isStored = config.mode === 'lock' && config.provider === 'store';
      const locks = config.mode === 'lock' && !isStored ? await placeLocks(nodes, pool, config, known, placer) : null;
      const storeLocks = isStored ? Object.freeze({ ttlMaxMs: config.ttlMaxMs }) : null;
      const splitsWrites = multiKeyWrites === 'split';
      const keyspace = Object.freeze({ prefix, pool, placement, splitsWrites, replication, locks, storeLocks });
      keyspaces.push(keyspace);
      known.push(keyspace);
    }
    const shared = sharedPool(service, services);
    const hasFences = mayHaveFences(service, services);
    const { name, port, announced } = service;
    const number = numberOf(service, before, services, planned);
    const snapshot = Object.freeze({ name, port, announced, keyspaces: Object.freeze(keyspaces), shared, hasFences });
    planned[number] = sameService(before?.services[number], snapshot) ?? snapshot;
  }
  return Object.freeze({ version: (before?.version ?? 0) + 1, nodes, services: Object.freeze(planned) });
}

/**
 * A node that is what it was in `before` is the same object: workers need not be told of it again. There may be thousands of nodes, and what is
 * done for each of them is done in all members of a fleet when one has moved.
 */
function listNodes(before: readonly NodeSnapshot[], pools: readonly TopologyPool[]): readonly NodeSnapshot[] {
  const labels = new Labels(pools);
  const all: NodeSnapshot[] = [];
  for (const { name: pool, nodes, limits: own } of pools) {
    const known = before[all.length]?.limits;
    // The same object as before where it says the same.
    const limits = known !== undefined && isDeepStrictEqual(known, own) ? known : own;
    for (const node of nodes) {
      const index = all.length;
      const same = before[index];
      const label = labels.of(pool, node.name);
      const isSame = same !== undefined && same.pool === pool && same.label === label && same.limits === limits;
      all.push(isSame && isSameNode(same, node) ? same : snapshotOf(node, index, pool, label, limits));
    }
  }
  return Object.freeze(all);
}

/** What nodes are called in errors and logs. */
class Labels {
  /** How many pools have a node of that name; null: there is one pool alone. */
  private readonly counts: ReadonlyMap<string, number> | null;

  constructor(pools: readonly TopologyPool[]) {
    const counts = new Map<string, number>();
    if (pools.length > 1)
      for (const { nodes } of pools) for (const { name } of nodes) counts.set(name, (counts.get(name) ?? 0) + 1);
    this.counts = pools.length > 1 ? counts : null;
  }

  of(pool: string, name: string): string {
    return this.counts === null || this.counts.get(name) === 1 ? name : `${pool}/${name}`;
  }
}

type PoolNode = TopologyPool['nodes'][number];

/** What a pool says of it. */
function isSameNode(one: NodeSnapshot, other: PoolNode): boolean {
  if (one.name !== other.name || one.weight !== other.weight) return false;
  if (one.username !== other.username || one.password !== other.password) return false;
  return isSameEndpoint(one.address, other.address);
}

function snapshotOf(
  { name, weight, address, username, password }: PoolNode,
  index: number,
  pool: string,
  label: string,
  limits: NodeLimits,
): NodeSnapshot {
  return Object.freeze({ index, name, pool, label, weight, address, username, password, limits });
}

/** `before`, if `service` is nothing else. */
function sameService(before: ServiceSnapshot | null | undefined, service: ServiceSnapshot): ServiceSnapshot | null {
  if (before === null || before === undefined || before.keyspaces.length !== service.keyspaces.length) return null;
  // Placements are large, and the same object where they are the same.
  const isSame = service.keyspaces.every(({ placement, replication, locks, ...own }, index) => {
    const old = before.keyspaces[index] as KeyspaceSnapshot;
    const { placement: oldPlacement, replication: oldReplication, locks: oldLocks, ...other } = old;
    const isPlacedSo = placement === oldPlacement && isSameReplication(replication, oldReplication);
    return isPlacedSo && areSameLocks(locks, oldLocks) && isDeepStrictEqual(own, other);
  });
  const { name, port, announced, shared, hasFences } = service;
  const isSeenSo = isDeepStrictEqual(before.shared, shared) && before.hasFences === hasFences;
  const isReachedSo = before.port === port && isDeepStrictEqual(before.announced, announced);
  return isSame && isSeenSo && isReachedSo && before.name === name ? before : null;
}

function isSameReplication(one: ReplicationSnapshot | null, other: ReplicationSnapshot | null): boolean {
  const isAskedSo = isDeepStrictEqual(one?.level, other?.level);
  return one?.owners === other?.owners && isAskedSo && one?.tombstoneTtlMs === other?.tombstoneTtlMs;
}

function areSameLocks(one: LockSnapshot | null, other: LockSnapshot | null): boolean {
  const haveSameTtls = one?.ttlMaxMs === other?.ttlMaxMs && one?.fenceTtlMs === other?.fenceTtlMs;
  return one?.owners === other?.owners && haveSameTtls;
}

/** Whether a keyspace of `before` lies on the same nodes, with the same indices, among `nodes`. */
function isAsIn(before: TopologySnapshot, nodes: readonly NodeSnapshot[]): (keyspace: KeyspaceSnapshot) => boolean {
  const other = new Set<string>();
  for (let index = 0; index < Math.max(before.nodes.length, nodes.length); index++) {
    const [old, now] = [before.nodes[index], nodes[index]];
    if (old === now || (old?.pool === now?.pool && old?.name === now?.name && old?.weight === now?.weight)) continue;
    for (const node of [old, now]) if (node !== undefined) other.add(node.pool);
  }
  return ({ pool }) => !other.has(pool);
}

async function placeKeys(
  nodes: readonly NodeSnapshot[],
  pool: string,
  rule: PlacementRule,
  placer: Placer,
): Promise<PlacementSnapshot> {
  const own = nodes.filter((node) => node.pool === pool);
  const placement = await placer.placeKeys(ringNodes(own), rule);
  countFrom(own[0]?.index ?? 0, placement.owners);
  return placement;
}

/** `known`: keyspaces that were planned before. */
async function replicate(
  nodes: readonly NodeSnapshot[],
  pool: string,
  { copies, level, tombstoneTtlMs }: Replication,
  known: readonly KeyspaceSnapshot[],
  placer: Placer,
): Promise<ReplicationSnapshot> {
  const owners = await placeCopies(nodes, pool, copies, known, placer);
  return Object.freeze({ copies, owners, level: Object.freeze({ ...level }), tombstoneTtlMs });
}

async function placeLocks(
  nodes: readonly NodeSnapshot[],
  pool: string,
  { copies: wanted, ttlMaxMs, fenceTtlMs }: Locks,
  known: readonly KeyspaceSnapshot[],
  placer: Placer,
): Promise<LockSnapshot> {
  const copies = wanted ?? nodes.filter((node) => node.pool === pool).length;
  const owners = await placeCopies(nodes, pool, copies, known, placer);
  return Object.freeze({ copies, owners, ttlMaxMs, fenceTtlMs });
}

async function placeCopies(
  nodes: readonly NodeSnapshot[],
  pool: string,
  copies: number,
  known: readonly KeyspaceSnapshot[],
  placer: Placer,
): Promise<Uint16Array> {
  const planned = known
    .filter((other) => other.pool === pool)
    .flatMap(({ replication, locks }) => replication ?? locks ?? []);
  const same = planned.find((other) => other.copies === copies);
  if (same !== undefined) return same.owners;
  const own = nodes.filter((node) => node.pool === pool);
  const owners = await placer.placeCopies(ringNodes(own), copies);
  countFrom(own[0]?.index ?? 0, owners);
  return owners;
}

function ringNodes(nodes: readonly NodeSnapshot[]): RingNode[] {
  return nodes.map(({ name, weight }) => ({ name, weight }));
}

/** `owners` are counted from the first node of their pool, whose own index is `first`. */
function countFrom(first: number, owners: Uint16Array): void {
  if (first > 0) for (let at = 0; at < owners.length; at++) owners[at] = (owners[at] as number) + first;
}

/** What `placement` was planned by. */
function ruleOf(placement: PlacementSnapshot): PlacementRule {
  if (placement.kind === 'slots') return { kind: placement.kind, colocate: placement.colocate };
  return { kind: placement.kind, hash: placement.hash, hashTag: placement.hashTag };
}

/**
 * The number that the service had; where it is new, that of one with the same keyspaces that is gone, whose connections then
 * stay (it has another name now); else the first that is free.
 */
function numberOf(
  service: TopologyService,
  before: TopologySnapshot | null,
  services: readonly TopologyService[],
  planned: readonly (ServiceSnapshot | null)[],
): number {
  const old = before?.services ?? [];
  const known = old.findIndex((one) => one?.name === service.name);
  if (known >= 0) return known;
  const names = new Set(services.map(({ name }) => name));
  const heir = old.findIndex((one, number) => {
    return one !== null && !names.has(one.name) && planned[number] === null && hasSameKeyspaces(one, service);
  });
  if (heir >= 0) return heir;
  const free = planned.findIndex((one, number) => one === null && (old[number] ?? null) === null);
  return free >= 0 ? free : planned.length;
}

function hasSameKeyspaces(one: ServiceSnapshot, other: TopologyService): boolean {
  const describe = (prefix: string, pool: string, rule: PlacementRule, copies: string) =>
    JSON.stringify([prefix, pool, rule, copies]);
  const own = one.keyspaces.map(({ prefix, pool, placement, replication, locks, storeLocks }) =>
    describe(prefix, pool, ruleOf(placement), (locks ?? storeLocks) !== null ? 'locks' : `${replication?.copies ?? 1}`),
  );
  const others = other.keyspaces.map((config) =>
    describe(
      config.prefix,
      config.pool,
      config.placement,
      config.mode === 'lock' ? 'locks' : `${config.mode === 'replicated' ? config.copies : 1}`,
    ),
  );
  return own.sort().join() === others.sort().join();
}

/**
 * A pool of `service` that has keys which only another service sees. Between them the prefixes of both part all keys, so that
 * what holds for the keys of a prefix, but for those of longer ones, holds for each of these keys.
 */
function sharedPool(service: TopologyService, services: readonly TopologyService[]): ServiceSnapshot['shared'] {
  const pools = new Set(service.keyspaces.map(({ pool }) => pool));
  for (const other of services) {
    for (const { prefix } of [...service.keyspaces, ...other.keyspaces]) {
      const pool = narrowestKeyspace(other.keyspaces, prefix)?.pool;
      if (pool === undefined || !pools.has(pool)) continue;
      const isSeen = narrowestKeyspace(service.keyspaces, prefix)?.pool === pool;
      if (!isSeen) return Object.freeze({ pool, service: other.name });
    }
  }
  return null;
}

/** See ServiceSnapshot. */
function mayHaveFences(service: TopologyService, services: readonly TopologyService[]): boolean {
  const pools = new Set(service.keyspaces.map(({ pool }) => pool));
  return services.some(({ keyspaces }) => {
    return keyspaces.some(({ mode }) => mode === 'lock') && keyspaces.some(({ pool }) => pools.has(pool));
  });
}
