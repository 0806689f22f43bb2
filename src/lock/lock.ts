/**
 * One lock, whoever keeps it: what LOCK commands, and all that stands on them, know of a lock. `told` is called once, never within the call
 * but for `acquire`'s.
 */
import type { LockMode } from '../base/lock-mode.js';

export type { LockMode };

export const EXCLUSIVE: LockMode = { kind: 'exclusive' };

/** What is wanted of a lock. */
export interface LockOrder {
  readonly ttlMs: number;
  /** A character a byte. */
  readonly token: string;
  /** See FenceRegister. */
  readonly client: string;
  readonly mode: LockMode;
  /** Whether somebody waits for it still. */
  isWanted(): boolean;
}

/** Gives back what was got. Tells `done` once when that is so, or cannot be known; maybe within the call. */
export type GiveBack = (done?: () => void) => void;

export type AcquireOutcome =
  /** `validityMs`: from now on; `giveBack`: it is nobody's after all, or no longer, unless its token has been granted again since. */
  | { kind: 'granted'; fence: number; validityMs: number; giveBack: GiveBack }
  /** Its time is over, and others have the lock. */
  | { kind: 'out-of-time' }
  /** So many want it. */
  | { kind: 'crowded'; max: number }
  /** It took longer than it would have been held for. */
  | { kind: 'late' }
  | Overloaded
  | NoQuorum;

/** So many questions about locks are under way. Nothing has come of it. */
export interface Overloaded {
  kind: 'overloaded';
  asksMax: number;
}

/** `quarantinedMs`: when the first of the nodes counts that may have forgotten, null where there is none; `error`: of a node that could not. */
export interface NoQuorum {
  kind: 'no-quorum';
  quarantinedMs: number | null;
  error: Uint8Array | null;
}

/** A majority did not say the same. */
export type Undecided =
  /** Nothing has come of it. */
  | NoQuorum
  | Overloaded
  /** It may have been carried out. */
  | { kind: 'unknown' };

/** Who holds a lock: null is what is not known of who took it by other commands, or has not been told its fence yet. */
export interface Holder {
  readonly client: string | null;
  readonly fence: number | null;
}

/** It is not held by who asked. */
export interface NotHeld {
  kind: 'not-held';
  /** In milliseconds, until it is free; 0: it is; -1: never by itself. */
  ttlMs: number;
  /** Some of those who hold it, the latest first. */
  holders: readonly Holder[];
}

export type ReleaseOutcome = { kind: 'released' } | NotHeld | Undecided;
export type ExtendOutcome = { kind: 'extended'; validityMs: number } | NotHeld | Undecided;

/** `holders`: how many held it. */
export type BreakOutcome = { kind: 'broken'; holders: number } | Undecided;

/** `fence`: of who took it last; null: nobody has. */
export type InfoOutcome =
  /** `ttlMs`: as in NotHeld. The latest holder is last. */
  | { kind: 'held'; mode: LockMode; fence: number | null; holders: readonly (Holder & { readonly ttlMs: number })[] }
  | { kind: 'free'; fence: number | null }
  /** Nobody holds a majority: several try, or what is left of one runs out. */
  | { kind: 'split'; fence: number | null }
  | Undecided;

export interface Lock {
  /** A character a byte. */
  readonly name: string;
  /** Of its keyspace. */
  readonly ttlMaxMs: number;
  /** So many may hold it together. */
  readonly holdersMax: number;
  /** Who keeps it: two locks of one name are the same lock where that is the same. */
  readonly home: string;
  /**
   * Takes the lock, and waits for it for so long if others have it. What is returned ends that, once: `told` is told nothing any more, and what
   * was got is given back.
   */
  acquire(order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack;
  /** Has it held for so long from now on. */
  extend(token: string, ttlMs: number, told: (outcome: ExtendOutcome) => void): void;
  release(token: string, told: (outcome: ReleaseOutcome) => void): void;
  /** Frees it, whoever holds it. */
  break(told: (outcome: BreakOutcome) => void): void;
  look(told: (outcome: InfoOutcome) => void): void;
}
