/**
 * The consistent-hash ring: which node owns which slot. A pure function of the nodes' names and weights, the same on every
 * machine and in every version: golden files pin it, since a change would move everybody's keys.
 *
 *   name --SHA-256--> xoshiro128** --> points on a circle of 2^39 positions; slot s begins at s * 2^25
 *   slot 0, 1, 2 … 16383: from its beginning clockwise, the first point whose node has room owns it
 *
 * Bounded load (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2018): with b = f * its fair share,
 * a node has room for floor(b) or ceil(b) slots, by chance, the oftener for the latter the nearer b is to it. f is 1.05 up to
 * 30 nodes and grows evenly to 1.10 at 100. Both are so that no bound of many nodes falls in one step when a node is added,
 * which would move a slot of each. A node's points are stratified, not independent: each is alone in one of 2048 equal parts
 * of the circle and in one of 2048 equal classes of distances to the next slot. This halves the variance of the shares, so
 * that few nodes come to their bound, beyond which slots of other nodes move too when a node is added or removed.
 *
 * Measured, equal weights: adding or removing a node moves on average 1.00 to 1.03 times its fair share of the slots, at
 * most 1.15 times, up to 100 nodes. With more, where a node owns few slots and its share is a game of chance, it is more: at
 * most 1.3 times with 200 nodes, 1.7 with 500, 2.6 with 1,000.
 */
import { createHash } from 'node:crypto';
import { SLOT_COUNT } from './slot.js';

export interface RingNode {
  /** What is hashed. Unique. */
  readonly name: string;
  /** Above 0; fractions are good. Only the ratio of the weights counts for the shares, but the points follow the weight. */
  readonly weight: number;
}

/** More could not own a slot each. */
export const RING_NODES_MAX = SLOT_COUNT;
/** Sum of all weights: bounds the memory and the time that planning takes. */
export const RING_WEIGHT_MAX = 16384;

/** Points of a node of weight 1, and parts that they are spread over; a power of two. */
const POINTS_PER_WEIGHT = 2048;
const POINT_BITS = 11;
const SLOT_BITS = 14;
/** Positions within a slot. With the slot's and the node's index a point fits exactly into a double. */
const FRACTION_BITS = 25;
const NODE_BITS = 14;

/**
 * Owners of all slots: per slot the index of its node in `nodes`, written into `owners`. The order of `nodes` makes no
 * difference but for these indices. Throws a RangeError for no or too many nodes, a name that is there twice, and weights
 * that are not above 0 or too large.
 */
export function planRing(nodes: readonly RingNode[], owners: Uint16Array = new Uint16Array(SLOT_COUNT)): Uint16Array {
  return planCopies(nodes, 1, owners);
}

/**
 * As `planRing`, for keys of which `copies` nodes have one each: per slot so many different nodes in a row, first its owner,
 * then the others as they come clockwise from where the slot begins. A node that had no room left for the slot is among
 * these, so that a bound moves no copy that the ring itself would not. Throws a RangeError for fewer nodes than copies, too.
 */
export function planCopies(
  nodes: readonly RingNode[],
  copies: number,
  owners: Uint16Array = new Uint16Array(SLOT_COUNT * copies),
): Uint16Array {
  check(nodes);
  if (nodes.length < copies) throw new RangeError(`${nodes.length} nodes have no room for ${copies} copies`);
  // By the bytes of their names: sums of weights and ties then depend on nothing else.
  const order = nodes
    .map(({ name, weight }, index) => ({ name, weight, index, bytes: Buffer.from(name, 'utf8') }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes));
  const generators = order.map((node) => new Generator(node.name));
  const room = makeRoom(order, generators);
  const points = makePoints(order, generators);

  let first = 0;
  for (let slot = 0; slot < SLOT_COUNT; slot += 1) {
    const begin = slot * 2 ** (FRACTION_BITS + NODE_BITS);
    while (first < points.length && (points[first] as number) < begin) first += 1;
    // Some node has room, and every node has a point.
    let next = first;
    let node: number;
    do {
      if (next === points.length) next = 0;
      node = (points[next] as number) % 2 ** NODE_BITS;
      next += 1;
    } while (room[node] === 0);
    room[node] = (room[node] as number) - 1;
    const at = slot * copies;
    owners[at] = (order[node] as { index: number }).index;
    for (let count = 1, from = first; count < copies; from += 1) {
      if (from === points.length) from = 0;
      const { index } = order[(points[from] as number) % 2 ** NODE_BITS] as { index: number };
      if (isAmong(owners, at, at + count, index)) continue;
      owners[at + count] = index;
      count += 1;
    }
  }
  return owners;
}

function isAmong(owners: Uint16Array, start: number, end: number, node: number): boolean {
  for (let at = start; at < end; at += 1) if (owners[at] === node) return true;
  return false;
}

function check(nodes: readonly RingNode[]): void {
  if (nodes.length === 0) throw new RangeError('a ring needs at least one node');
  if (nodes.length > RING_NODES_MAX) throw new RangeError(`a ring has at most ${RING_NODES_MAX} nodes`);
  const names = new Set<string>();
  let total = 0;
  for (const { name, weight } of nodes) {
    if (names.has(name)) throw new RangeError(`two nodes of the ring have the name ${name}`);
    names.add(name);
    if (!(weight > 0)) throw new RangeError(`the weight of node ${name} must be above 0`);
    total += weight;
  }
  if (!(total <= RING_WEIGHT_MAX)) {
    throw new RangeError(
      `the weights of a ring must not add up to more than ${RING_WEIGHT_MAX}; only their ratio counts`,
    );
  }
}

/** How many slots each node may own. Its generator's first output rounds the bound up or down. */
function makeRoom(order: readonly RingNode[], generators: readonly Generator[]): Int32Array {
  const totalWeight = order.reduce((sum, node) => sum + node.weight, 0);
  const bounds = order.map((node) => slotsBound(node.weight, totalWeight, order.length));
  const room = bounds.map((bound, k) => Math.floor(bound + (generators[k] as Generator).next() / 2 ** 32));
  // Only thousands of nodes with names chosen for it could have too little room together.
  const suffices = room.reduce((sum, slots) => sum + slots, 0) >= SLOT_COUNT;
  return Int32Array.from(suffices ? room : bounds.map(Math.ceil));
}

/** The bound b of a node, which makeRoom rounds. */
function slotsBound(weight: number, totalWeight: number, nodeCount: number): number {
  const beyond = Math.min(Math.max(nodeCount - 30, 0), 70);
  return ((1.05 + (0.05 * beyond) / 70) * SLOT_COUNT * weight) / totalWeight;
}

/** All points, (slot, fraction, node) in the bits of one number each, clockwise. */
function makePoints(order: readonly RingNode[], generators: readonly Generator[]): Float64Array {
  const counts = order.map((node) => Math.max(1, Math.round(node.weight * POINTS_PER_WEIGHT)));
  const points = new Float64Array(counts.reduce((sum, count) => sum + count, 0));
  let from = 0;
  for (const [k, count] of counts.entries()) {
    fillPoints(generators[k] as Generator, k, points, from, from + count);
    from += count;
  }
  return points.sort();
}

/**
 * The points of one node. For every 2048 of them (the last time fewer: a weight of 0.5 has the first half of the points of
 * weight 1) the generator's next outputs are, in this order:
 *
 *   shift        the upper 11 bits of one output
 *   parts        a Fisher-Yates shuffle of 0 … 2047: for i from 2047 down to 1, swap i with floor(output * (i + 1) / 2^32)
 *   per point i  one output: its upper 3 bits choose one of the 8 slots of part parts[i]; the fraction within the slot is
 *                the reversed bits of i, xor shift (11 bits), followed by the lower 14 bits of the output
 */
function fillPoints(generator: Generator, node: number, points: Float64Array, from: number, to: number): void {
  const parts = new Uint16Array(POINTS_PER_WEIGHT);
  const slotsPerPart = SLOT_COUNT / POINTS_PER_WEIGHT;
  const restBits = FRACTION_BITS - POINT_BITS;
  for (let group = from; group < to; group += POINTS_PER_WEIGHT) {
    const shift = generator.next() >>> (32 - POINT_BITS);
    for (let i = 0; i < POINTS_PER_WEIGHT; i += 1) parts[i] = i;
    for (let i = POINTS_PER_WEIGHT - 1; i > 0; i -= 1) {
      const j = Math.floor((generator.next() * (i + 1)) / 2 ** 32);
      const part = parts[i] as number;
      parts[i] = parts[j] as number;
      parts[j] = part;
    }
    const count = Math.min(POINTS_PER_WEIGHT, to - group);
    for (let i = 0; i < count; i += 1) {
      const output = generator.next();
      const slot = (parts[i] as number) * slotsPerPart + (output >>> (32 - (SLOT_BITS - POINT_BITS)));
      const fraction = ((reverseBits(i) ^ shift) << restBits) | (output & (2 ** restBits - 1));
      points[group + i] = (slot * 2 ** FRACTION_BITS + fraction) * 2 ** NODE_BITS + node;
    }
  }
}

/** The lower 11 bits of `i` in reverse. */
function reverseBits(i: number): number {
  let reversed = 0;
  for (let bit = 0; bit < POINT_BITS; bit += 1) reversed |= ((i >> bit) & 1) << (POINT_BITS - 1 - bit);
  return reversed;
}

/**
 * xoshiro128** 1.1 (Blackman, Vigna; https://prng.di.unimi.it/xoshiro128starstar.c), its state s[0] … s[3] the first 16
 * bytes of the SHA-256 of the name in UTF-8, as four little-endian integers.
 */
class Generator {
  private a: number;
  private b: number;
  private c: number;
  private d: number;

  constructor(name: string) {
    const digest = createHash('sha256').update(name, 'utf8').digest();
    this.a = digest.readInt32LE(0);
    this.b = digest.readInt32LE(4);
    this.c = digest.readInt32LE(8);
    this.d = digest.readInt32LE(12);
  }

  /** The next output, 0 … 2^32 - 1. */
  next(): number {
    const result = Math.imul(rotateLeft(Math.imul(this.b, 5), 7), 9) >>> 0;
    const shifted = this.b << 9;
    this.c ^= this.a;
    this.d ^= this.b;
    this.b ^= this.c;
    this.a ^= this.d;
    this.c ^= shifted;
    this.d = rotateLeft(this.d, 11);
    return result;
  }
}

function rotateLeft(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}
