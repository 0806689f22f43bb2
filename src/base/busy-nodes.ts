/**
 * The nodes at which a script has been running for long, as each worker sees it of what it has sent, in memory that all share: a bit for
 * each 32nd node. Whoever is asked (PING) looks at the node itself then.
 */

/** Memory for `workers` workers. */
export function busyNodesMemory(workers: number): SharedArrayBuffer {
  return new SharedArrayBuffer(workers * Int32Array.BYTES_PER_ELEMENT);
}

export class BusyNodes {
  private readonly masks: Int32Array;
  private readonly worker: number;

  constructor(memory: SharedArrayBuffer, worker: number) {
    this.masks = new Int32Array(memory);
    this.worker = worker;
  }

  /** Those of this worker. */
  show(mask: number): void {
    Atomics.store(this.masks, this.worker, mask);
  }

  /** These, too. */
  add(mask: number): void {
    Atomics.or(this.masks, this.worker, mask);
  }

  /** Those of all workers. */
  get mask(): number {
    let mask = 0;
    for (let worker = 0; worker < this.masks.length; worker++) mask |= this.masks[worker] as number;
    return mask;
  }
}

/** The bit of node `index`, which others may have too. */
export function bitOf(index: number): number {
  return 1 << (index & 31);
}
