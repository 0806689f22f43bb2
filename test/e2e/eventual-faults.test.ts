/** Keys of consistency eventual on real servers behind two proxies: what reads tell comes from writes, and when the faults end all copies are equal. */
import t from 'tap';
import { rage } from './rage.js';

const THREE = { mode: 'replicated', copies: 3, consistency: 'eventual' } as const;
const FIVE = { mode: 'replicated', copies: 5, consistency: 'eventual' } as const;
const RAGE_MS = 10_000;

t.test('three copies: equal in the end, with all that was acknowledged, where nodes keep what they have', async (t) => {
  await rage(t, { nodes: 3, keyspace: THREE, restart: 'keeps-data', transport: 'epoll' }, RAGE_MS);
});

t.test('three copies: equal in the end where nodes forget', async (t) => {
  await rage(t, { nodes: 3, keyspace: THREE, restart: 'loses-data', transport: 'epoll' }, RAGE_MS);
});

t.test('five copies: equal in the end while clocks differ by seconds', async (t) => {
  const skewsMs = { nodes: [0, 3_000, -2_000], proxies: [-4_000, 1_500] };
  await rage(t, { nodes: 5, keyspace: FIVE, restart: 'keeps-data', transport: 'node', skewsMs }, RAGE_MS);
});
