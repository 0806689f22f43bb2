/**
 * Commands that wait for a connection to their node, each with its frame in an own block of the arena.
 *
 *   take() <- | put back by connections that were lost | added since |
 *
 * What was put back is older than anything that was added; two connections never leave commands of the same session.
 */
import { Fifo } from '../base/fifo.js';
import type { NodeLimits } from '../base/limits.js';
import type { Arena } from '../transport/arena.js';
import type { Pending } from './pending.js';

export class Backlog {
  private readonly arena: Arena;
  private readonly returned = new Fifo<Pending>();
  private readonly added = new Fifo<Pending>();
  private bytes = 0;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  get length(): number {
    return this.returned.length + this.added.length;
  }

  /**
   * Puts `pending` at the end, with a copy of its frame, arena bytes [start, end). False when there is no room: at
   * nodeQueueBytesMax, nodeQueueCommandsMax, or in the arena.
   */
  add(pending: Pending, start: number, end: number, limits: NodeLimits): boolean {
    return this.keep(this.added, pending, start, end, limits);
  }

  /** As `add`, before all that was added. It has waited since `nowMs`: what it waited for before is over. */
  putBack(pending: Pending, start: number, end: number, limits: NodeLimits, nowMs: number): boolean {
    if (!this.keep(this.returned, pending, start, end, limits)) return false;
    pending.arrivedMs = nowMs;
    return true;
  }

  /** The first one, which is out then; the caller gives its frame back with `release`. */
  take(): Pending | undefined {
    return this.returned.shift() ?? this.added.shift();
  }

  /** As `take`, of those that have waited since `oldestMs` or before. */
  takeExpired(oldestMs: number): Pending | undefined {
    for (const queue of [this.returned, this.added]) {
      const first = queue.peek();
      if (first !== undefined && first.arrivedMs <= oldestMs) return queue.shift();
    }
    return undefined;
  }

  /** Gives back the frame [start, start + bytes) of one that was taken. */
  release(start: number, bytes: number): void {
    this.bytes -= bytes;
    this.arena.release(start, bytes);
  }

  private keep(queue: Fifo<Pending>, pending: Pending, start: number, end: number, limits: NodeLimits): boolean {
    const bytes = end - start;
    if (this.bytes + bytes > limits.nodeQueueBytesMax) return false;
    if (this.length >= limits.nodeQueueCommandsMax) return false;
    const block = this.arena.allocate(bytes);
    if (block < 0) return false;
    this.arena.bytes.copyWithin(block, start, end);
    pending.frameStart = block;
    pending.frameBytes = bytes;
    pending.connection = null;
    this.bytes += bytes;
    queue.push(pending);
    return true;
  }
}
