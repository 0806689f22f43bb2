/**
 * The control plane's threads for bulk work: what takes more than a few milliseconds, and would keep the main thread from
 * answering. Threads are started when there is work, and end when there is none for a while.
 */
import { availableParallelism } from 'node:os';
import { Piscina } from 'piscina';
import type { PlacementRule } from '../base/placement.js';
import type { PlacementSnapshot } from '../messages.js';
import type { Circle } from '../routing/circle.js';
import { planCopySets } from '../routing/copy-sets.js';
import type { RangePlan } from '../routing/key-ranges.js';
import type { RingNode } from '../routing/ring.js';
import { planPlacement } from '../routing/route.js';
import type { DigestedPage, PickedKeys } from './bulk-worker.js';

const THREADS_MAX = 4;
const IDLE_TIMEOUT_MS = 1_000;
/** So many are planned in about 10 ms. */
const NODES_AT_ONCE = 30;

export class BulkPool {
  private readonly pool: Piscina;

  constructor() {
    this.pool = new Piscina({
      filename: new URL('./bulk-worker.js', import.meta.url).href,
      minThreads: 0,
      maxThreads: Math.min(THREADS_MAX, availableParallelism()),
      idleTimeout: IDLE_TIMEOUT_MS,
      // A thread that waits on an atomic hears no messages, and saves microseconds that do not matter here.
      atomics: 'disabled',
    });
  }

  /**
   * How keys are placed on these nodes. Rejects with a RangeError as `planPlacement` throws it. A few nodes are planned at
   * once: starting a thread takes longer.
   */
  placeKeys(nodes: readonly RingNode[], rule: PlacementRule): PlacementSnapshot | Promise<PlacementSnapshot> {
    if (nodes.length <= NODES_AT_ONCE) return planPlacement(nodes, rule);
    return this.pool.run({ nodes, rule }, { name: 'placeKeys' }) as Promise<PlacementSnapshot>;
  }

  /** Which of these nodes have copies of keys, as `planCopySets`; as `placeKeys` otherwise. */
  placeCopies(nodes: readonly RingNode[], copies: number): Uint16Array | Promise<Uint16Array> {
    if (nodes.length <= NODES_AT_ONCE) return planCopySets(nodes, copies);
    return this.pool.run({ nodes, copies }, { name: 'placeCopies' }) as Promise<Uint16Array>;
  }

  /** Where the keys of these nodes are. Rejects with a RangeError as `planPlacement` throws it. */
  planCircle(nodes: readonly RingNode[], rule: PlacementRule): Promise<Circle> {
    return this.pool.run({ nodes, rule }, { name: 'planCircle' }) as Promise<Circle>;
  }

  /** Adds a page of keys, as a node has answered it, to the digests in `memory`. Null: it does not count. One at a time for one memory. */
  digestPage(page: Uint8Array, plan: RangePlan, memory: SharedArrayBuffer): Promise<DigestedPage | null> {
    return this.pool.run({ page, plan, memory }, { name: 'digestPage' }) as Promise<DigestedPage | null>;
  }

  /** Of each of these nodes, from what it has told, the places of those pages that have to be read again: see `key-trail`. */
  findPages(
    nodes: readonly number[],
    told: readonly (readonly Uint32Array[])[],
    plan: RangePlan,
    differing: SharedArrayBuffer,
  ): Promise<number[][]> {
    return this.pool.run({ nodes, told, plan, differing }, { name: 'findPages' }) as Promise<number[][]>;
  }

  /** The keys of such a page that are in ranges of which `differing`, a byte each, has a 1. */
  pickKeys(page: Uint8Array, plan: RangePlan, differing: SharedArrayBuffer): Promise<PickedKeys | null> {
    return this.pool.run({ page, plan, differing }, { name: 'pickKeys' }) as Promise<PickedKeys | null>;
  }

  /** Ends the threads, and what they are doing. */
  async destroy(): Promise<void> {
    await this.pool.destroy();
  }
}
