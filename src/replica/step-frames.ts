/**
 * The frames of one step in the arena, as one node gets them. A step goes to several nodes, one after the other, and all get the
 * same but for the record: then only that is written anew.
 */
import { CommandWriter } from '../resp/command-writer.js';
import type { Arena } from '../transport/arena.js';
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
  /** What is written there; null for nothing. */
  private step: KeyStep | null = null;
  private key = '';
  private isFull = false;
  private nodeStep: NodeStep | null = null;
  /** Where its record stands, as a word, and its bytes; NONE where no other can take its place. */
  private recordAt = NONE;
  private recordBytes = 0;
  private ownBytes = 0;

  constructor(arena: Arena) {
    this.arena = arena;
    const { buffer, byteOffset, length } = arena.bytes;
    this.bytes = Buffer.from(buffer, byteOffset, length);
  }

  /**
   * Writes the frames for a node with that record. Null when the arena has no room. They must have been sent, or copied, before the
   * next, and before `release`. `key`: a character a byte; `aloneBytesMax`: see NodeStep; `isFull`: see nodeStepOf.
   */
  write(step: KeyStep, key: string, record: Uint8Array, aloneBytesMax: number, isFull: boolean): NodeStep | null {
    if (this.step !== step || this.key !== key || this.isFull !== isFull || this.nodeStep === null) {
      this.nodeStep = nodeStepOf(step, key, isFull);
      this.step = step;
      this.key = key;
      this.isFull = isFull;
      this.recordAt = NONE;
    }
    const { writer, bytes, nodeStep } = this;
    if (this.recordAt !== NONE && this.recordBytes === record.length) {
      writer.aim(bytes, this.recordAt);
      writer.word(record);
      return nodeStep;
    }
    const bytesMax = nodeStep.bytesMax(record.length);
    const start = this.room(bytesMax);
    if (start < 0) return null;
    writer.aim(bytes, start);
    const recordAt = nodeStep.write(writer, record, aloneBytesMax);
    if (writer.at > start + bytesMax) throw new Error(`frames took ${writer.at - start} bytes, and not ${bytesMax}`);
    this.start = start;
    this.end = writer.at;
    this.recordAt = this.ownBytes === 0 ? recordAt : NONE;
    this.recordBytes = record.length;
    return nodeStep;
  }

  /** What was written has been sent. */
  release(): void {
    if (this.ownBytes === 0) return;
    this.arena.release(this.start, this.ownBytes);
    this.ownBytes = 0;
    // What is large is not kept.
    this.step = null;
    this.nodeStep = null;
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
