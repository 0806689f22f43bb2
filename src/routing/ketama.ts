/**
 * Placement by twemproxy's `distribution: ketama`, point for point: a user of it moves over and every key stays where it
 * lies. Source: https://github.com/twitter/twemproxy, src/hashkit/nc_ketama.c, version 0.5.0.
 *
 *   name-0, name-1 … --MD5--> four points each on a circle of 2^32 positions, as many as the node's weight deserves
 *   key --hash--> a position; the first point there or after it, clockwise, is the key's node
 */
import type { PlacementSnapshot } from '../messages.js';
import { md5 } from './md5.js';
import type { RingNode } from './ring.js';
import { TaggedHash } from './tagged-hash.js';
import { inTwemproxyOrder, TWEMPROXY_NODES_MAX } from './twemproxy-order.js';

type Continuum = Omit<Extract<PlacementSnapshot, { kind: 'ketama' }>, 'kind' | 'hash' | 'hashTag'>;

/** Points that a node of average weight has. */
const POINTS_PER_NODE = 160;
const POINTS_PER_DIGEST = 4;

/**
 * The circle's points, upwards, and per point the index of its node in `nodes`; both in shared memory. What lies after the
 * last point belongs to the first one's node: one more point at the circle's end says so. Where points fall together, which
 * they rarely do, the one whose node is first in twemproxy's order wins. Throws a RangeError for no or too
 * many nodes, for a name that is there twice, and for weights that are not whole numbers above 0.
 */
export function planKetama(nodes: readonly RingNode[]): Continuum {
  const order = inTwemproxyOrder(nodes);
  const counts = digestCounts(order.map(({ weight }) => weight));
  const count = counts.reduce((sum, digests) => sum + digests * POINTS_PER_DIGEST, 0);
  // Position and place in the order in the bits of one number each: 32 and 14.
  const sorted = new Float64Array(count);
  const digest = new Int32Array(4);
  let at = 0;
  for (const [place, { name }] of order.entries()) {
    for (let i = 0; i < (counts[place] as number); i += 1) {
      const text = Buffer.from(`${name}-${i}`, 'utf8');
      md5(text, 0, text.length, digest);
      for (const point of digest) {
        sorted[at] = (point >>> 0) * TWEMPROXY_NODES_MAX + place;
        at += 1;
      }
    }
  }
  sorted.sort();

  const points = new Uint32Array(new SharedArrayBuffer((count + 1) * Uint32Array.BYTES_PER_ELEMENT));
  const owners = new Uint16Array(new SharedArrayBuffer((count + 1) * Uint16Array.BYTES_PER_ELEMENT));
  for (const [i, point] of sorted.entries()) {
    points[i] = Math.floor(point / TWEMPROXY_NODES_MAX);
    owners[i] = (order[point % TWEMPROXY_NODES_MAX] as { index: number }).index;
  }
  points[count] = 2 ** 32 - 1;
  owners[count] = owners[0] as number;
  return { points, owners };
}

/**
 * How many names each node is given on the circle. A node whose weight is below a 40th of the average has none, and no keys.
 * The arithmetic is C's on `float`s, rounded as there, step by step: in double precision a node may have four points more.
 */
function digestCounts(weights: readonly number[]): number[] {
  const total = Math.fround(weights.reduce((sum, weight) => sum + weight, 0));
  return weights.map((weight) => {
    const part = Math.fround(Math.fround(weight) / total);
    const points = Math.fround(Math.fround(part * POINTS_PER_NODE) / POINTS_PER_DIGEST);
    return Math.floor(Math.fround(Math.fround(points * weights.length) + 1e-10));
  });
}

export class KetamaPlacement {
  private readonly points: Uint32Array;
  private readonly owners: Uint16Array;
  private readonly hash: TaggedHash;
  /**
   * Per part of the circle the first point in it or after it. There are as many parts as points, so that the point wanted
   * is one of the next few. With a binary search, and its mispredicted branches, a key takes 55 ns instead of 29 for 3
   * nodes, and 159 instead of 33 for 1,000 (fnv1a_64, keys of 20 bytes).
   */
  private readonly firstPoints: Uint32Array;
  private readonly partShift: number;

  constructor({ points, owners, hash, hashTag }: Extract<PlacementSnapshot, { kind: 'ketama' }>) {
    this.points = points;
    this.owners = owners;
    this.hash = new TaggedHash(hash, hashTag);
    const partBits = Math.ceil(Math.log2(points.length));
    this.partShift = 32 - partBits;
    this.firstPoints = new Uint32Array(2 ** partBits);
    let at = 0;
    for (let part = 0; part < this.firstPoints.length; part += 1) {
      while ((points[at] as number) < part * 2 ** this.partShift) at += 1;
      this.firstPoints[part] = at;
    }
  }

  /** The index of the node of the key bytes[start, end). */
  nodeOf(bytes: Uint8Array, start: number, end: number): number {
    const { points } = this;
    const position = this.hash.of(bytes, start, end) >>> 0;
    let at = this.firstPoints[position >>> this.partShift] as number;
    // Ends at the last point, which no position lies beyond.
    while ((points[at] as number) < position) at += 1;
    return this.owners[at] as number;
  }
}
