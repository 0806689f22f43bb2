/**
 * Rare meetings made likely. One copy, the victim, forgets right after it has voted and is repaired at once, while something that was
 * sent before is still under way. Proxies have roles:
 *
 *   0, slow    is near the victim, and far from others (late votes); or far from the victim, which it repairs (late repair)
 *   1, writer  cannot reach the copies on which the late thing depends
 *   2, fast    repairs
 */
import type { Random } from '../../help/random.js';
import type { Appearance, Trouble } from './troubles.js';

export type Meeting = 'late votes meet' | 'a late repair meets';

/** Of three proxies and as many nodes as copies. `lengthMs`: of the run. */
export function makeMeeting(random: Random, meeting: Meeting, copies: number, lengthMs: number): Appearance[] {
  const troubles: Appearance[] = [];
  const add = (trouble: Trouble, atMs = 0, after: Appearance['after'] = null) => {
    troubles.push({ atMs, after, trouble });
  };
  const nodes = Array.from({ length: copies }, (_, node) => node);
  for (let at = copies - 1; at > 0; at--) {
    const other = random.below(at + 1);
    [nodes[at], nodes[other]] = [nodes[other] as number, nodes[at] as number];
  }
  const [victim, ...others] = nodes as [number, ...number[]];
  // As many as a quorum can do without.
  const apart = others.slice(0, copies - (Math.floor(copies / 2) + 1));
  const crash = (): Trouble => {
    const keeps = random.chance(70) ? 'nothing' : 'all';
    return { kind: 'crash', node: victim, forMs: 1 + random.below(6), keeps, isDebug: false };
  };
  for (const node of apart) {
    const fromMs = random.chance(50) ? 0 : random.below(lengthMs);
    add({ kind: 'partition', proxy: 1, node, forMs: lengthMs }, fromMs);
  }
  if (meeting === 'late votes meet') {
    const late = apart[apart.length - 1] as number;
    for (const node of others) {
      if (node === late) add({ kind: 'slow', proxy: 0, node, byMs: random.pick([100, 300, 600]), forMs: lengthMs });
      else if (!apart.includes(node)) add({ kind: 'slow', proxy: 0, node, byMs: 1_500, forMs: lengthMs });
    }
    if (random.chance(50)) add(crash(), random.below(lengthMs / 4));
    add(crash(), random.below(lengthMs / 2), { what: 'vote', by: 0 });
  } else {
    // What it gives the victim comes when the other has long finished.
    const slow = { kind: 'slow', proxy: 0, node: victim, byMs: random.pick([150, 300, 600]), forMs: lengthMs } as const;
    add(slow, 0, { what: 'metas', by: 0 });
    if (random.chance(50)) add({ kind: 'partition', proxy: 2, node: victim, forMs: random.below(lengthMs / 2) });
    add(crash(), random.below(lengthMs / 3), random.chance(50) ? { what: 'vote', by: 1 } : null);
  }
  return troubles.sort((one, other) => one.atMs - other.atMs);
}
