/**
 * Those of one process who want the same lock, in the order in which they asked: only the first tries. It tries again when something of the
 * lock is seen to change, or the time of who holds it is over; nobody asks again and again.
 *
 *   join -> [first, …] -- attempt --> granted: the next one is first
 *             ^   └── held: waits ──┐
 *             └── woken, or time ───┘
 */
import type { Clock } from '../base/clock.js';
import { isBefore } from '../base/lock-turns.js';
import type { Attempted, LockWish, Told } from './lock-outcomes.js';

/** Ends a wish, and tells `done` once when what it has got is given back, or cannot be; maybe within the call. */
export type EndWish = (done: () => void) => void;

/** What a line stands on. */
export interface LineLocks {
  readonly clock: Clock;
  /** Tries once. `isWanted`: still. Never rejects. */
  attempt(name: string, wish: LockWish, isWanted: () => boolean): Promise<Attempted>;
  /** Frees what was granted by that id. Never rejects. */
  giveBack(name: string, id: string): Promise<void>;
  /** Until what could not be done is tried again. */
  retryMs(): number;
  /** Nobody stands in that line. */
  drop(name: string, line: LockLine): void;
}

export class LockLine {
  private readonly locks: LineLocks;
  private readonly name: string;
  private readonly wishes: Waiting[] = [];
  /** Whose attempt is under way. */
  private trying: Waiting | null = null;
  /** Something was seen while the first was trying. */
  private wasWoken = false;
  private callOff = () => {};

  constructor(locks: LineLocks, name: string) {
    this.locks = locks;
    this.name = name;
  }

  /** See StoreLocks.acquire: `told` is called once, maybe at once; not any more after what is returned was. */
  join(wish: LockWish, told: (outcome: Told) => void): EndWish {
    const mayWait = wish.waitMs > 0;
    const [first] = this.wishes;
    // The first has seen that others have it, or that the store cannot be asked, and waits.
    if (!mayWait && first !== undefined && this.trying === null) {
      told(first.trouble ?? { kind: 'out-of-time' });
      return (done) => done();
    }
    if (this.wishes.length >= wish.queueMax) {
      told({ kind: 'crowded', max: wish.queueMax });
      return (done) => done();
    }
    const waiting: Waiting = {
      wish,
      told,
      mayWait,
      isLast: false,
      isGone: false,
      onGivenBack: () => {},
      trouble: null,
      callOffEnd: () => {},
    };
    if (mayWait) waiting.callOffEnd = this.locks.clock.after(wish.waitMs, () => this.onTimeOver(waiting));
    this.wishes.splice(this.placeOf(wish.ticket), 0, waiting);
    if (this.wishes[0] === waiting) void this.attempt();
    return (done) => this.leave(waiting, done);
  }

  /** Behind those who asked before, which may be heard of later; and behind whose attempt is under way. */
  private placeOf(ticket: number): number {
    const { wishes, trying } = this;
    const isBehind = (other: Waiting) => other === trying || !isBefore(ticket, other.wish.ticket);
    return wishes.findLastIndex(isBehind) + 1;
  }

  /** Something of the lock has changed. */
  wake(): void {
    if (this.trying !== null) this.wasWoken = true;
    else void this.attempt();
  }

  /** Nobody is told anything any more. */
  end(): void {
    this.callOff();
    for (const waiting of this.wishes) waiting.callOffEnd();
    this.wishes.length = 0;
  }

  private async attempt(): Promise<void> {
    const [first] = this.wishes;
    if (first === undefined || this.trying !== null) return;
    this.callOff();
    this.trying = first;
    this.wasWoken = false;
    const attempted = await this.locks.attempt(this.name, first.wish, () => !first.isGone);
    this.trying = null;
    if (first.isGone) {
      if (attempted.kind === 'granted') void this.locks.giveBack(this.name, attempted.id).then(first.onGivenBack);
      else first.onGivenBack();
    } else if (this.onAttempted(first, attempted)) return;
    this.goOn();
  }

  /** True: it goes on waiting. */
  private onAttempted(first: Waiting, attempted: Attempted): boolean {
    first.trouble = null;
    switch (attempted.kind) {
      case 'granted':
      case 'late':
        this.finish(first, attempted);
        return false;
      case 'held':
        if (!first.mayWait || first.isLast) {
          this.finish(first, { kind: 'out-of-time' });
          return false;
        }
        this.refuseImpatient({ kind: 'out-of-time' });
        this.tryAt(attempted.untilMs);
        return true;
      case 'trouble':
        if (!first.mayWait || first.isLast) {
          this.finish(first, attempted);
          return false;
        }
        first.trouble = attempted;
        this.refuseImpatient(attempted);
        this.tryAt(this.locks.clock.nowMs() + this.locks.retryMs());
        return true;
    }
  }

  /** The next one is first. */
  private goOn(): void {
    if (this.wishes.length === 0) this.locks.drop(this.name, this);
    else void this.attempt();
  }

  /** Who does not wait, and has come while the first was trying, has heard the same by that. */
  private refuseImpatient(outcome: Told): void {
    for (const waiting of this.wishes.slice(1)) if (!waiting.mayWait) this.finish(waiting, outcome);
  }

  private tryAt(timeMs: number): void {
    if (this.wasWoken) {
      void this.attempt();
      return;
    }
    const { clock } = this.locks;
    this.callOff = clock.after(Math.max(0, timeMs - clock.nowMs()), () => {
      // It may have been called a little early.
      if (clock.nowMs() < timeMs) this.tryAt(timeMs);
      else void this.attempt();
    });
  }

  private onTimeOver(waiting: Waiting): void {
    const isFirst = this.wishes[0] === waiting;
    // What is under way may get it, and has its own time.
    if (isFirst && this.trying !== null) {
      waiting.isLast = true;
      return;
    }
    this.finish(waiting, waiting.trouble ?? { kind: 'out-of-time' });
    if (isFirst) this.goOn();
  }

  /** Nobody wants to be told. */
  private leave(waiting: Waiting, done: () => void): void {
    const isFirst = this.wishes[0] === waiting;
    if (this.trying !== waiting) done();
    if (!this.wishes.includes(waiting)) return;
    waiting.isGone = true;
    waiting.onGivenBack = done;
    this.remove(waiting);
    // Else the attempt under way ends first.
    if (isFirst && this.trying === null) this.goOn();
  }

  private finish(waiting: Waiting, outcome: Told): void {
    this.remove(waiting);
    waiting.told(outcome);
  }

  private remove(waiting: Waiting): void {
    waiting.callOffEnd();
    const at = this.wishes.indexOf(waiting);
    if (at >= 0) this.wishes.splice(at, 1);
    if (at === 0 && this.trying === null) this.callOff();
  }
}

/** Somebody who wants the lock. */
interface Waiting {
  readonly wish: LockWish;
  readonly told: (outcome: Told) => void;
  readonly mayWait: boolean;
  /** The attempt under way is its last. */
  isLast: boolean;
  isGone: boolean;
  /** Of who is gone, when what the attempt under way has got is given back. */
  onGivenBack: () => void;
  /** Why its last attempt came to nothing, where that is not that others have the lock. */
  trouble: Extract<Told, { kind: 'trouble' }> | null;
  callOffEnd: () => void;
}
