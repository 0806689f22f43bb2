// The route of a command: from the bytes of its key to the index of its node. Limit: 50 ns. And how long a ring takes.

import { planRing } from '../../src/routing/ring.js';
import { slotOf } from '../../src/routing/slot.js';
import { type Measurement, measure } from './measure.js';

const KEYS = 1024;
const KEY_BYTES = 20;
const ROUNDS = 1000;

export function run(): Measurement[] {
  return [measureRoute(), measurePlan(3), measurePlan(100), measurePlan(1000)];
}

function measureRoute(): Measurement {
  const keys = Buffer.from(Array.from({ length: KEYS }, (_, i) => `key:${String(i).padStart(16, '0')}`).join(''));
  const slotOwners = planRing(nodes(3));
  let sink = 0;
  const measurement = measure('route of key:000000000000 to 3 nodes', KEYS * ROUNDS, () => {
    let seen = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let start = 0; start < keys.length; start += KEY_BYTES) {
        seen |= slotOwners[slotOf(keys, start, start + KEY_BYTES)] as number;
      }
    }
    sink |= seen;
  });
  if (sink !== 3) throw new Error('a key went nowhere');
  return measurement;
}

function measurePlan(count: number): Measurement {
  const ring = nodes(count);
  return measure(`ring of ${count} nodes`, 1, () => void planRing(ring), { runs: 3, warmUpMs: 0 });
}

function nodes(count: number): { name: string; weight: number }[] {
  return Array.from({ length: count }, (_, i) => ({ name: `10.0.${i >> 8}.${i & 255}:6379`, weight: 1 }));
}
