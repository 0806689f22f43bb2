/** Bulk strings and nulls that nodes have answered, each by its place in a row: where they stand, without an object for each. */
import { TYPE } from '../resp/frame.js';

const CR = 0x0d;
const LF = 0x0a;
const MINUS = 0x2d;
const ZERO = 0x30;
/** Below this a loop is faster than what copies long values. */
const SHORT = 64;

export class Bulks {
  readonly length: number;
  private readonly sources: Uint8Array[];
  private readonly starts: Int32Array;
  private readonly ends: Int32Array;

  constructor(length: number) {
    this.length = length;
    this.sources = new Array(length);
    this.starts = new Int32Array(length);
    this.ends = new Int32Array(length);
  }

  /** What an array holds, which is whole and valid. */
  static of(array: Uint8Array): Bulks {
    let at = lineEnd(array, 0);
    const bulks = new Bulks(numberAt(array, 1));
    for (let place = 0; place < bulks.length; place++) at = bulks.put(place, array, at);
    return bulks;
  }

  /** Puts what stands at bytes[start], and returns where it ends. */
  put(place: number, bytes: Uint8Array, start: number): number {
    const line = lineEnd(bytes, start);
    const isNone = bytes[start] === TYPE.null || bytes[start + 1] === MINUS;
    const end = isNone ? line : line + numberAt(bytes, start + 1) + 2;
    this.set(place, bytes, start, end);
    return end;
  }

  isNull(place: number): boolean {
    const start = this.starts[place] as number;
    const source = this.sourceOf(place);
    return source[start] === TYPE.null || source[start + 1] === MINUS;
  }

  /** The bytes of the one at that place, which is no null; a view. */
  contentOf(place: number): Uint8Array {
    return this.sourceOf(place).subarray(this.contentStart(place), this.contentEnd(place));
  }

  /** In whose bytes it stands. */
  sourceOf(place: number): Uint8Array {
    return this.sources[place] as Uint8Array;
  }

  contentStart(place: number): number {
    return lineEnd(this.sourceOf(place), this.starts[place] as number);
  }

  contentEnd(place: number): number {
    return (this.ends[place] as number) - 2;
  }

  /** With its header and its line end. */
  bytesOf(place: number): number {
    return (this.ends[place] as number) - (this.starts[place] as number);
  }

  /** Copies it, as it came, to target[at], and returns where it ends there. */
  copyTo(place: number, target: Uint8Array, at: number): number {
    return copy(this.sourceOf(place), this.starts[place] as number, this.ends[place] as number, target, at);
  }

  private set(place: number, bytes: Uint8Array, start: number, end: number): void {
    this.sources[place] = bytes;
    this.starts[place] = start;
    this.ends[place] = end;
  }
}

/** Copies source[start, end) to target[at], and returns where it ends there. */
export function copy(source: Uint8Array, start: number, end: number, target: Uint8Array, at: number): number {
  if (end - start > SHORT) target.set(source.subarray(start, end), at);
  else for (let from = start, to = at; from < end; from++, to++) target[to] = source[from] as number;
  return at + end - start;
}

/** Where the line ends that holds bytes[at]. */
function lineEnd(bytes: Uint8Array, at: number): number {
  let end = at;
  while (bytes[end] !== LF) end++;
  return end + 1;
}

/** The digits at bytes[at]. */
function numberAt(bytes: Uint8Array, at: number): number {
  let number = 0;
  for (let digit = at; bytes[digit] !== CR; digit++) number = number * 10 + (bytes[digit] as number) - ZERO;
  return number;
}
