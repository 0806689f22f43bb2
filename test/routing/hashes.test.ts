import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { HASH_NAMES, type HashName } from '../../src/base/placement.js';
import { HASHES, hashSpace } from '../../src/routing/hashes.js';
import { md5 } from '../../src/routing/md5.js';
import { goldenKeys } from '../help/golden-keys.js';
import { sampleKeys } from '../help/key-sample.js';
import { randomFromSeed } from '../help/random.js';

/** As twemproxy has it: without a sign. The key lies among other bytes. */
function hash(name: HashName, key: string | Uint8Array): number {
  const bytes = typeof key === 'string' ? Buffer.from(key) : key;
  const memory = Buffer.concat([Buffer.from([0xff, 0]), bytes, Buffer.from([0xff])]);
  return HASHES[name](memory, 2, 2 + bytes.length) >>> 0;
}

t.test('published values, where twemproxy did not change a hash', async (t) => {
  // Check values of https://reveng.sourceforge.io/crc-catalogue: CRC-32/ISO-HDLC, CRC-16/XMODEM.
  t.equal(hash('crc32a', '123456789'), 0xcbf43926);
  t.equal(hash('crc16', '123456789') & 0xffff, 0x31c3);
  // http://www.isthe.com/chongo/tech/comp/fnv: of 64 bits, the lower half.
  t.equal(hash('fnv1_32', 'foobar'), 0x31f0b262);
  t.equal(hash('fnv1a_32', 'foobar'), 0xbf9cf968);
  t.equal(hash('fnv1_64', 'foobar'), 0xa4dda9c2);
  t.equal(hash('fnv1a_64', 'foobar'), 0xf73967e8);
  // https://en.wikipedia.org/wiki/Jenkins_hash_function
  t.equal(hash('one_at_a_time', 'a'), 0xca2e9442);
  t.equal(hash('one_at_a_time', 'The quick brown fox jumps over the lazy dog'), 0x519e91f5);
});

t.test('libmemcached keeps 15 bits of the CRC', async (t) => {
  t.equal(hash('crc32', '123456789'), (0xcbf43926 >>> 16) & 0x7fff);
  t.equal(hashSpace('crc32'), 2 ** 15);
  t.equal(hashSpace('crc32a'), 2 ** 32);
});

t.test('MD5 is that of node:crypto for all lengths to three blocks, and within a larger memory', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const digest = new Int32Array(4);
  const wrong: number[] = [];
  for (let length = 0; length <= 200; length += 1) {
    const memory = random.bytes(length + 20);
    md5(memory, 7, 7 + length, digest);
    const bytes = Buffer.alloc(16);
    for (const [i, word] of digest.entries()) bytes.writeInt32LE(word, 4 * i);
    const wanted = createHash('md5')
      .update(memory.subarray(7, 7 + length))
      .digest();
    if (!bytes.equals(wanted) || hash('md5', memory.subarray(7, 7 + length)) !== wanted.readUInt32LE(0)) {
      wrong.push(length);
    }
  }
  t.same(wrong, []);
});

t.test('the fnv hashes are those of 64-bit arithmetic on signed chars', async (t) => {
  const keys = sampleKeys(
    randomFromSeed((text) => t.comment(text)),
    500,
  );
  const slow = (key: Buffer, start: bigint, prime: bigint, xorFirst: boolean): number => {
    let hash = start;
    for (const byte of new Int8Array(key)) {
      const mixed = BigInt.asUintN(64, BigInt(byte));
      if (xorFirst) hash ^= mixed;
      hash = BigInt.asUintN(64, hash * prime);
      if (!xorFirst) hash ^= mixed;
    }
    return Number(BigInt.asUintN(32, hash));
  };
  for (const key of keys) {
    const wanted = [
      slow(key, 0xcbf29ce484222325n, 0x100000001b3n, false),
      slow(key, 0xcbf29ce484222325n, 0x100000001b3n, true),
      slow(key, 0x811c9dc5n, 0x01000193n, false),
      slow(key, 0x811c9dc5n, 0x01000193n, true),
    ];
    const names = ['fnv1_64', 'fnv1a_64', 'fnv1_32', 'fnv1a_32'] as const;
    if (names.some((name, i) => hash(name, key) !== wanted[i])) t.fail(key.toString('hex'));
  }
  t.equal(keys.length, 500);
});

t.test('results are signed 32-bit integers', async (t) => {
  const keys = sampleKeys(
    randomFromSeed((text) => t.comment(text)),
    200,
  );
  for (const name of HASH_NAMES) {
    const hashes = keys.map((key) => HASHES[name](key, 0, key.length));
    t.ok(
      hashes.every((value) => value === (value | 0)),
      name,
    );
    t.equal(
      hashes.some((value) => value < 0),
      name !== 'crc32',
      `${name} uses the upper half too`,
    );
  }
});

t.test('all hashes of the golden keys are what they always were', async (t) => {
  const golden = JSON.parse(readFileSync('test/golden/twemproxy/hashes.json', 'utf8')) as Record<HashName, string>;
  const keys = goldenKeys();
  for (const name of HASH_NAMES) {
    const digest = createHash('sha256');
    for (const key of keys) digest.update(`${hash(name, key)}\n`);
    t.equal(digest.digest('hex'), golden[name], name);
  }
});
