/** Where one key is, and why there: for people who ask. Workers ask `Placement.nodeOf`, which says the same. */
import type { PlacementRule } from '../base/placement.js';
import type { Circle } from './circle.js';
import { Colocation } from './colocate.js';
import { slotOf, slotOfAll } from './slot.js';
import { TaggedHash } from './tagged-hash.js';

export interface Location {
  /** The slot, the hash, or the remainder of the hash: a place on the circle. */
  place: number;
  /** The index of the node. */
  node: number;
  /** The part of the key by which a colocate rule places it, or null. */
  colocatedBy: Buffer | null;
}

export function locate(rule: PlacementRule, circle: Circle, key: Uint8Array): Location {
  let place: number;
  let colocatedBy: Buffer | null = null;
  if (rule.kind === 'slots') {
    const colocation = new Colocation(rule.colocate);
    if (colocation.capture(key, 0, key.length)) {
      colocatedBy = Buffer.from(key.subarray(colocation.start, colocation.end));
      place = slotOfAll(colocatedBy, 0, colocatedBy.length);
    } else {
      place = slotOf(key, 0, key.length);
    }
  } else {
    const hash = new TaggedHash(rule.hash, rule.hashTag).of(key, 0, key.length) >>> 0;
    place = rule.kind === 'modula' ? hash % circle.size : hash;
  }
  return { place, node: circle.owners[arcAt(circle, place)] as number, colocatedBy };
}

/** The arc that a place lies on. */
export function arcAt({ ends }: Circle, place: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((ends[middle] as number) <= place) low = middle + 1;
    else high = middle;
  }
  return low;
}
