/** The slot of a key, as Redis Cluster has it: CRC16 of the key or of its hash tag, modulo 16384. */

export const SLOT_COUNT = 16384;

const OPEN = 0x7b;
const CLOSE = 0x7d;

/**
 * CRC16-CCITT (XMODEM): polynomial 0x1021, initial value 0, nothing reflected.
 * Source: https://redis.io/docs/reference/cluster-spec, appendix A.
 */
const CRC_TABLE = makeTable();

/**
 * The slot (0 … 16383) of the key bytes[start, end). Where the key has a `{` and a `}` after it with something between the
 * two, only what lies between the first `{` and the first `}` after it is hashed. Any bytes are good; empty keys are slot 0.
 */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i += 1) {
    const byte = bytes[i] as number;
    if (byte === OPEN) return taggedSlot(bytes, start, i, end);
    crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ byte] as number);
  }
  return crc & (SLOT_COUNT - 1);
}

/** As `slotOf`, for a key whose first `{` is at `open`. */
function taggedSlot(bytes: Uint8Array, start: number, open: number, end: number): number {
  let close = open + 1;
  while (close < end && bytes[close] !== CLOSE) close += 1;
  if (close === end || close === open + 1) return slotOfAll(bytes, start, end);
  return slotOfAll(bytes, open + 1, close);
}

function slotOfAll(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i += 1) {
    crc = ((crc << 8) & 0xffff) ^ (CRC_TABLE[(crc >> 8) ^ (bytes[i] as number)] as number);
  }
  return crc & (SLOT_COUNT - 1);
}

function makeTable(): Uint16Array {
  const table = new Uint16Array(256);
  for (let byte = 0; byte < 256; byte += 1) {
    let crc = byte << 8;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc & 0x8000) === 0 ? crc << 1 : (crc << 1) ^ 0x1021;
    table[byte] = crc;
  }
  return table;
}
