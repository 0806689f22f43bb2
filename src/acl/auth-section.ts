/**
 * The section `auth` of the configuration: whether clients must show who they are, and what they may then do.
 *
 *   auth: none
 *   auth: { password: "…" }                        also in full: { mode: password, user: default, password: "…" }
 *   auth: { password: ["the new", "the old"] }     both hold, until all clients have the new one
 *   auth: passthrough                              the nodes know the users
 *   auth: { users: ["alice on >… ~app:* +@read"] } the rules of Redis's ACL, a user each
 *
 * Nothing that stands here is shown in a message: it may be a password in the wrong place.
 */
import { z } from 'zod';
import { type ClientAuth, PASSWORD_CHARACTERS_MAX, passwordDigest } from '../base/client-rules.js';
import { meant } from '../base/nearest.js';
import { type Advice, about, duplicates, type Fault, type JsonForms, text, value } from '../base/schema.js';
import type { Path } from '../base/yaml-source.js';
import { COMMANDS } from '../resp/commands.js';
import { CATEGORIES } from './command-set.js';
import {
  isUserName,
  joinSelectors,
  nameOfLine,
  readsBack,
  readUserLine,
  withoutPasswords,
  withRules,
} from './rules.js';
import { DEFAULT_USER, User } from './user.js';
import { configuredLines, READ_OTHERWISE, USER_RULES_MAX, USERS_MAX, Users } from './users.js';

const PASSWORDS_MAX = 2;

const PASSWORD_FORMS = {
  anyOf: [
    { type: 'string', minLength: 1, maxLength: PASSWORD_CHARACTERS_MAX },
    { type: 'array', minItems: 1, maxItems: PASSWORDS_MAX, items: { type: 'string', minLength: 1 } },
  ],
} satisfies JsonForms;

const MODES = ['none', 'password', 'users', 'passthrough'] as const;
type Mode = (typeof MODES)[number];
const MODE_FORM = MODES.join(' | ');

const USER_FORM = 'a user and its rules in quotes: "alice on >secret ~app:* +@read"';
const USER = value<string>(USER_FORM, userLine, { type: 'string', minLength: 1 });

const KEYS = {
  mode: about(
    value<Mode>(MODE_FORM, (mode) => MODES.find((known) => known === mode) ?? kindOf(mode), { enum: [...MODES] }),
    '`none` asks for nothing, `password` for one, `users` for a name and a password. It goes without saying where a ' +
      'password or users stand. `passthrough` leaves it to the nodes: clients are their users, and what each may do they see to.',
    { example: 'password' },
  ),
  password: about(
    value('a password in quotes, or a list of the two that hold while it is changed', digests, PASSWORD_FORMS),
    'What clients say with AUTH or HELLO … AUTH. Of two in a list both hold, until all clients have the new one. Only a ' +
      'digest of it is kept. Write `${NAME}` to take it from the environment.',
    { example: '"${RINGLEADER_PASSWORD:-change-me}"' },
  ),
  user: about(
    text<string>(
      'a user name of 1 to 64 visible ASCII characters',
      (name) => (/^[!-~]{1,64}$/.test(name) ? name : { fault: 'another text' }),
      '^[!-~]{1,64}$',
    ),
    'The name that goes with the password. AUTH with a password alone means the user `default`.',
    { stated: DEFAULT_USER },
  ),
  users: about(
    z
      .array(USER, {
        error: (issue) => (issue.code === 'invalid_type' ? `a list of users: ["alice on >…"]` : undefined),
      })
      .max(USERS_MAX, `at most ${USERS_MAX} users`),
    'Users with rights of their own: a line each, its name and its rules, as in an aclfile of Redis 7.0 (quote it: a # behind a blank ' +
      'begins a comment in YAML). The proxy sees that they keep to them. Clients that give no name are the user `default`, who can do ' +
      'nothing unless it stands here. Of passwords only digests are kept.',
    { example: '["alice on >change-me ~app:* +@all -@dangerous"]', expected: USER_FORM },
  ),
};

/** The section in full, for docs and editors; `AUTH` has its own words for strangers, which may be passwords. */
export const AUTH_MAP = z.strictObject(KEYS).partial();

const AUTH_FORM = 'none, passthrough, { password: "…" }, or { users: [ … ] }';

export const AUTH = value(AUTH_FORM, (input) => {
  if (input === 'none' || input === 'passthrough') return { written: { mode: input } };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return withoutMap(input);
  const known = Object.keys(KEYS);
  const unknown = Object.keys(input).find((key) => !known.includes(key));
  if (unknown === undefined) {
    const users: unknown = 'users' in input ? input.users : [];
    if (Array.isArray(users)) return { written: input };
    return { fault: `users that are ${kindOf(users).fault}`, advice: 'write a list of them: ["alice on >…"]' };
  }
  if (/^(requirepass|passwd|pass|pwd)$/i.test(unknown)) return { fault: 'an unknown key; did you mean password?' };
  return { fault: `an unknown key${meant(unknown, known)}` };
})
  .transform(({ written }) => written)
  .pipe(AUTH_MAP);

export type AuthSection = z.infer<typeof AUTH>;

export function completeAuth(auth: AuthSection | undefined): ClientAuth {
  if (auth === undefined || auth.mode === 'none') return { mode: 'none' };
  if (auth.mode === 'passthrough') return { mode: 'passthrough' };
  if (auth.users !== undefined) return { mode: 'users', lines: auth.users };
  return { mode: 'password', user: auth.user ?? DEFAULT_USER, passwordDigests: auth.password ?? [] };
}

/** Whether clients may come in that show nothing, as far as the proxy has a say in it. */
export function isOpen(auth: ClientAuth): boolean {
  if (auth.mode === 'passthrough') return false;
  return new Users({ version: 1, lines: configuredLines(auth) }).isOpen;
}

/** What does not go together, each where it stands. */
export function checkAuth(auth: AuthSection, complain: (path: Path, text: string) => void): void {
  const { mode, password, user, users } = auth;
  if (mode === 'none' || mode === 'passthrough') {
    const why = mode === 'none' ? 'which asks for none' : 'by which the nodes know the users';
    for (const key of ['password', 'user', 'users'] as const)
      if (auth[key] !== undefined) complain(['auth', key], `: stands beside mode: ${mode}, ${why}`);
    return;
  }
  if (users === undefined && mode !== 'users') {
    if (password === undefined) complain(['auth'], ': password is missing (or write auth: none)');
    return;
  }
  if (users === undefined) complain(['auth'], ': users are missing');
  if (mode === 'password') complain(['auth', 'users'], ': stand beside mode: password; write mode: users');
  const advice = 'which have passwords of their own';
  if (password !== undefined) complain(['auth', 'password'], `: stands beside users, ${advice}`);
  if (user !== undefined) complain(['auth', 'user'], `: stands beside users, ${advice}`);
  const names = (users ?? []).map(nameOfLine);
  for (const [index, name] of duplicates(names)) complain(['auth', 'users', index], `: ${name} is there twice`);
}

/** A user's line as it is kept: its rules without passwords, one blank between words. */
function userLine(input: unknown): string | Fault | Advice {
  if (typeof input !== 'string')
    return { ...kindOf(input), advice: 'write its name and its rules in one text, in quotes' };
  const read = readUserLine(Buffer.from(input).toString('latin1'));
  if (read === null) return { fault: 'nothing' };
  if (/[\r\n]/.test(input.trim())) return { fault: 'several lines', advice: 'write each user as an item of the list' };
  const { name, words } = read;
  // A rule in place of the name may be a password.
  if (!isUserName(name) || /^[>#<!~&%+(-]/.test(name))
    return { fault: 'a rule in place of a name', advice: 'begin with the name' };
  const shown = Buffer.from(name, 'latin1').toString();
  const joined = joinSelectors(words);
  if ('open' in joined) return { fault: `${shown} with a parenthesis that is not closed` };
  const user = withRules(new User(name), joined.rules);
  if (!(user instanceof User)) return ruleFault(shown, user.rule, user.fault);
  if (user.describe().length > USER_RULES_MAX)
    return { fault: `${shown} with more than ${USER_RULES_MAX} bytes of rules` };
  if (!readsBack(user)) return { fault: `${shown} with ${READ_OTHERWISE}` };
  return [name, ...withoutPasswords(joined.rules)].join(' ');
}

/** `rule` of user `name` is none: what of it may be shown is. */
function ruleFault(name: string, rule: string, fault: string): Fault {
  if (/[>#<!]/.test(rule))
    return { fault: `${name} with a wrong password rule (${fault})`, advice: 'passwords are >text or #digest' };
  if (!/^[~&%+(-]/.test(rule)) {
    const nearest = meant(rule.toLowerCase(), WORDS);
    const advice =
      nearest === '' ? 'passwords begin with >, keys with ~, channels with &, commands with + or -' : nearest.slice(2);
    return { fault: `${name} with a rule that is none${nearest === '' ? '' : `: '${rule}'`}`, advice };
  }
  const known = rule[1] === '@' ? CATEGORIES.map((category) => `@${category}`) : COMMANDS.map((spec) => spec.name);
  const signed = known.map((name) => `${rule[0]}${name}`);
  const nearest = /^[+-]/.test(rule) ? meant(rule.toLowerCase(), signed) : '';
  const found = { fault: `${name} with the rule '${Buffer.from(rule, 'latin1')}' (${fault})` };
  return nearest === '' ? found : { ...found, advice: nearest.slice(2) };
}

/** Rules that are one word. */
const WORDS = [
  ...['on', 'off', 'nopass', 'resetpass', 'reset', 'allkeys', 'resetkeys', 'allchannels', 'resetchannels'],
  ...['allcommands', 'nocommands', 'clearselectors', 'sanitize-payload', 'skip-sanitize-payload'],
];

/** What stands there in place of none or a map, and what to write: a password alone may be meant. */
function withoutMap(input: unknown): Fault {
  const fault = kindOf(input);
  if (input === null || input === undefined) return fault;
  const isNone = /^(no|off|false)$/i.test(String(input));
  return { ...fault, advice: isNone ? 'write auth: none' : 'write auth: { password: … }' };
}

/** What stands there, in words that do not show it. */
function kindOf(input: unknown): Fault {
  if (input === null || input === undefined) return { fault: 'nothing' };
  if (Array.isArray(input)) return { fault: 'a list' };
  if (typeof input === 'number') return { fault: 'a number' };
  if (typeof input === 'boolean') return { fault: 'true or false' };
  return { fault: typeof input === 'object' ? 'a map' : 'another text' };
}

function adviceFor(password: unknown): string {
  if (typeof password === 'number' || typeof password === 'boolean') return 'put it in quotes';
  return 'put the password in quotes: some characters mean something else in YAML';
}

/** The digests of one password, or of a list. */
function digests(input: unknown): string[] | Fault {
  const passwords: unknown[] = Array.isArray(input) ? input : [input];
  if (passwords.length === 0) return { fault: 'an empty list' };
  if (passwords.length > PASSWORDS_MAX) return { fault: `a list of ${passwords.length}` };
  const found: string[] = [];
  for (const password of passwords) {
    if (typeof password !== 'string') return { ...kindOf(password), advice: adviceFor(password) };
    if (password === '') return { fault: 'an empty password' };
    if (password.length > PASSWORD_CHARACTERS_MAX) {
      return { fault: `one of more than ${PASSWORD_CHARACTERS_MAX} characters` };
    }
    // A text that YAML has after | ends in one, which no client would send.
    if (/[\r\n]/.test(password))
      return { fault: 'one with a line end in it', advice: 'write it on one line, in quotes' };
    found.push(passwordDigest(password));
  }
  return found;
}
