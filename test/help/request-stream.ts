/**
 * Reads client bytes the way a session does, whole or in pieces, and says what came of it: for comparing the two.
 */
import { strict as assert } from 'node:assert';
import { INCOMPLETE, INVALID } from '../../src/resp/frame.js';
import { RequestProgress, RequestReader } from '../../src/resp/request.js';

/** What Redis has by default. */
export const REDIS_LIMITS = { bulkBytesMax: 512 * 1024 * 1024, inlineBytesMax: 64 * 1024 };

export interface StreamResult {
  /** Arguments of each command, one character a byte; an empty one is a command to be passed over. */
  commands: string[][];
  /** Where the first command begins that is not whole, or not valid. */
  rest: number;
  /** The error, '' if there is none. */
  error: string;
}

/** All commands in `bytes`, each read at its first sight. */
export function readWhole(bytes: Buffer, limits = REDIS_LIMITS, progress = new RequestProgress()): StreamResult {
  return readPieces(bytes, [bytes.length], limits, progress);
}

/**
 * The same with bytes that come up to `cuts[0]`, then `cuts[1]` … and lie elsewhere each time, among bytes that must not
 * be looked at. Asserts that `need` is never more than what it takes, and more than what there is.
 */
export function readPieces(
  bytes: Buffer,
  cuts: readonly number[],
  limits = REDIS_LIMITS,
  progress = new RequestProgress(),
): StreamResult {
  const reader = new RequestReader(limits);
  const commands: string[][] = [];
  let at = 0;
  let need = 0;
  for (const [index, cut] of cuts.entries()) {
    const { memory, offset } = surrounded(bytes.subarray(0, cut), index);
    while (at < cut) {
      const end = reader.read(memory, offset + at, offset + cut, progress);
      if (end === INCOMPLETE) {
        assert.ok(progress.need > cut - at, `asks for ${progress.need} bytes and has ${cut - at}`);
        need = progress.need;
        break;
      }
      assert.ok(cut - at >= need, `asked for ${need} bytes and was content with ${cut - at}`);
      need = 0;
      if (end === INVALID) return { commands, rest: at, error: reader.error };
      assert.ok(end > offset + at && end <= offset + cut, `a command from ${at} to ${end - offset} of ${cut}`);
      assert.equal(progress.need, 0);
      commands.push(argumentsOf(reader, memory));
      at = end - offset;
    }
  }
  return { commands, rest: at, error: '' };
}

/** Every cut from 1 to `length`. */
export function everyCut(length: number): number[] {
  return Array.from({ length }, (_, index) => index + 1);
}

/** `bytes` in the middle of a memory whose other bytes would be taken for part of a frame, other ones for each index. */
export function surrounded(bytes: Buffer, index: number): { memory: Buffer; offset: number } {
  const offset = 1 + (index % 7);
  const around = ['\r\n', '1', '$', '\0', '*'][index % 5] as string;
  const memory = Buffer.alloc(offset + bytes.length + 24, around, 'latin1');
  bytes.copy(memory, offset);
  return { memory, offset };
}

function argumentsOf(reader: RequestReader, memory: Buffer): string[] {
  const words = reader.inlineArguments;
  if (words !== null) {
    assert.equal(words.length, reader.argumentCount);
    return words.map((word) => Buffer.from(word).toString('latin1'));
  }
  return Array.from({ length: reader.argumentCount }, (_, index) =>
    memory.toString('latin1', reader.argumentStart[index], reader.argumentEnd[index]),
  );
}
