/** Keys of all kinds, for tests of where they are placed: no two are equal. */
import type { Random } from './random.js';

const BRACES = Buffer.from('ab{}{}$$:');

/** `count` of them, the first empty: numbered, texts in several scripts, random bytes, and, every other, with what may be a hash tag. */
export function sampleKeys(random: Random, count: number): Buffer[] {
  const keys = new Map<string, Buffer>();
  while (keys.size < count) {
    const key = sampleKey(random, keys.size);
    keys.set(key.toString('latin1'), key);
  }
  return [...keys.values()];
}

function sampleKey(random: Random, index: number): Buffer {
  if (index === 0) return Buffer.alloc(0);
  switch (index % 8) {
    case 0:
      return Buffer.from(`key:${String(index).padStart(12, '0')}`);
    case 1:
      return Buffer.from(`user:{${random.below(1e6)}}:profile`);
    case 2:
      return random.bytes(1 + random.below(40));
    case 3:
      return random.bytesOf(3 + random.below(20), BRACES);
    case 4:
      return Buffer.from(`${random.pick(['été', '键', 'ключ', '😀', 'naïve'])}:${index}`);
    case 5:
      return Buffer.concat([random.bytes(random.below(9)), Buffer.from('{'), random.bytes(random.below(9)), BRACES]);
    case 6:
      return Buffer.from(`$${random.below(1e6)}$:${index}`);
    default:
      return random.bytes(100 + random.below(200));
  }
}
