/** The scripts that the proxy runs on nodes for its own ends, as the nodes' MONITOR shows them: of those nobody is to see anything. */
import { createHash } from 'node:crypto';
import { scriptBegin } from '../backend/node-monitor.js';
import { SCRIPTS_OF_LOCKS } from '../lock/own-scripts.js';
import { REPLICA_SCRIPTS } from '../replica/own-scripts.js';
import { FENCED_SCRIPT } from './fenced-script.js';
import { GATHER_SCRIPTS } from './gather-scripts.js';
import { showWords } from './monitor-line.js';
import { SORT_SCRIPTS } from './sort-scripts.js';

const OWN_SCRIPTS: readonly string[] = [
  ...[...REPLICA_SCRIPTS, ...SCRIPTS_OF_LOCKS, ...GATHER_SCRIPTS],
  ...[...SORT_SCRIPTS, FENCED_SCRIPT],
];

/** How their digests and their texts begin. */
const BEGINS: ReadonlySet<string> = new Set(
  OWN_SCRIPTS.flatMap((text) => [createHash('sha1').update(text).digest('hex'), text]).map((text) =>
    scriptBegin(showWords([Buffer.from(text)]).slice(1)),
  ),
);

/** `begin`: as `scriptBegin` has it. */
export function isOwnScript(begin: string): boolean {
  return BEGINS.has(begin);
}
