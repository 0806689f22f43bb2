/**
 * What people get wrong in a configuration, and what they are told: test/golden/config-mistakes.txt, to be read by people
 * too. There a file stands between its title and its problems; \t, \r, \u0000 and a final \ (no newline) are
 * written out. With GOLDEN=write this test writes the messages of now, for `git diff` to be judged by.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { parseConfig } from '../src/config.js';

const PATH = 'test/golden/config-mistakes.txt';
const ENVIRONMENT = { WORKERS: '2' };

interface Mistake {
  title: string;
  /** As it stands in the golden file. */
  written: string;
  text: string;
  problems: string[];
}

function readMistakes(): Mistake[] {
  const blocks = readFileSync(PATH, 'utf8')
    .split(/^=== ?/m)
    .slice(1);
  return blocks.map((block) => {
    const [head = '', tail = ''] = block.split(/^--- says:$\n/m);
    const [title = ''] = head.split('\n', 1);
    const written = head.slice(title.length + 1);
    return { title, written, text: unwritten(written), problems: tail.trim().split('\n') };
  });
}

function unwritten(written: string): string {
  const text = written.replace(/(?<!\\)\\\n$/, '');
  return text.replaceAll(/\\(?:u([0-9a-f]{4})|(.))/g, (_, code?: string, letter?: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16));
    return { t: '\t', r: '\r' }[letter as string] ?? (letter as string);
  });
}

/** The problems as `LINE:COLUMN: TEXT`; none for a good file. */
function problemsOf(text: string): string[] {
  const result = parseConfig(text, { workers: 3, environment: ENVIRONMENT });
  return 'config' in result ? [] : result.problems.map(({ line, column, text }) => `${line}:${column}: ${text}`);
}

const MISTAKES = readMistakes();

if (process.env['GOLDEN'] === 'write') {
  const blocks = MISTAKES.map(({ title, written, text }) => {
    return `=== ${title}`.trimEnd().concat(`\n${written}--- says:\n${problemsOf(text).join('\n')}\n`);
  });
  writeFileSync(PATH, blocks.join('\n'));
}

t.test('there are as many mistakes as people make', async (t) => {
  t.ok(MISTAKES.length >= 250, `${MISTAKES.length}`);
});

for (const { title, written, text, problems } of MISTAKES) {
  t.test(`what is said of ${title === '' ? JSON.stringify(written) : title}`, async (t) => {
    t.same(problemsOf(text), problems);
    t.notMatch(problems.join('\n'), 's3cret');
  });
}
