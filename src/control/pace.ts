/** The pace of work that goes on by itself: nodes are to have time for clients. */

/** A key that is only looked at costs so much less than one whose value is read or copied. */
export const LOOKED_AT_WEIGHT = 0.1;

/** Of what is large so many bytes count as a key. */
const KEY_BYTES = 1024;

export function bytesAsKeys(bytes: number): number {
  return bytes / KEY_BYTES;
}

/** As much of the time that work took longer than it might have, milliseconds, may be made up for: what timers are late by. */
const CREDIT_MS = 100;

export class Pace {
  private readonly perSecond: number;
  private readonly now: () => number;
  /** When all that was done so far was due, and when the work went on after that. */
  private dueMs: number;
  private begunMs: number;

  /** `now`: milliseconds that never go back. */
  constructor(perSecond: number, now: () => number = () => performance.now()) {
    this.perSecond = perSecond;
    this.now = now;
    this.dueMs = now();
    this.begunMs = this.dueMs;
  }

  /** So much more was done. Returns how long to wait before the next, milliseconds: 0 or less for not at all. */
  note(work: number): number {
    // Whoever had to wait for a slow node does not run without a pace afterwards.
    this.dueMs = Math.max(this.dueMs, this.begunMs - CREDIT_MS) + (work / this.perSecond) * 1000;
    const nowMs = this.now();
    this.begunMs = Math.max(this.dueMs, nowMs);
    return this.dueMs - nowMs;
  }
}
