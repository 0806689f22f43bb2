/**
 * The buffers that an io_uring receives into: it takes one when bytes have come, so that an idle connection has none.
 *
 *   | ring of places | prefix | buffer 0 | prefix | buffer 1 | … |        one block of the arena
 *
 * There are two groups, for clients and for nodes. The driver lends all buffers; each comes back with the completion that it was filled by, and is lent again when its bytes
 * were shown. Before each lies room for what its connection had kept (inbox.ts). Their number bounds a turn: who finds none has
 * its operation ended, and begins another. All are written in turn; of those that small messages come into a page or two is
 * used, and takes room in the cache.
 */
import { RECEIVE_PREFIX_BYTES } from './inbox.js';
import type { Ring } from './ring.js';
import { writeAddress } from './ring.js';
import { type MappedArena, system, systemError } from './system.js';
import { REGISTER_PBUF_RING } from './uring-numbers.js';

/** A group of buffers: its number, the number of its first buffer among those of all groups, and how many there are in a block of how many bytes. */
export interface BufferGroup {
  readonly group: number;
  readonly first: number;
  readonly count: number;
  readonly blockBytes: number;
}

/** For what clients send: many connections, little from each. */
export const CLIENT_BUFFERS: BufferGroup = { group: 0, first: 0, count: 128, blockBytes: 2 * 1024 * 1024 };
/** For what nodes send: few connections, and much from each. */
export const NODE_BUFFERS: BufferGroup = { group: 1, first: 128, count: 16, blockBytes: 1024 * 1024 };
const PLACE_BYTES = 16;
/** The ring starts at a page's start, and takes one. */
const RING_BYTES = 4096;
/** The word of struct io_uring_buf that has its number; the kernel reads the tail from the upper half of the first's. */
const NUMBER_HALF = 6;
const TAIL_HALF = 7;

export class ProvidedBuffers {
  private readonly group: BufferGroup;
  /** From buffer to buffer: no power of two, so that their starts do not all fall to the same places of the cache. */
  private readonly stride: number;
  /** Arena offset, and address, of what would be buffer 0. */
  private readonly origin: number;
  private readonly address: number;
  private readonly words: Int32Array;
  private readonly halves: Uint16Array;
  /** Places filled so far, modulo 2^16, and as the kernel knows it. */
  private tail = 0;

  /** Throws a TransportError where the kernel has no such rings, or the arena no room. */
  constructor(mapped: MappedArena, ring: Ring, group: BufferGroup) {
    this.group = group;
    const { arena, address } = mapped;
    // As large as it is, it lies at a page's start.
    const offset = arena.allocate(group.blockBytes);
    if (offset < 0) throw new RangeError('the arena has no room for receive buffers');
    this.stride = (group.blockBytes - RING_BYTES) / group.count;
    this.origin = offset + RING_BYTES + RECEIVE_PREFIX_BYTES - group.first * this.stride;
    this.address = address + this.origin;
    this.words = new Int32Array(arena.bytes.buffer, offset, RING_BYTES >> 2).fill(0);
    this.halves = new Uint16Array(arena.bytes.buffer, offset, RING_BYTES >> 1);
    // struct io_uring_buf_reg: address, places, number of the group.
    const registration = Buffer.alloc(40);
    registration.writeBigUInt64LE(BigInt(address + offset), 0);
    registration.writeUInt32LE(group.count, 8);
    registration.writeUInt16LE(group.group, 12);
    if (system().uringRegister(ring.descriptor, REGISTER_PBUF_RING, registration, 1) < 0) {
      throw systemError('io_uring_register of a buffer ring', system().errno());
    }
    for (let index = 0; index < group.count; index++) this.giveBack(group.first + index);
    this.lend();
  }

  /** Arena offset of what buffer `buffer` was filled with. */
  offsetOf(buffer: number): number {
    return this.origin + buffer * this.stride;
  }

  /** What buffer `buffer` was filled with is not needed any more. */
  giveBack(buffer: number): void {
    const place = this.tail & (this.group.count - 1);
    const word = place * (PLACE_BYTES >> 2);
    writeAddress(this.words, word, this.address + buffer * this.stride);
    this.words[word + 2] = this.stride - RECEIVE_PREFIX_BYTES;
    this.halves[place * (PLACE_BYTES >> 1) + NUMBER_HALF] = buffer;
    this.tail = (this.tail + 1) & 0xffff;
  }

  /** The kernel may use all that were given back; what they are is visible to it before that they are there. */
  lend(): void {
    Atomics.store(this.halves, TAIL_HALF, this.tail);
  }
}
