/**
 * The bytes that wait to be handed to the kernel for one connection, as a list of blocks in the arena.
 *
 *   first block                      last block
 *   | released | sent, kept | unsent | ... | unsent | room |
 *              ^ released   ^ sent                  ^ appended
 *
 * Invariant: released <= sent <= appended (positions in the stream, counted modulo 2^32 as signed integers).
 * A frame never straddles two blocks, so that a kept frame can be sent again from one (start, end).
 *
 * A plain output releases what it has sent. A *retaining* one keeps it until `releaseTo`: a node's connection keeps each
 * request until its reply has come, because a read that lost its connection is sent again on the next.
 */
import { Arena } from './arena.js';

const BLOCK_BYTES_MIN = 4 * 1024;
const BLOCK_BYTES_MAX = 256 * 1024;

class Block {
  offset = 0;
  bytes = 0;
  /** Filled up to here, and sent up to here, both counted from `offset`. */
  filled = 0;
  sent = 0;
  /** Stream position of the end of its last frame. */
  endPosition = 0;
  next: Block | null = null;
}

export class Output {
  /** Stream positions, see above. Compare them by subtraction: `(a - b) | 0`. */
  appended = 0;
  sent = 0;
  /** Bytes not yet handed to the kernel. */
  unsentBytes = 0;
  /** Bytes in the arena held by this output. */
  heldBytes = 0;
  /** True once the arena had no room: bytes are missing, the connection must be destroyed. */
  overflowed = false;
  /** Bytes of the pieces that `noteUnsent` noted. */
  noted = 0;
  /** Where the last appended frame lies in the arena (retaining outputs: until it is released). */
  lastStart = 0;

  private readonly arena: Arena;
  private readonly retaining: boolean;
  private first: Block | null = null;
  private last: Block | null = null;
  /** The block that holds the first unsent byte. */
  private sending: Block | null = null;
  /** An unused object, so that a connection which empties its output every turn makes no garbage. */
  private spare: Block | null = null;

  constructor(arena: Arena, retaining: boolean) {
    this.arena = arena;
    this.retaining = retaining;
  }

  /** Appends arena bytes [start, end). The copy may be put off: they must stay untouched until `arena.settle()`. */
  append(start: number, end: number): void {
    const target = this.reserve(end - start);
    if (target >= 0) this.arena.copy(start, end, target);
  }

  /** Appends bytes from outside the arena, or arena bytes that change before `arena.settle()`: copied at once. */
  appendBytes(source: Uint8Array): void {
    const target = this.reserve(source.length);
    if (target >= 0) this.arena.bytes.set(source, target);
  }

  /** Appends arena bytes [start, end) that are released right after: copied at once. */
  appendNow(start: number, end: number): void {
    const target = this.reserve(end - start);
    if (target >= 0) this.arena.copyNow(start, end, target);
  }

  /**
   * Room for `size` bytes at the end, as an arena offset that the caller fills before the turn ends, or -1 (see
   * `overflowed`).
   */
  reserve(size: number): number {
    let block = this.last;
    if (block === null || block.filled + size > block.bytes) {
      block = this.extend(size);
      if (block === null) return -1;
    }
    const target = block.offset + block.filled;
    block.filled += size;
    this.appended = (this.appended + size) | 0;
    block.endPosition = this.appended;
    this.unsentBytes += size;
    this.lastStart = target;
    return target;
  }

  /** Arena offset of the first unsent byte; only when unsentBytes > 0. */
  unsentStart(): number {
    const block = this.sendingBlock();
    return block.offset + block.sent;
  }

  /** Length of the unsent bytes that lie in one piece from `unsentStart()`; only when unsentBytes > 0. */
  unsentLength(): number {
    const block = this.sendingBlock();
    return block.filled - block.sent;
  }

  /**
   * Notes the pieces of the unsent bytes, `piecesMax` at most, as struct iovec from `word` on: of memory whose byte 0 has
   * address `base`. Returns how many, in `this.noted` how many bytes; only when unsentBytes > 0.
   */
  noteUnsent(words: Int32Array, word: number, piecesMax: number, base: number): number {
    let pieces = 0;
    let bytes = 0;
    for (let block: Block | null = this.sendingBlock(); block !== null && pieces < piecesMax; block = block.next) {
      const length = block.filled - block.sent;
      if (length === 0) continue;
      const address = base + block.offset + block.sent;
      const piece = word + (pieces++ << 2);
      words[piece] = address;
      words[piece + 1] = address / 2 ** 32;
      words[piece + 2] = length;
      words[piece + 3] = 0;
      bytes += length;
    }
    this.noted = bytes;
    return pieces;
  }

  /** The kernel took `count` bytes, of as many pieces as there are. */
  advanceAll(count: number): void {
    for (let left = count; left > 0; ) {
      const length = Math.min(left, this.unsentLength());
      this.advance(length);
      left -= length;
    }
  }

  /** The kernel took `count` bytes of the piece at `unsentStart()`. */
  advance(count: number): void {
    const block = this.sendingBlock();
    block.sent += count;
    this.sent = (this.sent + count) | 0;
    this.unsentBytes -= count;
    if (!this.retaining && block.sent === block.filled) this.releaseFirst(block);
  }

  /** Retaining outputs: everything up to stream position `position` has been answered. */
  releaseTo(position: number): void {
    let block = this.first;
    while (block !== null && block.sent === block.filled && ((block.endPosition - position) | 0) <= 0) {
      const next = block.next;
      this.releaseFirst(block);
      if (next === null) return;
      block = next;
    }
  }

  /** Releases all memory. The output takes no more bytes. */
  dispose(): void {
    for (let block = this.first; block !== null; block = block.next) this.arena.release(block.offset, block.bytes);
    this.first = null;
    this.last = null;
    this.sending = null;
    this.heldBytes = 0;
    this.unsentBytes = 0;
    this.overflowed = true;
  }

  /** `block` is the first one and wholly done with: an idle connection holds no memory of the arena. */
  private releaseFirst(block: Block): void {
    if (this.sending === block) this.sending = block.next;
    this.first = block.next;
    if (block.next === null) this.last = null;
    this.arena.release(block.offset, block.bytes);
    this.heldBytes -= block.bytes;
    this.spare = block;
  }

  private sendingBlock(): Block {
    let block = this.sending ?? this.first;
    while (block !== null && block.sent === block.filled) block = block.next;
    if (block === null) throw new Error('an output with nothing to send was asked for bytes');
    this.sending = block;
    return block;
  }

  private extend(size: number): Block | null {
    if (this.overflowed) return null;
    const previous = this.last;
    let wanted = previous === null ? BLOCK_BYTES_MIN : Math.min(previous.bytes * 4, BLOCK_BYTES_MAX);
    if (wanted < size) wanted = size;
    const block = this.spare ?? new Block();
    this.spare = null;
    block.filled = 0;
    block.sent = 0;
    block.next = null;
    block.bytes = Arena.blockBytes(wanted);
    block.offset = this.arena.allocate(block.bytes);
    if (block.offset < 0) {
      this.overflowed = true;
      return null;
    }
    this.heldBytes += block.bytes;
    if (previous === null) this.first = block;
    else previous.next = block;
    this.last = block;
    return block;
  }
}
