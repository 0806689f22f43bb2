/** All of Redis's own suite, in --cluster-mode, through the proxy over one shard. */
import t from 'tap';
import { checkRun } from '../conformance/check.js';
import { runKind } from '../conformance/run-kind.js';

await checkRun(t, runKind('cluster', 1));
