/**
 * Scans replies whole and in pieces, for comparing the two with each other and with the reference parser.
 */
import { strict as assert } from 'node:assert';
import { INCOMPLETE, INVALID, ReplyProgress, scanReply } from '../../src/resp/frame.js';
import { ProtocolError, parseReply } from './reference-parser.js';
import { surrounded } from './request-stream.js';

/** The end of the reply at the front of `bytes`, INCOMPLETE or INVALID. */
export function scanWhole(bytes: Buffer): number {
  return scanPieces(bytes, [bytes.length]);
}

/**
 * The same with bytes that come up to `cuts[0]`, then `cuts[1]` … and lie elsewhere each time, among bytes that must not
 * be looked at. Asserts that `need` is never more than what it takes, and more than what there is.
 */
export function scanPieces(bytes: Buffer, cuts: readonly number[]): number {
  const progress = new ReplyProgress();
  let need = 0;
  for (const [index, cut] of cuts.entries()) {
    const { memory, offset } = surrounded(bytes.subarray(0, cut), index);
    const end = scanReply(memory, offset, offset + cut, progress);
    if (end === INCOMPLETE) {
      assert.ok(progress.need > cut, `asks for ${progress.need} bytes and has ${cut}`);
      need = progress.need;
      continue;
    }
    if (end === INVALID) return INVALID;
    assert.ok(cut >= need, `asked for ${need} bytes and was content with ${cut}`);
    assert.ok(end > offset && end <= offset + cut, `a reply to ${end - offset} of ${cut}`);
    assert.deepEqual(progress, new ReplyProgress(), 'progress is ready for the next reply');
    return end - offset;
  }
  return INCOMPLETE;
}

/** What the reference parser says of the same, in the scanner's terms. */
export function referenceEnd(bytes: Buffer): number {
  try {
    return parseReply(bytes)?.end ?? INCOMPLETE;
  } catch (error) {
    if (error instanceof ProtocolError) return INVALID;
    throw error;
  }
}
