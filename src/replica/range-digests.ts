/**
 * What one node has, as a digest for each range of keys: two nodes that have the same keys with the same versions have equal ones, in
 * whatever order they told them. Of each key and its version there is a hash of 64 bits, and of a range the sum of these, modulo 2^64 in two
 * halves, and their number. What differs is seen unless sums happen to be equal, once in 2^64; what is equal may seem to differ where a scan
 * has told a key twice.
 */
const WORDS = 3;
const BYTES = WORDS * Uint32Array.BYTES_PER_ELEMENT;
/** Of MurmurHash3's mixing (Appleby 2011). */
const MIX_1 = 0xcc9e2d51;
const MIX_2 = 0x1b873593;
const END_1 = 0x85ebca6b;
const END_2 = 0xc2b2ae35;
const SEED_LOW = 0x9747b28c | 0;
const SEED_HIGH = 0x3c6ef372;

export class RangeDigests {
  /** Shared by who adds to it, one after the other. */
  readonly memory: SharedArrayBuffer;
  private readonly words: Uint32Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.words = new Uint32Array(memory);
  }

  static ofNothing(ranges: number): RangeDigests {
    return new RangeDigests(new SharedArrayBuffer(ranges * BYTES));
  }

  /** A key and its version, by their hash. */
  add(range: number, low: number, high: number): void {
    const { words } = this;
    const at = range * WORDS;
    const sum = (words[at] as number) + low;
    words[at] = sum;
    words[at + 1] = (words[at + 1] as number) + high + (sum > 0xffff_ffff ? 1 : 0);
    words[at + 2] = (words[at + 2] as number) + 1;
  }

  isEqual(other: RangeDigests, range: number): boolean {
    const [own, others] = [this.words, other.words];
    for (let at = range * WORDS; at < (range + 1) * WORDS; at++) if (own[at] !== others[at]) return false;
    return true;
  }
}

/** Writes the hash of a key and its version, two words: low, high. `key`, `version`: a character a byte. */
export function writeHash(words: Uint32Array, at: number, key: string, version: string): void {
  const text = `${key.length} ${key}${version}`;
  words[at] = hash(text, SEED_LOW);
  words[at + 1] = hash(text, SEED_HIGH);
}

/** 32 bits of it, not negative. */
function hash(text: string, seed: number): number {
  let h = seed;
  for (let at = 0; at < text.length; at++) {
    let k = Math.imul(text.charCodeAt(at) + 1, MIX_1);
    k = (k << 15) | (k >>> 17);
    h ^= Math.imul(k, MIX_2);
    h = (h << 13) | (h >>> 19);
    h = (Math.imul(h, 5) + 0xe6546b64) | 0;
  }
  h ^= text.length;
  h = Math.imul(h ^ (h >>> 16), END_1);
  h = Math.imul(h ^ (h >>> 13), END_2);
  return (h ^ (h >>> 16)) >>> 0;
}
