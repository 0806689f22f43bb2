/** A clock that goes when a test says so. */
import type { Clock } from '../../src/base/clock.js';
import { Timers } from '../../src/base/timers.js';

export class FakeClock implements Clock {
  private readonly timers = new Timers();
  private ms = 1_000;

  nowMs(): number {
    return this.ms;
  }

  after(ms: number, work: () => void): () => void {
    const timer = this.timers.set(this.ms + Math.ceil(ms), work);
    return () => this.timers.cancel(timer);
  }

  /** Time goes on, and whatever is due is done in time. */
  pass(ms: number): void {
    for (const end = this.ms + ms; this.ms < end; ) {
      this.ms++;
      this.timers.fire(this.ms);
    }
  }

  /** The process stands still meanwhile: nothing is done. */
  stand(ms: number): void {
    this.ms += ms;
  }
}
