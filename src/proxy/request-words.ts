/** The words of the command last read, outside the arena: for what outlives its frame. */
import { Copies } from '../base/copies.js';
import type { RequestReader } from '../resp/request.js';

/** Of one thread. */
const copies = new Copies();

/** `bytes`: the arena's. */
export function requestWords(
  { argumentStart, argumentEnd, argumentCount }: RequestReader,
  bytes: Uint8Array,
): Uint8Array[] {
  const first = argumentStart[0] as number;
  // One copy of all, with what stands between them.
  const at = copies.add(bytes, first, argumentEnd[argumentCount - 1] as number);
  const { buffer } = copies;
  const words = new Array<Uint8Array>(argumentCount);
  for (let index = 0; index < argumentCount; index++) {
    const start = argumentStart[index] as number;
    // Not subarray, which makes a Buffer of a part of one, and takes twice as long.
    words[index] = new Uint8Array(buffer, at + start - first, (argumentEnd[index] as number) - start);
  }
  return words;
}
