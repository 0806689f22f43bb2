/** The signs of life of all workers, in memory that they share with the main thread: a number for each, which only grows. */

/** Memory for the heartbeats of `workers` workers. */
export function heartbeatMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * Int32Array.BYTES_PER_ELEMENT);
}

/** Worker `index` is still taking turns. */
export function beat(memory: SharedArrayBuffer, index: number): void {
  Atomics.add(new Int32Array(memory), index, 1);
}

/** How often worker `index` has beaten (modulo 2^32). */
export function beatsOf(memory: SharedArrayBuffer, index: number): number {
  return Atomics.load(new Int32Array(memory), index);
}
