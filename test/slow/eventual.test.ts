/** Keys of consistency eventual through a minute of faults each, with three and with five copies. */
import t from 'tap';
import { rage } from '../e2e/rage.js';

const RAGE_MS = Number(process.env['RAGE_MS'] ?? 60_000);

for (const copies of [3, 5] as const) {
  const keyspace = { mode: 'replicated', copies, consistency: 'eventual' } as const;
  t.test(
    `${copies} copies: equal in the end, with all that was acknowledged, where nodes keep what they have`,
    async (t) => {
      await rage(t, { nodes: copies, keyspace, restart: 'keeps-data' }, RAGE_MS);
    },
  );

  t.test(`${copies} copies: equal in the end where nodes forget`, async (t) => {
    await rage(t, { nodes: copies, keyspace, restart: 'loses-data' }, RAGE_MS);
  });

  t.test(`${copies} copies: equal in the end while clocks differ by seconds`, async (t) => {
    const skewsMs = { nodes: [0, 3_000, -2_000], proxies: [-4_000, 1_500] };
    await rage(t, { nodes: copies, keyspace, restart: 'keeps-data', skewsMs }, RAGE_MS);
  });
}
