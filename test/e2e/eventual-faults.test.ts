/** Keys of consistency eventual on real servers that keep what they have, behind two proxies: when the faults end all copies are equal, and nothing acknowledged is lost. */
import t from 'tap';
import { rage } from './rage.js';

const THREE = { mode: 'replicated', copies: 3, consistency: 'eventual' } as const;

t.test('three copies: equal in the end, with all that was acknowledged, where nodes keep what they have', async (t) => {
  await rage(t, { nodes: 3, keyspace: THREE, restart: 'keeps-data' }, 8_000);
});
