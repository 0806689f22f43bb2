/**
 * One service as a worker sees it: what a session that came in by its door sees as one Redis. Made anew with each topology.
 */
import type {
  KeyspaceSnapshot,
  NodeSnapshot,
  ReplicationSnapshot,
  ServiceSnapshot,
  StoreLockSnapshot,
  TopologySnapshot,
} from '../messages.js';
import type { LockSets, ReplicaSets } from '../routing/copy-sets.js';
import { Router } from '../routing/router.js';
import { slotOf } from '../routing/slot.js';
import { KeyWalks } from './key-walk.js';
import type { KeyTest } from './own-keys.js';
import { Scan } from './scan.js';

export class Service {
  readonly number: number;
  readonly name: string;
  /** The first TCP port that it listens on, or 0. */
  readonly port: number;
  /** Those of its pools, in the topology's order. */
  readonly nodes: readonly NodeSnapshot[];
  /** Where commands without keys go. */
  readonly homeNode: number;
  readonly shared: ServiceSnapshot['shared'];
  /**
   * Whether its nodes may hold keys that it does not see: those of another service, or what lies where no route of this
   * service leads, or what the proxy keeps there for itself. They are left out of KEYS and SCAN.
   */
  readonly hidesKeys: boolean;
  /** Whether some of its keys have copies. */
  readonly isReplicated: boolean;
  /** Whether some of its keys are locks on nodes. */
  readonly hasLocks: boolean;
  /** Whether some are locks on the coordination store. */
  readonly hasStoreLocks: boolean;
  /** Whether all its keys have slots. */
  readonly hasSlots: boolean;
  private readonly snapshot: ServiceSnapshot;
  private readonly keyspaces: readonly KeyspaceSnapshot[];
  private openedScan: Scan | null = null;
  private openedWalks: KeyWalks | null = null;
  private distinctCopySets: readonly (readonly number[])[] | null = null;
  private distinctLockSets: readonly (readonly number[])[] | null = null;
  private readonly router: Router;
  /** Where one keyspace has all keys, placed by slots alone: what `Router` would find, in one load. */
  private readonly slotOwners: Uint16Array | null;

  /** `before`: what had the number in the topology before. What it worked out of the same snapshot is taken over. */
  constructor(snapshot: ServiceSnapshot, number: number, topology: TopologySnapshot, before: Service | null) {
    const { name, port, keyspaces, shared } = snapshot;
    this.snapshot = snapshot;
    this.number = number;
    this.name = name;
    this.port = port;
    this.nodes = nodesOf(snapshot, topology);
    this.shared = shared;
    this.keyspaces = keyspaces;
    this.router = before?.snapshot === snapshot ? before.router : new Router(keyspaces, snapshot.hasFences);
    const [only, ...others] = keyspaces;
    const hasAll = only?.prefix === '' && others.length === 0;
    this.isReplicated = keyspaces.some(({ replication }) => replication !== null);
    this.hasLocks = keyspaces.some(({ locks }) => locks !== null);
    this.hasStoreLocks = keyspaces.some(({ storeLocks }) => storeLocks !== null);
    this.hasSlots = keyspaces.every(({ placement }) => placement.kind === 'slots');
    this.hidesKeys = !hasAll || this.hasOwnKeys || this.hasStoreLocks;
    const placement = only?.placement;
    const isPlain = placement?.kind === 'slots' && placement.colocate.length === 0;
    this.slotOwners = isPlain && !this.hidesKeys ? placement.owners : null;
    const home = this.nodeOf(new Uint8Array(0), 0, 0);
    this.homeNode = home >= 0 ? home : (this.nodes[0]?.index ?? 0);
  }

  /** Whether it is what would be made of these. */
  isOf(snapshot: ServiceSnapshot, topology: TopologySnapshot): boolean {
    if (snapshot !== this.snapshot) return false;
    const nodes = nodesOf(snapshot, topology);
    return nodes.length === this.nodes.length && nodes.every((node, place) => node === this.nodes[place]);
  }

  /** The walk over its nodes. Made when it is asked for: with a thousand nodes it takes a millisecond. */
  get scan(): Scan {
    this.openedScan ??= new Scan(this.nodes, this.hidesKeys ? this.isOwn : null);
    return this.openedScan;
  }

  /** The walks over its nodes, if some of its keys have copies. Locks are not among what they see. */
  get walks(): KeyWalks {
    this.openedWalks ??= new KeyWalks({
      nodes: this.nodes.filter(({ pool }) => this.keyspaces.some((own) => own.pool === pool && own.locks === null)),
      copySetsOfNodes: this.copySetsOfNodes,
      copySetsOf: (bytes, start, end) => this.copySetsOf(bytes, start, end),
      isOwn: this.isOwn,
    });
    return this.openedWalks;
  }

  /** Whether some of its keys are on several nodes: replicated ones, or locks. */
  get hasCopies(): boolean {
    return this.isReplicated || this.hasLocks;
  }

  /** Whether its nodes may have keys of the proxy's own. */
  get hasOwnKeys(): boolean {
    return this.hasCopies || this.snapshot.hasFences;
  }

  /** Each set of nodes that some replicated key has its copies on. */
  get copySetsOfNodes(): readonly (readonly number[])[] {
    this.distinctCopySets ??= distinctSets(this.keyspaces.flatMap(({ replication }) => replication ?? []));
    return this.distinctCopySets;
  }

  /** Each set of nodes that some lock is on. */
  get lockSetsOfNodes(): readonly (readonly number[])[] {
    this.distinctLockSets ??= distinctSets(this.keyspaces.flatMap(({ locks }) => locks ?? []));
    return this.distinctLockSets;
  }

  /** The largest of its keyspaces of locks. */
  get lockTtlMaxMs(): number {
    return Math.max(0, ...this.keyspaces.map(({ locks }) => locks?.ttlMaxMs ?? 0));
  }

  /** Whether what is sent to the home node comes to where copies of keys are. */
  get isHomeCopied(): boolean {
    const home = this.nodes.find(({ index }) => index === this.homeNode)?.pool;
    return this.keyspaces.some(({ pool, replication, locks }) => pool === home && (replication ?? locks) !== null);
  }

  /** The index of the node of the key bytes[start, end), or -1 where no keyspace has it. Allocates nothing. */
  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    const { slotOwners } = this;
    if (slotOwners !== null) return slotOwners[slotOf(bytes, start, end)] as number;
    return this.router.nodeOf(bytes, start, end);
  }

  /** Where the copies of the key bytes[start, end) are, if it is replicated; else null. Allocates nothing. */
  copySetsOf(bytes: Uint8Array, start: number, end: number): ReplicaSets | null {
    return this.isReplicated ? this.router.copySetsOf(bytes, start, end) : null;
  }

  /** Where the key bytes[start, end) is, if it is a lock; else null. Allocates nothing. */
  lockSetsOf(bytes: Uint8Array, start: number, end: number): LockSets | null {
    return this.hasLocks ? this.router.lockSetsOf(bytes, start, end) : null;
  }

  /** Of its keyspace, if the key bytes[start, end) is a lock on the coordination store; else null. Allocates nothing. */
  storeLocksOf(bytes: Uint8Array, start: number, end: number): StoreLockSnapshot | null {
    return this.hasStoreLocks ? this.router.storeLocksOf(bytes, start, end) : null;
  }

  /** Whether bytes[start, end) is the name of a lock, whoever keeps it. */
  isLock(bytes: Uint8Array, start: number, end: number): boolean {
    return this.lockSetsOf(bytes, start, end) !== null || this.storeLocksOf(bytes, start, end) !== null;
  }

  /** The index of the node where the channel bytes[start, end) lives. One that no keyspace would have is not refused. */
  nodeOfChannel(bytes: Uint8Array, start: number, end: number): number {
    const node = this.nodeOf(bytes, start, end);
    return node >= 0 ? node : this.homeNode;
  }

  /** The only node that may have keys of that slot; null where keys have other places, too. */
  nodeOfSlot(slot: number): number | null {
    return this.slotOwners?.[slot] ?? null;
  }

  /** What cluster clients are told who came in by its addresses. */
  get announced(): ServiceSnapshot['announced'] {
    return this.snapshot.announced;
  }

  /** Whether the key bytes[start, end), which `node` has, is one that this service sees. */
  readonly isOwn: KeyTest = (bytes, start, end, node) => {
    return this.nodeOf(bytes, start, end) === node && this.lockSetsOf(bytes, start, end) === null;
  };

  /** Whether a write of several keys, of which this is one, may be split. */
  splitsWriteOf(bytes: Uint8Array, start: number, end: number): boolean {
    return this.keyspaces[this.router.keyspaceOf(bytes, start, end)]?.splitsWrites ?? true;
  }

  /** The prefixes of its keys, as an error shows them. */
  get prefixes(): string {
    return this.keyspaces.map(({ prefix }) => JSON.stringify(prefix)).join(', ');
  }
}

function distinctSets(
  placed: readonly Pick<ReplicationSnapshot, 'copies' | 'owners'>[],
): readonly (readonly number[])[] {
  const sets = new Map<string, readonly number[]>();
  for (const { copies, owners } of placed) {
    for (let at = 0; at < owners.length; at += copies) {
      const set = Array.from(owners.subarray(at, at + copies)).sort((one, other) => one - other);
      sets.set(set.join(), set);
    }
  }
  return [...sets.values()];
}

function nodesOf({ keyspaces }: ServiceSnapshot, { nodes }: TopologySnapshot): readonly NodeSnapshot[] {
  const pools = new Set(keyspaces.map(({ pool }) => pool));
  return nodes.filter(({ pool }) => pools.has(pool));
}
