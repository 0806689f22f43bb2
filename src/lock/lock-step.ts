/**
 * The steps of locks, as they are asked of one node, and what it answers. Each is carried out atomically there. Types alone:
 * `lock-scripts` has them carried out on a Redis server, the tests have a model of them.
 *
 * On a node a lock is its name as a key, whose value is the holder's token and whose expiry is the holder's ttl, or a hash of those who have a
 * share of it; and the register of its fences, a replicated key of the proxy's own (`~rl:fence:NAME`), whose state is a text that `fence` reads.
 */
import type { Ballot } from '../replica/ballot.js';
import type { Lineage } from '../replica/lineage.js';
import type { NotMember, Refusal, Unable, Unsent } from '../replica/step.js';
import type { ModeText, Share } from './share.js';

export type LockStep =
  /**
   * Takes the lock where it is free, or has that token; and promises the ballot for its register, without which it takes nothing. `waits`: where others
   * have it, it is remembered for a while that somebody waits to be told that it is free.
   */
  | { kind: 'acquire'; ballot: Ballot; token: string; ttlMs: number; waits: boolean }
  /**
   * The same for a share of it, where others leave it that. `mayMove`: where the token has another share it is to have this one instead; else
   * that is told, and stays.
   */
  | {
      kind: 'acquire-share';
      ballot: Ballot;
      token: string;
      ttlMs: number;
      mode: ModeText;
      share: Share;
      mayMove: boolean;
      waits: boolean;
    }
  /** Writes the register, where the token has that share still. */
  | { kind: 'confirm'; ballot: Ballot; token: string; share: Share; lineage: Lineage; register: string }
  /**
   * Frees what that token has, unless it was taken by a larger ballot, or another proposer's. `fence`: that it was granted by, by which it is known
   * also where others have settled the register since; 0: it was not granted. `mark`: what those who wait are told it by, together with the name.
   */
  | { kind: 'take-back'; ballot: Ballot; token: string; fence: number; mark: string }
  | { kind: 'release'; token: string; mark: string }
  | { kind: 'extend'; token: string; ttlMs: number }
  /**
   * Takes it as it is held elsewhere, where it is free, or that share, and nobody has had all of it since; another share, by a smaller ballot, is given
   * up for it. `fromMs`, `untilMs`: of the node's clock, within which that is known to be so.
   */
  | { kind: 'retake'; token: string; ttlMs: number; share: Share; hold: Hold; fromMs: number; untilMs: number }
  /** Frees it, whoever holds it. `mark` as above. */
  | { kind: 'break'; mark: string }
  | { kind: 'look' };

/** The node has been a member for less than the longest ttl: what it held before may still be held elsewhere. */
export interface Quarantined {
  kind: 'quarantined';
  leftMs: number;
}

/** Somebody else holds the lock that was to be taken. */
export interface Held {
  kind: 'held';
  /** Milliseconds until it is free, or the first of its slots; -1: never by itself. */
  ttlMs: number;
  /** Which slots others have: for each '0'; '1'; or '2', where that was not confirmed yet. '': the lock has another mode, or as many readers as there may be. */
  taken: string;
}

/** The token has another share than was asked for. */
export interface Elsewhere {
  kind: 'elsewhere';
  share: Share;
}

/** The lock does not have the token that the caller took itself to hold it by. */
export interface NotHeld {
  kind: 'not-held';
  /** As in Held; 0: it is free. */
  ttlMs: number;
  /** When it said so, by its own clock. */
  nowMs: number;
  /** Of those who hold it, as registers are; of many those with the largest fences. Empty where that is not known. */
  registers: readonly string[];
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

/** How a token holds a lock. */
export interface Hold {
  readonly mode: ModeText;
  /** By which the share was taken; of all of a lock that of the register. */
  readonly ballot: Ballot;
  readonly fence: number;
  readonly client: string;
}

export interface LockView {
  kind: 'view';
  /** '': it is free. */
  mode: ModeText;
  holders: readonly HolderView[];
  accepted: Ballot;
  register: string;
}

export interface HolderView {
  token: string;
  share: Share;
  /** As in NotHeld. */
  ttlMs: number;
  /** 0: not known, or not confirmed; of who has all of the lock the register has it. */
  fence: number;
  /** '?': not known. */
  client: string;
}

export type LockAnswer =
  | Vote
  | Held
  | Elsewhere
  | NotHeld
  | Quarantined
  | LockView
  | Refusal
  /** It is free; of those who held it. */
  | { kind: 'broken'; tokens: readonly string[] }
  /** It had confirmed, or released. */
  | { kind: 'done' }
  /** What the token has of it. `hold` null: not said, or that node does not know; `nowMs` as in NotHeld, null: not said, as of all of a lock. */
  | { kind: 'extended'; share: Share; hold: Hold | null; nowMs: number | null }
  /**
   * To confirm: the token does not have that share. To take back: it was taken by another ballot. To take again: it is too late, or somebody else,
   * or the same token by a larger ballot, has had it since.
   */
  | { kind: 'lost' };

/** What may come back: null is no answer. */
export type LockReply = LockAnswer | NotMember | Unable | Unsent | null;
