/**
 * The unread bytes of one connection, in the arena. It holds memory only while something is unread.
 *
 *   nothing unread    the kernel writes into the worker's one receive block, the owner reads there
 *   up to 4 KiB       kept in a block of their size; the next bytes are received into the receive block, and what was
 *                     kept is put right before them:   | ... kept | received ......... |   the receive block
 *   more              kept in a block of their own, and the kernel writes straight behind them
 *
 * So an idle client with half a command costs 64 bytes, a stream of small commands is read in large pieces, and of a large
 * value nearly every byte is written once, where it stays. A block grows to min(expected, 4 × what has come): an announced
 * length alone costs nothing, and growing copies at most 1 + 1/4 + 1/16 … = 1.33 times the value; where the memory behind
 * it is free (the rule for blocks over 512 KiB) growing copies nothing.
 *
 * A driver's round: prepare() -> the kernel writes -> filled(n) -> if isComplete(): expect(0), owner.onBytes(start, end),
 * consume(); else keep(). Where
 * the kernel has chosen a place itself (provided-buffers.ts), take(target, n) stands for the first three.
 */
import { Arena } from './arena.js';

/** What is kept of at most this many bytes is put before the received ones: so much is free before a place to receive into. */
export const RECEIVE_PREFIX_BYTES = 4 * 1024;
const RECEIVE_BLOCK_BYTES = 256 * 1024;
const RECEIVE_BYTES = RECEIVE_BLOCK_BYTES - RECEIVE_PREFIX_BYTES;
/** The least room to read into, unless fewer bytes are expected, and the most that one turn reads. */
const ROOM_MIN = 16 * 1024;
const ROOM_MAX = 512 * 1024;
const GROWTH = 4;
/** Up to here a driver whose kernel chooses the places goes on with that: a copy costs less than another way to receive. */
const LARGE_BYTES = 64 * 1024;
const NONE = -1;

/** Where a worker's connections receive when they have little or nothing kept: one block for all, used one at a time. */
export class ReceiveBlock {
  /** Arena offset where the kernel writes; RECEIVE_PREFIX_BYTES before it are free too. */
  readonly offset: number;

  constructor(arena: Arena) {
    const block = arena.allocate(RECEIVE_BLOCK_BYTES);
    if (block < 0) throw new RangeError('the arena has no room for a receive block');
    this.offset = block + RECEIVE_PREFIX_BYTES;
  }
}

export class Inbox {
  /** Arena bytes [start, end) are unread. */
  start = 0;
  end = 0;
  /** How many bytes may be written where `prepare` said. */
  room = 0;

  private readonly arena: Arena;
  private readonly receive: ReceiveBlock;
  /** The block that holds what is unread, or NONE: then it is in the receive block. */
  private block = NONE;
  private blockBytes = 0;
  private expected = 0;

  constructor(arena: Arena, receive: ReceiveBlock) {
    this.arena = arena;
    this.receive = receive;
  }

  get unreadBytes(): number {
    return this.end - this.start;
  }

  /** Bytes of the arena that are held for them: none while they lie in the receive block. */
  get heldBytes(): number {
    return this.blockBytes;
  }

  /** See Connection.expect: the owner says it in onBytes, 0 ends it. */
  expect(bytes: number): void {
    this.expected = bytes;
  }

  /** True when all that was expected has come. */
  isComplete(): boolean {
    return this.end - this.start >= this.expected;
  }

  /** Arena offset where the next bytes go, at most `room` of them; -1 when the arena is full. Nothing else is changed. */
  prepare(): number {
    const unread = this.end - this.start;
    if (unread <= RECEIVE_PREFIX_BYTES) {
      this.room = RECEIVE_BYTES;
      return this.receive.offset;
    }
    const missing = this.expected - unread;
    const needed = missing > 0 && missing < ROOM_MIN ? missing : ROOM_MIN;
    if (this.block + this.blockBytes - this.end < needed && !this.makeRoom(unread, needed)) return NONE;
    this.room = Math.min(this.block + this.blockBytes - this.end, ROOM_MAX);
    return this.end;
  }

  /** `count` bytes (> 0) were written where `prepare` said. */
  filled(count: number): void {
    const unread = this.end - this.start;
    if (unread > RECEIVE_PREFIX_BYTES) this.end += count;
    else this.join(unread, this.receive.offset, count);
  }

  /**
   * `count` bytes (> 0) came to arena offset `target`, before which RECEIVE_PREFIX_BYTES are free: some other place than the
   * receive block, and the same rules hold for it. False when the arena is full.
   */
  take(target: number, count: number): boolean {
    const unread = this.end - this.start;
    if (unread <= RECEIVE_PREFIX_BYTES) {
      this.join(unread, target, count);
      return true;
    }
    if (this.block + this.blockBytes - this.end < count && !this.makeRoom(unread, count)) return false;
    this.arena.bytes.copyWithin(this.end, target, target + count);
    this.end += count;
    return true;
  }

  /** True when what is unread lies in a block of its own, and so much of it has come or is expected that the next bytes are best received right behind it. */
  isLarge(): boolean {
    const unread = this.end - this.start;
    return unread > RECEIVE_PREFIX_BYTES && Math.max(unread, this.expected) > LARGE_BYTES;
  }

  /** The owner was shown [start, end) and has consumed it up to `position`. False when the arena is full. */
  consume(position: number): boolean {
    if (position < this.start || position > this.end) {
      throw new RangeError(`consumed up to ${position} of [${this.start}, ${this.end})`);
    }
    this.start = position;
    if (position === this.end) {
      if (this.block !== NONE) this.releaseBlock();
      this.start = 0;
      this.end = 0;
      return true;
    }
    return this.keep();
  }

  /** Keeps what is unread where it can stay: the receive block is free again. False when the arena is full. */
  keep(): boolean {
    const unread = this.end - this.start;
    if (this.block !== NONE && (unread > RECEIVE_PREFIX_BYTES || this.blockBytes <= RECEIVE_PREFIX_BYTES)) return true;
    const wanted = unread <= RECEIVE_PREFIX_BYTES ? unread : Math.max(unread, Math.min(this.expected, GROWTH * unread));
    return this.move(wanted);
  }

  /** Drops what is unread. */
  release(): void {
    if (this.block !== NONE) this.releaseBlock();
    this.start = 0;
    this.end = 0;
    this.expected = 0;
  }

  /** Puts what is unread right before the `count` bytes at `target`. */
  private join(unread: number, target: number, count: number): void {
    if (unread > 0) this.arena.bytes.copyWithin(target - unread, this.start, this.end);
    if (this.block !== NONE) this.releaseBlock();
    this.start = target - unread;
    this.end = target + count;
  }

  /** Room for `needed` more bytes behind the unread ones, which fill a block of their own to its end. */
  private makeRoom(unread: number, needed: number): boolean {
    const consumed = this.start - this.block;
    // Moving to the front is paid for by at least as many consumed bytes: never quadratic.
    if (consumed >= unread && this.blockBytes - unread >= needed) {
      this.arena.bytes.copyWithin(this.block, this.start, this.end);
      this.start = this.block;
      this.end = this.block + unread;
      return true;
    }
    const wanted = Math.max(
      unread + needed,
      this.expected > unread ? Math.min(this.expected, GROWTH * unread) : 2 * unread,
    );
    if (consumed < unread) {
      const bytes = Arena.blockBytes(consumed + wanted);
      if (this.arena.extend(this.block, this.blockBytes, bytes)) {
        this.blockBytes = bytes;
        return true;
      }
    }
    return this.move(wanted);
  }

  /** Moves what is unread to the start of a block of at least `bytes`. */
  private move(bytes: number): boolean {
    const blockBytes = Arena.blockBytes(bytes);
    const block = this.arena.allocate(blockBytes);
    if (block < 0) return false;
    this.arena.bytes.copyWithin(block, this.start, this.end);
    if (this.block !== NONE) this.releaseBlock();
    this.end = block + (this.end - this.start);
    this.start = block;
    this.block = block;
    this.blockBytes = blockBytes;
    return true;
  }

  private releaseBlock(): void {
    this.arena.release(this.block, this.blockBytes);
    this.block = NONE;
    this.blockBytes = 0;
  }
}
