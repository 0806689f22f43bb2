/** The slot of a key, as Redis Cluster has it: CRC16 of the key or of its hash tag, modulo 16384. */

export const SLOT_COUNT = 16384;

const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * CRC16-CCITT (XMODEM): polynomial 0x1021, initial value 0, nothing reflected. Source:
 * https://redis.io/docs/reference/cluster-spec, appendix A. `CRC_TABLE[256 * n + b]` is the CRC of byte b and n zero bytes,
 * so that four bytes are taken in one step: byte by byte, each waits for the one before, which doubles the time.
 */
export const CRC_TABLE = makeTable();

/**
 * The slot (0 … 16383) of the key bytes[start, end). Where the key has a `{` and a `}` after it with something between the
 * two, only what lies between the first `{` and the first `}` after it is hashed. Any bytes are good; the empty key's slot
 * is 0.
 */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  let i = start;
  for (const last = end - 3; i < last; i += 4) {
    const a = bytes[i] as number;
    const b = bytes[i + 1] as number;
    const c = bytes[i + 2] as number;
    const d = bytes[i + 3] as number;
    if (a === OPEN || b === OPEN || c === OPEN || d === OPEN) return taggedSlot(bytes, start, i, end);
    crc =
      (CRC_TABLE[768 + ((crc >> 8) ^ a)] as number) ^
      (CRC_TABLE[512 + ((crc & 0xff) ^ b)] as number) ^
      (CRC_TABLE[256 + c] as number) ^
      (CRC_TABLE[d] as number);
  }
  for (; i < end; i += 1) {
    const byte = bytes[i] as number;
    if (byte === OPEN) return taggedSlot(bytes, start, i, end);
    crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ byte] as number);
  }
  return crc & (SLOT_COUNT - 1);
}

/** As `slotOf`, for a key whose first `{` is at `from` or after it. */
function taggedSlot(bytes: Uint8Array, start: number, from: number, end: number): number {
  let open = from;
  while (bytes[open] !== OPEN) open += 1;
  let crc = 0;
  for (let i = open + 1; i < end; i += 1) {
    const byte = bytes[i] as number;
    if (byte === CLOSE) return i === open + 1 ? slotOfAll(bytes, start, end) : crc & (SLOT_COUNT - 1);
    crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ byte] as number);
  }
  return slotOfAll(bytes, start, end);
}

/** The slot of the whole of bytes[start, end), whatever braces it has. */
export function slotOfAll(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i += 1) {
    crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ (bytes[i] as number)] as number);
  }
  return crc & (SLOT_COUNT - 1);
}

function makeTable(): Uint16Array {
  const table = new Uint16Array(1024);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte << 8;
    for (let zeros = 0; zeros < 4; zeros += 1) {
      for (let bit = 0; bit < 8; bit += 1)
        crc = (crc & 0x8000) === 0 ? (crc << 1) & 0xffff : ((crc << 1) ^ 0x1021) & 0xffff;
      table[256 * zeros + byte] = crc;
    }
  }
  return table;
}
