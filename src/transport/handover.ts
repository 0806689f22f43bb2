/**
 * Which worker serves a new connection: the one with the fewest sessions, whichever of them accepted it.
 *
 *   worker a: accept4 -> descriptor -> ring a>b -> eventfd of b -> worker b: adopt
 *
 * One ring of descriptors per pair of workers, each with one writer and one reader. Who owns a descriptor is decided in
 * the table of descriptors alone, by compare-and-exchange; a ring only tells where to look. So a descriptor that is in a
 * ring twice, or is no longer on its way, does no harm, and whatever dies, somebody adopts or closes the connection:
 * - the receiver died: its successor adopts what waits for it (`join` looks through the whole table);
 * - the sender died between the note and the ring: `buryWorker` has every worker look through the table;
 * - the receiver left while the sender was writing: the sender looks again after writing, and takes the connection back.
 *
 * Invariant: the sum of the sessions is the number of descriptors noted as sessions or as handed over. The sender counts
 * for the receiver, so that a burst spreads evenly before the receiver has even woken.
 */
import { type Descriptors, WORKERS_MAX } from './descriptors.js';
import { system, wake } from './system.js';

/** Descriptors that may wait in one ring; when it is full the sender keeps the connection. */
const RING_ENTRIES = 1 << 10;
/** Words before the ring's entries: how many were ever written, how many were ever read. */
const RING_WORDS = 2 + RING_ENTRIES;
const WRITTEN = 0;
const READ = 1;

/** Per worker: its sessions, whether it takes new ones, whether it should look through the table. */
const WORKER_WORDS = 3;
const SESSIONS = 0;
const JOINED = 1;
const LOOK = 2;

/** Memory for the hand-over between `workers` workers (4 KiB a pair). */
export function createHandover(workers: number): SharedArrayBuffer {
  if (workers < 1 || workers > WORKERS_MAX) throw new RangeError(`1 to ${WORKERS_MAX} workers, not ${workers}`);
  const buffer = new SharedArrayBuffer(4 * (1 + workers * WORKER_WORDS + workers * workers * RING_WORDS));
  new Int32Array(buffer)[0] = workers;
  return buffer;
}

/** Sessions per worker. The node driver, which hands nothing over, uses this part alone. */
export class SessionCounts {
  readonly workers: number;
  protected readonly words: Int32Array;

  constructor(buffer: SharedArrayBuffer) {
    this.words = new Int32Array(buffer);
    this.workers = this.words[0] as number;
  }

  /** Sessions of all workers, with those on their way. */
  total(): number {
    let sum = 0;
    for (let worker = 0; worker < this.workers; worker++) sum += this.of(worker);
    return sum;
  }

  of(worker: number): number {
    return Atomics.load(this.words, this.word(worker, SESSIONS));
  }

  add(worker: number, sessions: number): void {
    Atomics.add(this.words, this.word(worker, SESSIONS), sessions);
  }

  protected word(worker: number, field: number): number {
    return 1 + worker * WORKER_WORDS + field;
  }
}

export class Handover extends SessionCounts {
  private readonly descriptors: Descriptors;
  /** Eventfd of each worker; none with the node driver, which hands nothing over. */
  private readonly wakeDescriptors: readonly number[];
  /** Workers that were sent something since `wakeReceivers`. */
  private readonly sentTo: Uint8Array;

  constructor(buffer: SharedArrayBuffer, descriptors: Descriptors, wakeDescriptors: readonly number[]) {
    super(buffer);
    this.descriptors = descriptors;
    this.wakeDescriptors = wakeDescriptors;
    this.sentTo = new Uint8Array(this.workers);
  }

  /** The worker takes new connections from now on; it then calls `look`. */
  join(worker: number): void {
    Atomics.store(this.words, this.word(worker, LOOK), 1);
    Atomics.store(this.words, this.word(worker, JOINED), 1);
  }

  /** The worker takes no new connections; it then calls `look` once more, or its successor does, or `closeWaiting`. */
  leave(worker: number): void {
    Atomics.store(this.words, this.word(worker, JOINED), 0);
  }

  /** True while the worker takes new connections. */
  joined(worker: number): boolean {
    return Atomics.load(this.words, this.word(worker, JOINED)) === 1;
  }

  /**
   * Decides who serves the connection that `worker` has just accepted by `door`, and notes and counts it. Returns 'kept' if it is
   * this worker, 'sent' if it is on its way to another (then `wakeReceivers` is due), 'refused' if the table of
   * descriptors does not reach so far.
   */
  assign(descriptor: number, worker: number, door: number): 'kept' | 'sent' | 'refused' {
    const target = this.leastLoaded(worker);
    if (target !== worker && this.send(descriptor, worker, target, door)) return 'sent';
    if (!this.descriptors.noteSession(descriptor, worker)) return 'refused';
    this.add(worker, 1);
    return 'kept';
  }

  /** Wakes those that `assign` sent something to. */
  wakeReceivers(): void {
    for (let worker = 0; worker < this.workers; worker++) {
      if (this.sentTo[worker] === 0) continue;
      this.sentTo[worker] = 0;
      wake(this.wakeDescriptors[worker] as number);
    }
  }

  /** Takes what waits for `worker`, as its own. It is counted already. */
  receive(worker: number, adopt: (descriptor: number, door: number) => void): void {
    for (let source = 0; source < this.workers; source++) {
      if (source === worker) continue;
      const ring = this.ring(source, worker);
      const written = Atomics.load(this.words, ring + WRITTEN);
      let read = this.words[ring + READ] as number;
      while (read !== written) {
        const descriptor = Atomics.load(this.words, ring + 2 + (read & (RING_ENTRIES - 1)));
        read = (read + 1) | 0;
        // Moved before the owner is told of the connection: an owner that throws must not leave the entry behind.
        Atomics.store(this.words, ring + READ, read);
        const door = this.descriptors.takeHandover(descriptor, worker, worker);
        if (door >= 0) adopt(descriptor, door);
      }
    }
    const look = this.word(worker, LOOK);
    if (Atomics.load(this.words, look) === 1 && Atomics.exchange(this.words, look, 0) === 1)
      this.lookThrough(worker, adopt);
  }

  /** For a worker that ends: closes all that waits for it. */
  closeWaiting(worker: number): void {
    const close = (descriptor: number): void => {
      this.descriptors.clear(descriptor);
      system().close(descriptor);
      this.add(worker, -1);
    };
    Atomics.store(this.words, this.word(worker, LOOK), 1);
    this.receive(worker, close);
  }

  /** The worker's thread has ended, and `closed` of its sessions were closed. Returns how many have ended. */
  bury(worker: number, closed: number): number {
    // With the node driver all ended with the thread, and none are on their way.
    const sessions = this.wakeDescriptors.length === 0 ? this.of(worker) : closed;
    this.add(worker, -sessions);
    this.haveAllLook();
    return sessions;
  }

  /** Has every worker look through the table for connections that are on their way to it but in no ring. */
  private haveAllLook(): void {
    for (let worker = 0; worker < this.workers; worker++) {
      Atomics.store(this.words, this.word(worker, LOOK), 1);
      const descriptor = this.wakeDescriptors[worker];
      if (descriptor !== undefined) wake(descriptor);
    }
  }

  private lookThrough(worker: number, adopt: (descriptor: number, door: number) => void): void {
    for (const descriptor of this.descriptors.handoversTo(worker)) {
      const door = this.descriptors.takeHandover(descriptor, worker, worker);
      if (door >= 0) adopt(descriptor, door);
    }
  }

  /** The worker with the fewest sessions; at a tie the asking one, which costs no hand-over. */
  private leastLoaded(worker: number): number {
    let least = worker;
    let sessions = this.of(worker);
    for (let other = 0; other < this.workers; other++) {
      if (other === worker || !this.joined(other)) continue;
      const count = this.of(other);
      if (count < sessions) {
        least = other;
        sessions = count;
      }
    }
    return least;
  }

  private send(descriptor: number, source: number, target: number, door: number): boolean {
    const ring = this.ring(source, target);
    const written = this.words[ring + WRITTEN] as number;
    if (((written - Atomics.load(this.words, ring + READ)) | 0) >= RING_ENTRIES) return false;
    if (!this.descriptors.noteHandover(descriptor, target, door)) return false;
    this.add(target, 1);
    Atomics.store(this.words, ring + 2 + (written & (RING_ENTRIES - 1)), descriptor);
    Atomics.store(this.words, ring + WRITTEN, (written + 1) | 0);
    this.sentTo[target] = 1;
    if (this.joined(target)) return true;
    // It left meanwhile and may have looked for the last time.
    if (this.descriptors.takeHandover(descriptor, target, source) < 0) return true;
    this.add(target, -1);
    return false;
  }

  private ring(source: number, target: number): number {
    return 1 + this.workers * WORKER_WORDS + (source * this.workers + target) * RING_WORDS;
  }
}

/**
 * What the main thread does when a worker's thread has ended: closes its epoll and sockets, unmaps its arena, takes its
 * sessions off the count. What waits for it stays for its successor; without one, `closeWaiting` follows.
 */
export function buryWorker(
  worker: number,
  descriptors: Descriptors,
  handover: Handover,
): { descriptors: number; sessions: number } {
  handover.leave(worker);
  const closed = descriptors.closeAll(worker);
  return { descriptors: closed.descriptors, sessions: handover.bury(worker, closed.sessions) };
}
