/**
 * AUTH and HELLO … AUTH: whether a client has given the password. Every password is hashed and compared with each that holds
 * in constant time, so that the time an answer takes says nothing of how near it was.
 */
import { timingSafeEqual } from 'node:crypto';
import { type ClientAuth, passwordDigest } from '../base/client-rules.js';
import { errorReply, REPLY_OK } from '../resp/reply.js';

export const REPLY_NOAUTH = errorReply('NOAUTH Authentication required.');
/** To HELLO without AUTH. */
export const REPLY_HELLO_NOAUTH = errorReply(
  'NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO AUTH <user> <pass> option ' +
    'can be used to authenticate the client and select the RESP protocol version at the same time',
);
const WRONG_PASSWORD = errorReply('WRONGPASS invalid username-password pair or user is disabled.');
const NO_PASSWORD = errorReply(
  'ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?',
);

/** Whom AUTH <password> means. */
export const DEFAULT_USER = 'default';

export class Authentication {
  private auth: ClientAuth;

  constructor(auth: ClientAuth) {
    this.auth = auth;
  }

  /** Holds for what is asked from now on: who is in stays in, as after Redis's CONFIG SET requirepass. */
  configure(auth: ClientAuth): void {
    this.auth = auth;
  }

  /** Whether a new session must give a password. */
  get isRequired(): boolean {
    return this.auth.mode === 'password';
  }

  /** Whether somebody may be that user. */
  hasUser(name: string): boolean {
    return name === DEFAULT_USER || (this.auth.mode === 'password' && name === this.auth.user);
  }

  /** The reply to AUTH: REPLY_OK, or why not. `user` is null where only a password was given. */
  answer(user: string | null, password: Uint8Array): Uint8Array {
    const { auth } = this;
    if (auth.mode === 'none') {
      // As a Redis without a password, whose default user accepts any.
      if (user === null) return NO_PASSWORD;
      return user === DEFAULT_USER ? REPLY_OK : WRONG_PASSWORD;
    }
    const given = Buffer.from(passwordDigest(password));
    let isKnown = false;
    for (const digest of auth.passwordDigests) isKnown = timingSafeEqual(given, Buffer.from(digest)) || isKnown;
    return isKnown && (user ?? DEFAULT_USER) === auth.user ? REPLY_OK : WRONG_PASSWORD;
  }
}
