/** Ids of stream entries: `ms-seq`, two unsigned 64-bit integers. */

export interface StreamId {
  ms: bigint;
  seq: bigint;
}

const UINT64_MAX = 2n ** 64n - 1n;

/**
 * An id as a command takes it in full or without `-seq` (0 then); null for anything else, be it one that only C reads as a
 * number (`+5`, ` 5`).
 */
export function parseStreamId(text: string): StreamId | null {
  const match = /^(\d{1,20})(?:-(\d{1,20}))?$/.exec(text);
  if (match === null) return null;
  const id = { ms: BigInt(match[1] as string), seq: BigInt(match[2] ?? '0') };
  return id.ms > UINT64_MAX || id.seq > UINT64_MAX ? null : id;
}

export function formatStreamId({ ms, seq }: StreamId): string {
  return `${ms}-${seq}`;
}

/** XREADGROUP takes it for `>`. */
export function isLastPossible({ ms, seq }: StreamId): boolean {
  return ms === UINT64_MAX && seq === UINT64_MAX;
}

/** As Redis makes it (t_stream.c: streamNextID). After the last possible one there is none: then it is 0-0. */
export function nextStreamId(last: StreamId, nowMs: number): StreamId {
  const ms = BigInt(Math.floor(nowMs));
  if (ms > last.ms) return { ms, seq: 0n };
  if (last.seq < UINT64_MAX) return { ms: last.ms, seq: last.seq + 1n };
  return last.ms < UINT64_MAX ? { ms: last.ms + 1n, seq: 0n } : { ms: 0n, seq: 0n };
}
