/** The rules of a user as they are given: a word each, but for what stands in parentheses, which may have blanks. */
import { passwordDigest } from '../base/client-rules.js';
import { hasBlank } from './blank.js';
import { User } from './user.js';

/** Whether a user may be called so. One character a byte. */
export function isUserName(name: string): boolean {
  return !hasBlank(name);
}

/** `words` with those that are one pair of parentheses made one. `open`: the first of a pair that is not closed, which ends it. */
export function joinSelectors(words: readonly string[]): { rules: string[] } | { open: string } {
  const rules: string[] = [];
  let open: string[] | null = null;
  for (const word of words) {
    if (open !== null) open.push(word);
    else if (word.startsWith('(') && !word.endsWith(')')) open = [word];
    else rules.push(word);
    if (open === null || !word.endsWith(')')) continue;
    rules.push(open.join(' '));
    open = null;
  }
  return open === null ? { rules } : { open: open[0] as string };
}

/** `rules` so that no password is in them: each has become its digest. */
export function withoutPasswords(rules: readonly string[]): string[] {
  return rules.map((rule) => {
    const sign = { '>': '#', '<': '!' }[rule[0] ?? ''];
    return sign === undefined ? rule : `${sign}${passwordDigest(Buffer.from(rule.slice(1), 'latin1'))}`;
  });
}

/** What is wrong with a rule, and which. */
export interface WrongRule {
  readonly rule: string;
  readonly fault: string;
}

/** `user` with these rules applied one after the other, `user` being as it was; or the first that does not fit. */
export function withRules(user: User, rules: readonly string[]): User | WrongRule {
  const changed = user.copy();
  for (const rule of rules) {
    const fault = changed.apply(rule);
    if (fault !== null) return { rule, fault };
  }
  return changed;
}

/** `alice on >secret ~app:* +@read`, as in an aclfile (`user` before it may be left out): its name and its rules. */
export function readUserLine(line: string): { name: string; words: string[] } | null {
  const words = line.trim().split(/[ \t]+/);
  if (words[0] === 'user') words.shift();
  const [name, ...rest] = words;
  return name === undefined || name === '' ? null : { name, words: rest };
}

/**
 * Whether what it is shown as makes it again: other threads, and who saves what ACL LIST shows, read that. A pattern that ends in a
 * parenthesis may not.
 */
export function readsBack(user: User): boolean {
  const shown = user.describe();
  const joined = joinSelectors(shown.split(' '));
  if ('open' in joined) return false;
  const again = withRules(new User(user.name), joined.rules);
  return again instanceof User && again.describe() === shown;
}

/** Whose line in a snapshot it is. */
export function nameOfLine(line: string): string {
  return line.split(' ', 1)[0] as string;
}

/** A new user by its line in a snapshot (`User.describe` behind its name, exactly one blank between words). */
export function userOf(line: string): User {
  const [name = '', ...words] = line.split(' ');
  const joined = joinSelectors(words);
  if ('open' in joined) throw new Error(`a user's rules have an open parenthesis: ${name}`);
  const user = withRules(new User(name), joined.rules);
  if (!(user instanceof User)) throw new Error(`a user's rules cannot be read again: ${name}: ${user.fault}`);
  return user;
}
