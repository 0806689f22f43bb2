/** What clients may do, and how they show who they are: the part of the configuration that sessions keep to. */
import { createHash } from 'node:crypto';

/** What a password may have at the most, in characters. */
export const PASSWORD_CHARACTERS_MAX = 512;

/** As the configuration has them. */
export interface ConfiguredRules {
  auth: ClientAuth;
  pubsub: ClientRules['pubsub'];
  enableDebugCommand: ClientRules['enableDebugCommand'];
}

/** All users at one time: of two the one with the larger version is the later. Lines as of `ClientAuth`. */
export interface UsersSnapshot {
  readonly version: number;
  readonly lines: readonly string[];
}

export interface ClientRules {
  users: UsersSnapshot;
  /** The nodes say who a client is and what it may do; `users` says nothing then. */
  isPassthrough: boolean;
  /** Whether each subscriber has connections of its own (proxy/pubsub.ts). */
  pubsub: 'exact' | 'shared';
  /** Who may give DEBUG: nobody, clients of this machine, all (proxy/debug-commands.ts). */
  enableDebugCommand: 'no' | 'local' | 'yes';
}

/**
 * Passwords are known by their digests only (`passwordDigest`), from the configuration on: no log or error can show them. A line is a user:
 * `alice on #1b4f… ~app:* +@read`, its name and its rules (acl/user.ts) with one blank between words, one character a byte.
 */
export type ClientAuth =
  | { mode: 'none' }
  | { mode: 'password'; user: string; passwordDigests: readonly string[] }
  | { mode: 'users'; lines: readonly string[] }
  | { mode: 'passthrough' };

/** Where the configuration says nothing: all is allowed to all, as one Redis has it. */
export const DEFAULT_RULES: ClientRules = {
  users: { version: 1, lines: ['default on nopass ~* &* +@all'] },
  isPassthrough: false,
  pubsub: 'exact',
  enableDebugCommand: 'no',
};

/** The SHA-256 of a password's bytes, in hexadecimal. Text is in UTF-8. */
export function passwordDigest(password: string | Uint8Array): string {
  return createHash('sha256').update(password).digest('hex');
}
