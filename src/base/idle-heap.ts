/**
 * Gives back what a thread's heap keeps of a burst. V8 looks for garbage when something is allocated; a thread that has nothing to do
 * allocates next to nothing, so that a hundred megabytes of garbage could stay for hours.
 *
 *   busy --little work for QUIET_MS--> quiet --heap far above what it was--> collected, and once more: only then V8 gives pages back
 *
 * A collection keeps the thread from its work for some ten milliseconds, and for some hundred where the heap is full of what is in use:
 * hence only where nobody asks for much, and the less often the longer it takes.
 */
import { getHeapStatistics, setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/** So much work since the last look at the most: nobody would notice. */
const WORK_MAX = 50;
const QUIET_MS = 2_000;
/** By how much the heap is larger than after the last collection for it to be worth while. */
const EXCESS_BYTES_MIN = 8 * 1024 * 1024;
/** Between two times that it was worth while. */
const INTERVAL_MS = 10_000;
const COLLECTIONS = 2;
/** Collections that took longer are followed by a rest of so many times as long: a client that asks for little is kept waiting by few. */
const LONG_MS = 100;
const RESTS = 1_000;

export class IdleHeap {
  private readonly dropSpares: () => void;
  private readonly collect: () => void;
  private readonly heapBytes: () => number;
  private seenWork = 0;
  private quietSinceMs = -1;
  /** Of the heap when it was collected last, or at a look since: V8 may collect it, too. */
  private leastBytes: number;
  /** Collections still due, one at each look. */
  private due = 0;
  private nextMs = 0;
  private restsUntilMs = 0;
  /** What those took that were made one after the other. */
  private tookMs = 0;
  private readonly clock: () => number;

  /**
   * `dropSpares` is called before a collection: what is kept only to be used again goes, too. `leastBytes`: what the heap is thought to need
   * until it is collected, what it has now unless given; 0: it is to be collected as soon as it is quiet.
   */
  constructor(
    dropSpares: () => void,
    leastBytes: number | null = null,
    collect = collectGarbage,
    heapBytes = () => getHeapStatistics().total_heap_size,
    clock = () => performance.now(),
  ) {
    this.clock = clock;
    this.dropSpares = dropSpares;
    this.collect = collect;
    this.heapBytes = heapBytes;
    this.leastBytes = leastBytes ?? heapBytes();
  }

  /**
   * Called about twice a second: so much `work` was done so far, be it commands carried out or milliseconds in which the thread was not idle.
   * Returns whether it collected.
   */
  look(nowMs: number, work: number): boolean {
    const isQuiet = work - this.seenWork <= WORK_MAX;
    this.seenWork = work;
    if (!isQuiet) {
      this.quietSinceMs = -1;
      this.due = 0;
      return false;
    }
    if (this.quietSinceMs < 0) this.quietSinceMs = nowMs;
    if (this.due === 0) {
      if (nowMs - this.quietSinceMs < QUIET_MS || nowMs < this.nextMs || nowMs < this.restsUntilMs) return false;
      const bytes = this.heapBytes();
      this.leastBytes = Math.min(this.leastBytes, bytes);
      if (bytes - this.leastBytes < EXCESS_BYTES_MIN) return false;
      this.dropSpares();
      this.due = COLLECTIONS;
      this.tookMs = 0;
      this.nextMs = nowMs + INTERVAL_MS;
    }
    this.due--;
    const startMs = this.clock();
    this.collect();
    this.tookMs += this.clock() - startMs;
    if (this.tookMs > LONG_MS) this.restsUntilMs = nowMs + RESTS * this.tookMs;
    this.leastBytes = this.heapBytes();
    return true;
  }
}

/**
 * All of it. The context that `gc` is of is garbage right after; only new ones have it. The flag is the process's: it stays, because another
 * thread may be about to go by it.
 */
function collectGarbage(): void {
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as () => void;
  gc();
}
