/** The table of commands, in the order of the help text. */
import { check } from './check.js';
import type { Command } from './command.js';
import { completion } from './completion.js';
import { doctor } from './doctor.js';
import { health } from './health.js';
import { help } from './help.js';
import { inspect } from './inspect.js';
import { lock } from './lock.js';
import { ring } from './ring.js';
import { start } from './start.js';
import { status } from './status.js';

/** Each knows its own words and options; help and completion know all of them. */
export const COMMANDS: readonly Command[] = [
  start,
  check,
  ring,
  health,
  status,
  doctor,
  inspect,
  lock,
  completion(() => COMMANDS),
  help(() => COMMANDS),
];
