/** The completion scripts: bash's is run in bash, as the Tab key does. */
import { spawnSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { COMMANDS } from '../../src/cli/commands.js';
import { completionScript } from '../../src/cli/completion.js';
import { startChild } from '../help/child.js';
import { MAIN } from '../help/trial.js';

const BASH = spawnSync('bash', ['--version']).status === 0;

const bash = { skip: BASH ? false : 'there is no bash' };

/** What bash offers for these words, the last of which is being typed, in a folder with a few files. */
function offered(t: Test, text: string, words: readonly string[]): string[] {
  const folder = t.testdir({ 'ring leader.yml': '', 'ring.svg': '', rings: { inside: '' } });
  const driver = `${text}
    cd "$1"; shift
    COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
    _ringleader
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync(
    'bash',
    ['--norc', '-c', driver, 'bash', folder, 'ringleader', ...words],
    {
      encoding: 'utf8',
    },
  );
  t.equal(status, 0);
  t.equal(stderr, '');
  return stdout.split('\n').filter((line) => line !== '');
}

t.test('bash completes commands, options, values and file names', bash, async (t) => {
  const text = completionScript('bash', COMMANDS);
  const names = COMMANDS.map(({ name }) => name);
  const table: [string[], string[]][] = [
    [[''], [...names, '--help', '--version']],
    [['st'], ['start', 'status']],
    [['nothing'], []],
    [
      ['start', '--a'],
      ['--accept-remap', '--admin-port'],
    ],
    [['ring', ''], []],
    [
      ['ring', '--config', 'ring'],
      ['ring leader.yml', 'ring.svg', 'rings'],
    ],
    [['ring', '-c', 'ring.'], ['ring.svg']],
    [['ring', '--config', '=', 'ring.'], ['ring.svg']],
    [
      ['ring', '--config', '='],
      ['ring leader.yml', 'ring.svg', 'rings'],
    ],
    [['start', '--folder', 'r'], ['rings']],
    [['start', '--port', ''], []],
    [['status', '--watch', '--j'], ['--json']],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish'],
    ],
    [['help', 'ch'], ['check']],
  ];
  for (const [words, expected] of table) t.same(offered(t, text, words).sort(), expected.sort(), words.join(' '));
});

t.test('every command and option stands in every script', async (t) => {
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    const text = completionScript(shell, COMMANDS);
    for (const { name, options } of COMMANDS) {
      t.match(text, name);
      for (const option of Object.keys(options)) t.match(text, shell === 'fish' ? `-l ${option}` : `--${option}`);
    }
    const syntax = spawnSync(shell, ['-n'], { input: text, encoding: 'utf8' });
    // Where that shell is installed.
    if (syntax.error === undefined) t.same([syntax.status, syntax.stderr], [0, ''], shell);
  }
});

t.test('the command prints the script', async (t) => {
  const child = await startChild(process.execPath, [MAIN, 'completion', 'fish']);
  t.equal((await child.ended).code, 0);
  t.equal(child.output(), completionScript('fish', COMMANDS));
});

t.test('another shell, or none, is told which there are', async (t) => {
  for (const args of [['completion'], ['completion', 'tcsh']]) {
    const child = await startChild(process.execPath, [MAIN, ...args]);
    t.equal((await child.ended).code, 2);
    t.match(child.output(), /bash, zsh, fish/);
  }
});
