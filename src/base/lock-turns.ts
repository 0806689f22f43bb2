/**
 * Whose turn it is at a lock, among all workers of the process, in memory that they share: each shows the ticket of who stands first in
 * its own line. A lock is told by a hash of its name: where two have the same, one may take a few milliseconds longer, and that is all.
 */

const BUCKETS = 1024;

/** Memory for the lines of `workers` workers: the last ticket that was drawn, and a row for each worker. */
export function lockTurnsMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer((1 + workers * BUCKETS) * Int32Array.BYTES_PER_ELEMENT);
}

/** The turns as one worker sees them. */
export class LockTurns {
  private readonly words: Int32Array;
  private readonly own: number;

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.words = new Int32Array(memory);
    this.own = 1 + worker * BUCKETS;
  }

  /** A ticket, after all that were drawn before; never 0. */
  draw(): number {
    return (Atomics.add(this.words, 0, 1) + 1) | 0 || this.draw();
  }

  /** Who stands first in this worker's line for the lock has that ticket; 0: nobody stands there. */
  show(name: string, ticket: number): void {
    Atomics.store(this.words, this.own + bucketOf(name), ticket);
  }

  /** Whether no other worker shows one that was drawn before. */
  isFirst(name: string, ticket: number): boolean {
    const { words, own } = this;
    const bucket = bucketOf(name);
    for (let at = 1 + bucket; at < words.length; at += BUCKETS) {
      const other = Atomics.load(words, at);
      // They may have begun anew from below.
      if (at !== own + bucket && other !== 0 && ((other - ticket) | 0) < 0) return false;
    }
    return true;
  }

  /** For the main thread, when the worker's thread has ended: nobody stands there any more. */
  forget(): void {
    this.words.fill(0, this.own, this.own + BUCKETS);
  }
}

function bucketOf(name: string): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
  return (hash ^ (hash >>> 10) ^ (hash >>> 20)) & (BUCKETS - 1);
}
