/**
 * All users of the process. The main thread has the table that counts (control/user-desk.ts) and tells the workers of each change; all
 * of them have the same, known by its version.
 */
import { timingSafeEqual } from 'node:crypto';
import { type ClientAuth, DEFAULT_RULES, passwordDigest, type UsersSnapshot } from '../base/client-rules.js';
import { isUserName, joinSelectors, nameOfLine, readsBack, userOf, type WrongRule, withRules } from './rules.js';
import { DEFAULT_USER, User } from './user.js';

/** Users in all. */
export const USERS_MAX = 10_000;
/** Of one user, characters of the rules that it comes to. */
export const USER_RULES_MAX = 64 * 1024;

/** See readsBack. */
export const READ_OTHERWISE = 'rules that would be read as others: a word of them ends in a parenthesis';

/** In place of a user's digest that there is none of, so that a wrong name takes as long as a wrong password. */
const NO_DIGEST = '0'.repeat(64);

/** The users of a configuration, a line each. Whoever is not named cannot log in, `default` neither. */
export function configuredLines(auth: ClientAuth): readonly string[] {
  switch (auth.mode) {
    case 'none':
    case 'passthrough':
      return DEFAULT_RULES.users.lines;
    case 'password': {
      const digests = auth.passwordDigests.map((digest) => `#${digest}`);
      const line = `${auth.user} on ${digests.join(' ')} ~* &* +@all`;
      return auth.user === DEFAULT_USER ? [line] : [`${DEFAULT_USER} off`, line];
    }
    case 'users':
      return auth.lines.some((line) => nameOfLine(line) === DEFAULT_USER)
        ? auth.lines
        : [`${DEFAULT_USER} off`, ...auth.lines];
  }
}

export class Users {
  version = 0;
  private byName = new Map<string, User>();
  /** What each was read from, or comes to. */
  private lines = new Map<string, string>();

  constructor({ version, lines }: UsersSnapshot) {
    this.version = version - 1;
    this.replace({ version, lines });
  }

  get snapshot(): UsersSnapshot {
    return { version: this.version, lines: [...this.lines.values()] };
  }

  get(name: string): User | undefined {
    return this.byName.get(name);
  }

  get default(): User {
    return this.byName.get(DEFAULT_USER) as User;
  }

  /** Sorted by name, as bytes are. */
  all(): readonly User[] {
    return [...this.byName.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Whether a client that has said nothing is the default user. */
  get isOpen(): boolean {
    return this.default.isEnabled && this.default.hasAnyPassword;
  }

  /** Who it is that says this name and password; null: nobody, or one that is off. Takes as long for any name. */
  whoSays(name: string, password: Uint8Array): User | null {
    const user = this.byName.get(name);
    const given = Buffer.from(passwordDigest(password));
    let isRight = timingSafeEqual(given, Buffer.from(NO_DIGEST));
    for (const digest of user?.passwordDigests ?? []) isRight = timingSafeEqual(given, Buffer.from(digest)) || isRight;
    return user?.isEnabled === true && (isRight || user.hasAnyPassword) ? user : null;
  }

  /** Goes by these lines unless it goes by later ones. A user that is as it was stays the same object. False: nothing changed. */
  replace({ version, lines }: UsersSnapshot): boolean {
    if (version <= this.version) return false;
    this.version = version;
    const byName = new Map<string, User>();
    const kept = new Map<string, string>();
    for (const line of lines) {
      const name = nameOfLine(line);
      const same = this.lines.get(name) === line ? this.byName.get(name) : undefined;
      byName.set(name, same ?? userOf(line));
      kept.set(name, line);
    }
    this.byName = byName;
    this.lines = kept;
    return true;
  }

  /** What the user of that name, which there need not be, would be with these rules, given as words. */
  withWords(name: string, words: readonly string[]): User | WrongRule | { refusal: string } {
    if (!isUserName(name)) return { refusal: "Usernames can't contain spaces or null characters" };
    const joined = joinSelectors(words);
    if ('open' in joined) return { refusal: `Unmatched parenthesis in acl selector starting at '${joined.open}'.` };
    const before = this.byName.get(name);
    if (before === undefined && this.byName.size >= USERS_MAX)
      return { refusal: `there are ${USERS_MAX} users already` };
    const user = withRules(before ?? new User(name), joined.rules);
    if (!(user instanceof User)) return user;
    if (user.describe().length > USER_RULES_MAX)
      return { refusal: `the rules of a user come to at most ${USER_RULES_MAX} bytes` };
    return readsBack(user) ? user : { refusal: `a user cannot have ${READ_OTHERWISE}` };
  }

  /** Has `user` in place of the one of its name. */
  put(user: User): void {
    this.version++;
    this.byName.set(user.name, user);
    this.lines.set(user.name, `${user.name} ${user.describe()}`);
  }

  /** Returns how many of them there were. */
  remove(names: readonly string[]): number {
    this.version++;
    let count = 0;
    for (const name of names) {
      this.lines.delete(name);
      if (this.byName.delete(name)) count++;
    }
    return count;
  }
}
