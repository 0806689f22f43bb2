/** What a node is asked on behalf of who repairs it. */
import { FLOOR_KEY, NODE_KEY } from './meta.js';
import { READS_OOM } from './scripts.js';

/** Says, while it lasts, that somebody repairs the node: its epoch. Nothing depends on it but who waits for whom. */
export const REPAIRER_KEY = '~rl:repairer';

/**
 * Who repairs, INFO keyspace, and how many of the keys in it are the proxy's own.
 *
 * At one time: else a record that is written meanwhile is counted once, or taken away twice. A node without memory queues no transaction.
 */
export const COUNT_KEYS = `${READS_OOM}return {
  redis.call('GET', '${REPAIRER_KEY}'),
  redis.call('INFO', 'keyspace'),
  redis.call('EXISTS', '${NODE_KEY}', '${FLOOR_KEY}', '${REPAIRER_KEY}')
}`;
