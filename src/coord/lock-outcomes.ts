/** What is asked of locks on the store, and what comes of it. */
import type { LockClaim, LockEntry, LockHolder } from './lock-entry.js';

export interface LockWish extends Omit<LockClaim, 'id'> {
  /** 0: only if nobody has it. */
  readonly waitMs: number;
  /** So many may want this lock at a time. */
  readonly queueMax: number;
  /** By which it is known who of the process asked first: see LockTurns. */
  readonly ticket: number;
}

/** `isUnknown`: it may have been done. */
export interface Trouble {
  readonly kind: 'trouble';
  readonly isUnknown: boolean;
  readonly reason: string;
}

/** `id`: what it is given back by. `untilMs`: by the clock of the store. */
export interface GrantedLock {
  readonly kind: 'granted';
  readonly id: string;
  readonly fence: number;
  readonly untilMs: number;
}

export type Told =
  | GrantedLock
  | { kind: 'out-of-time' }
  | { kind: 'crowded'; max: number }
  | { kind: 'late' }
  | Trouble;

/** `untilMs`: when the first of those who have it is over. */
export type Attempted = GrantedLock | { kind: 'held'; untilMs: number } | { kind: 'late' } | Trouble;

/** Who holds it, the latest last, for so many milliseconds more. */
export interface LockView {
  readonly entry: LockEntry | null;
  readonly holders: readonly (LockHolder & { readonly leftMs: number })[];
}

export interface NotHeldLock {
  readonly kind: 'not-held';
  readonly view: LockView;
}
