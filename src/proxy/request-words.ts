/** The words of the command last read, outside the arena: for what outlives its frame. */
import type { RequestReader } from '../resp/request.js';

/** `bytes`: the arena's. */
export function requestWords(
  { argumentStart, argumentEnd, argumentCount }: RequestReader,
  bytes: Uint8Array,
): Uint8Array[] {
  const first = argumentStart[0] as number;
  // One copy of all, with what stands between them.
  const all = Buffer.allocUnsafe((argumentEnd[argumentCount - 1] as number) - first);
  all.set(bytes.subarray(first, argumentEnd[argumentCount - 1]));
  const { buffer, byteOffset } = all;
  const words = new Array<Uint8Array>(argumentCount);
  for (let index = 0; index < argumentCount; index++) {
    const start = argumentStart[index] as number;
    // Not subarray, which makes a Buffer of a part of one, and takes twice as long.
    words[index] = new Uint8Array(buffer, byteOffset + start - first, (argumentEnd[index] as number) - start);
  }
  return words;
}
