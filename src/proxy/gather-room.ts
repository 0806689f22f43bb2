/** What a gather holds of what nodes have said, or is about to get, within the limits; and how it ends where that is too much. */
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import { TYPE } from '../resp/frame.js';
import { isError, parseInteger } from '../resp/reply.js';
import { overloaded, refusedBy, tooManyBytes, tooMuchAtOnce } from './gather-errors.js';

export type GatherLimits = Pick<Limits, 'gatherBytesMax' | 'gatherKeysMax' | 'gatherWorkerBytesMax'>;

export interface RoomContext {
  limits: GatherLimits;
  counts: Counts;
  /** Bytes of what all gathers of the worker hold, or are about to get. */
  held: { bytes: number };
  /** The name of a node, as errors show it. */
  labelOf: (node: number) => string;
}

/** Ends a gather with that reply. */
export class Ended {
  readonly reply: Uint8Array;

  constructor(reply: Uint8Array) {
    this.reply = reply;
  }
}

/** What a node's keys may take at the most that come without having been asked for: a round trip less. */
const SMALL_BYTES_MAX = 128 * 1024;

export class GatherRoom {
  private readonly context: RoomContext;
  /** Its part of `context.held`. */
  private heldBytes = 0;

  constructor(context: RoomContext) {
    this.context = context;
  }

  /** How much more it may hold. */
  get left(): number {
    return this.context.limits.gatherBytesMax - this.heldBytes;
  }

  /** Holds so many bytes more. */
  hold(bytes: number): void {
    const { held, limits } = this.context;
    const { gatherBytesMax, gatherWorkerBytesMax } = limits;
    const own = this.heldBytes + bytes;
    if (own > gatherBytesMax) throw this.tooMuch(tooManyBytes(own, gatherBytesMax));
    const others = held.bytes - this.heldBytes;
    // A gather alone has room, whatever the worker's limit.
    if (others > 0 && others + own > gatherWorkerBytesMax) {
      throw this.tooMuch(tooMuchAtOnce(others, own, gatherWorkerBytesMax));
    }
    held.bytes += bytes;
    this.heldBytes += bytes;
  }

  /** Holds what each of so many nodes may send unasked, and returns how many bytes that are of each; 0: there is little room, and only sizes are asked for. */
  holdSmall(nodes: number): number {
    const { held, limits } = this.context;
    const bytes = SMALL_BYTES_MAX * nodes;
    // What may come unasked keeps nobody else out: there is enough left.
    const isRoom = bytes <= this.left && held.bytes + bytes <= Math.floor(limits.gatherWorkerBytesMax / 2);
    if (!isRoom) return 0;
    this.hold(bytes);
    return SMALL_BYTES_MAX;
  }

  giveBack(bytes: number): void {
    this.context.held.bytes -= bytes;
    this.heldBytes -= bytes;
  }

  release(): void {
    this.giveBack(this.heldBytes);
  }

  /** It was carried out with so many bytes of other nodes. */
  count(bytes: number): void {
    this.context.counts.gathers++;
    this.context.counts.gatheredBytes += bytes;
  }

  /** `reply`, where a node has sent what it was asked for, and neither an error nor how many bytes that would be. */
  whole(reply: Uint8Array, node: number): Uint8Array {
    if (isError(reply, 0)) throw this.refused(reply, node);
    if (reply[0] === TYPE.integer) {
      const bytes = parseInteger(reply, 0, reply.length);
      throw this.tooMuch(tooManyBytes(bytes, this.context.limits.gatherBytesMax));
    }
    return reply;
  }

  tooMuch(text: string): Ended {
    return new Ended(overloaded(this.context.counts, text));
  }

  refused(error: Uint8Array, node: number): Ended {
    return new Ended(refusedBy(this.context.labelOf(node), error));
  }
}

export function bytesOfAll(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}
