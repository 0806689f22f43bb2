/**
 * One lock, whoever keeps it: what LOCK commands, and all that stands on them, know of a lock. `told` is called once, never within the call
 * but for `acquire`'s.
 */
import type { FenceRegister } from './fence.js';

export type LockMode =
  | { readonly kind: 'exclusive' }
  /** By as many as want it, while nobody has it in another mode. */
  | { readonly kind: 'shared' }
  /** By so many, who all say the same number. */
  | { readonly kind: 'limit'; readonly max: number };

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

export type AcquireOutcome =
  /** `validityMs`: from now on; `giveBack`: it is nobody's after all, unless its token has been granted again since. */
  | { kind: 'granted'; fence: number; validityMs: number; giveBack: () => void }
  /** Its time is over, and others have the lock. */
  | { kind: 'out-of-time' }
  /** So many wait for it. */
  | { kind: 'crowded'; max: number }
  /** It took longer than it would have been held for. */
  | { kind: 'late' }
  | NoQuorum;

/** `quarantinedMs`: when the first of the nodes counts that may have forgotten, null where there is none; `error`: of a node that could not. */
export interface NoQuorum {
  kind: 'no-quorum';
  quarantinedMs: number | null;
  error: Uint8Array | null;
}

/** A majority did not say the same. */
export type Undecided =
  /** Nothing has come of it. `error`: of a node that could not. */
  | { kind: 'no-quorum'; error: Uint8Array | null }
  /** It may have been carried out. */
  | { kind: 'unknown' };

/** Who else holds a lock: for how long, as in NotHeld, and by which register, if it is known. */
export interface Holder {
  ttlMs: number;
  register: FenceRegister | null;
}

export type ReleaseOutcome = { kind: 'released' } | { kind: 'not-held'; holder: Holder } | Undecided;
export type ExtendOutcome = { kind: 'extended'; validityMs: number } | { kind: 'not-held'; holder: Holder } | Undecided;

export type InfoOutcome =
  | { kind: 'held'; holder: Holder }
  /** `last`: of who had it last. */
  | { kind: 'free'; last: FenceRegister | null }
  /** Nobody holds a majority: several try, or what is left of one runs out. */
  | { kind: 'split'; last: FenceRegister | null }
  | Undecided;

export interface Lock {
  /** A character a byte. */
  readonly name: string;
  /** Of its keyspace. */
  readonly ttlMaxMs: number;
  /**
   * Takes the lock, and waits for it for so long if others have it. What is returned ends that: `told` is told nothing any more, and what was
   * got is given back.
   */
  acquire(order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): () => void;
  /** Has it held for so long from now on. */
  extend(token: string, ttlMs: number, told: (outcome: ExtendOutcome) => void): void;
  release(token: string, told: (outcome: ReleaseOutcome) => void): void;
  look(told: (outcome: InfoOutcome) => void): void;
}
