/**
 * From a key to the keyspace that it belongs to, the one with the longest prefix that the key begins with, and by that one's
 * placement to its node.
 */
import type { KeyspaceSnapshot, StoreLockSnapshot } from '../messages.js';
import { LockSets, ReplicaSets } from './copy-sets.js';
import { OWN_PREFIX } from './own-prefix.js';
import { openPlacement, type Placement } from './route.js';

interface Entry {
  prefix: Uint8Array;
  keyspace: number;
  placement: Placement;
  /** Null unless its keys are replicated. */
  copySets: ReplicaSets | null;
  /** Null unless they are locks. */
  lockSets: LockSets | null;
  /** Null unless they are locks on the coordination store. */
  storeLocks: StoreLockSnapshot | null;
}

/** What the proxy keeps on nodes for itself, beside replicated keys, locks, and what is written with fences: no keyspace has it. */
const NOWHERE: Placement = { nodeOf: () => -1 };
const OWN: Omit<Entry, 'prefix'> = {
  keyspace: -1,
  placement: NOWHERE,
  copySets: null,
  lockSets: null,
  storeLocks: null,
};

export class Router {
  /** The longest prefix first. */
  private readonly entries: readonly Entry[];
  /** By the first byte of a key: the first entry that it may belong to. */
  private readonly firstEntry = new Uint8Array(256);
  /** That of the keyspace of all keys, or their number where there is none. */
  private readonly lastEntry: number;

  /** `hasFences`: see ServiceSnapshot. */
  constructor(keyspaces: readonly KeyspaceSnapshot[], hasFences = false) {
    const encoder = new TextEncoder();
    const entries = keyspaces.map((snapshot, keyspace): Entry => {
      const { prefix, placement, replication, locks, storeLocks } = snapshot;
      const copySets = replication && new ReplicaSets(snapshot, replication);
      const lockSets = locks && new LockSets(snapshot, locks);
      return {
        prefix: encoder.encode(prefix),
        keyspace,
        placement: storeLocks === null ? openPlacement(placement) : NOWHERE,
        copySets,
        lockSets,
        storeLocks,
      };
    });
    if (hasFences || entries.some(({ copySets, lockSets }) => copySets !== null || lockSets !== null))
      entries.push({ prefix: encoder.encode(OWN_PREFIX), ...OWN });
    entries.sort((one, other) => other.prefix.length - one.prefix.length);
    this.entries = entries;
    const hasAll = entries.at(-1)?.prefix.length === 0;
    this.lastEntry = entries.length - (hasAll ? 1 : 0);
    for (let byte = 0; byte < 256; byte++) {
      const first = entries.findIndex(({ prefix }) => prefix.length === 0 || prefix[0] === byte);
      this.firstEntry[byte] = first < 0 ? entries.length : first;
    }
  }

  /** The index of the node of the key bytes[start, end), or -1 where no keyspace has it. Allocates nothing. */
  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    const entry = this.entries[this.find(bytes, start, end)];
    return entry === undefined ? -1 : entry.placement.nodeOf(bytes, start, end);
  }

  /** The place of the key's keyspace among those given, or -1. */
  keyspaceOf(bytes: Uint8Array, start: number, end: number): number {
    return this.entries[this.find(bytes, start, end)]?.keyspace ?? -1;
  }

  /** Where the copies of the key are, if it is replicated; else null. */
  copySetsOf(bytes: Uint8Array, start: number, end: number): ReplicaSets | null {
    return this.entries[this.find(bytes, start, end)]?.copySets ?? null;
  }

  /** Of all replicated keyspaces. */
  allCopySets(): ReplicaSets[] {
    return this.entries.flatMap(({ copySets }) => (copySets === null ? [] : [copySets]));
  }

  /** Where the key is, if it is a lock; else null. */
  lockSetsOf(bytes: Uint8Array, start: number, end: number): LockSets | null {
    return this.entries[this.find(bytes, start, end)]?.lockSets ?? null;
  }

  /** Of its keyspace, if the key is a lock on the coordination store; else null. */
  storeLocksOf(bytes: Uint8Array, start: number, end: number): StoreLockSnapshot | null {
    return this.entries[this.find(bytes, start, end)]?.storeLocks ?? null;
  }

  private find(bytes: Uint8Array, start: number, end: number): number {
    const { entries, lastEntry } = this;
    let at = start === end ? lastEntry : (this.firstEntry[bytes[start] as number] as number);
    while (at < lastEntry && !begins(bytes, start, end, (entries[at] as Entry).prefix)) at++;
    return at;
  }
}

function begins(bytes: Uint8Array, start: number, end: number, prefix: Uint8Array): boolean {
  if (end - start < prefix.length) return false;
  for (let at = 0; at < prefix.length; at++) if (bytes[start + at] !== prefix[at]) return false;
  return true;
}
