/**
 * The frames of one step in the arena, as one node gets them. A step goes to several nodes, one after the other, and all get the
 * same but for the record: then only that is written anew.
 */
import { CommandWriter } from '../resp/command-writer.js';
import type { Arena } from '../transport/arena.js';
import type { AcceptItem } from './accept-item.js';
import type { Commands, Value } from './commands.js';
import type { NodeStep } from './node-request.js';
import { nodeStepOf } from './node-step.js';
import type { Step } from './step.js';

type KeyStep = Step<Commands, Value>;

/** Frames that take more have a block of their own, which goes when they have been sent. */
const KEPT_BYTES = 16 * 1024;
const NONE = -1;

export class StepFrames {
  /** The whole arena. */
  readonly bytes: Buffer;
  /** The frames are bytes [start, end). */
  start = NONE;
  end = NONE;
  private readonly arena: Arena;
  private readonly writer = new CommandWriter();
  private kept = NONE;
  /** What was asked for last; null for nothing. */
  private step: KeyStep | null = null;
  private key = '';
  private isFull = false;
  private nodeStep: NodeStep<unknown> | null = null;
  /** What of it stands there. */
  private written: 'nothing' | 'frames' | 'item' = 'nothing';
  private bytesMax = 0;
  /** Where its record stands, as a word, and its bytes; NONE where no other can take its place. */
  private recordAt = NONE;
  private recordBytes = 0;
  private ownBytes = 0;

  constructor(arena: Arena) {
    this.arena = arena;
    const { buffer, byteOffset, length } = arena.bytes;
    this.bytes = Buffer.from(buffer, byteOffset, length);
  }

  /** The step as nodes get it. `key`: a character a byte; `isFull`: see nodeStepOf. */
  stepFor(step: KeyStep, key: string, isFull: boolean): NodeStep {
    if (this.step !== step || this.key !== key || this.isFull !== isFull || this.nodeStep === null) {
      this.nodeStep = nodeStepOf(step, key, isFull);
      this.step = step;
      this.key = key;
      this.isFull = isFull;
      this.written = 'nothing';
    }
    return this.nodeStep as NodeStep;
  }

  /** That step is asked for, which is none on a key. */
  take(nodeStep: NodeStep<unknown>): void {
    if (this.nodeStep === nodeStep) return;
    this.nodeStep = nodeStep;
    this.step = null;
    this.written = 'nothing';
  }

  /**
   * Writes the frames of the step that was asked for last, for a node with that record. False when the arena has no room. They must have
   * been sent, or copied, before the next, and before `release`. `aloneBytesMax`: see NodeStep.
   */
  write(record: Uint8Array, aloneBytesMax: number): boolean {
    const { writer, bytes } = this;
    const nodeStep = this.nodeStep as NodeStep<unknown>;
    if (this.written === 'frames' && this.recordAt !== NONE && this.recordBytes === record.length) {
      writer.aim(bytes, this.recordAt);
      writer.word(record);
      return true;
    }
    if (!this.begin(nodeStep.bytesMax(record.length))) return false;
    const recordAt = nodeStep.write(writer, record, aloneBytesMax);
    this.finish('frames');
    this.recordAt = recordAt;
    this.recordBytes = record.length;
    return true;
  }

  /** The same of that step as an item of a batch, of which it has no more bytes than may be kept. */
  writeItem(item: AcceptItem): boolean {
    if (this.written === 'item') return true;
    if (!this.begin(item.itemBytesMax)) return false;
    item.writeItem(this.writer);
    this.finish('item');
    return true;
  }

  /** What was written has been sent. */
  release(): void {
    if (this.ownBytes === 0) return;
    this.arena.release(this.start, this.ownBytes);
    this.ownBytes = 0;
    // What is large is not kept.
    this.step = null;
    this.nodeStep = null;
    this.written = 'nothing';
  }

  private begin(bytesMax: number): boolean {
    const start = this.room(bytesMax);
    if (start < 0) return false;
    this.writer.aim(this.bytes, start);
    this.start = start;
    this.bytesMax = bytesMax;
    return true;
  }

  private finish(written: 'frames' | 'item'): void {
    this.end = this.writer.at;
    this.written = written;
    const size = this.end - this.start;
    if (size > this.bytesMax) throw new Error(`frames took ${size} bytes, and not ${this.bytesMax}`);
  }

  private room(size: number): number {
    const { arena } = this;
    if (size <= KEPT_BYTES) {
      if (this.kept < 0) this.kept = arena.allocate(KEPT_BYTES);
      return this.kept;
    }
    const block = arena.allocate(size);
    if (block >= 0) this.ownBytes = size;
    return block;
  }
}
