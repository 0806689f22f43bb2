/** Nodes that forget at the worst of times. Each story has what some rule of repair or membership is for. */
import type { Random } from '../../help/random.js';
import { type Appearance, makeTrouble, type Trouble } from './troubles.js';

export type Story = 'late votes' | 'roll-backs' | 'resurrection';

/** Losses at the worst of times: of what a node has just accepted. */
export function makeLosses(
  random: Random,
  story: Story,
  nodes: number,
  proxies: number,
  lengthMs: number,
): Appearance[] {
  const troubles: Appearance[] = [];
  const add = (trouble: Trouble, afterVoteOf: number | 'anyone' | null = null, atMs = random.below(lengthMs)) => {
    const after = afterVoteOf === null ? null : ({ what: 'vote', by: afterVoteOf } as const);
    troubles.push({ atMs, after, trouble });
  };
  const victim = random.below(nodes);
  const lossOf = (kind: Trouble['kind'], node: number): Trouble => {
    const trouble = { ...makeTrouble(random, kind, nodes, proxies, lengthMs), node };
    const forMs = 1 + random.below(random.chance(70) ? 8 : 80);
    if (trouble.kind === 'crash') return { ...trouble, forMs, isDebug: false };
    return trouble.kind === 'resync' ? { ...trouble, forMs } : trouble;
  };
  switch (story) {
    case 'late votes':
      // One proxy is near the victim and far from others: its votes arrive there when the victim has long been repaired.
      for (let node = 0; node < nodes; node++) {
        const byMs = random.pick([60, 200, 500]);
        if (node !== victim && random.chance(85)) add({ kind: 'slow', proxy: 0, node, byMs, forMs: lengthMs }, null, 0);
      }
      for (let number = 1 + random.below(3); number > 0; number--) {
        add(lossOf(random.chance(80) ? 'crash' : 'flush', victim), random.chance(80) ? 0 : 'anyone');
      }
      break;
    case 'roll-backs': {
      for (let proxy = 0; proxy < proxies; proxy++) {
        for (let node = 0; node < nodes; node++) {
          const forMs = random.below(lengthMs);
          if (random.chance(20)) add({ kind: 'slow', proxy, node, byMs: random.pick([20, 100, 500]), forMs });
          if (random.chance(15)) add({ kind: 'partition', proxy, node, forMs });
        }
      }
      for (let node = 0; node < nodes; node++) add({ kind: 'save', node }, null, 0);
      const kind = random.pick(['resync', 'reload', 'flush'] as const);
      if (kind === 'reload') {
        add({ kind: 'crash', node: victim, forMs: 1, keeps: 'all', isDebug: true }, null, 0);
        add({ kind: 'save', node: victim });
      }
      for (let number = 1 + random.below(4); number > 0; number--) {
        add(lossOf(kind, kind === 'reload' || random.chance(50) ? victim : random.below(nodes)), 'anyone');
      }
      break;
    }
    case 'resurrection':
      // What is deleted and collected is still in the victim's file.
      for (let number = 2 + random.below(3); number > 0; number--) add({ kind: 'save', node: victim });
      for (let number = 1 + random.below(3); number > 0; number--) {
        const trouble = lossOf(random.chance(60) ? 'crash' : 'resync', victim);
        add(trouble.kind === 'crash' ? { ...trouble, keeps: 'saved' } : trouble);
      }
  }
  for (let number = random.below(3); number > 0; number--) {
    const kind = random.pick(['cut', 'pause', 'save', 'kill', 'partition', 'clock', 'crash'] as const);
    add(makeTrouble(random, kind, nodes, proxies, lengthMs), random.chance(50) ? 'anyone' : null);
  }
  return troubles.sort((one, other) => one.atMs - other.atMs);
}
