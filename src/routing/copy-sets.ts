/**
 * From a key of a replicated keyspace, or of one of locks, to the nodes that have its copies. The control plane plans them with the
 * ring (`planCopySets`); each worker opens what was planned, and asks it for every key.
 */
import type { KeyspaceSnapshot, LevelSnapshot, LockSnapshot, ReplicationSnapshot } from '../messages.js';
import { planCopies, type RingNode } from './ring.js';
import { ColocatedPlacement } from './route.js';
import { SLOT_COUNT, slotOf } from './slot.js';

/**
 * Per slot `copies` nodes in a row, by their places in `nodes`, in memory that threads share. Throws a RangeError for nodes
 * that cannot be placed on; configurations are checked for that before.
 */
export function planCopySets(nodes: readonly RingNode[], copies: number): Uint16Array {
  const memory = new SharedArrayBuffer(SLOT_COUNT * copies * Uint16Array.BYTES_PER_ELEMENT);
  return planCopies(nodes, copies, new Uint16Array(memory));
}

/** Of one keyspace. */
export class CopySets {
  /** Replicated keys have 3 or 5. */
  readonly copies: number;
  /** Indices of nodes. A key has `copies` in a row, from `find` on, the first of its slot before the others. */
  readonly owners: Uint16Array;
  /** Null where keys have the slots of Redis Cluster. */
  private readonly colocated: ColocatedPlacement | null;

  /** Throws a TypeError for a keyspace that has no slots. */
  constructor({ placement }: KeyspaceSnapshot, { copies, owners }: Pick<ReplicationSnapshot, 'copies' | 'owners'>) {
    if (placement.kind !== 'slots') throw new TypeError(`copies need slots, and there is ${placement.kind}`);
    this.copies = copies;
    this.owners = owners;
    this.colocated = placement.colocate.length === 0 ? null : new ColocatedPlacement(placement);
  }

  /** Where in `owners` the nodes of the key bytes[start, end) begin. Allocates nothing. */
  find(bytes: Uint8Array, start: number, end: number): number {
    const { colocated, copies } = this;
    return copies * (colocated === null ? slotOf(bytes, start, end) : colocated.slotOf(bytes, start, end));
  }

  /** Which copy of the key bytes[start, end) the node of that index has: 0 for the first, -1 for none. */
  placeOf(node: number, bytes: Uint8Array, start: number, end: number): number {
    const first = this.find(bytes, start, end);
    for (let place = 0; place < this.copies; place++) if (this.owners[first + place] === node) return place;
    return -1;
  }
}

/** Those of a keyspace of replicated keys. */
export class ReplicaSets extends CopySets {
  readonly level: LevelSnapshot;
  readonly tombstoneTtlMs: number;

  /** `replication` is that of `snapshot`. */
  constructor(snapshot: KeyspaceSnapshot, replication: ReplicationSnapshot) {
    super(snapshot, replication);
    this.level = replication.level;
    this.tombstoneTtlMs = replication.tombstoneTtlMs;
  }
}

/** Those of a keyspace of locks. */
export class LockSets extends CopySets {
  readonly ttlMaxMs: number;
  readonly fenceTtlMs: number;

  /** `locks` are those of `snapshot`. */
  constructor(snapshot: KeyspaceSnapshot, locks: LockSnapshot) {
    super(snapshot, locks);
    this.ttlMaxMs = locks.ttlMaxMs;
    this.fenceTtlMs = locks.fenceTtlMs;
  }

  /** Whether the locks at these places, which `find` has found, are on the same nodes, maybe in another order. */
  areTogether(one: number, other: number): boolean {
    const { owners, copies } = this;
    const nodes = owners.subarray(other, other + copies);
    for (let place = one; place < one + copies; place++) if (!nodes.includes(owners[place] as number)) return false;
    return true;
  }
}
