/** What moves when the nodes of a placement change: which part of the keys, from whom, to whom, and how much of it must. */
import type { Circle } from './circle.js';
import type { RingNode } from './ring.js';

/** All are parts of 1: of the slots, or of the hash space. */
export interface Movement {
  /** What has another node afterwards. */
  moved: number;
  /** What moves at least when every node has its fair share before and after. */
  unavoidable: number;
  /** Per node before: what leaves it. */
  lost: Float64Array;
  /** Per node after: what comes to it. */
  gained: Float64Array;
}

export interface PlacedNodes {
  nodes: readonly RingNode[];
  circle: Circle;
}

/** Nodes are the same if their names are. */
export function movementBetween(before: PlacedNodes, after: PlacedNodes): Movement {
  const places = new Map(before.nodes.map(({ name }, index) => [name, index]));
  /** Per node after: which it was before, or -1. */
  const origin = Int32Array.from(after.nodes, ({ name }) => places.get(name) ?? -1);
  const movement: Movement = {
    moved: 0,
    unavoidable: unavoidable(before.nodes, after.nodes),
    lost: new Float64Array(before.nodes.length),
    gained: new Float64Array(after.nodes.length),
  };
  const add = (source: number, target: number, part: number): void => {
    if (origin[target] === source) return;
    movement.moved += part;
    movement.lost[source] = (movement.lost[source] as number) + part;
    movement.gained[target] = (movement.gained[target] as number) + part;
  };
  if (before.circle.size === after.circle.size) compareArcs(before.circle, after.circle, add);
  else compareRemainders(before.circle, after.circle, add);
  return movement;
}

type Add = (source: number, target: number, part: number) => void;

/** Walks both circles at once, from cut to cut. */
function compareArcs(before: Circle, after: Circle, add: Add): void {
  let start = 0;
  let source = 0;
  let target = 0;
  while (start < before.size) {
    const sourceEnd = before.ends[source] as number;
    const targetEnd = after.ends[target] as number;
    const end = Math.min(sourceEnd, targetEnd);
    add(before.owners[source] as number, after.owners[target] as number, (end - start) / before.size);
    if (end === sourceEnd) source += 1;
    if (end === targetEnd) target += 1;
    start = end;
  }
}

/** Hash values looked at where two remainders have no common period below it. */
const SAMPLES = 2 ** 20;

/** modula's circles of different sizes: the same hash has a remainder in each. */
function compareRemainders(before: Circle, after: Circle, add: Add): void {
  const sources = ownerTable(before);
  const targets = ownerTable(after);
  const period = (before.size / gcd(before.size, after.size)) * after.size;
  const count = Math.min(period, SAMPLES);
  for (let i = 0; i < count; i += 1) {
    // A period is looked at whole; of a longer one, values that are spread evenly over 32 bits.
    const hash = count === period ? i : Math.imul(i, 0x9e3779b1) >>> 0;
    add(sources[hash % before.size] as number, targets[hash % after.size] as number, 1 / count);
  }
}

function ownerTable({ size, ends, owners }: Circle): Uint16Array {
  const table = new Uint16Array(size);
  let start = 0;
  for (const [arc, end] of ends.entries()) {
    table.fill(owners[arc] as number, start, end);
    start = end;
  }
  return table;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** The parts by which fair shares grow. */
function unavoidable(before: readonly RingNode[], after: readonly RingNode[]): number {
  const sharesBefore = fairShares(before);
  const shareOf = new Map(before.map(({ name }, index) => [name, sharesBefore[index] as number]));
  return fairShares(after).reduce((sum, share, index) => {
    const { name } = after[index] as RingNode;
    return sum + Math.max(0, share - (shareOf.get(name) ?? 0));
  }, 0);
}

/** Each node's part of the weights. */
export function fairShares(nodes: readonly RingNode[]): number[] {
  const total = nodes.reduce((sum, { weight }) => sum + weight, 0);
  return nodes.map(({ weight }) => weight / total);
}
