/**
 * The buffers that an io_uring receives into: it takes one when bytes have come, so that an idle connection has none.
 *
 *   | ring of 256 places | prefix | buffer 0 | prefix | buffer 1 | … |        one block of the arena
 *
 * The driver lends all of them; each comes back with the completion that it was filled by, and is lent again when its bytes
 * were shown. Before each lies room for what its connection had kept (inbox.ts). Their number bounds a turn: who finds none has
 * its operation ended, and begins another. All are written in turn; of those that small messages come into a page or two is
 * used, and takes room in the cache.
 */
import { RECEIVE_PREFIX_BYTES } from './inbox.js';
import type { Ring } from './ring.js';
import { writeAddress } from './ring.js';
import { type MappedArena, system, systemError } from './system.js';
import { REGISTER_PBUF_RING } from './uring-numbers.js';

export const BUFFERS = 256;
const BLOCK_BYTES = 4 * 1024 * 1024;
const PLACE_BYTES = 16;
/** The ring starts at a page's start, and takes one. */
const RING_BYTES = 4096;
/** From buffer to buffer: no power of two, so that their starts do not all fall to the same places of the cache. */
const STRIDE = (BLOCK_BYTES - RING_BYTES) / BUFFERS;
const BUFFER_BYTES = STRIDE - RECEIVE_PREFIX_BYTES;
/** The word of struct io_uring_buf that has its number; the kernel reads the tail from the upper half of the first's. */
const NUMBER_HALF = 6;
const TAIL_HALF = 7;

export class ProvidedBuffers {
  /** Arena offset of buffer 0. */
  private readonly first: number;
  private readonly addressOfFirst: number;
  private readonly words: Int32Array;
  private readonly halves: Uint16Array;
  /** Places filled so far, modulo 2^16, and as the kernel knows it. */
  private tail = 0;

  /** Throws a TransportError where the kernel has no such rings, or the arena no room. */
  constructor(mapped: MappedArena, ring: Ring) {
    const { arena, address } = mapped;
    // As large as it is, it lies at a page's start.
    const offset = arena.allocate(BLOCK_BYTES);
    if (offset < 0) throw new RangeError('the arena has no room for receive buffers');
    this.first = offset + RING_BYTES + RECEIVE_PREFIX_BYTES;
    this.addressOfFirst = address + this.first;
    this.words = new Int32Array(arena.bytes.buffer, offset, RING_BYTES >> 2).fill(0);
    this.halves = new Uint16Array(arena.bytes.buffer, offset, RING_BYTES >> 1);
    // struct io_uring_buf_reg: address, places, number of the group (0).
    const registration = Buffer.alloc(40);
    registration.writeBigUInt64LE(BigInt(address + offset), 0);
    registration.writeUInt32LE(BUFFERS, 8);
    if (system().uringRegister(ring.descriptor, REGISTER_PBUF_RING, registration, 1) < 0) {
      throw systemError('io_uring_register of a buffer ring', system().errno());
    }
    for (let buffer = 0; buffer < BUFFERS; buffer++) this.giveBack(buffer);
    this.lend();
  }

  /** Arena offset of what buffer `buffer` was filled with. */
  offsetOf(buffer: number): number {
    return this.first + buffer * STRIDE;
  }

  /** What buffer `buffer` was filled with is not needed any more. */
  giveBack(buffer: number): void {
    const place = this.tail & (BUFFERS - 1);
    const word = place * (PLACE_BYTES >> 2);
    writeAddress(this.words, word, this.addressOfFirst + buffer * STRIDE);
    this.words[word + 2] = BUFFER_BYTES;
    this.halves[place * (PLACE_BYTES >> 1) + NUMBER_HALF] = buffer;
    this.tail = (this.tail + 1) & 0xffff;
  }

  /** The kernel may use all that were given back; what they are is visible to it before that they are there. */
  lend(): void {
    Atomics.store(this.halves, TAIL_HALF, this.tail);
  }
}
