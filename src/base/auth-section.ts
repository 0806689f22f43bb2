/**
 * The section `auth` of the configuration: whether clients must give a password, and which.
 *
 *   auth: none
 *   auth: { password: "…" }                        also in full: { mode: password, user: default, password: "…" }
 *   auth: { password: ["the new", "the old"] }     both hold, until all clients have the new one
 *
 * Nothing that stands here is shown in a message: it may be a password in the wrong place.
 */
import { z } from 'zod';
import { type ClientAuth, passwordDigest } from './client-rules.js';
import { meant } from './nearest.js';
import { about, type Fault, type JsonForms, text, value } from './schema.js';
import type { Path } from './yaml-source.js';

const PASSWORDS_MAX = 2;
export const PASSWORD_CHARACTERS_MAX = 512;
const USER_DEFAULT = 'default';

const PASSWORD_FORMS = {
  anyOf: [
    { type: 'string', minLength: 1, maxLength: PASSWORD_CHARACTERS_MAX },
    { type: 'array', minItems: 1, maxItems: PASSWORDS_MAX, items: { type: 'string', minLength: 1 } },
  ],
} satisfies JsonForms;

const KEYS = {
  mode: about(
    value<'none' | 'password'>(
      'none | password',
      (mode) => (mode === 'none' || mode === 'password' ? mode : kindOf(mode)),
      { enum: ['none', 'password'] },
    ),
    '`none` asks for nothing, `password` for one. It goes without saying where a password stands.',
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
    'The name that clients may give with the password. AUTH with a password alone means it, too.',
    { stated: USER_DEFAULT },
  ),
};

/** The section in full, for docs and editors; `AUTH` has its own words for strangers, which may be passwords. */
export const AUTH_MAP = z.strictObject(KEYS).partial();

const AUTH_FORM = 'none, or { password: "…" }';

export const AUTH = value(AUTH_FORM, (input) => {
  if (input === 'none') return { written: { mode: 'none' } };
  if (typeof input !== 'object' || input === null || Array.isArray(input)) return withoutMap(input);
  const known = Object.keys(KEYS);
  const unknown = Object.keys(input).find((key) => !known.includes(key));
  if (unknown === undefined) return { written: input };
  if (/^users$/i.test(unknown)) return { fault: 'users, which are not supported yet' };
  if (/^(requirepass|passwd|pass|pwd)$/i.test(unknown)) return { fault: 'an unknown key; did you mean password?' };
  return { fault: `an unknown key${meant(unknown, known)}` };
})
  .transform(({ written }) => written)
  .pipe(AUTH_MAP);

export type AuthSection = z.infer<typeof AUTH>;

export function completeAuth(auth: AuthSection | undefined): ClientAuth {
  if (auth === undefined || auth.mode === 'none') return { mode: 'none' };
  return { mode: 'password', user: auth.user ?? USER_DEFAULT, passwordDigests: auth.password ?? [] };
}

/** What does not go together, each where it stands. */
export function checkAuth(auth: AuthSection, complain: (path: Path, text: string) => void): void {
  const { mode, password, user } = auth;
  if (mode !== 'none') {
    if (password === undefined) complain(['auth'], ': password is missing (or write auth: none)');
    return;
  }
  if (password !== undefined) complain(['auth', 'password'], ': stands beside mode: none, which asks for none');
  if (user !== undefined) complain(['auth', 'user'], ': stands beside mode: none, which asks for none');
}

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
    found.push(passwordDigest(password));
  }
  return found;
}
