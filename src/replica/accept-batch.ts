/**
 * ACCEPTs for one node that set out together, as one call of ACCEPT_EACH (scripts): those of one turn. So they cost the node half of
 * what they cost it one by one.
 *
 *   add(item) …      | room for a head | item | item | …
 *   close()               | the call's frame ………… |
 */
import { CommandWriter } from '../resp/command-writer.js';
import type { Arena } from '../transport/arena.js';
import { type AcceptItem, headBytes, headBytesMax, writeHead } from './accept-item.js';
import type { Ask } from './ask.js';

/** Items of a call: for as long as it carries them out, a third of a millisecond, the node does nothing else. */
const ITEMS_MAX = 64;
/** Bytes of them. */
const ITEMS_BYTES_MAX = 48 * 1024;
/** Of what is larger it does not matter that it goes alone. */
export const ITEM_BYTES_MAX = 4 * 1024;

/** Of one thread. */
const writer = new CommandWriter();

export class AcceptBatch {
  readonly asks: Ask[] = [];
  /** The frame is arena bytes [start, end) once it is closed. */
  start: number;
  end: number;
  private readonly arena: Arena;
  /** The whole arena. */
  private readonly bytes: Buffer;
  private readonly record: Uint8Array;
  private readonly block: number;
  private readonly blockBytes: number;
  /** Of all items. */
  itemBytes = 0;
  private words = 0;

  private constructor(arena: Arena, bytes: Buffer, record: Uint8Array, block: number, blockBytes: number) {
    this.arena = arena;
    this.bytes = bytes;
    this.record = record;
    this.block = block;
    this.blockBytes = blockBytes;
    this.start = block + headBytesMax(record.length);
    this.end = this.start;
  }

  /** `bytes`: the whole arena; `record`: that the node is to have. Null when the arena has no room. */
  static open(arena: Arena, bytes: Buffer, record: Uint8Array): AcceptBatch | null {
    const blockBytes = headBytesMax(record.length) + ITEMS_BYTES_MAX;
    const block = arena.allocate(blockBytes);
    return block < 0 ? null : new AcceptBatch(arena, bytes, record, block, blockBytes);
  }

  /** Adds arena bytes [start, end), the frames of an item, of no more than ITEM_BYTES_MAX bytes. Returns whether no other may follow. */
  add(ask: Ask, { words }: AcceptItem, start: number, end: number): boolean {
    this.bytes.copyWithin(this.end, start, end);
    this.end += end - start;
    this.itemBytes += end - start;
    this.words += words;
    this.asks.push(ask);
    return this.asks.length === ITEMS_MAX || this.itemBytes > ITEMS_BYTES_MAX - ITEM_BYTES_MAX;
  }

  hasKey(key: string): boolean {
    for (const { asker } of this.asks) if (asker.key === key) return true;
    return false;
  }

  /** Writes the head. */
  close(): void {
    const { record, words } = this;
    this.start -= headBytes(words, record.length);
    writer.aim(this.bytes, this.start);
    writeHead(writer, words, record);
  }

  /** Its frame has been sent, or copied, or will not be. */
  release(): void {
    this.arena.release(this.block, this.blockBytes);
  }
}
