/**
 * When requests are to be sent, whatever becomes of those before. The distance between two is the same, or exponentially
 * distributed (a Poisson process: what many clients that know nothing of each other do together).
 */
export class Schedule {
  /** When the next one is due, in µs. */
  nextUs: number;
  private readonly startUs: number;
  private readonly gapUs: number;
  private readonly draw: (() => number) | null;
  private taken = 0;

  /** `draw` returns numbers in [0, 1) for a Poisson process; null: even distances. */
  constructor(startUs: number, ratePerSecond: number, draw: (() => number) | null) {
    this.startUs = startUs;
    this.gapUs = 1e6 / ratePerSecond;
    this.draw = draw;
    this.nextUs = startUs;
  }

  /** Takes the next one: when it is due, as whole µs. */
  take(): number {
    const due = Math.round(this.nextUs);
    this.taken++;
    // From the start, so that no error of rounding adds up.
    if (this.draw === null) this.nextUs = this.startUs + this.taken * this.gapUs;
    else this.nextUs -= Math.log(1 - this.draw()) * this.gapUs;
    return due;
  }
}
