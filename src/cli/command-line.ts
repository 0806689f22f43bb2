/** Reads a command line by the table of commands: which one is meant, and with which options. */
import { parseArgs } from 'node:util';
import { UsageError } from '../base/usage-error.js';
import type { Command, Options, Values } from './command.js';
import { unknownCommand } from './help.js';

export type Call =
  | { kind: 'run'; command: Command; values: Values<Options>; operands: readonly string[] }
  /** `--help`: of one command, or of all. */
  | { kind: 'help'; command: Command | null }
  | { kind: 'version' };

/** Takes the words after `ringleader`. Throws a UsageError that says what cannot be meant. */
export function readCommandLine(words: readonly string[], commands: readonly Command[]): Call {
  const { values, positionals } = parse(words, commands);
  const { version, help, ...given } = values;
  if (version === true) return { kind: 'version' };
  const [name = 'help', ...operands] = positionals;
  const command = commands.find((candidate) => candidate.name === name);
  if (help === true) return { kind: 'help', command: positionals.length > 0 ? (command ?? null) : null };
  if (command === undefined) throw new UsageError(unknownCommand(name, commands));
  const excess = operands.slice(command.operands?.length ?? 0);
  if (excess.length > 0) throw new UsageError(`"${excess.join(' ')}" is one word too many after ${name}`);
  const stranger = Object.keys(given).find((option) => command.options[option] === undefined);
  if (stranger !== undefined) throw new UsageError(`${name} has no option --${stranger}`);
  return { kind: 'run', command, values: given as Values<Options>, operands };
}

function parse(words: readonly string[], commands: readonly Command[]) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> = {};
  for (const command of commands) {
    // An option means the same wherever it is had, or its words could not be told from its values before the command is known.
    for (const [name, { value, short, multiple = false }] of Object.entries(command.options)) {
      options[name] = {
        type: value === undefined ? 'boolean' : 'string',
        multiple,
        ...(short === undefined ? {} : { short }),
      };
    }
  }
  const shared = { help: { type: 'boolean', short: 'h' }, version: { type: 'boolean', short: 'v' } } as const;
  try {
    return parseArgs({ args: [...words], allowPositionals: true, options: { ...options, ...shared } });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
}
