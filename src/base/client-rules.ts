/** What clients may do, and how they show who they are: the part of the configuration that sessions keep to. */
import { createHash } from 'node:crypto';

export interface ClientRules {
  auth: ClientAuth;
  /** Whether each subscriber has connections of its own (proxy/pubsub.ts). */
  pubsub: 'exact' | 'shared';
}

/** Passwords are known by their digests only (`passwordDigest`), from the configuration on: no log or error can show them. */
export type ClientAuth = { mode: 'none' } | { mode: 'password'; user: string; passwordDigests: readonly string[] };

export const DEFAULT_RULES: ClientRules = { auth: { mode: 'none' }, pubsub: 'exact' };

/** The SHA-256 of a password's bytes, in hexadecimal. Text is in UTF-8. */
export function passwordDigest(password: string | Uint8Array): string {
  return createHash('sha256').update(password).digest('hex');
}
