/** Configurations that went wrong at random: each is good or has problems with a place, and no message shows a password. */
import { readFileSync } from 'node:fs';
import t from 'tap';
import { parseConfig } from '../../src/config.js';
import { importNutcracker } from '../../src/control/nutcracker-import.js';
import { type Random, randomFromSeed } from '../help/random.js';

const ROUNDS = 1_500;
const PIECES = [
  ...[
    '\n',
    '  ',
    '\t',
    ': ',
    '- ',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    '#',
    '&a ',
    '*a',
    '!x ',
    '|',
    '>',
    '%',
    '@',
    '`',
    '? ',
    '---\n',
  ],
  ...[
    'null',
    '~',
    'true',
    '-1',
    '1e9',
    '0x10',
    '.nan',
    '""',
    '[]',
    '{}',
    '${HOME}',
    '${',
    '$${',
    '<<: ',
    '\0',
    '\ufeff',
    '\u2028',
    '😀',
  ],
];
const ENVIRONMENT = { HOME: 's3cret' };

function broken(text: string, random: Random): string {
  let broken = text;
  for (let slips = 1 + random.below(3); slips > 0; slips--) {
    const lines = broken.split('\n');
    const line = random.below(lines.length);
    const at = random.below(broken.length + 1);
    switch (random.below(5)) {
      case 0:
        broken = broken.slice(0, at) + PIECES[random.below(PIECES.length)] + broken.slice(at);
        break;
      case 1:
        broken = broken.slice(0, at) + broken.slice(at + 1 + random.below(5));
        break;
      case 2:
        lines.splice(line, 1 + random.below(3));
        broken = lines.join('\n');
        break;
      case 3:
        lines.splice(random.below(lines.length), 0, lines[line] as string);
        broken = lines.join('\n');
        break;
      default:
        lines[line] = random.chance(50) ? ` ${lines[line]}` : (lines[line] as string).replace(/^ /, '');
        broken = lines.join('\n');
    }
  }
  return broken;
}

/** Without comments, in which nothing can go wrong. */
function bare(text: string): string {
  return text.replaceAll(/^ *#.*\n/gm, '').replaceAll(/\n{2,}/g, '\n');
}

const FULL = bare(readFileSync('conf/full.yaml', 'utf8'))
  .replace('redis://127.0.0.1:7001', '"redis://user:s3cret@127.0.0.1:7001"')
  .replace('auth: none', 'auth: { password: [s3cret, "s3cret!"], user: app }');

const NUTCRACKER = `alpha:
  listen: 127.0.0.1:22121
  redis: true
  redis_auth: s3cret
  hash: fnv1a_64
  timeout: 400
  servers:
   - 127.0.0.1:6379:1 one
   - 127.0.0.1:6380:2
`;

t.test('a configuration is taken, or every problem of it has a place', async (t) => {
  t.ok('config' in parseConfig(FULL, { workers: 1, environment: {} }), 'it is good before');
  const random = randomFromSeed((text) => t.comment(text));
  let good = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const text = broken(FULL, random);
    const result = parseConfig(text, { workers: 1, environment: ENVIRONMENT });
    if ('config' in result) {
      good++;
      continue;
    }
    const lines = text.split('\n').length;
    for (const { line, column, text: says } of result.problems) {
      const isGood =
        line >= 1 && line <= lines + 1 && column >= 1 && says !== '' && !/s3cret|undefined|\[object/.test(says);
      if (!isGood) t.fail(`${line}:${column}: ${says}`, { text });
    }
    if (result.problems.length === 0) t.fail('no problem is said', { text });
  }
  t.ok(good > 0 && good < ROUNDS / 2, `${good} of ${ROUNDS} were good`);
});

t.test('so is one of nutcracker', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  for (let round = 0; round < ROUNDS; round++) {
    const text = broken(NUTCRACKER, random);
    const result = importNutcracker(text);
    if ('yaml' in result) {
      // What is printed is a configuration: good, or not by a mistake that nutcracker does not see.
      parseConfig(result.yaml, { workers: 1, environment: {} });
      continue;
    }
    // What stands there as another option's value is not known to be a password.
    const slip = /^ *(?!redis_auth)\w+: *s3cret *$/m.test(text) ? /undefined|\[object/ : /s3cret|undefined|\[object/;
    for (const { line, text: says } of result.problems) {
      if (line < 1 || slip.test(says)) t.fail(says, { text });
    }
    if (result.problems.length === 0) t.fail('no problem is said', { text });
  }
  t.pass(`${ROUNDS} rounds`);
});
