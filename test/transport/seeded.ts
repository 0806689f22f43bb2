/** Random numbers that a printed seed brings back: SEED=… node dist/test/….test.js. */
export class Seeded {
  readonly seed: number;
  private state: number;

  constructor(seed: number = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))) {
    this.seed = seed;
    this.state = seed;
  }

  /** An integer in [0, end). (mulberry32) */
  below(end: number): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  /** An integer in [1, max], small ones as likely as large ones. */
  size(max: number): number {
    return 1 + (this.below(2 ** this.below(Math.ceil(Math.log2(max)) + 1)) % max);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  bytes(length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index++) bytes[index] = this.below(256);
    return bytes;
  }
}
