/** Replicated keys through five minutes of faults each, with three and with five copies, and with more nodes than copies. */
import t from 'tap';
import { rage } from '../e2e/rage.js';

const RAGE_MS = Number(process.env['RAGE_MS'] ?? 300_000);

const CASES = [
  { nodes: 3, copies: 3, restart: 'loses-data' },
  { nodes: 3, copies: 3, restart: 'keeps-data' },
  { nodes: 5, copies: 5, restart: 'loses-data' },
  { nodes: 5, copies: 3, restart: 'keeps-data' },
] as const;

for (const { nodes, copies, restart } of CASES) {
  t.test(`${copies} copies on ${nodes} nodes, ${restart}: linearizable through fault after fault`, async (t) => {
    await rage(t, { nodes, keyspace: { mode: 'replicated', copies, consistency: 'strong' }, restart }, RAGE_MS);
  });
}

t.test('linearizable through fault after fault while clocks differ by seconds', async (t) => {
  const keyspace = { mode: 'replicated', copies: 3, consistency: 'strong' } as const;
  const skewsMs = { nodes: [0, 3_000, -2_000], proxies: [-4_000, 1_500] };
  await rage(t, { nodes: 3, keyspace, restart: 'keeps-data', skewsMs }, RAGE_MS);
});
