import t from 'tap';
import { UsageError } from '../../src/base/usage-error.js';
import { type Command, defineCommand } from '../../src/cli/command.js';
import { readCommandLine } from '../../src/cli/command-line.js';
import { COMMANDS } from '../../src/cli/commands.js';
import { helpOf, overview } from '../../src/cli/help.js';

const paint = defineCommand({
  name: 'paint',
  about: 'paint a picture',
  usage: ['--colour NAME [--fast] PICTURE'],
  text: 'Paints.\n',
  operands: [{ name: 'PICTURE', completes: 'file' }],
  options: {
    colour: { value: 'NAME', short: 'k', multiple: true, about: 'the colour' },
    fast: { about: 'in a hurry' },
  },
  run: async ({ colour, fast }, [picture]) => (colour ?? []).length + (fast === true ? 10 : 0) + (picture ?? '').length,
});
const rest: Command = defineCommand({
  name: 'rest',
  about: 'do nothing',
  usage: [''],
  text: 'Rests.\n',
  options: {},
  run: async () => 0,
});

t.test('a call is read by the table: options in any order, also before the command', async (t) => {
  const call = readCommandLine(['--fast', 'paint', '-k', 'red', 'sky', '--colour=blue'], [paint, rest]);
  if (call.kind !== 'run') throw new Error(call.kind);
  t.equal(call.command, paint);
  t.same({ ...call.values }, { fast: true, colour: ['red', 'blue'] });
  t.same(call.operands, ['sky']);
  t.equal(await call.command.run(call.values, call.operands), 2 + 10 + 3);
});

t.test('a command that takes any number of words takes them as they are behind --', async (t) => {
  const wrap: Command = { ...rest, name: 'wrap', operands: [{ name: 'NAME' }, { name: 'COMMAND', isRest: true }] };
  const call = readCommandLine(['wrap', 'me', '--', 'paint', '--fast', '-x', '--help'], [paint, rest, wrap]);
  if (call.kind !== 'run') throw new Error(call.kind);
  t.same([call.operands, { ...call.values }], [['me', 'paint', '--fast', '-x', '--help'], {}]);
});

t.test('help and version win over all else', async (t) => {
  t.same(readCommandLine(['--version', 'paint'], [paint]), { kind: 'version' });
  t.same(readCommandLine(['paint', '-h', 'too', 'many'], [paint]), { kind: 'help', command: paint });
  t.same(readCommandLine(['--help'], [paint]), { kind: 'help', command: null });
});

t.test('what cannot be meant is said', async (t) => {
  const wrong: [string[], RegExp][] = [
    [['piant'], /there is no command "piant"; did you mean paint\?/],
    [['rest', 'now'], /"now" is one word too many after rest/],
    [['paint', 'a', 'b', 'c'], /"b c" is one word too many after paint/],
    [['rest', '--fast'], /rest has no option --fast/],
    [['paint', '--colour'], /^--colour needs a value: --colour NAME$/],
    [['paint', '-k'], /^-k needs a value: -k NAME$/],
    [['paint', '--colour', '--fast'], /^--colour needs a value before --fast: --colour NAME \(.* --colour=--fast\)$/],
    [['paint', '--slow'], /^there is no option --slow$/],
    [['paint', '--clour', 'red'], /^there is no option --clour; did you mean --colour\?$/],
    [['rest', '--clour', 'red'], /^there is no option --clour$/],
    [['--clour', 'red', 'paint'], /^there is no option --clour; did you mean --colour\?$/],
    [['paint', '--hepl'], /did you mean --help\?/],
    [['paint', '-z'], /^there is no option -z$/],
    [['paint', '--constructor'], /^there is no option --constructor$/],
    [['paint', '--fast=yes'], /^--fast is a switch: it takes no value$/],
    [['paint', '--help=yes'], /^--help is a switch/],
  ];
  for (const [words, message] of wrong) t.throws(() => readCommandLine(words, [paint, rest]), { message }, `${words}`);
});

t.test('a value may begin with - where it cannot be another option', async (t) => {
  t.match(readCommandLine(['paint', '--colour=-x', '-k', '-'], [paint]), { values: { colour: ['-x', '-'] } });
});

t.test('a file or an address without its option is known by its looks', async (t) => {
  const wrong: [string[], RegExp][] = [
    [
      ['check', 'ringleader.yml'],
      /"ringleader.yml" is one word too many after check; did you mean check --config ring.*yml\?$/,
    ],
    [['start', './conf'], /did you mean start --config \.\/conf\?$/],
    [['ring', 'a.yaml'], /did you mean ring --config a\.yaml\?$/],
    [['health', '/etc/a.yml'], /did you mean health --config \/etc\/a\.yml\?$/],
    [['status', '127.0.0.1:9121'], /did you mean status --admin 127\.0\.0\.1:9121\?$/],
    [['start', '127.0.0.1:9121'], /after start$/],
    [['start', 'now'], /after start$/],
    [['start', '--config', 'a.yml', 'b.yml'], /"b.yml" is one word too many after start$/],
    [['help', 'start', 'a.yml'], /after help$/],
  ];
  for (const [words, message] of wrong) t.throws(() => readCommandLine(words, COMMANDS), { message }, `${words}`);
});

t.test('what is wrong with a call says of which command it is', async (t) => {
  const table: [string[], string | null][] = [
    [['chekc'], null],
    [['--confg', 'x'], null],
    [['check', '--confg', 'x'], 'check'],
    [['check', 'a', 'b'], 'check'],
    [['start', '--svg', 'x'], 'start'],
    [['ring', '--config'], 'ring'],
  ];
  for (const [words, command] of table) {
    try {
      readCommandLine(words, COMMANDS);
      t.fail(`taken: ${words}`);
    } catch (error) {
      t.ok(error instanceof UsageError);
      t.equal((error as UsageError).command, command, `${words}`);
    }
  }
});

t.test('the help texts of all commands come from the table, and name no option that is not there', async (t) => {
  t.match(overview([paint, rest]), /ringleader paint +paint a picture\n/);
  t.match(helpOf(paint), /-k, --colour NAME +the colour; as often as needed\n {6}--fast +in a hurry\n$/);
  for (const command of COMMANDS) {
    const help = helpOf(command);
    t.match(overview(COMMANDS), `ringleader ${command.name} `);
    t.match(help, `ringleader ${command.name}`);
    for (const [, name = ''] of help.matchAll(/--([a-z][a-z-]*)/g))
      t.ok(command.options[name], `${command.name} --${name}`);
    for (const line of help.split('\n')) t.ok(line.length <= 130, line);
  }
});

t.test('an option has one meaning: with or without a value, one or many, one letter', async (t) => {
  const forms = new Map<string, string>();
  const letters = new Map<string, string>();
  for (const { options } of COMMANDS) {
    for (const [name, { value, multiple, short }] of Object.entries(options)) {
      const form = `${value !== undefined} ${multiple} ${short}`;
      t.equal(forms.get(name) ?? form, form, `--${name}`);
      forms.set(name, form);
      t.notOk(['h', 'v'].includes(short ?? ''), 'a letter that is taken');
      if (short !== undefined) t.equal(letters.get(short) ?? name, name, `-${short}`);
      if (short !== undefined) letters.set(short, name);
    }
  }
});
