/**
 * How many scripts clients have shown to the workers of the process, in memory that all share: counted apart by the first digits of their SHA1.
 * Where a count has not changed no worker knows a script of those digits that it did not know before.
 */
import assert from 'node:assert';

const DIGITS = 3;

export function shownScriptsMemory(): SharedArrayBuffer {
  return new SharedArrayBuffer(16 ** DIGITS * Int32Array.BYTES_PER_ELEMENT);
}

export class ShownScripts {
  private readonly counts: Int32Array;

  constructor(memory: SharedArrayBuffer) {
    this.counts = new Int32Array(memory);
  }

  /** `sha`: as all of these, 40 hexadecimal digits. */
  add(sha: string): void {
    Atomics.add(this.counts, placeOf(sha), 1);
  }

  /** It begins anew from below after 2^32. */
  count(sha: string): number {
    return Atomics.load(this.counts, placeOf(sha));
  }
}

function placeOf(sha: string): number {
  const place = Number.parseInt(sha.slice(0, DIGITS), 16);
  assert(place >= 0, 'a SHA1 has hexadecimal digits');
  return place;
}
