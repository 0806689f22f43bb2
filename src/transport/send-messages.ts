/**
 * What SENDMSG is given when the bytes to be sent lie in several pieces: struct msghdr and its struct iovec.
 *
 * There is one for each place of the submission ring: it is used again when the place is, and so not before the kernel has
 * read it.
 */
import type { Output } from './output.js';
import { Ring, writeAddress } from './ring.js';
import type { MappedArena } from './system.js';

const PIECES_MAX = 8;
/** struct msghdr has 56 bytes; its pieces follow at 64. */
const PIECES_BYTES = 64;
const MESSAGE_BYTES = PIECES_BYTES + PIECES_MAX * 16;
const MESSAGE_WORDS = MESSAGE_BYTES >> 2;
/** Words of struct msghdr: address and number of the pieces. */
const PIECES_WORD = 4;
const COUNT_WORD = 6;

export class SendMessages {
  private readonly words: Int32Array;
  /** Address of the first message, and of the arena's first byte. */
  private readonly address: number;
  private readonly base: number;

  constructor({ arena, address }: MappedArena) {
    const offset = arena.allocate(Ring.places * MESSAGE_BYTES);
    this.base = address;
    this.address = address + offset;
    this.words = new Int32Array(arena.bytes.buffer, offset, Ring.places * MESSAGE_WORDS).fill(0);
    for (let place = 0; place < Ring.places; place++) {
      const pieces = this.address + place * MESSAGE_BYTES + PIECES_BYTES;
      writeAddress(this.words, place * MESSAGE_WORDS + PIECES_WORD, pieces);
    }
  }

  /** Notes what `output` has to send for the entry at `place`. Returns the message's address; `output.noted` has its length. */
  write(output: Output, place: number): number {
    const word = place * MESSAGE_WORDS;
    const pieces = output.noteUnsent(this.words, word + (PIECES_BYTES >> 2), PIECES_MAX, this.base);
    this.words[word + COUNT_WORD] = pieces;
    return this.address + place * MESSAGE_BYTES;
  }
}
