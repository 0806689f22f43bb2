/**
 * What the completions of the io_uring driver are known by: the 64 bits that go with an operation.
 *
 *   key: place of the connection (or a descriptor) << KIND_BITS | what was asked for     generation: which one in that place
 */

/** Bytes are to be received; were to be sent; the socket is to take bytes again, or has connected; to have some; has failed. */
export const RECEIVE = 0;
export const SEND = 1;
export const WRITABLE = 2;
export const READABLE = 3;
export const FAILED = 4;
/** The kinds above are a connection's. */
export const CONNECTION_KINDS = 5;
/** A descriptor that is no connection's has an event. */
export const WATCH = 5;
/** An operation that was to be ended had ended. Nobody's. */
export const CANCEL = 6;

const KIND_BITS = 3;

export function keyOf(place: number, kind: number): number {
  return (place << KIND_BITS) | kind;
}

export function placeOf(key: number): number {
  return key >>> KIND_BITS;
}

export function kindOf(key: number): number {
  return key & ((1 << KIND_BITS) - 1);
}
