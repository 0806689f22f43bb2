/**
 * How long the commands took that the proxy answers itself, as Redis's LATENCY HISTOGRAM has it: calls by powers of two of microseconds, in
 * memory that all workers share. Each worker counts in a row of its own; CONFIG RESETSTAT has all begin anew, and one call that ends
 * at that moment may be counted before or after.
 */

/** The bounds that Redis shows, in microseconds, each the largest value of its bucket. */
export const TIME_BOUNDS: readonly number[] = [
  1, 2, 4, 8, 16, 33, 66, 132, 264, 528, 1056, 2113, 4227, 8454, 16908, 33816, 67633, 135266, 270532, 541065, 1082130,
];

/** Memory for the times of `commands` commands in `workers` workers. */
export function commandTimesMemory(workers: number, commands: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * commands * TIME_BOUNDS.length * Uint32Array.BYTES_PER_ELEMENT);
}

/** The times as one worker sees them. */
export class CommandTimes {
  private readonly counts: Uint32Array;
  private readonly rowLength: number;
  private readonly own: number;

  constructor(memory: SharedArrayBuffer, worker: number, commands: number) {
    this.counts = new Uint32Array(memory);
    this.rowLength = commands * TIME_BOUNDS.length;
    this.own = worker * this.rowLength;
  }

  /** Command number `command` took so long. */
  add(command: number, ms: number): void {
    const microseconds = ms * 1000;
    let bucket = 0;
    while (bucket < TIME_BOUNDS.length - 1 && microseconds > (TIME_BOUNDS[bucket] as number)) bucket++;
    const at = this.own + command * TIME_BOUNDS.length + bucket;
    this.counts[at] = (this.counts[at] as number) + 1;
  }

  /** The calls of command number `command` in all workers that took no longer than each bound; null where there were none. */
  cumulative(command: number): readonly (readonly [bound: number, calls: number])[] | null {
    const pairs: [number, number][] = [];
    let total = 0;
    for (const [bucket, bound] of TIME_BOUNDS.entries()) {
      const before = total;
      for (let row = 0; row < this.counts.length; row += this.rowLength)
        total += this.counts[row + command * TIME_BOUNDS.length + bucket] as number;
      if (total > before) pairs.push([bound, total]);
    }
    return total === 0 ? null : pairs;
  }

  /** All workers begin anew. */
  reset(): void {
    this.counts.fill(0);
  }
}
