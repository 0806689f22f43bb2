/** Asks when a schedule says so, each time by the next connection: a late reply keeps no request from being sent. */
import type { Schedule } from './schedule.js';

export interface Asker {
  ask(dueUs: number, nowUs: number): void;
}

export class OpenLoop {
  private readonly schedule: Schedule;
  private readonly untilUs: number;
  private readonly askers: readonly Asker[];
  private turn = 0;

  /** What is due from `untilUs` on is not asked. */
  constructor(schedule: Schedule, untilUs: number, askers: readonly Asker[]) {
    this.schedule = schedule;
    this.untilUs = untilUs;
    this.askers = askers;
  }

  /** When it has to be called next; Infinity when all has been asked. */
  get nextUs(): number {
    return this.schedule.nextUs < this.untilUs ? this.schedule.nextUs : Number.POSITIVE_INFINITY;
  }

  /** Asks all that is due. */
  pump(nowUs: number): void {
    while (this.nextUs <= nowUs) {
      const asker = this.askers[this.turn] as Asker;
      this.turn = (this.turn + 1) % this.askers.length;
      asker.ask(this.schedule.take(), nowUs);
    }
  }
}
