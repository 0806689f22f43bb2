/** AUTH and HELLO … AUTH: who a client is. */
import { DEFAULT_USER, type User } from '../acl/user.js';
import { Users } from '../acl/users.js';
import type { UsersSnapshot } from '../base/client-rules.js';
import { errorReply } from '../resp/reply.js';

export const REPLY_NOAUTH = errorReply('NOAUTH Authentication required.');
/** To HELLO without AUTH. */
export const REPLY_HELLO_NOAUTH = errorReply(
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option ' +
    'can be used to authenticate the client and select the RESP protocol version at the same time',
);
export const REPLY_WRONGPASS = errorReply('WRONGPASS invalid username-password pair or user is disabled.');
const NO_PASSWORD = errorReply(
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
);

export class Authentication {
  /** A change of them holds for what is asked from then on: who is in stays in, as after Redis's CONFIG SET requirepass. */
  readonly users: Users;

  constructor(users: UsersSnapshot) {
    this.users = new Users(users);
  }

  /** Who it is that says AUTH, or the reply why it is nobody. `user` is null where only a password was given. */
  answer(user: string | null, password: Uint8Array): User | Uint8Array {
    if (user === null && this.users.default.hasAnyPassword) return NO_PASSWORD;
    return this.users.whoSays(user ?? DEFAULT_USER, password) ?? REPLY_WRONGPASS;
  }
}
