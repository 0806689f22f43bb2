/** Reads a command line by the table of commands: which one is meant, and with which options. */
import { parseArgs } from 'node:util';
import { nearestWord } from '../base/nearest.js';
import { UsageError } from '../base/usage-error.js';
import type { Command, Option, Options, Values } from './command.js';
import { unknownCommand } from './help.js';

export type Call =
  | { kind: 'run'; command: Command; values: Values<Options>; operands: readonly string[] }
  /** `--help`: of one command, or of all. */
  | { kind: 'help'; command: Command | null }
  | { kind: 'version' };

/** Takes the words after `ringleader`. Throws a UsageError that says what cannot be meant. */
export function readCommandLine(words: readonly string[], commands: readonly Command[]): Call {
  const { values, positionals, tokens } = parse(words, commands);
  const { version, help, ...given } = values;
  if (version === true) return { kind: 'version' };
  const [name = 'help', ...operands] = positionals;
  const command = commands.find((candidate) => candidate.name === name);
  if (help === true) return { kind: 'help', command: positionals.length > 0 ? (command ?? null) : null };
  for (const token of tokens) if (token.kind === 'option') checkOption(token, command, commands);
  if (command === undefined) throw new UsageError(unknownCommand(name, commands));
  const excess = command.operands?.at(-1)?.isRest === true ? [] : operands.slice(command.operands?.length ?? 0);
  if (excess.length > 0) {
    const hint = given['config'] === undefined ? meantOption(command, excess[0] as string) : '';
    throw new UsageError(`"${excess.join(' ')}" is one word too many after ${name}${hint}`, name);
  }
  const stranger = Object.keys(given).find((option) => !Object.hasOwn(command.options, option));
  if (stranger !== undefined) throw new UsageError(`${name} has no option --${stranger}`, name);
  return { kind: 'run', command, values: given as Values<Options>, operands };
}

const SHARED = { help: { short: 'h' }, version: { short: 'v' } } satisfies Record<string, Partial<Option>>;

/** Not strict: what is wrong is said in words of our own, when all words have been read. */
function parse(words: readonly string[], commands: readonly Command[]) {
  const options: Record<string, { type: 'string' | 'boolean'; short?: string; multiple?: boolean }> = {};
  // An option means the same wherever it is had, or its words could not be told from its values before the command is known.
  for (const [name, option] of Object.entries(allOptions(commands))) {
    const { value, short, multiple = false } = option as Partial<Option>;
    options[name] = {
      type: value === undefined ? 'boolean' : 'string',
      multiple,
      ...(short === undefined ? {} : { short }),
    };
  }
  return parseArgs({ args: [...words], allowPositionals: true, strict: false, tokens: true, options });
}

function allOptions(commands: readonly Command[]): Record<string, Partial<Option>> {
  return Object.assign({}, ...commands.map(({ options }) => options), SHARED);
}

interface OptionToken {
  /** Without dashes, and in full. */
  name: string;
  /** As it was written. */
  rawName: string;
  value: string | undefined;
  inlineValue: boolean | undefined;
}

/** Throws when no command has the option, or when it has a value and should not, or the other way round. */
function checkOption(token: OptionToken, command: Command | undefined, commands: readonly Command[]): void {
  const { name, rawName, value, inlineValue } = token;
  const known = allOptions(commands);
  const about = command?.name ?? null;
  if (!Object.hasOwn(known, name)) {
    const names = Object.keys(command === undefined ? known : { ...command.options, ...SHARED });
    const nearest = rawName.startsWith('--') ? nearestWord(name, names) : null;
    const hint = nearest === null ? '' : `; did you mean --${nearest}?`;
    throw new UsageError(`there is no option ${rawName}${hint}`, about);
  }
  const form = known[name]?.value;
  if (form === undefined) {
    if (value !== undefined) throw new UsageError(`${rawName} is a switch: it takes no value`, about);
    return;
  }
  if (value === undefined) throw new UsageError(`${rawName} needs a value: ${rawName} ${form}`, about);
  // Rather a forgotten value than one that begins so.
  if (inlineValue === false && /^-./.test(value)) {
    const way = `a value that begins with - is written --${name}=${value}`;
    throw new UsageError(`${rawName} needs a value before ${value}: ${rawName} ${form} (${way})`, about);
  }
}

/** By which option a word without one may have been meant. */
function meantOption({ name, options }: Command, word: string): string {
  const isAddress = /^(unix:|\[|[\d.]+:\d+$)/.test(word);
  const option = isAddress ? 'admin' : 'config';
  const isLike = isAddress || /[./]/.test(word);
  return isLike && Object.hasOwn(options, option) ? `; did you mean ${name} --${option} ${word}?` : '';
}
