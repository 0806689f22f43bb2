/**
 * How many clients all workers serve, in memory that they share: who comes is admitted or refused by one atomic step.
 *
 * The transport's sessions are not the measure: a connection on its way between two workers, or one that is being told that there are
 * too many, is a session too, and must not take the place of a client.
 *
 * Invariant: the first word is the sum of the others, one for each worker, but for the moment between two steps of one worker.
 */

/** Memory for the clients of `workers` workers. */
export function clientCountMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer((1 + workers) * Int32Array.BYTES_PER_ELEMENT);
}

/** The clients as one worker counts them. */
export class ClientCount {
  private readonly words: Int32Array;
  private readonly own: number;

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.words = new Int32Array(memory);
    this.own = 1 + worker;
  }

  /** Clients of all workers. */
  get total(): number {
    return Atomics.load(this.words, 0);
  }

  /** Counts one more client of this worker, unless there are `max` already: then it returns false. */
  admit(max: number): boolean {
    for (let total = this.total; total < max; ) {
      const before = Atomics.compareExchange(this.words, 0, total, total + 1);
      if (before === total) {
        Atomics.add(this.words, this.own, 1);
        return true;
      }
      total = before;
    }
    return false;
  }

  /** A client that was admitted is gone. */
  leave(): void {
    Atomics.sub(this.words, this.own, 1);
    Atomics.sub(this.words, 0, 1);
  }

  /** For the main thread, when the worker's thread has ended: its clients are gone. Returns how many they were. */
  forget(): number {
    const clients = Atomics.exchange(this.words, this.own, 0);
    Atomics.sub(this.words, 0, clients);
    return clients;
  }
}
