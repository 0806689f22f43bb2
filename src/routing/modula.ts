/**
 * Placement by twemproxy's `distribution: modula`: the hash of the key, modulo the sum of the weights, says the node. Moves
 * nearly all keys when a node comes or goes. Source: https://github.com/twitter/twemproxy, src/hashkit/nc_modula.c, 0.5.0.
 */
import type { PlacementSnapshot } from '../messages.js';
import type { RingNode } from './ring.js';
import { TaggedHash } from './tagged-hash.js';
import { inTwemproxyOrder } from './twemproxy-order.js';

/**
 * Per remainder the index of its node in `nodes`, in shared memory: as many in a row as a node's weight, the nodes in
 * twemproxy's order, which is not that of its file. Throws as `planKetama` does.
 */
export function planModula(nodes: readonly RingNode[]): { owners: Uint16Array } {
  const order = inTwemproxyOrder(nodes);
  const total = order.reduce((sum, { weight }) => sum + weight, 0);
  const owners = new Uint16Array(new SharedArrayBuffer(total * Uint16Array.BYTES_PER_ELEMENT));
  let at = 0;
  for (const { weight, index } of order) {
    owners.fill(index, at, at + weight);
    at += weight;
  }
  return { owners };
}

export class ModulaPlacement {
  private readonly owners: Uint16Array;
  private readonly hash: TaggedHash;

  constructor({ owners, hash, hashTag }: Extract<PlacementSnapshot, { kind: 'modula' }>) {
    this.owners = owners;
    this.hash = new TaggedHash(hash, hashTag);
  }

  /** The index of the node of the key bytes[start, end). */
  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    const { owners } = this;
    return owners[(this.hash.of(bytes, start, end) >>> 0) % owners.length] as number;
  }
}
