/**
 * The order in which twemproxy counts a pool's servers: not that of its file, but by the length of their names, and by the
 * bytes of names of the same length (`string_compare`). `modula` depends on it, and `ketama` where two points fall together.
 */
import { TWEMPROXY_WEIGHT_MAX } from '../base/placement.js';
import type { RingNode } from './ring.js';

/** A node's place in the order fits into 14 bits. */
export const TWEMPROXY_NODES_MAX = 2 ** 14;

export interface OrderedNode extends RingNode {
  /** Where it was in what was given. */
  readonly index: number;
}

/** The nodes in twemproxy's order. Throws a RangeError for nodes that twemproxy, or our memory, would not take. */
export function inTwemproxyOrder(nodes: readonly RingNode[]): OrderedNode[] {
  if (nodes.length === 0) throw new RangeError('a placement needs at least one node');
  if (nodes.length > TWEMPROXY_NODES_MAX) throw new RangeError(`a placement has at most ${TWEMPROXY_NODES_MAX} nodes`);
  const names = new Set<string>();
  let total = 0;
  for (const { name, weight } of nodes) {
    if (names.has(name)) throw new RangeError(`two nodes have the name ${name}`);
    names.add(name);
    if (!Number.isSafeInteger(weight) || weight < 1) {
      throw new RangeError(`the weight of node ${name} must be a whole number above 0`);
    }
    total += weight;
  }
  if (total > TWEMPROXY_WEIGHT_MAX) {
    throw new RangeError(`the weights must not add up to more than ${TWEMPROXY_WEIGHT_MAX}`);
  }
  return nodes
    .map(({ name, weight }, index) => ({ name, weight, index, bytes: Buffer.from(name, 'utf8') }))
    .sort((a, b) => a.bytes.length - b.bytes.length || Buffer.compare(a.bytes, b.bytes));
}
