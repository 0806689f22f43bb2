/** What the threads of the bulk pool can do. Each export is a task: plain data in, plain data out. */
import type { PlacementRule } from '../base/placement.js';
import type { PlacementSnapshot } from '../messages.js';
import { type Ballot, NEVER } from '../replica/ballot.js';
import { readVersions } from '../replica/key-pages.js';
import { pagesThatDiffer, TrailPage } from '../replica/key-trail.js';
import { RangeDigests } from '../replica/range-digests.js';
import { type Circle, circleOf } from '../routing/circle.js';
import { planCopySets } from '../routing/copy-sets.js';
import { KeyRanges, type RangePlan } from '../routing/key-ranges.js';
import type { RingNode } from '../routing/ring.js';
import { planPlacement } from '../routing/route.js';

export interface DigestedPage {
  /** As KeyPage has it. */
  cursor: string;
  /** Keys of the page. */
  count: number;
  /** Those that were added, as `key-trail` has them. */
  told: Uint32Array;
}

export interface PickedKeys {
  cursor: string;
  /** Keys of the page. */
  count: number;
  /** Those that were picked, in step with their versions and ranges. */
  keys: readonly Uint8Array[];
  versions: readonly Ballot[];
  ranges: readonly number[];
}

export function placeKeys({ nodes, rule }: { nodes: readonly RingNode[]; rule: PlacementRule }): PlacementSnapshot {
  return planPlacement(nodes, rule);
}

export function placeCopies({ nodes, copies }: { nodes: readonly RingNode[]; copies: number }): Uint16Array {
  return planCopySets(nodes, copies);
}

/** Adds what a page of a node's keys tells to the digests of that node. */
export function digestPage({
  page,
  plan,
  memory,
}: {
  page: Uint8Array;
  plan: RangePlan;
  memory: SharedArrayBuffer;
}): DigestedPage | null {
  const read = readVersions(page);
  if (read === null) return null;
  const ranges = new KeyRanges(plan);
  const digests = new RangeDigests(memory);
  const trail = new TrailPage(read.keys.length);
  for (const { key, accepted } of read.keys) {
    const range = ranges.find(Buffer.from(key, 'latin1'));
    if (range < 0 || accepted === NEVER) continue;
    trail.add(range, key, accepted, (low, high) => digests.add(range, low, high));
  }
  return { cursor: read.cursor, count: read.keys.length, told: trail.told };
}

/** Of each of these nodes the places of those pages that have keys which differ, in ranges of which `differing` has a 1. */
export function findPages({
  nodes,
  told,
  plan,
  differing,
}: {
  nodes: readonly number[];
  told: readonly (readonly Uint32Array[])[];
  plan: RangePlan;
  differing: SharedArrayBuffer;
}): number[][] {
  const ranges = new KeyRanges(plan);
  const holders = new Map<number, readonly number[]>();
  for (const [range, differs] of new Uint8Array(differing).entries()) {
    if (differs !== 1) continue;
    const places = ranges.nodesOf(range).map((node) => nodes.indexOf(node));
    holders.set(
      range,
      places.filter((place) => place >= 0),
    );
  }
  return pagesThatDiffer(told, holders);
}

/** Those of a page of a node's keys that are in ranges of which `differing` has a 1. */
export function pickKeys({
  page,
  plan,
  differing,
}: {
  page: Uint8Array;
  plan: RangePlan;
  differing: SharedArrayBuffer;
}): PickedKeys | null {
  const read = readVersions(page);
  if (read === null) return null;
  const ranges = new KeyRanges(plan);
  const differs = new Uint8Array(differing);
  const keys: Uint8Array[] = [];
  const versions: Ballot[] = [];
  const found: number[] = [];
  for (const { key, accepted } of read.keys) {
    const bytes = Buffer.from(key, 'latin1');
    const range = ranges.find(bytes);
    if (range < 0 || differs[range] !== 1) continue;
    keys.push(bytes);
    versions.push(accepted);
    found.push(range);
  }
  return { cursor: read.cursor, count: read.keys.length, keys, versions, ranges: found };
}

export function planCircle({ nodes, rule }: { nodes: readonly RingNode[]; rule: PlacementRule }): Circle {
  return circleOf(planPlacement(nodes, rule));
}
