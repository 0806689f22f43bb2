import t from 'tap';
import { escapeVariables, expandVariables } from '../../src/base/environment.js';

const ENVIRONMENT = { HOST: 'db.example.org', EMPTY: '', TRICK: '${HOST}', _a1: 'x', GONE: undefined };

t.test('variables are filled in as a shell fills them in', async (t) => {
  const table: [string, string, string[]][] = [
    ['plain', 'plain', []],
    ['${HOST}', 'db.example.org', ['HOST']],
    ['redis://${HOST}:${_a1}/', 'redis://db.example.org:x/', ['HOST', '_a1']],
    ['${EMPTY}', '', ['EMPTY']],
    ['${EMPTY:-else}', 'else', ['EMPTY']],
    ['${NONE:-a:-b c}', 'a:-b c', ['NONE']],
    ['${NONE:-}', '', ['NONE']],
    ['${HOST:-else}', 'db.example.org', ['HOST']],
    ['$HOST $ {HOST} $1 }{', '$HOST $ {HOST} $1 }{', []],
    ['$${HOST}', '${HOST}', []],
    ['a$${b$${', 'a${b${', []],
    ['$$', '$$', []],
    ['${TRICK}', '${HOST}', ['TRICK']],
  ];
  for (const [text, expanded, variables] of table) {
    t.same(expandVariables(text, ENVIRONMENT), { text: expanded, variables }, text);
  }
});

t.test('what is wrong with a variable is said without what it is set to', async (t) => {
  const table: [string, ...RegExp[]][] = [
    ['${HSOT}', /^the environment has no variable HSOT; did you mean HOST\?$/],
    ['${PASSWORD}', /^the environment has no variable PASSWORD; set it, or write \$\{PASSWORD:-default\}$/],
    ['${GONE}', /no variable GONE; set it/],
    ['${A1}${B2}', /no variable A1/, /no variable B2/],
    ['${}', /^expected \$\{NAME\} or \$\{NAME:-default\}/],
    ['${HOST', /^expected \$\{NAME\}/],
    ['${1}', /^expected \$\{NAME\}/],
    ['${HOST-x}', /^\$\{HOST-…\} is not known; known are \$\{HOST\}, .* and \$\{HOST:-…\} for a default$/],
    ['${HOST:?x}', /^\$\{HOST:\?…\} is not known; known are /],
    ['${NONE:-${HOST}}', /^the default of NONE cannot have a variable in it/],
  ];
  for (const [text, ...faults] of table) t.match(expandVariables(text, ENVIRONMENT), { faults }, text);
});

t.test('an escaped text expands to itself', async (t) => {
  for (const text of ['${HOST}', '$${', '$$${a}${', 'plain', '$', '{}', '$$$${{']) {
    t.same(expandVariables(escapeVariables(text), ENVIRONMENT), { text, variables: [] }, text);
  }
});
