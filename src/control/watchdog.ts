/**
 * Which workers have stopped taking turns (an endless loop, in the main), decided by how often each has beaten at every look.
 *
 * It counts looks and not time: when the whole process was stopped, or this thread was busy, the time until the next look says
 * nothing about a worker.
 */
export class Watchdog {
  /** By worker: the beats at the last look, and for how many looks in a row there were none. */
  private readonly beats = new Map<number, { count: number; silentLooks: number }>();

  /** A worker has been started with that index: it is watched from its start. */
  reset(index: number): void {
    this.beats.delete(index);
  }

  /**
   * One look at worker `index`, which has beaten `count` times. True once it has been silent for `looksMax` looks: the look at which
   * it was first seen, or seen to beat, is not one of them.
   */
  isStalled(index: number, count: number, looksMax: number): boolean {
    const before = this.beats.get(index);
    if (before === undefined || before.count !== count) {
      this.beats.set(index, { count, silentLooks: 0 });
      return false;
    }
    before.silentLooks++;
    return before.silentLooks >= looksMax;
  }
}
