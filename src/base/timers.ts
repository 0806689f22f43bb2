/**
 * Deadlines of one worker, on the driver's clock: no Node timer runs in a worker, because the loop waits in the kernel
 * and the wait's time-out is the next of these.
 *
 * A binary heap by due time. What is cancelled stays in it until it is due, or until most of the heap is such: locks have time limits of
 * hours, most of which are cancelled at once.
 */
export interface Timer {
  /** Due time in the clock's milliseconds. */
  readonly dueMs: number;
}

class Entry implements Timer {
  dueMs: number;
  /** Null: it was called, or cancelled. */
  callback: (() => void) | null;
  isInHeap = true;
  constructor(dueMs: number, callback: () => void) {
    this.dueMs = dueMs;
    this.callback = callback;
  }
}

/** With fewer cancelled ones it is not worth while to go through all. */
const CANCELLED_MIN = 64;

export class Timers {
  private heap: Entry[] = [];
  /** How many of the heap are. */
  private cancelled = 0;

  /** Calls `callback` once, in the first turn at or after `dueMs`. */
  set(dueMs: number, callback: () => void): Timer {
    const entry = new Entry(dueMs, callback);
    this.heap.push(entry);
    this.rise(this.heap.length - 1);
    return entry;
  }

  /** The timer will not fire. Cancelling one that has fired, or null, does nothing. */
  cancel(timer: Timer | null): void {
    const entry = timer as Entry | null;
    if (entry === null || entry.callback === null) return;
    entry.callback = null;
    if (!entry.isInHeap) return;
    this.cancelled++;
    if (this.cancelled >= CANCELLED_MIN && this.cancelled > this.heap.length / 2) this.compact();
  }

  /** Timers that memory is held for: not more than twice those that are set, and a few. */
  get size(): number {
    return this.heap.length;
  }

  /** Due time of the next timer, or Infinity. */
  nextDueMs(): number {
    this.dropCancelled();
    return this.heap[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Fires what is due at `nowMs`; a timer set by a callback fires in a later call, even if due already. */
  fire(nowMs: number): void {
    // Nearly every turn ends here, and makes no garbage.
    if (this.heap[0] === undefined || this.heap[0].dueMs > nowMs) return;
    const due: Entry[] = [];
    for (;;) {
      const first = this.heap[0];
      if (first === undefined || first.dueMs > nowMs) break;
      this.removeFirst();
      due.push(first);
    }
    for (const entry of due) {
      const callback = entry.callback;
      entry.callback = null;
      callback?.();
    }
  }

  private dropCancelled(): void {
    while (this.heap[0] !== undefined && this.heap[0].callback === null) this.removeFirst();
  }

  private compact(): void {
    this.heap = this.heap.filter(({ callback }) => callback !== null);
    this.cancelled = 0;
    for (let index = (this.heap.length >> 1) - 1; index >= 0; index--) this.sink(index);
  }

  private removeFirst(): void {
    const first = this.heap[0] as Entry;
    first.isInHeap = false;
    if (first.callback === null) this.cancelled--;
    const last = this.heap.pop();
    if (last === undefined || this.heap.length === 0) return;
    this.heap[0] = last;
    this.sink(0);
  }

  private rise(index: number): void {
    const heap = this.heap;
    const entry = heap[index] as Entry;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above] as Entry;
      if (parent.dueMs <= entry.dueMs) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = entry;
  }

  private sink(index: number): void {
    const heap = this.heap;
    const entry = heap[index] as Entry;
    for (;;) {
      let below = 2 * index + 1;
      if (below >= heap.length) break;
      const right = heap[below + 1];
      if (right !== undefined && right.dueMs < (heap[below] as Entry).dueMs) below++;
      const child = heap[below] as Entry;
      if (child.dueMs >= entry.dueMs) break;
      heap[index] = child;
      index = below;
    }
    heap[index] = entry;
  }
}
