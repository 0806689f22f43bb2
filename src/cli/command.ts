/**
 * What a command of the command line is: its words for people, its options, and what it does. Help texts, the parser and
 * the shells' completion are derived from it.
 */

export interface Option {
  /** What stands for its value in help texts: `FILE`. Without it the option is a switch. */
  value?: string;
  /** The one letter that is short for it. */
  short?: string;
  /** It may be given more than once. */
  multiple?: true;
  /** One line, without a full stop. */
  about: string;
  /** What a shell offers for its value; nothing unless said. */
  completes?: Completes;
}

/** Files, folders, the names of the commands, or these words. */
export type Completes = 'file' | 'folder' | 'command' | readonly string[];

export type Options = Readonly<Record<string, Option>>;

type ValueOf<O extends Option> = O extends { value: string }
  ? O extends { multiple: true }
    ? string[]
    : string
  : true;

/** The options that were given, by their names. */
export type Values<O extends Options> = { readonly [Name in keyof O]?: ValueOf<O[Name]> };

/** A word after the command that is no option. */
export interface Operand {
  /** What stands for it in help texts: `SHELL`. */
  name: string;
  completes?: Completes;
  /** The last: it stands for any number of words. */
  isRest?: true;
}

interface Words {
  name: string;
  /** One line for the list of commands, without a full stop. */
  about: string;
  /** The ways to call it, without `ringleader NAME`. */
  usage: readonly string[];
  /** What a user should know of it: sentences, and an example. */
  text: string;
  operands?: readonly Operand[];
}

/** A command as the table has it, whatever its options. */
export interface Command extends Words {
  options: Options;
  /** Resolves with the exit code. Rejects with a UsageError when the call cannot be meant. */
  run(values: Values<Options>, operands: readonly string[]): Promise<number>;
}

/** Gives `run` the types that its options have. */
export function defineCommand<const O extends Options>(
  command: Words & { options: O; run(values: Values<O>, operands: readonly string[]): Promise<number> },
): Command {
  return command as unknown as Command;
}

/** The exit code tells a wrong call from a failure. */
export const EXIT_FAILED = 1;
export const EXIT_USAGE = 2;

/** Writes to standard output, and returns the exit code of what went well. */
export function print(text: string): number {
  process.stdout.write(text.endsWith('\n') ? text : `${text}\n`);
  return 0;
}
