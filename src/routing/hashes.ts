/**
 * twemproxy's hash functions of a key, its own variants included: keys must fall where its users' data lies. Results are
 * signed 32-bit integers, since the engine holds these without allocating, and an unsigned one above 2^31 not always;
 * `hash >>> 0` is twemproxy's value. Source: https://github.com/twitter/twemproxy, src/hashkit; held against a running
 * nutcracker, key for key, by test/routing/ketama-nutcracker.test.ts.
 *
 * Where C reads a key as `char`, a byte from 0x80 on is negative on x86: one_at_a_time, the fnv functions, and the odd byte
 * at the end in hsieh add or mix it in with its sign. That is what is done here, on every machine. (A nutcracker compiled
 * for ARM, where `char` has no sign, differs from this and from its own other builds in keys with such bytes.)
 */
import type { HashName } from '../base/placement.js';
import { md5 } from './md5.js';
import { CRC_TABLE as CRC16_TABLE } from './slot.js';

/** The hash of the key bytes[start, end), -2^31 … 2^31 - 1. */
export type HashFunction = (bytes: Uint8Array, start: number, end: number) => number;

export const HASHES: Readonly<Record<HashName, HashFunction>> = {
  one_at_a_time: oneAtATime,
  md5: firstOfMd5,
  crc16,
  crc32,
  crc32a,
  fnv1_64: fnv1Of64,
  fnv1a_64: fnv1aOf64,
  fnv1_32: fnv1Of32,
  fnv1a_32: fnv1aOf32,
  hsieh,
  murmur,
  jenkins,
};

/** How many values a hash function has: keys are spread over 0 … this - 1. */
export function hashSpace(name: HashName): number {
  return name === 'crc32' ? 2 ** 15 : 2 ** 32;
}

/** Bob Jenkins's one-at-a-time (Dr. Dobb's Journal, 1997). */
function oneAtATime(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  for (let i = start; i < end; i += 1) {
    hash = (hash + signed(bytes[i] as number)) | 0;
    hash = (hash + (hash << 10)) | 0;
    hash ^= hash >>> 6;
  }
  hash = (hash + (hash << 3)) | 0;
  hash ^= hash >>> 11;
  return (hash + (hash << 15)) | 0;
}

const digest = new Int32Array(4);

function firstOfMd5(bytes: Uint8Array, start: number, end: number): number {
  md5(bytes, start, end, digest);
  return digest[0] as number;
}

/** CRC16 (XMODEM) in 32 bits that are never cut to 16: what is shifted out of the lower half stays in the upper one. */
function crc16(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i += 1) {
    crc = (crc << 8) ^ (CRC16_TABLE[((crc >>> 8) ^ (bytes[i] as number)) & 0xff] as number);
  }
  return crc;
}

/** libmemcached's: 15 bits from the upper half of the CRC. */
function crc32(bytes: Uint8Array, start: number, end: number): number {
  return (crc32a(bytes, start, end) >>> 16) & 0x7fff;
}

/** The CRC-32 of zlib and Ethernet: polynomial 0x04c11db7, reflected. */
function crc32a(bytes: Uint8Array, start: number, end: number): number {
  let crc = -1;
  for (let i = start; i < end; i += 1) {
    crc = (crc >>> 8) ^ (CRC32_TABLE[(crc ^ (bytes[i] as number)) & 0xff] as number);
  }
  return ~crc;
}

/**
 * Fowler, Noll, Vo (http://www.isthe.com/chongo/tech/comp/fnv). Of the 64-bit variants twemproxy keeps the lower 32 bits;
 * these depend on nothing above them, so they are all that is computed: the prime 2^40 + 0x1b3 is 0x1b3 there.
 */
const FNV64_START = 0x84222325 | 0;
const FNV64_PRIME = 0x1b3;
const FNV32_START = 0x811c9dc5 | 0;
const FNV32_PRIME = 0x01000193;

function fnv1Of64(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV64_START;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash, FNV64_PRIME) ^ signed(bytes[i] as number);
  return hash;
}

function fnv1aOf64(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV64_START;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ signed(bytes[i] as number), FNV64_PRIME);
  return hash;
}

function fnv1Of32(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV32_START;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash, FNV32_PRIME) ^ signed(bytes[i] as number);
  return hash;
}

function fnv1aOf32(bytes: Uint8Array, start: number, end: number): number {
  let hash = FNV32_START;
  for (let i = start; i < end; i += 1) hash = Math.imul(hash ^ signed(bytes[i] as number), FNV32_PRIME);
  return hash;
}

/** Paul Hsieh's SuperFastHash (http://www.azillionmonkeys.com/qed/hash.html), started at 0 and not at the length. */
function hsieh(bytes: Uint8Array, start: number, end: number): number {
  let hash = 0;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    hash = (hash + pair(bytes, i)) | 0;
    hash = (hash << 16) ^ (pair(bytes, i + 2) << 11) ^ hash;
    hash = (hash + (hash >>> 11)) | 0;
  }
  const rest = end - i;
  if (rest === 3) {
    hash = (hash + pair(bytes, i)) | 0;
    hash ^= hash << 16;
    hash ^= signed(bytes[i + 2] as number) << 18;
    hash = (hash + (hash >>> 11)) | 0;
  } else if (rest === 2) {
    hash = (hash + pair(bytes, i)) | 0;
    hash ^= hash << 11;
    hash = (hash + (hash >>> 17)) | 0;
  } else if (rest === 1) {
    hash = (hash + (bytes[i] as number)) | 0;
    hash ^= hash << 10;
    hash = (hash + (hash >>> 1)) | 0;
  }
  hash ^= hash << 3;
  hash = (hash + (hash >>> 5)) | 0;
  hash ^= hash << 4;
  hash = (hash + (hash >>> 17)) | 0;
  hash ^= hash << 25;
  return (hash + (hash >>> 6)) | 0;
}

/** Austin Appleby's MurmurHash2, with a seed that depends on the length. */
function murmur(bytes: Uint8Array, start: number, end: number): number {
  const factor = 0x5bd1e995;
  const length = (end - start) | 0;
  let hash = Math.imul(0xdeadbeef, length) ^ length;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    let word = Math.imul(quad(bytes, i), factor);
    word = Math.imul(word ^ (word >>> 24), factor);
    hash = Math.imul(hash, factor) ^ word;
  }
  const rest = end - i;
  if (rest > 0) {
    if (rest > 2) hash ^= (bytes[i + 2] as number) << 16;
    if (rest > 1) hash ^= (bytes[i + 1] as number) << 8;
    hash = Math.imul(hash ^ (bytes[i] as number), factor);
  }
  hash = Math.imul(hash ^ (hash >>> 13), factor);
  return hash ^ (hash >>> 15);
}

/** Bob Jenkins's lookup3, `hashlittle` (http://burtleburtle.net/bob/c/lookup3.c), its initial value 13. */
function jenkins(bytes: Uint8Array, start: number, end: number): number {
  let a = (0xdeadbeef + (end - start) + 13) | 0;
  let b = a;
  let c = a;
  let i = start;
  for (; end - i > 12; i += 12) {
    a = (a + quad(bytes, i)) | 0;
    b = (b + quad(bytes, i + 4)) | 0;
    c = (c + quad(bytes, i + 8)) | 0;
    a = (a - c) ^ rotate(c, 4);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 6);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 8);
    b = (b + a) | 0;
    a = (a - c) ^ rotate(c, 16);
    c = (c + b) | 0;
    b = (b - a) ^ rotate(a, 19);
    a = (a + c) | 0;
    c = (c - b) ^ rotate(b, 4);
    b = (b + a) | 0;
  }
  if (i === end) return c;
  a = (a + quadBefore(bytes, i, end)) | 0;
  b = (b + quadBefore(bytes, i + 4, end)) | 0;
  c = (c + quadBefore(bytes, i + 8, end)) | 0;
  c = ((c ^ b) - rotate(b, 14)) | 0;
  a = ((a ^ c) - rotate(c, 11)) | 0;
  b = ((b ^ a) - rotate(a, 25)) | 0;
  c = ((c ^ b) - rotate(b, 16)) | 0;
  a = ((a ^ c) - rotate(c, 4)) | 0;
  b = ((b ^ a) - rotate(a, 14)) | 0;
  return ((c ^ b) - rotate(b, 24)) | 0;
}

/** A byte as a signed `char`. */
function signed(byte: number): number {
  return (byte << 24) >> 24;
}

function pair(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8);
}

function quad(bytes: Uint8Array, at: number): number {
  return pair(bytes, at) | (pair(bytes, at + 2) << 16);
}

/** As `quad`, with zeros from `end` on. */
function quadBefore(bytes: Uint8Array, at: number, end: number): number {
  let word = 0;
  for (let i = Math.min(end, at + 4) - 1; i >= at; i -= 1) word = (word << 8) | (bytes[i] as number);
  return word;
}

function rotate(value: number, bits: number): number {
  return (value << bits) | (value >>> (32 - bits));
}

const CRC32_TABLE = Int32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit += 1) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ 0xedb88320;
  return crc;
});
