/** twemproxy's hash of a key: of the whole of it, or of what stands in its `hash_tag`, where the pool has one. */
import type { HashName } from '../base/placement.js';
import { HASHES, type HashFunction } from './hashes.js';

/** Compares unlike any byte. */
const NONE = -1;

export class TaggedHash {
  private readonly hash: HashFunction;
  private readonly open: number;
  private readonly close: number;

  /** `tag` is two ASCII characters, which may be the same one, or null. */
  constructor(name: HashName, tag: string | null) {
    this.hash = HASHES[name];
    this.open = tag?.charCodeAt(0) ?? NONE;
    this.close = tag?.charCodeAt(1) ?? NONE;
  }

  /**
   * The hash of the key bytes[start, end), a signed 32-bit integer. A tag reaches from the first opening character to the
   * first closing one after it; where one is missing or nothing is between them, the whole key counts. An empty key is 0.
   */
  of(bytes: Uint8Array, start: number, end: number): number {
    if (this.open !== NONE) {
      const open = find(bytes, start, end, this.open);
      const close = find(bytes, open + 1, end, this.close);
      if (close < end && close - open > 1) return this.hash(bytes, open + 1, close);
    }
    return start === end ? 0 : this.hash(bytes, start, end);
  }
}

/** Where `byte` is first in bytes[start, end), or `end`. (`indexOf` has no end, and would search the whole memory.) */
function find(bytes: Uint8Array, start: number, end: number, byte: number): number {
  let at = start;
  while (at < end && bytes[at] !== byte) at += 1;
  return at;
}
