/**
 * The replies of one session that came before their turn, in blocks of the arena.
 *
 *   | gone out | kept | kept | room |        one behind the other as they came
 *
 * They go out in another order than they came in, so that a block is given back when none of its replies is kept any more. A block
 * for many, instead of one each, is a piece of memory that the next reply finds in the cache, and is asked for less often.
 */
import { Arena } from '../transport/arena.js';

const BLOCK_BYTES_MIN = 1024;
const BLOCK_BYTES_MAX = 16 * 1024;
const GROWTH = 4;

class Block {
  offset = 0;
  bytes = 0;
  filled = 0;
  /** Replies in it that are still to go out. */
  kept = 0;
  /** The one that was opened before it. */
  previous: Block | null = null;
}

export class ParkedReplies {
  /** Bytes of the replies. */
  bytes = 0;
  /** Bytes of the arena that are held for them. */
  heldBytes = 0;
  private readonly arena: Arena;
  /** What the next one goes to, while it has room. */
  private last: Block | null = null;
  /** Unused objects, as many as there were blocks at once: a session which pipelines makes no garbage. */
  private spares: Block | null = null;

  constructor(arena: Arena) {
    this.arena = arena;
  }

  /** Keeps a copy of arena bytes [start, end), and returns where; -1, and nothing is done, where there is no room. */
  keep(start: number, end: number): number {
    const at = this.reserve(end - start);
    if (at >= 0) this.arena.copyNow(start, end, at);
    return at;
  }

  /** As `keep`, of bytes from outside the arena. */
  keepBytes(source: Uint8Array): number {
    const at = this.reserve(source.length);
    if (at >= 0) this.arena.bytes.set(source, at);
    return at;
  }

  /** The reply of `size` bytes that is kept at `at` is not needed any more. */
  release(at: number, size: number): void {
    this.bytes -= size;
    let later: Block | null = null;
    let block = this.last as Block;
    while (at < block.offset || at >= block.offset + block.bytes) {
      later = block;
      block = block.previous as Block;
    }
    if (--block.kept > 0) return;
    if (later === null) this.last = block.previous;
    else later.previous = block.previous;
    this.heldBytes -= block.bytes;
    this.arena.release(block.offset, block.bytes);
    block.previous = this.spares;
    this.spares = block;
  }

  /** Gives up what is kept only to be used again. */
  trim(): void {
    this.spares = null;
  }

  private reserve(size: number): number {
    let block = this.last;
    if (block === null || block.filled + size > block.bytes) {
      block = this.open(size);
      if (block === null) return -1;
    }
    const at = block.offset + block.filled;
    block.filled += size;
    block.kept++;
    this.bytes += size;
    return at;
  }

  private open(size: number): Block | null {
    const wanted = this.last === null ? BLOCK_BYTES_MIN : Math.min(this.last.bytes * GROWTH, BLOCK_BYTES_MAX);
    const bytes = Arena.blockBytes(Math.max(wanted, size));
    const offset = this.arena.allocate(bytes);
    if (offset < 0) return null;
    const block = this.spares ?? new Block();
    this.spares = block.previous;
    block.offset = offset;
    block.bytes = bytes;
    block.filled = 0;
    block.kept = 0;
    block.previous = this.last;
    this.heldBytes += bytes;
    this.last = block;
    return block;
  }
}
