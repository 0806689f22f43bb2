/** Replicated keys through five minutes of faults each, with three and with five copies. */
import t from 'tap';
import { rage } from '../e2e/rage.js';

const RAGE_MS = 300_000;

for (const copies of [3, 5] as const) {
  for (const restart of ['loses-data', 'keeps-data'] as const) {
    t.test(`${copies} copies, ${restart}: linearizable through fault after fault`, async (t) => {
      const keyspace = { mode: 'replicated', copies, consistency: 'strong' } as const;
      await rage(t, { nodes: copies, keyspace, restart }, RAGE_MS);
    });
  }
}
