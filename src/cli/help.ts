/** `ringleader help`: what there is, and more about one command. Made from the table. */
import { nearestWord } from '../base/nearest.js';
import { UsageError } from '../base/usage-error.js';
import { type Command, defineCommand, type Option, print } from './command.js';

/** The command `help`, which tells of all `commands`, itself among them. */
export function help(commands: () => readonly Command[]): Command {
  return defineCommand({
    name: 'help',
    about: 'this, or more about one command',
    usage: ['[COMMAND]'],
    text: 'Says what there is; with the name of a command, all that there is to know of it.\n',
    operands: [{ name: 'COMMAND', completes: 'command' }],
    options: {},
    async run(_values, [topic]) {
      if (topic === undefined) return print(overview(commands()));
      const found = commands().find(({ name }) => name === topic);
      if (found === undefined) throw new UsageError(unknownCommand(topic, commands()));
      return print(helpOf(found));
    },
  });
}

/** The list of commands. */
export function overview(commands: readonly Command[]): string {
  const rows = commands.map(({ name, about }): [string, string] => [`ringleader ${name}`, about]);
  return `Ringleader: one address in front of many Redis servers.

${table([...rows, ['ringleader --version', 'which version this is']])}
ringleader help COMMAND says more about one of them.
`;
}

/** All about one command: how to call it, what it does, its options. */
export function helpOf({ name, usage, text, options }: Command): string {
  const calls = usage.map((form) => `ringleader ${name} ${form}`.trimEnd()).join('\n');
  const rows = Object.entries(options).map(([long, option]): [string, string] => [
    optionWords(long, option),
    aboutOf(option),
  ]);
  return `${calls}\n\n${text}${rows.length > 0 ? `\nOptions:\n\n${table(rows)}` : ''}`;
}

/** What to say of a word that is no command. */
export function unknownCommand(word: string, commands: readonly Command[]): string {
  const nearest = nearestWord(
    word,
    commands.map(({ name }) => name),
  );
  return `there is no command "${word}"${nearest === null ? '' : `; did you mean ${nearest}?`}`;
}

function optionWords(long: string, { short, value }: Option): string {
  const forms = short === undefined ? `    --${long}` : `-${short}, --${long}`;
  return value === undefined ? forms : `${forms} ${value}`;
}

function aboutOf({ about, multiple }: Option): string {
  return multiple === true ? `${about}; as often as needed` : about;
}

function table(rows: readonly [string, string][]): string {
  const width = Math.max(...rows.map(([left]) => left.length));
  return rows.map(([left, right]) => `  ${left.padEnd(width)}  ${right}\n`).join('');
}
