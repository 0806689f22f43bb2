/** What the threads of the bulk pool can do. Each export is a task: plain data in, plain data out. */
import type { PlacementRule } from '../base/placement.js';
import type { PlacementSnapshot } from '../messages.js';
import { type Circle, circleOf } from '../routing/circle.js';
import { planCopySets } from '../routing/copy-sets.js';
import type { RingNode } from '../routing/ring.js';
import { planPlacement } from '../routing/route.js';

export function placeKeys({ nodes, rule }: { nodes: readonly RingNode[]; rule: PlacementRule }): PlacementSnapshot {
  return planPlacement(nodes, rule);
}

export function placeCopies({ nodes, copies }: { nodes: readonly RingNode[]; copies: number }): Uint16Array {
  return planCopySets(nodes, copies);
}

export function planCircle({ nodes, rule }: { nodes: readonly RingNode[]; rule: PlacementRule }): Circle {
  return circleOf(planPlacement(nodes, rule));
}
