/**
 * Copies of bytes that many small things are made of, side by side in one buffer; when it is full they go on in another. It lives while
 * one of them does. As Buffer's own pool, but that no Buffer need be made of each copy.
 */

const BUFFER_BYTES = 8 * 1024;
/** What is larger has a buffer of its own: little is left over at the end of those that are shared. */
const SHARED_BYTES_MAX = 1024;
/** A loop copies so many bytes sooner than the engine's own function, which takes a view of them. */
const LOOP_BYTES_MAX = 128;

export class Copies {
  /** Has the last one. */
  buffer: ArrayBuffer = new ArrayBuffer(0);
  private shared = new Uint8Array(BUFFER_BYTES);
  private at = 0;

  /** Copies bytes [start, end); returns where in `buffer` they stand. */
  add(bytes: Uint8Array, start: number, end: number): number {
    const length = end - start;
    if (length > SHARED_BYTES_MAX) {
      this.buffer = new Uint8Array(bytes.subarray(start, end)).buffer as ArrayBuffer;
      return 0;
    }
    if (this.at + length > BUFFER_BYTES) {
      this.shared = new Uint8Array(BUFFER_BYTES);
      this.at = 0;
    }
    const { shared, at } = this;
    if (length > LOOP_BYTES_MAX) shared.set(bytes.subarray(start, end), at);
    else for (let index = 0; index < length; index++) shared[at + index] = bytes[start + index] as number;
    this.buffer = shared.buffer as ArrayBuffer;
    this.at = at + length;
    return at;
  }
}
