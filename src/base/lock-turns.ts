/**
 * Whose turn it is at a lock, among all workers of the process, in memory that they share: each shows the ticket of who stands first in
 * its own line. A lock is told by a hash of its name, part of which says where it is shown: of two of one worker that are shown at the same
 * place the one that came later is, and of the other the order among workers is not kept.
 */

const BUCKETS = 1024;
/** Of a place: the ticket, the hash, and the kind. */
const WORDS = 3;

/** What who stands there wants the lock for: those of one other kind may have it together. */
export const ALONE = 0;

/** Memory for the lines of `workers` workers: the last ticket that was drawn, and a row for each worker. */
export function lockTurnsMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer((1 + workers * BUCKETS * WORDS) * Int32Array.BYTES_PER_ELEMENT);
}

/** The turns as one worker sees them. */
export class LockTurns {
  private readonly words: Int32Array;
  private readonly own: number;

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.words = new Int32Array(memory);
    this.own = 1 + worker * BUCKETS * WORDS;
  }

  /** A ticket, after all that were drawn before; never 0. */
  draw(): number {
    return (Atomics.add(this.words, 0, 1) + 1) | 0 || this.draw();
  }

  /** Who stands first in this worker's line for the lock has that ticket; 0: nobody stands there. */
  show(name: string, ticket: number, kind = ALONE): void {
    const { words, own } = this;
    const hash = hashOf(name);
    const at = own + placeOf(hash);
    if (ticket === 0 && words[at + 1] !== hash) return;
    Atomics.store(words, at, 0);
    Atomics.store(words, at + 1, hash);
    Atomics.store(words, at + 2, kind);
    Atomics.store(words, at, ticket);
  }

  /** Whether no other worker shows one that was drawn before; `beside`: but for those of that kind. */
  isFirst(name: string, ticket: number, beside = ALONE): boolean {
    const { words, own } = this;
    const hash = hashOf(name);
    const place = placeOf(hash);
    for (let at = 1 + place; at < words.length; at += BUCKETS * WORDS) {
      const other = Atomics.load(words, at);
      if (at === own + place || other === 0 || Atomics.load(words, at + 1) !== hash) continue;
      if (beside !== ALONE && Atomics.load(words, at + 2) === beside) continue;
      if (isBefore(other, ticket)) return false;
    }
    return true;
  }

  /** For the main thread, when the worker's thread has ended: nobody stands there any more. */
  forget(): void {
    this.words.fill(0, this.own, this.own + BUCKETS * WORDS);
  }
}

/** Whether that ticket was drawn before the other one. They may have begun anew from below. */
export function isBefore(ticket: number, other: number): boolean {
  return ((ticket - other) | 0) < 0;
}

function hashOf(name: string): number {
  let hash = 0;
  for (let at = 0; at < name.length; at++) hash = (Math.imul(hash, 31) + name.charCodeAt(at)) | 0;
  return hash;
}

function placeOf(hash: number): number {
  return ((hash ^ (hash >>> 10) ^ (hash >>> 20)) & (BUCKETS - 1)) * WORDS;
}
