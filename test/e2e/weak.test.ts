/** Weak keys on real servers behind two proxies: what reads tell comes from writes, whatever goes wrong. */
import t from 'tap';
import { rage } from './rage.js';

const THREE = { mode: 'replicated', copies: 3, consistency: 'weak' } as const;
const FIVE = { mode: 'replicated', copies: 5, consistency: 'weak' } as const;
const RAGE_MS = 10_000;

t.test('three copies: reads come from writes through fault after fault', async (t) => {
  await rage(t, { nodes: 3, keyspace: THREE, restart: 'loses-data' }, RAGE_MS);
});

t.test('five copies: reads come from writes while clocks differ by seconds', async (t) => {
  const skewsMs = { nodes: [0, 3_000, -2_000], proxies: [-4_000, 1_500] };
  await rage(t, { nodes: 5, keyspace: FIVE, restart: 'keeps-data', transport: 'node', skewsMs }, RAGE_MS);
});
