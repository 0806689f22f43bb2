/** The table of commands, in the order of the help text. */
import { check } from './check.js';
import type { Command } from './command.js';
import { help } from './help.js';
import { ring } from './ring.js';
import { start } from './start.js';

const COMMANDS_BUT_HELP: readonly Command[] = [start, check, ring];

/** Each knows its own words and options; help and completion know all of them. */
export const COMMANDS: readonly Command[] = [...COMMANDS_BUT_HELP, help(COMMANDS_BUT_HELP)];
