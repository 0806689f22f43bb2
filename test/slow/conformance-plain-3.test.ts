/** All of Redis's own suite, in plain mode, through the proxy over three shards. */
import t from 'tap';
import { checkRun } from '../conformance/check.js';
import { runKind } from '../conformance/run-kind.js';

await checkRun(t, runKind('plain', 3));
