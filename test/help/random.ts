/** Chance for tests, repeatable: a test prints its seed, and SEED=… in the environment brings it back. */
import { Seeded } from '../transport/seeded.js';

export class Random extends Seeded {
  /** True `percent` times in a hundred. */
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }

  /** `length` bytes of `alphabet`. */
  bytesOf(length: number, alphabet: Uint8Array): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; at++) bytes[at] = alphabet[this.below(alphabet.length)] as number;
    return bytes;
  }
}

/** A new one, whose seed `say` prints: pass the test's comment. */
export function randomFromSeed(say: (text: string) => void): Random {
  const random = new Random();
  say(`seed ${random.seed}`);
  return random;
}
