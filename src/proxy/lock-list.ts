/**
 * LOCK.LIST: finds the names of locks on nodes, and then asks of each who holds it, so many at a time. The coordination store tells of those
 * that it keeps at once.
 */
import type { Lock, Undecided } from '../lock/lock.js';
import type { RedlockProvider } from '../lock/redlock-provider.js';
import type { StoreProvider } from '../lock/store-provider.js';
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

interface Wanted {
  /** As KEYS has it; and how many names may fit it. */
  readonly pattern: string;
  readonly max: number;
  /** Whether the name may be shown: others are as if they were not there. */
  isShown(name: string): boolean;
  /** Whether somebody waits for it still. */
  isWanted(): boolean;
}

interface Providers {
  readonly redlock: RedlockProvider;
  readonly store: StoreProvider;
}

/** `told` is called once, never within the call. */
export function listLocks(
  { redlock, store }: Providers,
  service: Service,
  wanted: Wanted,
  told: (outcome: ListOutcome) => void,
): void {
  if (!service.hasStoreLocks) {
    listOfNodes(redlock, service, wanted, told);
    return;
  }
  const isLock = (name: string) => service.storeLocksOf(Buffer.from(name, 'latin1'), 0, name.length) !== null;
  store.list(wanted.pattern, (stored) => {
    if (stored.kind !== 'listed') {
      told(stored);
      return;
    }
    const own = stored.locks.filter(({ name }) => isLock(name) && wanted.isShown(name));
    const join = (outcome: ListOutcome) => {
      if (outcome.kind !== 'listed') told(outcome);
      else if (own.length + outcome.locks.length > wanted.max) told({ kind: 'too-many' });
      else told({ kind: 'listed', locks: [...own, ...outcome.locks].sort(byName) });
    };
    if (service.hasLocks) listOfNodes(redlock, service, wanted, join);
    else join({ kind: 'listed', locks: [] });
  });
}

function byName(one: FoundLock, other: FoundLock): number {
  return one.name < other.name ? -1 : 1;
}

function listOfNodes(
  provider: RedlockProvider,
  service: Service,
  { pattern, max, isShown, isWanted }: Wanted,
  told: (outcome: ListOutcome) => void,
): void {
  const setsOf = (name: Uint8Array) => service.lockSetsOf(name, 0, name.length);
  const lockOf = (name: string) => {
    const bytes = Buffer.from(name, 'latin1');
    const sets = setsOf(bytes);
    return sets === null ? [] : provider.lockOf(sets, bytes, 0, bytes.length);
  };
  const isLock = (name: string) => isShown(name) && setsOf(Buffer.from(name, 'latin1')) !== null;
  const wanted = { ttlMaxMs: service.lockTtlMaxMs, pattern, max, isLock, isWanted };
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
