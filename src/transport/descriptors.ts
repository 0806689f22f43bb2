/**
 * Who owns which descriptor of the process: memory shared by all threads.
 *
 * A thread that dies leaves its sockets open, for descriptors belong to the process. So a worker notes each descriptor as
 * soon as it has it and clears the note *before* it closes it (the number may be another thread's the moment after), and
 * the main thread closes what a dead worker left, then unmaps its arena.
 *
 *   owners[descriptor] = 0                        nobody's here (Node's own, or closed)
 *                      | worker + 1               the worker's
 *                      | worker + 1 | SESSION     the worker's, a client's connection
 *                      | worker + 1 | HANDOVER | door << DOOR_SHIFT
 *                                                 a client's connection on its way to the worker (see handover.ts)
 */
import { system, unmapArena } from './system.js';

/** Descriptors above it are refused. (4 MiB of address space; pages never written take no memory.) */
const DESCRIPTORS_MAX = 1 << 20;
export const WORKERS_MAX = 1 << 8;

/** Doors (transport.ts) are numbered below this. */
export const DOORS_MAX = 1 << 12;

const WORKER_BITS = 0xffff;
const SESSION = 1 << 16;
const HANDOVER = 1 << 17;
const DOOR_SHIFT = 18;
const RECEIVER_BITS = WORKER_BITS | HANDOVER;

const MEMORIES = 7;
const ARENA = 0;
const RING = 2;

const HEADER_WORDS = 2;
const WORKER_COUNT = 0;
/** One more than the highest descriptor ever noted: where scans end. */
const END = 1;

/** Memory for the table of `workers` workers. */
export function createDescriptors(workers: number): SharedArrayBuffer {
  if (workers < 1 || workers > WORKERS_MAX) throw new RangeError(`1 to ${WORKERS_MAX} workers, not ${workers}`);
  const buffer = new SharedArrayBuffer(HEADER_WORDS * 4 + workers * MEMORIES * 8 + DESCRIPTORS_MAX * 4);
  new Int32Array(buffer)[WORKER_COUNT] = workers;
  return buffer;
}

/** An io_uring: its descriptor, address and length of its rings, address and length of its entries. */
export type RingMemory = readonly [number, number, number, number, number];

export class Descriptors {
  readonly workers: number;
  private readonly header: Int32Array;
  /** Per worker, 0 for none: address and length of its arena; what RingMemory has of its io_uring. */
  private readonly memories: Float64Array;
  private readonly owners: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.header = new Int32Array(buffer, 0, HEADER_WORDS);
    this.workers = this.header[WORKER_COUNT] as number;
    this.memories = new Float64Array(buffer, HEADER_WORDS * 4, this.workers * MEMORIES);
    this.owners = new Int32Array(buffer, HEADER_WORDS * 4 + this.workers * MEMORIES * 8, DESCRIPTORS_MAX);
  }

  /** Notes a new descriptor as the worker's. False when the table does not reach so far: the caller closes it. */
  note(descriptor: number, worker: number): boolean {
    return this.set(descriptor, worker + 1);
  }

  /** Notes a client's connection as the worker's. False when the table does not reach so far. */
  noteSession(descriptor: number, worker: number): boolean {
    return this.set(descriptor, (worker + 1) | SESSION);
  }

  /** Notes a client's connection by `door` as being on its way to `worker`. False when the table does not reach so far. */
  noteHandover(descriptor: number, worker: number, door: number): boolean {
    return this.set(descriptor, (worker + 1) | HANDOVER | (door << DOOR_SHIFT));
  }

  /** To be called right before the descriptor is closed. */
  clear(descriptor: number): void {
    Atomics.store(this.owners, descriptor, 0);
  }

  /**
   * Takes a connection that is on its way to `from`, for worker `to`. Returns its door to exactly one of those who try, and
   * -1 to the others: the receiver, the sender that wants it back, and the main thread may meet here.
   */
  takeHandover(descriptor: number, from: number, to: number): number {
    const waiting = Atomics.load(this.owners, descriptor);
    if ((waiting & RECEIVER_BITS) !== ((from + 1) | HANDOVER)) return -1;
    const taken = Atomics.compareExchange(this.owners, descriptor, waiting, (to + 1) | SESSION) === waiting;
    return taken ? waiting >> DOOR_SHIFT : -1;
  }

  /** All connections that are on their way to `worker`. */
  handoversTo(worker: number): number[] {
    const waiting = (worker + 1) | HANDOVER;
    return this.filter((owner) => (owner & RECEIVER_BITS) === waiting);
  }

  /** Descriptors that `worker` owns now, those on their way to it not counted. */
  ownedBy(worker: number): number[] {
    return this.filter((owner) => (owner & HANDOVER) === 0 && (owner & WORKER_BITS) === worker + 1);
  }

  /** The worker's arena, so that it can be unmapped after the worker's end. */
  noteArena(worker: number, address: number, bytes: number): void {
    this.memories[worker * MEMORIES + ARENA] = address;
    this.memories[worker * MEMORIES + ARENA + 1] = bytes;
  }

  /** The worker's io_uring, so that it can be closed before anything that it works on. */
  noteRing(worker: number, ring: RingMemory): void {
    this.memories.set(ring, worker * MEMORIES + RING);
  }

  /**
   * Closes the worker's io_uring, if it has one. Its mappings keep it alive, and an operation in flight keeps its socket
   * open and may write into the arena: so all of them end in this order. True when there was one.
   */
  closeRing(worker: number): boolean {
    const place = worker * MEMORIES + RING;
    const [descriptor, rings, ringsBytes, entries, entriesBytes] = [
      ...this.memories.subarray(place, place + 5),
    ] as unknown as RingMemory;
    if (rings === 0) return false;
    this.memories.fill(0, place, place + 5);
    this.clear(descriptor);
    system().close(descriptor);
    system().munmap(rings, ringsBytes);
    system().munmap(entries, entriesBytes);
    return true;
  }

  /**
   * Closes all that `worker` owned and unmaps its arena. For the main thread, after the worker's thread has ended; and for the
   * worker's own before it has a driver.
   * Returns how many descriptors were closed, and how many of them were clients' connections.
   */
  closeAll(worker: number): { descriptors: number; sessions: number } {
    let sessions = 0;
    const rings = this.closeRing(worker) ? 1 : 0;
    const owned = this.ownedBy(worker);
    for (const descriptor of owned) {
      if (((this.owners[descriptor] as number) & SESSION) !== 0) sessions++;
      this.clear(descriptor);
      system().close(descriptor);
    }
    const address = this.memories[worker * MEMORIES + ARENA] as number;
    if (address !== 0) unmapArena(address, this.memories[worker * MEMORIES + ARENA + 1] as number);
    this.noteArena(worker, 0, 0);
    return { descriptors: rings + owned.length, sessions };
  }

  private set(descriptor: number, owner: number): boolean {
    if (descriptor >= DESCRIPTORS_MAX) return false;
    Atomics.store(this.owners, descriptor, owner);
    for (let end = Atomics.load(this.header, END); end <= descriptor; ) {
      const before = Atomics.compareExchange(this.header, END, end, descriptor + 1);
      if (before === end) break;
      end = before;
    }
    return true;
  }

  private filter(matches: (owner: number) => boolean): number[] {
    const found: number[] = [];
    const end = Atomics.load(this.header, END);
    for (let descriptor = 0; descriptor < end; descriptor++) {
      if (matches(Atomics.load(this.owners, descriptor))) found.push(descriptor);
    }
    return found;
  }
}
