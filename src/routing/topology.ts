/** Makes the immutable snapshot that all workers route by. A command's node is `slotOwners[slotOf(key)]`: one load. */
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import { planRing } from './ring.js';
import { SLOT_COUNT } from './slot.js';

/** A node as the configuration names it. */
export interface TopologyNode extends Omit<NodeSnapshot, 'index'> {
  /** Its share of the slots, in relation to the others'; above 0. */
  weight: number;
}

/**
 * The topology of the nodes of one pool, in the order given; slot owners lie in shared memory. `version` must be greater
 * than any before. Throws a RangeError for what no ring can be made of (`planRing`).
 */
export function planTopology(nodes: readonly TopologyNode[], version: number): TopologySnapshot {
  const memory = new SharedArrayBuffer(SLOT_COUNT * Uint16Array.BYTES_PER_ELEMENT);
  return Object.freeze({
    version,
    nodes: Object.freeze(nodes.map(({ weight: _, ...node }, index) => Object.freeze({ ...node, index }))),
    slotOwners: planRing(nodes, new Uint16Array(memory)),
  });
}
