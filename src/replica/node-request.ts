/** What nodes are asked: the bytes, and what the replies to them mean. */
import type { CommandWriter } from '../resp/command-writer.js';
import type { Replies, Value } from './commands.js';
import type { Answer } from './step.js';

/** What is asked of one node in one piece. */
export interface NodeRequest<A> {
  /** What to send: nothing else may come in between. */
  readonly frames: Uint8Array;
  /** How many replies come back, pushes aside. */
  readonly replyCount: number;
  /** Of its replies, whole frames in their order, the answer. What it holds are views of them. */
  decode(replies: readonly Uint8Array[]): A;
}

export type KeyAnswer = Answer<Replies, Value>;

/** What the node has said can mean more than one thing: the step is to be asked in the form for a node without memory, which leaves none open. */
export const UNCLEAR = { kind: 'unclear' } as const;
export type Unclear = typeof UNCLEAR;

/** A step as all nodes get it that it goes to, but for the record that each is to have. */
export interface NodeStep<A = KeyAnswer | Unclear> {
  readonly replyCount: number;
  /** Of its frames, with a record of so many bytes, the most that they take. */
  bytesMax(recordBytes: number): number;
  /**
   * Returns where the record stands as a word, its header included; -1 where another cannot take its place. `aloneBytesMax`: memory
   * that a value may take to which commands write that one node alone carries out.
   */
  write(writer: CommandWriter, record: Uint8Array, aloneBytesMax: number): number;
  /** Of its replies, whole frames in their order, the answer. What it holds are views of them. */
  decode(replies: readonly Uint8Array[], record: Uint8Array): A;
  /**
   * The answer, read where the last reply lies, which is bytes[start, end), if it is as replies mostly are and those before it
   * were `+`; else null: then they are for `decode`. What it holds are copies.
   */
  plainAnswer(bytes: Buffer, start: number, end: number, record: Uint8Array): A | null;
}
