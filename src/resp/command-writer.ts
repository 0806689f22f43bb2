/**
 * Writes commands into memory, piece after piece, so that a command of many words is made of no buffers of its own. Whoever begins
 * has seen to it that there is room: `wordBytesMax` for each word, `COMMAND_HEAD_BYTES_MAX` for each command.
 */
import { TYPE } from './frame.js';
import { writeHeader } from './reply.js';

/** Bytes, or a text of one character a byte (latin1). */
export type Word = string | Uint8Array;

/** Room for the line before the words of a command. */
export const COMMAND_HEAD_BYTES_MAX = 16;
/** Room for what stands around a word. */
const AROUND_WORD_BYTES_MAX = 16;

/** Up to so many bytes a loop copies sooner than the engine's own functions, which take 50 to 100 ns a call. */
const LOOP_BYTES_MAX = 48;

const NOWHERE = Buffer.alloc(0);

const CR = 0x0d;
const LF = 0x0a;

export function wordBytesMax(length: number): number {
  return length + AROUND_WORD_BYTES_MAX;
}

export class CommandWriter {
  private bytes: Buffer = NOWHERE;
  /** Where the next byte goes. */
  at = 0;

  /** From now on writes into `bytes` from `at` on. */
  aim(bytes: Buffer, at: number): void {
    this.bytes = bytes;
    this.at = at;
  }

  /** A command of so many words follows. */
  begin(words: number): void {
    this.at = writeHeader(this.bytes, this.at, TYPE.array, words);
  }

  word(word: Word): void {
    this.beginWord(word.length);
    this.part(word);
    this.endWord();
  }

  /** A word in parts: `length` is that of all of them. */
  beginWord(length: number): void {
    this.at = writeHeader(this.bytes, this.at, TYPE.bulk, length);
  }

  endWord(): void {
    const { bytes, at } = this;
    bytes[at] = CR;
    bytes[at + 1] = LF;
    this.at = at + 2;
  }

  /** As it is: frames, or part of a word. */
  part(part: Word): void {
    const { bytes, at } = this;
    const { length } = part;
    if (length > LOOP_BYTES_MAX) {
      if (typeof part === 'string') bytes.write(part, at, 'latin1');
      else bytes.set(part, at);
    } else if (typeof part === 'string') {
      for (let index = 0; index < length; index++) bytes[at + index] = part.charCodeAt(index);
    } else {
      for (let index = 0; index < length; index++) bytes[at + index] = part[index] as number;
    }
    this.at = at + length;
  }
}
