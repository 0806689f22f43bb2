/** LOCK.LIST: finds the names of locks, and then asks of each who holds it, so many at a time. */
import type { Lock, Undecided } from '../lock/lock.js';
import type { RedlockProvider } from '../lock/redlock-provider.js';
import { type FoundLock, isUndecided } from './lock-replies.js';
import type { Service } from './service.js';

export type ListOutcome =
  /** Those that somebody holds, by name. */
  | { kind: 'listed'; locks: readonly FoundLock[] }
  | { kind: 'too-many' }
  /** Of finding them, or of asking for one of them. */
  | Undecided;

/** Locks that are asked for at the same time. */
const LOOKS_MAX = 64;

/** `pattern`: as KEYS has it; `max`: names that fit it; `isWanted`: whether somebody waits for it still. `told` is called once, never within the call. */
export function listLocks(
  provider: RedlockProvider,
  service: Service,
  { pattern, max, isWanted }: { pattern: string; max: number; isWanted: () => boolean },
  told: (outcome: ListOutcome) => void,
): void {
  const setsOf = (name: Uint8Array) => service.lockSetsOf(name, 0, name.length);
  const lockOf = (name: string) => {
    const bytes = Buffer.from(name, 'latin1');
    const sets = setsOf(bytes);
    return sets === null ? [] : provider.lockOf(sets, bytes, 0, bytes.length);
  };
  const isLock = (name: string) => setsOf(Buffer.from(name, 'latin1')) !== null;
  const wanted = { ttlMaxMs: service.lockTtlMaxMs, pattern, max, isLock };
  provider.names(service.lockSetsOfNodes, wanted, (found) => {
    if (found.kind !== 'names') {
      told(found);
      return;
    }
    const locks = [...found.names].sort().flatMap((name) => lockOf(name));
    new Looks(locks, isWanted, told).go();
  });
}

class Looks {
  private readonly locks: readonly Lock[];
  private readonly isWanted: () => boolean;
  private readonly told: (outcome: ListOutcome) => void;
  /** By their places; null: it is free. */
  private readonly found: (FoundLock | null)[] = [];
  private asked = 0;
  private answered = 0;
  private isOver = false;

  constructor(locks: readonly Lock[], isWanted: () => boolean, told: (outcome: ListOutcome) => void) {
    this.locks = locks;
    this.isWanted = isWanted;
    this.told = told;
  }

  go(): void {
    if (this.answered === this.locks.length || !this.isWanted()) {
      this.end({ kind: 'listed', locks: this.found.filter((lock) => lock !== null) });
      return;
    }
    while (this.asked < this.locks.length && this.asked - this.answered < LOOKS_MAX) {
      const place = this.asked++;
      const lock = this.locks[place] as Lock;
      lock.look((outcome) => {
        if (this.isOver) return;
        this.answered++;
        if (isUndecided(outcome)) {
          this.end(outcome);
          return;
        }
        this.found[place] = outcome.kind === 'free' ? null : { name: lock.name, outcome };
        this.go();
      });
    }
  }

  private end(outcome: ListOutcome): void {
    this.isOver = true;
    this.told(outcome);
  }
}
