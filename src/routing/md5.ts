/**
 * MD5 (RFC 1321) of a part of a larger memory, without an allocation: node:crypto makes three objects for each digest, and
 * twemproxy's `hash: md5` needs one for each key. Not for secrets.
 */

const BLOCK_BYTES = 64;
/** Bytes of the message's length, which ends the last block. */
const LENGTH_BYTES = 8;

/** floor(2^32 * |sin(i + 1)|), RFC 1321 section 3.4. */
const SINES = Int32Array.from({ length: 64 }, (_, i) => Math.floor(Math.abs(Math.sin(i + 1)) * 2 ** 32) | 0);
/** By how much to rotate, per round and step. */
const ROTATIONS = Uint8Array.from([7, 12, 17, 22, 5, 9, 14, 20, 4, 11, 16, 23, 6, 10, 15, 21]);

const last = new Uint8Array(2 * BLOCK_BYTES);
const words = new Int32Array(BLOCK_BYTES / 4);

/** Writes the digest of bytes[start, end) into `digest`, as four integers whose lowest byte comes first. */
export function md5(bytes: Uint8Array, start: number, end: number, digest: Int32Array): void {
  digest[0] = 0x67452301;
  digest[1] = 0xefcdab89;
  digest[2] = 0x98badcfe;
  digest[3] = 0x10325476;
  let at = start;
  for (; end - at >= BLOCK_BYTES; at += BLOCK_BYTES) addBlock(bytes, at, digest);

  const rest = end - at;
  const lastBytes = rest + 1 + LENGTH_BYTES <= BLOCK_BYTES ? BLOCK_BYTES : 2 * BLOCK_BYTES;
  for (let i = 0; i < rest; i += 1) last[i] = bytes[at + i] as number;
  last[rest] = 0x80;
  last.fill(0, rest + 1, lastBytes);
  // In bits. A key is below 2^32 bytes, so that the upper part has a few bits only.
  const length = end - start;
  writeWord(lastBytes - LENGTH_BYTES, length << 3);
  writeWord(lastBytes - LENGTH_BYTES + 4, Math.floor(length / 2 ** 29));
  for (let block = 0; block < lastBytes; block += BLOCK_BYTES) addBlock(last, block, digest);
}

function writeWord(at: number, word: number): void {
  for (let i = 0; i < 4; i += 1) last[at + i] = word >>> (8 * i);
}

function addBlock(bytes: Uint8Array, at: number, digest: Int32Array): void {
  for (let i = 0; i < 16; i += 1) {
    const from = at + 4 * i;
    words[i] =
      (bytes[from] as number) |
      ((bytes[from + 1] as number) << 8) |
      ((bytes[from + 2] as number) << 16) |
      ((bytes[from + 3] as number) << 24);
  }
  let a = digest[0] as number;
  let b = digest[1] as number;
  let c = digest[2] as number;
  let d = digest[3] as number;
  for (let step = 0; step < 64; step += 1) {
    const round = step >> 4;
    let mixed: number;
    let word: number;
    if (round === 0) {
      mixed = d ^ (b & (c ^ d));
      word = step;
    } else if (round === 1) {
      mixed = c ^ (d & (b ^ c));
      word = 5 * step + 1;
    } else if (round === 2) {
      mixed = b ^ c ^ d;
      word = 3 * step + 5;
    } else {
      mixed = c ^ (b | ~d);
      word = 7 * step;
    }
    const sum = (a + mixed + (words[word & 15] as number) + (SINES[step] as number)) | 0;
    const rotation = ROTATIONS[4 * round + (step & 3)] as number;
    a = d;
    d = c;
    c = b;
    b = (b + ((sum << rotation) | (sum >>> (32 - rotation)))) | 0;
  }
  digest[0] = ((digest[0] as number) + a) | 0;
  digest[1] = ((digest[1] as number) + b) | 0;
  digest[2] = ((digest[2] as number) + c) | 0;
  digest[3] = ((digest[3] as number) + d) | 0;
}
