/**
 * The steps of locks, as they are asked of one node, and what it answers. Each is carried out atomically there. Types alone:
 * `lock-scripts` has them carried out on a Redis server, the tests have a model of them.
 *
 * On a node a lock is its name as a key, whose value is the holder's token and whose expiry is the holder's ttl; and the register of its
 * fences, a replicated key of the proxy's own (`~rl:fence:NAME`), whose state is a text that `fence` reads.
 */
import type { Ballot } from '../replica/ballot.js';
import type { Lineage } from '../replica/lineage.js';
import type { NotMember, Refusal, Unable, Unsent } from '../replica/step.js';

export type LockStep =
  /** Takes the lock where it is free, or has that token; and promises the ballot for its register, without which it takes nothing. */
  | { kind: 'acquire'; ballot: Ballot; token: string; ttlMs: number }
  /** Writes the register, where the lock has that token still. */
  | { kind: 'confirm'; ballot: Ballot; token: string; lineage: Lineage; register: string }
  /**
   * Frees the lock where it has that token, and nobody else has prepared a ballot since. `mark`: what those who wait are told it by, together
   * with the name.
   */
  | { kind: 'take-back'; ballot: Ballot; token: string; mark: string }
  | { kind: 'release'; token: string; mark: string }
  | { kind: 'extend'; token: string; ttlMs: number }
  | { kind: 'look' };

/** The node has been a member for less than the longest ttl: what it held before may still be held elsewhere. */
export interface Quarantined {
  kind: 'quarantined';
  leftMs: number;
}

/** Somebody else holds the lock that was to be taken. */
export interface Held {
  kind: 'held';
  /** Milliseconds until it is free; -1: never by itself. */
  ttlMs: number;
}

/** The lock does not have the token that the caller took itself to hold it by. */
export interface NotHeld {
  kind: 'not-held';
  /** As in Held; 0: it is free. */
  ttlMs: number;
  /** Of who holds it; '' where that is not known. */
  register: string;
}

export interface Vote {
  kind: 'vote';
  /** Of the register. */
  accepted: Ballot;
  lineage: Lineage;
  /** The largest that was collected there, and the floor of epochs. */
  collected: Ballot;
  epochFloor: number;
  register: string;
}

export interface LockView {
  kind: 'view';
  /** Null: it is free. */
  token: string | null;
  /** As in NotHeld. */
  ttlMs: number;
  accepted: Ballot;
  register: string;
}

export type LockAnswer =
  | Vote
  | Held
  | NotHeld
  | Quarantined
  | LockView
  | Refusal
  /** It had confirmed, released, or extended. */
  | { kind: 'done' }
  /** To confirm: the lock has another token, or none. */
  | { kind: 'lost' };

/** What may come back: null is no answer. */
export type LockReply = LockAnswer | NotMember | Unable | Unsent | null;
