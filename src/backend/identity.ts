/**
 * Whom the nodes are to take a connection for, where that is the client and not the proxy (`auth: passthrough`). Its connections are
 * nobody else's: sessions that say the same share them.
 */
import { createHash, randomBytes } from 'node:crypto';
import { encodeCommand } from '../resp/reply.js';

/** Nobody's. */
const NO_PASSWORD = randomBytes(16).toString('hex');

export class Identity {
  /** As bytes, as the client said it; null: it named nobody, or said nothing at all. */
  readonly username: Uint8Array | null;
  readonly password: Uint8Array | null;
  /** Another for each name and password. Shows neither. */
  readonly key: string;
  /** Sessions that are this one. */
  sessions = 0;
  /** Since when it is none, or was asked for in vain; -Infinity: nodes refused it. */
  unusedSinceMs: number;
  /** Nodes took it when they were asked last. */
  isTaken = false;

  constructor(username: Uint8Array | null, password: Uint8Array | null, now: number) {
    this.username = username;
    this.password = password;
    this.key = identityKey(username, password);
    this.unusedSinceMs = now;
  }

  /**
   * What has the node say whether it takes the password now. Without one: whether it wants one, which it says to AUTH with a wrong one, also by a
   * connection that it let in before it wanted one. It changes nothing of its connection.
   */
  get question(): Uint8Array {
    const { username, password } = this;
    if (password === null) return encodeCommand(['AUTH', 'default', NO_PASSWORD]);
    return encodeCommand(username === null ? ['AUTH', password] : ['AUTH', username, password]);
  }
}

export function identityKey(username: Uint8Array | null, password: Uint8Array | null): string {
  const hash = createHash('sha256');
  for (const part of [username, password]) {
    hash.update(part === null ? '-' : `${part.length}:`);
    if (part !== null) hash.update(part);
  }
  return hash.digest('hex');
}
