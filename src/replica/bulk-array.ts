/** Reads the replies of what is read first: flat arrays of bulk strings, which look alike in RESP2 and RESP3. */

const LF = 0x0a;
const ARRAY = 0x2a;
const BULK = 0x24;

/** The bulk strings of a whole array of nothing else; null for any other reply. */
export function bulksOf(reply: Uint8Array): Uint8Array[] | null {
  if (reply[0] !== ARRAY) return null;
  const found: Uint8Array[] = [];
  let at = reply.indexOf(LF) + 1;
  while (at < reply.length) {
    const bulk = bulkAt(reply, at);
    if (bulk === null) return null;
    found.push(bulk);
    at = bulk.byteOffset - reply.byteOffset + bulk.length + 2;
  }
  return found;
}

/** The bulk string that begins at `at`, a view; null for any other value, and for none. */
export function bulkAt(reply: Uint8Array, at = 0): Uint8Array | null {
  if (reply[at] !== BULK) return null;
  const start = reply.indexOf(LF, at) + 1;
  const length = Number(Buffer.from(reply.subarray(at + 1, start - 2)).toString('latin1'));
  return length < 0 ? null : reply.subarray(start, start + length);
}
