/** Keys of consistency eventual on real servers that forget, behind two proxies: what reads tell comes from writes, and when the faults end all copies are equal. */
import t from 'tap';
import { rage } from './rage.js';

const THREE = { mode: 'replicated', copies: 3, consistency: 'eventual' } as const;

t.test('three copies: equal in the end where nodes forget', async (t) => {
  await rage(t, { nodes: 3, keyspace: THREE, restart: 'loses-data' }, 8_000);
});
