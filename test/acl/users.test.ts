/** Users as threads tell each other of them: a line each, which says the same wherever it is read. */
import t from 'tap';
import { CATEGORIES } from '../../src/acl/command-set.js';
import { User } from '../../src/acl/user.js';
import { configuredLines, Users } from '../../src/acl/users.js';
import { COMMANDS } from '../../src/resp/commands.js';
import { type Random, randomFromSeed } from '../help/random.js';

function setUp(lines: readonly string[] = ['default on nopass ~* &* +@all']): Users {
  return new Users({ version: 1, lines });
}

/** What is said of the user by whoever reads the line. */
function asOthersRead(users: Users, name: string): string | undefined {
  return new Users(users.snapshot).get(name)?.describe();
}

t.test('rules that would be read as others are refused, and nothing changes', async (t) => {
  for (const words of [
    ['+select|a b'],
    ['+select|0 ~* &* +@all'],
    ['+select|a\tb'],
    ['(+select|0 +@all)', '+select|0\n'],
    ['(+get ~a))'],
    ['(+get', '~a))'],
    ['(~a &b))'],
  ])
    t.notOk(setUp().withWords('bob', words) instanceof User, JSON.stringify(words));
});

const SIGNS = ['~', '%R~', '%W~', '%RW~', '&', '+', '-', '+@', '-@', '>', '', '#', '(', '!', '<'];
const WORDS = [
  'on',
  'off',
  'nopass',
  'reset',
  'resetkeys',
  'resetchannels',
  'allkeys',
  'allchannels',
  'clearselectors',
];
const BYTES = Buffer.from('ab*()|+-~&@% \t\\[?]"\0\xff', 'latin1');

function anyText(random: Random): string {
  return random.bytesOf(random.below(4), BYTES).toString('latin1');
}

function anyCommand(random: Random): string {
  const name = (COMMANDS[random.below(COMMANDS.length)] as { name: string }).name;
  return random.chance(30) ? `${name}|${anyText(random)}` : name;
}

function anyRule(random: Random): string {
  if (random.chance(15)) return WORDS[random.below(WORDS.length)] as string;
  if (random.chance(20)) return `(${Array.from({ length: random.below(4) }, () => anyRule(random)).join(' ')})`;
  const sign = SIGNS[random.below(SIGNS.length)] as string;
  if (random.chance(15)) return `${sign}${anyText(random)}`;
  if (/[+-]@/.test(sign)) return `${sign}${CATEGORIES[random.below(CATEGORIES.length)]}`;
  return `${sign}${/[+-]/.test(sign) ? anyCommand(random) : anyText(random)}`;
}

t.test('whatever rules are taken, all threads read the same of them', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let taken = 0;
  for (let round = 0; round < 3_000; round++) {
    const users = setUp();
    for (let change = 0; change < 3; change++) {
      const words = Array.from({ length: 1 + random.below(4) }, () => anyRule(random));
      const user = users.withWords('bob', words);
      if (!(user instanceof User)) continue;
      taken++;
      users.put(user);
      const read = asOthersRead(users, 'bob');
      if (read !== user.describe()) t.equal(read, user.describe(), JSON.stringify(words));
    }
  }
  t.ok(taken > 1_000, `${taken} were taken`);
});

t.test('a user that is configured by its name alone has it whole', async (t) => {
  const users = setUp(configuredLines({ mode: 'users', lines: ['alice', 'default'] }));
  t.same(
    users.all().map(({ name }) => name),
    ['alice', 'default'],
  );
});
