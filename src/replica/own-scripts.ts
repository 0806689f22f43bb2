/** All scripts that nodes run for the sake of replicated keys, loaded or sent whole: their texts. */
import { GROUP_SCRIPTS } from './group-forms.js';
import { PAGE_SCRIPTS } from './key-pages.js';
import { COUNT_KEYS } from './repairer.js';
import { CHECK, FINISH, KEY_SCRIPTS, LOOK_SCRIPT, MEMBER_SCRIPTS } from './scripts.js';

export const REPLICA_SCRIPTS: readonly string[] = [
  ...[...KEY_SCRIPTS, ...MEMBER_SCRIPTS, LOOK_SCRIPT, CHECK, FINISH].map(({ source }) => source),
  ...PAGE_SCRIPTS,
  ...GROUP_SCRIPTS,
  COUNT_KEYS,
];
