/**
 * The ranges in which the keys of a pool are compared, of consistency eventual alone: those of one keyspace that have their copies on the
 * same nodes, since they are in one slot.
 */
import type { KeyspaceSnapshot } from '../messages.js';
import type { ReplicaSets } from './copy-sets.js';
import { Router } from './router.js';
import { SLOT_COUNT } from './slot.js';

/** What it takes to know them, in any thread: of each service its keyspaces, and the indices of the pool's nodes. */
export interface RangePlan {
  services: readonly (readonly KeyspaceSnapshot[])[];
  nodes: readonly number[];
}

export class KeyRanges {
  private readonly routers: readonly Router[];
  private readonly sets: readonly ReplicaSets[];

  constructor({ services, nodes }: RangePlan) {
    this.routers = services.map((keyspaces) => new Router(keyspaces));
    this.sets = this.routers
      .flatMap((router) => router.allCopySets())
      .filter(({ level, owners }) => level.consistency === 'eventual' && nodes.includes(owners[0] as number));
  }

  /** Ranges are numbered from 0. */
  get count(): number {
    return this.sets.length * SLOT_COUNT;
  }

  /** The range of a key; -1: it is none of these. */
  find(key: Uint8Array): number {
    for (const router of this.routers) {
      const sets = router.copySetsOf(key, 0, key.length);
      if (sets === null) continue;
      const place = this.sets.indexOf(sets);
      // To another service it may be a key of another pool.
      if (place >= 0) return place * SLOT_COUNT + sets.find(key, 0, key.length) / sets.copies;
    }
    return -1;
  }

  /** Indices of the nodes that have its copies. */
  nodesOf(range: number): readonly number[] {
    const { copies, owners } = this.sets[Math.floor(range / SLOT_COUNT)] as ReplicaSets;
    const first = (range % SLOT_COUNT) * copies;
    return [...owners.subarray(first, first + copies)];
  }
}
