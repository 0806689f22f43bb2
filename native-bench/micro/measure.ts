/**
 * Times one synchronous piece of code, and counts what it allocates and what it keeps.
 *
 *   warm-up        the JIT settles: at least `warmUpMs` of work
 *   timed runs     `runs` times fn(), each for itself: best and median ns per operation
 *   counted run    fn() once more under V8's own GC log: bytes allocated per operation, exact even when it collects
 *   kept           heap in use after a full collection, less what it was before the timed runs
 *
 * The best run is the figure to compare on a shared machine: noise only ever adds time.
 */
import { GCProfiler, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

export interface Measurement {
  readonly name: string;
  readonly operationsPerRun: number;
  readonly runs: number;
  /** Nanoseconds per operation of the fastest run. */
  readonly bestNs: number;
  /** Nanoseconds per operation of the median run. */
  readonly medianNs: number;
  /** Bytes allocated on the JavaScript heap per operation, collected or not. Array buffers' contents are not in it. */
  readonly heapBytes: number;
  /** Bytes still in use after a full collection, per operation of all timed runs: a leak grows it, garbage does not. */
  readonly keptBytes: number;
}

export interface MeasureOptions {
  /** Timed runs; default 9. */
  readonly runs?: number;
  /** How long to repeat fn before anything is timed; default 300 ms. */
  readonly warmUpMs?: number;
}

/** Measures `fn`, which performs `operationsPerRun` operations whenever it is called, and prints one line of the table. */
export function measure(
  name: string,
  operationsPerRun: number,
  fn: () => void,
  options: MeasureOptions = {},
): Measurement {
  const runs = options.runs ?? 9;
  warmUp(fn, options.warmUpMs ?? 300);

  collect();
  const usedBefore = process.memoryUsage().heapUsed;
  const times = new Float64Array(runs);
  for (let run = 0; run < runs; run++) {
    const start = process.hrtime.bigint();
    fn();
    times[run] = Number(process.hrtime.bigint() - start) / operationsPerRun;
  }
  collect();
  const kept = process.memoryUsage().heapUsed - usedBefore;

  times.sort();
  const measurement: Measurement = {
    name,
    operationsPerRun,
    runs,
    bestNs: times[0] as number,
    medianNs: times[runs >> 1] as number,
    // What the counting itself allocates does not depend on fn, so an empty function's figure is taken off.
    heapBytes: Math.max(0, allocatedBy(fn) - allocatedBy(nothing)) / operationsPerRun,
    keptBytes: kept / (operationsPerRun * runs),
  };
  printRow(measurement);
  return measurement;
}

/** Prints the heading under which `measure` prints its lines. */
export function printHeading(title: string): void {
  console.log(
    `\n${title.padEnd(48)}${'best ns/op'.padStart(12)}${'median'.padStart(10)}${'heap B/op'.padStart(12)}${'kept B/op'.padStart(12)}`,
  );
}

function printRow(row: Measurement): void {
  console.log(
    row.name.padEnd(48) +
      row.bestNs.toFixed(1).padStart(12) +
      row.medianNs.toFixed(1).padStart(10) +
      row.heapBytes.toFixed(2).padStart(12) +
      row.keptBytes.toFixed(3).padStart(12),
  );
}

function warmUp(fn: () => void, ms: number): void {
  const end = performance.now() + ms;
  // At least three calls, so that a single long one still runs optimised code when it is timed.
  for (let call = 0; call < 3 || performance.now() < end; call++) fn();
}

/** Bytes that fn() allocates on the heap: what the heap grew by, plus what each collection under way took away. */
function allocatedBy(fn: () => void): number {
  collect();
  const profiler = new GCProfiler();
  profiler.start();
  const before = process.memoryUsage().heapUsed;
  fn();
  const after = process.memoryUsage().heapUsed;
  let collected = 0;
  for (const { beforeGC, afterGC } of profiler.stop().statistics) {
    collected += beforeGC.heapStatistics.usedHeapSize - afterGC.heapStatistics.usedHeapSize;
  }
  return after - before + collected;
}

function nothing(): void {}

// The collector's handle is had without a flag on the command line, so that a micro-benchmark runs as plain `node file.js`.
setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;
