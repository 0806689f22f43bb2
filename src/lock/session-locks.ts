/**
 * Locks that are held for as long as a client is connected (SESSION): kept for it here, and given back when it has gone. One that is lost
 * ends its connection, since "connected" is what the client takes for "held".
 */
import type { Clock } from '../base/clock.js';
import { showBytes } from '../base/errors.js';
import { KeptLock } from './kept-lock.js';
import type { AcquireOutcome, GiveBack, Lock } from './lock.js';

export type Granted = Extract<AcquireOutcome, { kind: 'granted' }>;

export interface SessionLocksContext {
  /** Its `nowMs` does not stand still within a turn. */
  clock: Clock;
  limits: { sessionLocksMax: number };
  counts: { sessionLocksHeld: number; sessionLocksLost: number; sessionLocksRefused: number };
}

/** A stopping worker waits so long for nodes to say that they have freed a lock. */
const RELEASE_MS_MAX = 1000;

/** Those of one worker. */
export class SessionLockKeeper {
  readonly context: SessionLocksContext;
  private readonly open = new Set<SessionLocks>();
  /** What was given back, and nodes have not said yet to be free. */
  private releasing = 0;
  private onReleased: (() => void) | null = null;

  constructor(context: SessionLocksContext) {
    this.context = context;
  }

  get isIdle(): boolean {
    return this.open.size === 0;
  }

  /** For a client whose connection `onLost` closes, and to whom another lock has that name now where `isMoved`. */
  begin(onLost: (reason: string) => void, isMoved: (lock: Lock) => boolean): SessionLocks {
    const locks = new SessionLocks(this, onLost, isMoved);
    this.open.add(locks);
    return locks;
  }

  /** Looks at the clock: who has lost a lock is told, before anything else is said to it. */
  look(): void {
    for (const locks of this.open) locks.look();
  }

  /** The topology is another one: who asks for some locks now may ask others than those that keep them. */
  loseMoved(): void {
    for (const locks of [...this.open]) locks.loseMoved();
  }

  /** Calls `done` when nothing is being released any more, after a while in any case. Nothing is kept from then on. */
  whenReleased(done: () => void): void {
    if (this.releasing === 0) {
      done();
      return;
    }
    const end = () => {
      callOff();
      this.onReleased = null;
      done();
    };
    const callOff = this.context.clock.after(RELEASE_MS_MAX, end);
    this.onReleased = end;
  }

  /** Of `SessionLocks` alone. */
  forget(locks: SessionLocks): void {
    this.open.delete(locks);
  }

  /** Whatever clients do not have after all, or no longer, is given back by this: a worker that stops waits for it. */
  giveBack(giveBack: GiveBack): void {
    this.releasing++;
    giveBack(() => {
      this.releasing--;
      if (this.releasing === 0) this.onReleased?.();
    });
  }
}

interface Entry {
  kept: KeptLock;
  granted: Granted;
}

/** Those of one client. */
export class SessionLocks {
  private readonly keeper: SessionLockKeeper;
  private readonly onLost: (reason: string) => void;
  private readonly isMoved: (lock: Lock) => boolean;
  private readonly entries: Entry[] = [];
  /** Asked for, and not granted yet. */
  private reserved = 0;

  constructor(keeper: SessionLockKeeper, onLost: (reason: string) => void, isMoved: (lock: Lock) => boolean) {
    this.keeper = keeper;
    this.onLost = onLost;
    this.isMoved = isMoved;
  }

  /** Room for that many more; it ends with `unreserve`. False: there is none. */
  reserve(count: number): boolean {
    const { limits, counts } = this.keeper.context;
    if (this.entries.length + this.reserved + count > limits.sessionLocksMax) {
      counts.sessionLocksRefused++;
      return false;
    }
    this.reserved += count;
    return true;
  }

  unreserve(count: number): void {
    this.reserved -= count;
  }

  /** What was granted just now is held until the client has gone. Whatever it had by this token before it has no more. */
  keep(lock: Lock, order: { token: string; ttlMs: number }, granted: Granted): void {
    const { clock, counts } = this.keeper.context;
    this.drop(lock.name, order.token);
    const kept = new KeptLock(lock, order, granted.validityMs, clock, (reason) => {
      counts.sessionLocksLost++;
      this.drop(lock.name, order.token);
      // Where some nodes have it still.
      this.keeper.giveBack(granted.giveBack);
      this.onLost(`it cannot be known any more to hold the lock ${shown(lock.name)}: ${reason}`);
    });
    this.entries.push({ kept, granted });
    counts.sessionLocksHeld++;
  }

  /** The lock of that name that is held by that token; null: it is none of these. */
  find(name: string, token: string): KeptLock | null {
    return this.entries[this.indexOf(name, token)]?.kept ?? null;
  }

  /** Its holder releases it, or has lost it. */
  drop(name: string, token: string): void {
    const index = this.indexOf(name, token);
    if (index < 0) return;
    this.entries[index]?.kept.letGo();
    this.entries.splice(index, 1);
    this.keeper.context.counts.sessionLocksHeld--;
  }

  look(): void {
    for (const { kept } of [...this.entries]) kept.look();
  }

  loseMoved(): void {
    for (const { kept } of [...this.entries])
      if (this.isMoved(kept.lock)) kept.lose('it is on other nodes by the configuration that was loaded');
  }

  /** The client has gone. */
  end(): void {
    for (const { kept, granted } of this.entries) {
      kept.letGo();
      this.keeper.giveBack(granted.giveBack);
    }
    this.keeper.context.counts.sessionLocksHeld -= this.entries.length;
    this.entries.length = 0;
    this.keeper.forget(this);
  }

  private indexOf(name: string, token: string): number {
    return this.entries.findIndex(({ kept }) => kept.token === token && kept.lock.name === name);
  }
}

function shown(name: string): string {
  return showBytes(Buffer.from(name, 'latin1'), 0, name.length);
}
