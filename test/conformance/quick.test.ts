/** The quick units of Redis's own suite, through the proxy over three shards. The whole of it is in test/slow. */
import t from 'tap';
import { checkRun } from './check.js';
import { runKind } from './run-kind.js';

/** What takes seconds, on one Redis a few in all. */
const UNITS = [
  'unit/protocol',
  'unit/keyspace',
  'unit/type/string',
  'unit/type/incr',
  'unit/type/set',
  'unit/type/hash',
  'unit/multi',
  'unit/quit',
  'unit/pubsub',
  'unit/bitfield',
  'unit/tracking',
];

await checkRun(t, runKind('cluster', 3), UNITS);
