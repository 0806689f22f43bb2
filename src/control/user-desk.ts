/**
 * The users of the process: those of the configuration, and what ACL SETUSER and ACL DELUSER have made of them since. Its table is
 * the one that counts; workers are told of it whole. What was changed is not kept over a restart.
 */

import { nameOfLine } from '../acl/rules.js';
import { User } from '../acl/user.js';
import { configuredLines, Users } from '../acl/users.js';
import type { ClientAuth, UsersSnapshot } from '../base/client-rules.js';
import type { ChangedUsers, UserChange } from '../messages.js';

export class UserDesk {
  private readonly users: Users;
  /** Of the configuration, by name. */
  private configured: ReadonlyMap<string, string>;

  constructor(auth: ClientAuth) {
    const lines = configuredLines(auth);
    this.configured = byName(lines);
    this.users = new Users({ version: 1, lines });
  }

  get snapshot(): UsersSnapshot {
    return this.users.snapshot;
  }

  /** A new configuration: who has other rules in it than in the last, gets them; who is no longer in it, is no more. Others stay as they are. */
  configure(auth: ClientAuth): void {
    const after = byName(configuredLines(auth));
    const lines = byName(this.users.snapshot.lines);
    for (const name of this.configured.keys()) if (!after.has(name)) lines.delete(name);
    for (const [name, line] of after) if (this.configured.get(name) !== line) lines.set(name, line);
    this.configured = after;
    this.users.replace({ version: this.users.version + 1, lines: [...lines.values()] });
  }

  /** Changes them. A worker has asked, and has seen that it can be done; meanwhile another may have asked for something else. */
  change(change: UserChange): ChangedUsers {
    let [count, error]: [number, string | null] = [0, null];
    if (change.kind === 'delete') count = this.users.remove(change.names);
    else {
      const user = this.users.withWords(change.name, change.words);
      if (user instanceof User) this.users.put(user);
      else error = 'fault' in user ? `Error in ACL SETUSER modifier '${user.rule}': ${user.fault}` : user.refusal;
    }
    return { users: this.users.snapshot, count, error };
  }
}

/** The lines by the names that they begin with. */
function byName(lines: readonly string[]): Map<string, string> {
  return new Map(lines.map((line) => [nameOfLine(line), line]));
}
