/** Strong keys that some clients read by RL.CONSISTENCY weak, on real servers that fail: nobody else notices, and nothing is made up. */
import t from 'tap';
import { rage } from './rage.js';

const STRONG = { mode: 'replicated', copies: 3, consistency: 'strong' } as const;

t.test(
  'weak reads of strong keys come from writes, and those of others stay linearizable, through fault after fault',
  async (t) => {
    await rage(t, { nodes: 3, keyspace: STRONG, restart: 'loses-data', weakReaders: 6 }, 10_000);
  },
);
