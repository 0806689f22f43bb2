/**
 * One lock that somebody holds for longer than its ttl: extended again and again, until it is let go, or lost.
 *
 *   kept --let go--> over
 *    │ └── a third of the ttl has gone --> extended
 *    └── it is not held, or its time is over before a majority has said that it was extended --> lost
 *
 * Invariant: what is not lost is held, by the clock of who keeps it, for `EARLY_MS` more. A clock that has stood still is seen by whoever
 * asks (`look`) before it does something that others take for a sign that the lock is held.
 */
import type { Clock } from '../base/clock.js';
import type { ExtendOutcome, Lock } from './lock.js';
import { validityMs } from './redlock.js';

/** Timers come late by a turn and what times are rounded by: it is over so much earlier. */
export const EARLY_MS = 10;
/** Of the ttl: between extensions, and after one that came to nothing. */
const EXTEND_SHARE = 1 / 3;
const RETRY_SHARE = 1 / 10;
/** After one that came to nothing, or is to change the ttl, no more than EXTEND_SHARE of what is left goes by; or that, where little is left. */
const RETRY_MS_MIN = 50;

export class KeptLock {
  readonly lock: Lock;
  /** A character a byte. */
  readonly token: string;
  private ttlMs: number;
  private readonly clock: Clock;
  private readonly onLost: (reason: string) => void;
  private validUntilMs: number;
  /** When it is extended next. */
  private nextMs: number;
  private callOff: () => void = () => {};
  /** Extensions, and the last of them that was answered: of one that was overtaken nothing is to be known. */
  private asked = 0;
  private answered = 0;
  private isOver = false;

  /** It was granted for `ttlMs`, and is valid for `leftMs` from now on. `onLost` is told once, never within a call but `look`. */
  constructor(
    lock: Lock,
    { token, ttlMs }: { token: string; ttlMs: number },
    leftMs: number,
    clock: Clock,
    onLost: (reason: string) => void,
  ) {
    this.lock = lock;
    this.token = token;
    this.ttlMs = ttlMs;
    this.clock = clock;
    this.onLost = onLost;
    this.validUntilMs = clock.nowMs() + leftMs;
    this.nextMs = this.validUntilMs - ttlMs * (1 - EXTEND_SHARE);
    this.arm();
  }

  /** Extended by its holder, for that time, which it has from then on. */
  extend(ttlMs: number, told: (outcome: ExtendOutcome) => void): void {
    const nowMs = this.clock.nowMs();
    this.ttlMs = ttlMs;
    // It may be a shorter time than it has, and begin at once.
    this.validUntilMs = Math.min(this.validUntilMs, nowMs + validityMs(ttlMs, nowMs, nowMs));
    // What was asked for before, for longer maybe, is over at the nodes when they hear of this.
    this.answered = this.asked;
    this.ask(nowMs, told);
    this.hurry(nowMs);
    this.arm();
  }

  /** Looks at the clock now. */
  look(): void {
    if (!this.isOver && this.clock.nowMs() + EARLY_MS >= this.validUntilMs)
      this.lose('its time was over before a majority of its nodes had extended it');
  }

  /** Nobody extends it any more. */
  letGo(): void {
    this.isOver = true;
    this.callOff();
  }

  private ask(nowMs: number, told: (outcome: ExtendOutcome) => void): void {
    const number = ++this.asked;
    this.nextMs = nowMs + this.ttlMs * EXTEND_SHARE;
    this.lock.extend(this.token, this.ttlMs, (outcome) => {
      told(outcome);
      if (!this.isOver && number > this.answered) this.onOutcome(number, nowMs, outcome);
    });
  }

  private onOutcome(number: number, askedMs: number, outcome: ExtendOutcome): void {
    this.answered = number;
    const nowMs = this.clock.nowMs();
    if (outcome.kind === 'not-held') {
      this.lose('it is not held by its token any more');
      return;
    }
    if (outcome.kind === 'extended') {
      // What was asked for then is over by then, however long who was told stood still before he looked at the clock.
      this.validUntilMs = Math.min(nowMs + outcome.validityMs, askedMs + validityMs(this.ttlMs, askedMs, askedMs));
      if (number === this.asked) this.nextMs = askedMs + this.ttlMs * EXTEND_SHARE;
    } else {
      this.nextMs = Math.min(this.nextMs, nowMs + this.ttlMs * RETRY_SHARE);
      this.hurry(nowMs);
    }
    this.arm();
  }

  /** What is left may be of a shorter ttl than is asked for now: there is to be time for another extension, and one more. */
  private hurry(nowMs: number): void {
    const soonMs = Math.max(RETRY_MS_MIN, (this.validUntilMs - nowMs) * EXTEND_SHARE);
    this.nextMs = Math.min(this.nextMs, nowMs + soonMs);
  }

  private arm(): void {
    this.callOff();
    const dueMs = Math.min(this.nextMs, this.validUntilMs - EARLY_MS);
    this.callOff = this.clock.after(Math.max(0, dueMs - this.clock.nowMs()), () => {
      this.look();
      if (this.isOver) return;
      const nowMs = this.clock.nowMs();
      // It may have been called a little early.
      if (nowMs >= this.nextMs) this.ask(nowMs, () => {});
      this.arm();
    });
  }

  /** It is not believed any more. */
  lose(reason: string): void {
    this.letGo();
    this.onLost(reason);
  }
}
