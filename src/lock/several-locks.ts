/**
 * Several locks at once: all of them, or none. They are taken one after the other in the order of their names, which is the same for all who
 * want some of them: so nobody waits for who waits for him.
 *
 *   taking a ──> keeping a, taking b ──> keeping a and b, taking c ──> all are extended ──> granted
 *      └────────────┴──────────────────────────┴── not got, lost, given up ──> what was got is given back
 *
 * What is got is kept (kept-lock) while the next is waited for. The last extension makes of the times that are left one that all have at least.
 */
import type { Clock } from '../base/clock.js';
import { KeptLock } from './kept-lock.js';
import type { AcquireOutcome, ExtendOutcome, GiveBack, Lock, LockOrder } from './lock.js';
import type { Granted } from './session-locks.js';

export type SeveralOutcome =
  /** `granted`: of each lock, in the order in which they were given; `validityMs`: of all, from now on. */
  | { kind: 'granted'; granted: readonly Granted[]; validityMs: number }
  /** One that was got was lost again before the last was. */
  | { kind: 'lost'; name: string }
  | Exclude<AcquireOutcome, Granted>;

export interface SeveralLocksContext {
  clock: Clock;
  /** Gives back by that what is not had after all. */
  giveBack: (giveBack: GiveBack) => void;
}

interface Taken {
  lock: Lock;
  granted: Granted;
  kept: KeptLock;
}

/**
 * Takes the locks, which have different names, and waits so long for them if others have them. `told` is called once, maybe within the call; what
 * is returned ends that: `told` is told nothing any more, and what was got is given back.
 */
export function acquireSeveral(
  locks: readonly Lock[],
  order: LockOrder,
  waitMs: number,
  context: SeveralLocksContext,
  told: (outcome: SeveralOutcome) => void,
): () => void {
  const several = new SeveralLocks(locks, order, context.clock.nowMs() + waitMs, context, told);
  several.takeNext();
  return () => several.cancel();
}

class SeveralLocks {
  private readonly locks: readonly Lock[];
  /** As they are taken. A character of a name is a byte. */
  private readonly sorted: readonly Lock[];
  private readonly order: LockOrder;
  private readonly deadlineMs: number;
  private readonly clock: Clock;
  private readonly giveBack: SeveralLocksContext['giveBack'];
  private readonly told: (outcome: SeveralOutcome) => void;
  private readonly taken: Taken[] = [];
  private giveUp: GiveBack | null = null;
  private isOver = false;

  constructor(
    locks: readonly Lock[],
    order: LockOrder,
    deadlineMs: number,
    { clock, giveBack }: SeveralLocksContext,
    told: (outcome: SeveralOutcome) => void,
  ) {
    this.locks = locks;
    this.sorted = locks.toSorted((one, other) => (one.name < other.name ? -1 : 1));
    this.order = order;
    this.deadlineMs = deadlineMs;
    this.clock = clock;
    this.giveBack = giveBack;
    this.told = told;
  }

  takeNext(): void {
    const lock = this.sorted[this.taken.length];
    if (lock === undefined) {
      this.extendAll();
      return;
    }
    const waitMs = Math.max(0, Math.floor(this.deadlineMs - this.clock.nowMs()));
    let isTold = false;
    const giveUp = lock.acquire(this.order, waitMs, (outcome) => {
      isTold = true;
      this.giveUp = null;
      this.onOutcome(lock, outcome);
    });
    if (!isTold) this.giveUp = giveUp;
  }

  cancel(): void {
    if (this.isOver) return;
    this.isOver = true;
    if (this.giveUp !== null) this.giveBack(this.giveUp);
    for (const { kept, granted } of this.taken) {
      kept.letGo();
      this.giveBack(granted.giveBack);
    }
  }

  private onOutcome(lock: Lock, outcome: AcquireOutcome): void {
    if (outcome.kind !== 'granted') {
      this.fail(outcome);
      return;
    }
    const { clock, order } = this;
    const kept = new KeptLock(lock, order, outcome.validityMs, clock, () =>
      this.fail({ kind: 'lost', name: lock.name }),
    );
    this.taken.push({ lock, granted: outcome, kept });
    this.takeNext();
  }

  /** Once for all of them: each has its own time from when it was asked for. */
  private extendAll(): void {
    const { clock, order, taken } = this;
    let left = taken.length;
    let validUntilMs = Number.POSITIVE_INFINITY;
    for (const { lock, kept } of taken) {
      kept.extend(order.ttlMs, (outcome) => {
        if (this.isOver) return;
        if (outcome.kind !== 'extended') {
          this.fail(failureOf(outcome, lock));
          return;
        }
        validUntilMs = Math.min(validUntilMs, clock.nowMs() + outcome.validityMs);
        left--;
        if (left === 0) this.grant(Math.floor(validUntilMs - clock.nowMs()));
      });
    }
  }

  private grant(validityMs: number): void {
    if (validityMs <= 0) {
      this.fail({ kind: 'late' });
      return;
    }
    this.isOver = true;
    const byLock = new Map(this.taken.map(({ lock, granted }) => [lock, granted]));
    for (const { kept } of this.taken) kept.letGo();
    this.told({ kind: 'granted', granted: this.locks.map((lock) => byLock.get(lock) as Granted), validityMs });
  }

  private fail(outcome: Exclude<SeveralOutcome, { kind: 'granted' }>): void {
    if (this.isOver) return;
    this.cancel();
    this.told(outcome);
  }
}

function failureOf(
  outcome: Exclude<ExtendOutcome, { kind: 'extended' }>,
  { name }: Lock,
): Exclude<SeveralOutcome, { kind: 'granted' }> {
  if (outcome.kind === 'not-held') return { kind: 'lost', name };
  return outcome.kind === 'unknown' ? { kind: 'late' } : outcome;
}
