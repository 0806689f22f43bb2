/**
 * Deadlines of one worker, on the driver's clock: no Node timer runs in a worker, because the loop waits in the kernel
 * and the wait's time-out is the next of these.
 *
 * A binary heap by due time. Few timers exist (a handful per node's connection, one per worker for sweeps), so nothing
 * here is on the path of a command.
 */
export interface Timer {
  /** Due time in the clock's milliseconds. */
  readonly dueMs: number;
}

class Entry implements Timer {
  dueMs: number;
  callback: (() => void) | null;
  constructor(dueMs: number, callback: () => void) {
    this.dueMs = dueMs;
    this.callback = callback;
  }
}

export class Timers {
  private readonly heap: Entry[] = [];

  /** Calls `callback` once, in the first turn at or after `dueMs`. */
  set(dueMs: number, callback: () => void): Timer {
    const entry = new Entry(dueMs, callback);
    this.heap.push(entry);
    this.rise(this.heap.length - 1);
    return entry;
  }

  /** The timer will not fire. Cancelling one that has fired, or null, does nothing. */
  cancel(timer: Timer | null): void {
    if (timer !== null) (timer as Entry).callback = null;
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

  private removeFirst(): void {
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
