/** All scripts that nodes run for the sake of locks, loaded or sent whole: their texts. */
import { LOCK_KEYSPACE_SCRIPTS, SENT_WHOLE } from './lock-keyspace-steps.js';
import { LOCK_SCRIPTS } from './lock-scripts.js';

export const SCRIPTS_OF_LOCKS: readonly string[] = [
  ...[...LOCK_SCRIPTS, ...LOCK_KEYSPACE_SCRIPTS].map(({ source }) => source),
  ...SENT_WHOLE,
];
