/** Replicated keys on five and on three real servers behind two proxies: linearizable, and none of what was acknowledged is lost. */
import t from 'tap';
import { rage } from './rage.js';

const FIVE = { mode: 'replicated', copies: 5, consistency: 'strong' } as const;
const THREE = { mode: 'replicated', copies: 3, consistency: 'strong' } as const;
const RAGE_MS = 15_000;

t.test('five copies: linearizable through fault after fault, where a node that restarts has forgotten', async (t) => {
  await rage(t, { nodes: 5, keyspace: FIVE, restart: 'loses-data' }, RAGE_MS);
});

t.test(
  'three copies: linearizable where a node that restarts has what it acknowledged, and while clocks differ by seconds',
  async (t) => {
    const skewsMs = { nodes: [0, 3_000, -2_000], proxies: [-4_000, 1_500] };
    await rage(t, { nodes: 3, keyspace: THREE, restart: 'keeps-data', transport: 'node', skewsMs }, RAGE_MS);
  },
);
