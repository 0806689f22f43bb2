/**
 * A placement as a picture: the circle of all places that a key can fall on, cut into arcs, each with its node. What is
 * said about balance is read off it, and it can be drawn.
 */
import type { PlacementSnapshot } from '../messages.js';
import { hashSpace } from './hashes.js';

export interface Circle {
  /** Places: 16,384 slots, a hash function's values, or, for modula, its remainders. */
  readonly size: number;
  /** Where each arc ends, upwards. The first begins at 0, the last ends at `size`. */
  readonly ends: Float64Array;
  /** Per arc the index of its node. Neighbours differ. */
  readonly owners: Uint16Array;
}

export function circleOf(snapshot: PlacementSnapshot): Circle {
  const { owners } = snapshot;
  if (snapshot.kind !== 'ketama') {
    return cut(
      owners.length,
      Float64Array.from(owners, (_, place) => place + 1),
      owners,
    );
  }
  // A point owns what comes before it, itself included.
  const size = hashSpace(snapshot.hash);
  return cut(
    size,
    Float64Array.from(snapshot.points, (point) => Math.min(point + 1, size)),
    owners,
  );
}

/** Places per node. */
export function placesOf({ ends, owners }: Circle, nodeCount: number): Float64Array {
  const places = new Float64Array(nodeCount);
  let start = 0;
  for (const [arc, end] of ends.entries()) {
    const node = owners[arc] as number;
    places[node] = (places[node] as number) + end - start;
    start = end;
  }
  return places;
}

/** The arcs that have a length, neighbours with one owner joined. */
function cut(size: number, ends: ArrayLike<number>, owners: ArrayLike<number>): Circle {
  const cutEnds: number[] = [];
  const cutOwners: number[] = [];
  let start = 0;
  for (let arc = 0; arc < ends.length; arc += 1) {
    const end = ends[arc] as number;
    if (end === start) continue;
    if (owners[arc] === cutOwners.at(-1)) cutEnds.pop();
    else cutOwners.push(owners[arc] as number);
    cutEnds.push(end);
    start = end;
  }
  return { size, ends: Float64Array.from(cutEnds), owners: Uint16Array.from(cutOwners) };
}
