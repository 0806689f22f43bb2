/**
 * Makes frames: the replies that the proxy gives of its own, and the commands that it sends of its own.
 *
 * What a reply looks like in RESP3 where it differs from RESP2 is decided here, by the session's protocol. Frames that
 * never change are made once and shared: nobody may write into one.
 */
import { TYPE } from './frame.js';

/** The protocol that a session speaks: RESP2 or RESP3. */
export type Protocol = 2 | 3;

export const REPLY_OK = frame('+OK\r\n');
export const REPLY_PONG = frame('+PONG\r\n');
export const REPLY_EMPTY_ARRAY = frame('*0\r\n');
export const REPLY_NULL_BULK = frame('$-1\r\n');
export const REPLY_NULL_ARRAY = frame('*-1\r\n');
/** RESP3's only null. */
export const REPLY_NULL = frame('_\r\n');

const CR = 0x0d;
const LF = 0x0a;
const ZERO = 0x30;
const MINUS = 0x2d;

/** No value, where RESP2 has a bulk string. */
export function nullReply(protocol: Protocol): Uint8Array {
  return protocol === 3 ? REPLY_NULL : REPLY_NULL_BULK;
}

/**
 * An error. `text` begins with its code: `ERR syntax error`. It is one character a byte (latin1), as a client's words are
 * quoted; a text with characters beyond that goes out in UTF-8. Line ends become blanks, as in Redis.
 */
export function errorReply(text: string): Uint8Array {
  const line = text.replace(/[\r\n]+$/, '').replace(/[\r\n]/g, ' ');
  return Buffer.from(`-${line}\r\n`, isLatin1(line) ? 'latin1' : 'utf8');
}

/** An integer, safe in the sense of Number.isSafeInteger. */
export function integerReply(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(headerLength(value));
  writeInteger(bytes, 0, value);
  return bytes;
}

/** A bulk string; text goes out in UTF-8. */
export function bulkReply(value: Uint8Array | string): Uint8Array {
  return bulk(TYPE.bulk, typeof value === 'string' ? Buffer.from(value) : value);
}

/** Text for people, such as INFO's: verbatim in RESP3. */
export function verbatimReply(text: string, protocol: Protocol): Uint8Array {
  return protocol === 3 ? bulk(TYPE.verbatim, Buffer.from(`txt:${text}`)) : bulkReply(text);
}

/** What stands before the `count` elements of an array. */
export function arrayHeader(count: number): Uint8Array {
  return header(TYPE.array, count);
}

/** What stands before the `count` keys and values of a map: in RESP2 an array. */
export function mapHeader(count: number, protocol: Protocol): Uint8Array {
  return protocol === 3 ? header(TYPE.map, count) : header(TYPE.array, count * 2);
}

/** What stands before the `count` elements of a set: in RESP2 an array. */
export function setHeader(count: number, protocol: Protocol): Uint8Array {
  return header(protocol === 3 ? TYPE.set : TYPE.array, count);
}

/** A map from names to bulk strings, integers and arrays of bulk strings. */
export function encodeMap(
  fields: readonly (readonly [name: string, value: string | number | readonly string[]])[],
  protocol: Protocol,
): Uint8Array {
  const parts = [mapHeader(fields.length, protocol)];
  for (const [name, value] of fields) {
    parts.push(bulkReply(name));
    if (typeof value === 'number') parts.push(integerReply(value));
    else if (typeof value === 'string') parts.push(bulkReply(value));
    else parts.push(encodeCommand(value));
  }
  return Buffer.concat(parts);
}

/** A command: an array of bulk strings. Text goes out in UTF-8. */
export function encodeCommand(words: readonly (string | Uint8Array)[]): Uint8Array {
  let length = headerLength(words.length);
  for (const word of words) {
    const bytes = byteLength(word);
    length += headerLength(bytes) + bytes + 2;
  }
  const command = Buffer.allocUnsafe(length);
  let at = writeHeader(command, 0, TYPE.array, words.length);
  for (const word of words) {
    const bytes = byteLength(word);
    at = writeHeader(command, at, TYPE.bulk, bytes);
    if (typeof word === 'string') command.write(word, at);
    else command.set(word, at);
    at = writeLineEnd(command, at + bytes);
  }
  return command;
}

/** Writes `:value` with its line end at `at` and returns where it ends, headerLength(value) further on. */
export function writeInteger(bytes: Uint8Array, at: number, value: number): number {
  return writeHeader(bytes, at, TYPE.integer, value);
}

/** Writes one line, a type's byte and a safe integer, at `at` and returns where it ends. Allocates nothing. */
export function writeHeader(bytes: Uint8Array, at: number, type: number, value: number): number {
  bytes[at] = type;
  const end = at + headerLength(value) - 2;
  let rest = value < 0 ? -value : value;
  let digit = end;
  do {
    const tenth = Math.floor(rest / 10);
    bytes[--digit] = ZERO + (rest - tenth * 10);
    rest = tenth;
  } while (rest > 0);
  if (value < 0) bytes[--digit] = MINUS;
  return writeLineEnd(bytes, end);
}

/** Bytes of the line that writeHeader writes. */
export function headerLength(value: number): number {
  let length = value < 0 ? 5 : 4;
  for (let rest = value < 0 ? -value : value; rest >= 10; rest = Math.floor(rest / 10)) length++;
  return length;
}

/** The value of the integer reply bytes[start, end), known to be valid. Beyond 2^53 it is not exact. */
export function parseInteger(bytes: Uint8Array, start: number, end: number): number {
  let at = start + 1;
  const negative = bytes[at] === MINUS;
  if ((bytes[at] as number) < ZERO) at++;
  let value = 0;
  for (; at < end - 2; at++) value = value * 10 + ((bytes[at] as number) - ZERO);
  return negative ? -value : value;
}

/** Whether the reply that begins at `start` is an error. */
export function isError(bytes: Uint8Array, start: number): boolean {
  const type = bytes[start];
  return type === TYPE.error || type === TYPE.bulkError;
}

function frame(text: string): Uint8Array {
  return Buffer.from(text, 'latin1');
}

function header(type: number, count: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(headerLength(count));
  writeHeader(bytes, 0, type, count);
  return bytes;
}

function bulk(type: number, value: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(headerLength(value.length) + value.length + 2);
  const at = writeHeader(bytes, 0, type, value.length);
  bytes.set(value, at);
  writeLineEnd(bytes, at + value.length);
  return bytes;
}

function writeLineEnd(bytes: Uint8Array, at: number): number {
  bytes[at] = CR;
  bytes[at + 1] = LF;
  return at + 2;
}

function byteLength(word: string | Uint8Array): number {
  return typeof word === 'string' ? Buffer.byteLength(word) : word.length;
}

function isLatin1(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0xff) return false;
  return true;
}
