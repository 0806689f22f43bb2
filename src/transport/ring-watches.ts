/**
 * Descriptors that are no connection's and that the io_uring driver waits for: listeners, libuv's descriptor, the eventfd.
 *
 * Each is polled once at a time, and again after each event: so an event that was not dealt with is told again, as with
 * epoll, which a poll that goes on by itself does not do.
 */
import type { Watches } from './acceptors.js';
import { type Ring, ringFailure } from './ring.js';
import type { TransportError } from './transport.js';
import { CANCEL, keyOf, WATCH } from './uring-keys.js';
import { OP_POLL_ADD } from './uring-numbers.js';

interface Watch {
  readonly events: number;
  /** Tells this poll from those of the same descriptor before. */
  generation: number;
}

export class RingWatches implements Watches {
  private readonly ring: Ring;
  private readonly watches = new Map<number, Watch>();
  private generation = 0;

  constructor(ring: Ring) {
    this.ring = ring;
  }

  add(descriptor: number, events: number): TransportError | null {
    const watch = { events, generation: 0 };
    this.watches.set(descriptor, watch);
    this.poll(descriptor, watch);
    return null;
  }

  remove(descriptor: number): void {
    const watch = this.watches.get(descriptor);
    if (watch === undefined) return;
    this.watches.delete(descriptor);
    this.ring.pushCancel(keyOf(descriptor, WATCH), watch.generation, keyOf(0, CANCEL));
  }

  /** True when the completion is one of a watch that still stands; it is polled again. */
  onCompletion(descriptor: number, generation: number, result: number): boolean {
    const watch = this.watches.get(descriptor);
    if (watch === undefined || watch.generation !== generation) return false;
    if (result < 0) throw ringFailure(`poll of descriptor ${descriptor}`, -result);
    this.poll(descriptor, watch);
    return true;
  }

  private poll(descriptor: number, watch: Watch): void {
    this.generation = (this.generation + 1) | 0;
    watch.generation = this.generation;
    this.ring.push(OP_POLL_ADD, 0, 0, descriptor, 0, 0, watch.events, keyOf(descriptor, WATCH), watch.generation);
  }
}
