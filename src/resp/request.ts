/**
 * Reads the commands of a client out of its bytes: where a command ends and where its arguments lie.
 *
 * It accepts and refuses what Redis 7.0 accepts and refuses (networking.c: processInlineBuffer, processMultibulkBuffer;
 * sds.c: sdssplitargs; util.c: string2ll), in Redis's words. Three things that may surprise are Redis's ways too:
 * - The two bytes after a bulk's data, and the byte after the CR of a header, are skipped whatever they are. A command is
 *   forwarded as it came, so the node skips the same bytes: proxy and node never differ on where it ends.
 * - A NUL ends the search for a line's end. The line can then never become whole, and is refused when it is too long.
 * - A count of zero or less, or an empty line, is a command without arguments, to be passed over without a reply.
 *
 * Where Redis's answer depends on how the bytes happen to be cut (a line over 64 KiB that comes at once may pass it), the
 * strictest of its answers is given here, so that a whole command and one in pieces are always read alike.
 *
 *   fast path: one pass over a whole small command, positions noted on the way
 *   slow path: on anything else, with progress kept; positions are found in a second pass when the command is whole
 */
import { INCOMPLETE, INVALID } from './frame.js';
import { splitWords } from './inline.js';

/**
 * Most arguments of a command. Redis's bound is 2^31 - 1, for which positions alone would take 16 GiB: a count above ours
 * is answered as Redis answers one above its own.
 */
export const ARGUMENTS_MAX = 16 * 1024 * 1024;
/** Redis's bounds for a session that has yet to give its password: arguments, and bytes of one. */
export const UNAUTHENTICATED_ARGUMENTS_MAX = 10;
export const UNAUTHENTICATED_BULK_BYTES_MAX = 16384;

/** Positions kept for good; a command with more arguments gives its arrays back. */
const ARGUMENTS_KEPT = 64 * 1024;
const ARGUMENTS_INITIAL = 1024;
/** Longest number that string2ll looks at, bytes. */
const NUMBER_BYTES_MAX = 20;

// Not imported: V8 folds a constant of the same module into the code, but loads and checks an imported one.
const CR = 0x0d;
const LF = 0x0a;
const ASTERISK = 0x2a;
const DOLLAR = 0x24;
const MINUS = 0x2d;
const ZERO = 0x30;
/** `*1`, CR, LF: less cannot be a header. */
const HEADER_BYTES_MIN = 4;

/**
 * How far a session's unfinished command was read. Positions count from the command's start, so that the bytes may move
 * between two calls. Nothing is looked at twice but a last unfinished header: a command in pieces costs linear time.
 */
export class RequestProgress {
  /** Least number of bytes from the command's start without which reading again cannot succeed; 0: nothing was read. */
  need = 0;
  /** The session's own bounds, at most the reader's: lower for one that has yet to give its password. */
  argumentsMax = ARGUMENTS_MAX;
  bulkBytesMax = Number.MAX_SAFE_INTEGER;
  /** Where the first header begins that is not yet read, or whose bulk is not yet whole. */
  scanned = 0;
  /** The line that begins at `scanned` does not end before it. */
  searched = 0;
  /** Arguments announced by the command's header, 0 until it is read; how many of them are still to come. */
  count = 0;
  remaining = 0;
  /** It is read when it is whole, and never in pieces (`begin`). */
  isReadWhole = false;
  /** Length of the bulk that has begun to come, 0 while its header has not. */
  announced = 0;
  /** Of a command that is read in pieces: bytes of its unfinished bulk, and of the line end behind it, that are still to come. */
  left = 0;

  /** Begins a new command. The session's bounds stay. */
  reset(): void {
    this.need = 0;
    this.scanned = 0;
    this.searched = 0;
    this.count = 0;
    this.remaining = 0;
    this.isReadWhole = false;
    this.announced = 0;
    this.left = 0;
  }

  /** Whether the command is at an end that is read in pieces. */
  get isAtEnd(): boolean {
    return this.left === 0 && this.remaining === 0;
  }
}

/** One per worker: what it says of a command holds until it reads the next. */
export class RequestReader {
  /** Arguments of the command read last, 0 if it is to be passed over without a reply. */
  argumentCount = 0;
  /** Argument i is bytes[argumentStart[i], argumentEnd[i]). Ask for the arrays anew after each command: they grow. */
  argumentStart = new Int32Array(ARGUMENTS_INITIAL);
  argumentEnd = new Int32Array(ARGUMENTS_INITIAL);
  /** The arguments of an inline command, quotes and escapes resolved, for which positions mean nothing; else null. */
  inlineArguments: Uint8Array[] | null = null;
  /** After INVALID: Redis's text without its `ERR `, one character a byte (latin1). */
  error = '';

  private bulkBytesMax = 0;
  private inlineBytesMax = 0;

  constructor(limits: { bulkBytesMax: number; inlineBytesMax: number }) {
    this.configure(limits);
  }

  /** Commands read from now on keep to these bounds. */
  configure(limits: { bulkBytesMax: number; inlineBytesMax: number }): void {
    this.bulkBytesMax = limits.bulkBytesMax;
    this.inlineBytesMax = limits.inlineBytesMax;
  }

  /**
   * The end of the command that begins at `start` in bytes[start, end), INCOMPLETE or INVALID. After INCOMPLETE call
   * again with the same bytes (they may have moved) and more; after a command `progress` is ready for the next.
   */
  read(bytes: Uint8Array, start: number, end: number, progress: RequestProgress): number {
    const argumentStart = this.argumentStart;
    const argumentEnd = this.argumentEnd;
    if (progress.need !== 0 || end - start < HEADER_BYTES_MIN || bytes[start] !== ASTERISK) {
      return this.readSlowly(bytes, start, end, progress);
    }
    if (argumentStart.length > ARGUMENTS_KEPT) return this.readSlowly(bytes, start, end, progress);
    let count = (bytes[start + 1] as number) - ZERO;
    if (count < 1 || count > 9) return this.readSlowly(bytes, start, end, progress);
    let byte = bytes[start + 2] as number;
    let at = start + 3;
    while (byte !== CR) {
      const digit = byte - ZERO;
      if (digit < 0 || digit > 9 || at >= end) return this.readSlowly(bytes, start, end, progress);
      count = count * 10 + digit;
      byte = bytes[at++] as number;
    }
    if (count > argumentStart.length || count > progress.argumentsMax) {
      return this.readSlowly(bytes, start, end, progress);
    }
    at++;

    for (let i = 0; i < count; i++) {
      // `$1` and the CR; at least two bytes more are due after them, and are asked for below.
      if (end - at < 3 || bytes[at] !== DOLLAR) return this.readSlowly(bytes, start, end, progress);
      let length = (bytes[at + 1] as number) - ZERO;
      if (length < 0 || length > 9) return this.readSlowly(bytes, start, end, progress);
      byte = bytes[at + 2] as number;
      at += 3;
      if (byte !== CR) {
        if (length === 0) return this.readSlowly(bytes, start, end, progress);
        do {
          const digit = byte - ZERO;
          if (digit < 0 || digit > 9 || at >= end) return this.readSlowly(bytes, start, end, progress);
          length = length * 10 + digit;
          byte = bytes[at++] as number;
        } while (byte !== CR);
        if (length > this.bulkBytesMax || length > progress.bulkBytesMax) {
          return this.readSlowly(bytes, start, end, progress);
        }
      }
      at++;
      argumentStart[i] = at;
      at += length;
      argumentEnd[i] = at;
      at += 2;
      if (at > end) return this.readSlowly(bytes, start, end, progress);
    }
    this.argumentCount = count;
    this.inlineArguments = null;
    return at;
  }

  /**
   * Of the unfinished command that begins at `start`: its arguments number `argumentCount`, of which those before the unfinished one
   * have their positions. Returns how many these are; 0 where not even its header has come.
   */
  look(bytes: Uint8Array, start: number, progress: RequestProgress): number {
    const known = progress.count - progress.remaining;
    if (known > 0) this.locate(bytes, start, known);
    this.argumentCount = progress.count;
    this.inlineArguments = null;
    return known;
  }

  /**
   * The unfinished command in `progress`, one of whose bulks has been announced, is read in pieces from its start on: by `passOn`, and no
   * more by `read`.
   */
  begin(progress: RequestProgress): void {
    progress.left = progress.need;
    progress.remaining--;
  }

  /**
   * Up to where bytes[start, end), the next of a command that is read in pieces, are its own and may go on; INVALID as in `read`. What
   * stays is the beginning of a header. After its end (`progress.isAtEnd`) `progress` is to be reset.
   */
  passOn(bytes: Uint8Array, start: number, end: number, progress: RequestProgress): number {
    let at = start;
    for (;;) {
      const step = Math.min(progress.left, end - at);
      at += step;
      progress.left -= step;
      if (progress.left > 0 || progress.remaining === 0) return at;
      progress.scanned = 0;
      progress.searched = 0;
      const header = this.findHeaderEnd(bytes, at, end, progress, 'too big bulk count string');
      if (header < 0) return header === INVALID ? INVALID : at;
      const length = this.readLength(bytes, at, header, progress);
      if (length < 0) return INVALID;
      progress.left = header + 2 + length + 2 - at;
      progress.remaining--;
    }
  }

  /** What was read last, without its first `count` arguments, fewer than there are: a command within it. */
  skip(count: number): void {
    this.argumentStart.copyWithin(0, count, this.argumentCount);
    this.argumentEnd.copyWithin(0, count, this.argumentCount);
    this.argumentCount -= count;
  }

  private readSlowly(bytes: Uint8Array, start: number, end: number, progress: RequestProgress): number {
    if (this.argumentStart.length > ARGUMENTS_KEPT) this.setCapacity(ARGUMENTS_INITIAL);
    if (start === end) {
      progress.need = 1;
      return INCOMPLETE;
    }
    if (bytes[start] !== ASTERISK) return this.readInline(bytes, start, end, progress);

    let at = start + progress.scanned;
    if (progress.remaining === 0) {
      const header = this.findHeaderEnd(bytes, start, end, progress, 'too big mbulk count string');
      if (header < 0) return header;
      const count = parseLength(bytes, at + 1, header);
      at = header + 2;
      if (!(count <= ARGUMENTS_MAX)) return this.refuse('invalid multibulk length');
      if (count > progress.argumentsMax) return this.refuse('unauthenticated multibulk length');
      if (count <= 0) return this.finish(0, null, at, progress);
      progress.count = count;
      progress.remaining = count;
      progress.scanned = at - start;
    }

    while (progress.remaining > 0) {
      const header = this.findHeaderEnd(bytes, start, end, progress, 'too big bulk count string');
      if (header < 0) return header;
      const length = this.readLength(bytes, at, header, progress);
      if (length < 0) return INVALID;
      at = header + 2 + length + 2;
      if (at > end) {
        progress.need = at - start;
        progress.announced = length;
        return INCOMPLETE;
      }
      progress.announced = 0;
      progress.scanned = at - start;
      progress.remaining--;
    }

    this.locate(bytes, start, progress.count);
    return this.finish(progress.count, null, at, progress);
  }

  /** The length of the bulk whose header begins at `at` and ends with the CR at `header`; INVALID as in `read`. */
  private readLength(bytes: Uint8Array, at: number, header: number, progress: RequestProgress): number {
    if (bytes[at] !== DOLLAR) return this.refuse(`expected '$', got '${printable(bytes[at] as number)}'`);
    const length = parseLength(bytes, at + 1, header);
    if (!(length >= 0 && length <= this.bulkBytesMax)) return this.refuse('invalid bulk length');
    return length > progress.bulkBytesMax ? this.refuse('unauthenticated bulk length') : length;
  }

  private readInline(bytes: Uint8Array, start: number, end: number, progress: RequestProgress): number {
    const newline = this.findInLine(LF, bytes, start, end, progress, 'too big inline request');
    if (newline < 0) return newline;
    const lineEnd = newline > start && bytes[newline - 1] === CR ? newline - 1 : newline;
    const words = splitWords(bytes, start, lineEnd);
    if (words === null) return this.refuse('unbalanced quotes in request');
    return this.finish(words.length, words, newline + 1, progress);
  }

  /** Position of the CR that ends the header at `progress.scanned`, once the byte after it has come too; or as `read`. */
  private findHeaderEnd(
    bytes: Uint8Array,
    start: number,
    end: number,
    progress: RequestProgress,
    tooBig: string,
  ): number {
    const at = this.findInLine(CR, bytes, start, end, progress, tooBig);
    if (at < 0 || at + 2 <= end) return at;
    progress.need = at + 2 - start;
    return INCOMPLETE;
  }

  /** Position of `wanted` in the line that begins at `progress.scanned`; or as `read`. */
  private findInLine(
    wanted: number,
    bytes: Uint8Array,
    start: number,
    end: number,
    progress: RequestProgress,
    tooBig: string,
  ): number {
    const tooFar = start + progress.scanned + this.inlineBytesMax + 1;
    const stop = end < tooFar ? end : tooFar;
    let at = start + (progress.searched > progress.scanned ? progress.searched : progress.scanned);
    while (at < stop && bytes[at] !== wanted && bytes[at] !== 0) at++;
    progress.searched = at - start;
    if (at < stop && bytes[at] === wanted) return at;
    if (end >= tooFar) return this.refuse(tooBig);
    // After a NUL nothing but the line's being too long is left to come.
    progress.need = (at < stop ? tooFar : end + 1) - start;
    return INCOMPLETE;
  }

  /** Notes the positions of `count` arguments of the command at `start`, which is whole and was found valid. */
  private locate(bytes: Uint8Array, start: number, count: number): void {
    if (count > this.argumentStart.length) {
      this.setCapacity(Math.min(2 ** Math.ceil(Math.log2(count)), ARGUMENTS_MAX));
    }
    const argumentStart = this.argumentStart;
    const argumentEnd = this.argumentEnd;
    let at = start;
    while (bytes[at] !== CR) at++;
    at += 2;
    for (let i = 0; i < count; i++) {
      let length = 0;
      at++;
      for (let byte = bytes[at++] as number; byte !== CR; byte = bytes[at++] as number)
        length = length * 10 + byte - ZERO;
      at++;
      argumentStart[i] = at;
      at += length;
      argumentEnd[i] = at;
      at += 2;
    }
  }

  private setCapacity(count: number): void {
    this.argumentStart = new Int32Array(count);
    this.argumentEnd = new Int32Array(count);
  }

  private finish(count: number, words: Uint8Array[] | null, end: number, progress: RequestProgress): number {
    this.argumentCount = count;
    this.inlineArguments = words;
    progress.reset();
    return end;
  }

  private refuse(text: string): number {
    this.error = `Protocol error: ${text}`;
    return INVALID;
  }
}

/** Bytes of the largest argument of the commands whose frames are bytes[start, end), which were read and found valid. */
export function largestArgument(bytes: Uint8Array, start: number, end: number): number {
  let largest = 0;
  let at = start;
  while (at < end) {
    const header = bytes.indexOf(CR, at);
    if (bytes[at] === ASTERISK) {
      at = header + 2;
      continue;
    }
    const length = parseLength(bytes, at + 1, header);
    if (length > largest) largest = length;
    at = header + 2 + length + 2;
  }
  return largest;
}

/**
 * The number that is bytes[from, to), or NaN. As string2ll: a 64-bit integer without plus sign, blanks or leading zeros.
 * Beyond 2^53 it is not exact, which no bound of ours notices.
 */
function parseLength(bytes: Uint8Array, from: number, to: number): number {
  if (to - from > NUMBER_BYTES_MAX) return Number.NaN;
  const negative = bytes[from] === MINUS;
  const digits = negative ? from + 1 : from;
  if (digits >= to) return Number.NaN;
  if (bytes[digits] === ZERO) return to - from === 1 ? 0 : Number.NaN;
  let value = 0;
  for (let at = digits; at < to; at++) {
    const digit = (bytes[at] as number) - ZERO;
    if (digit < 0 || digit > 9) return Number.NaN;
    value = value * 10 + digit;
  }
  if (!negative) return value;
  // Any number below zero will do, but Redis refuses one that is not of 64 bits.
  if (value >= 2 ** 63 && BigInt(Buffer.from(bytes.subarray(digits, to)).toString('latin1')) > 2n ** 63n)
    return Number.NaN;
  return -value;
}

/** The byte as Redis puts it into an error: no line may begin in the middle of one. */
function printable(byte: number): string {
  return byte === CR || byte === LF ? ' ' : String.fromCharCode(byte);
}
