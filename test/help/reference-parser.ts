/**
 * A second opinion on RESP2 and RESP3: parses one reply into values, by recursion, with no care for speed. Tests hold the
 * scanners of src/resp against it, and read with it what a client or a node was sent.
 *
 *   + $ =   string, one character a byte (latin1), so that nothing is lost; = as Verbatim
 *   - !     ReplyError, whose message is the text
 *   : , (   number; a bigint where a number would not be exact, and for every ( big number
 *   _ $-1 *-1  null        #  boolean
 *   * ~ % >    array, Set, Map, Push        |  Attributed: the value and what was said of it
 */

/** An error that a server replied. */
export class ReplyError extends Error {
  override name = 'ReplyError';
}

/** No reply begins with these bytes. */
export class ProtocolError extends Error {
  override name = 'ProtocolError';
}

/** A text with its format: `txt` or `mkd`. */
export class Verbatim {
  readonly format: string;
  readonly text: string;
  constructor(format: string, text: string) {
    this.format = format;
    this.text = text;
  }
}

/** A message that is no reply to a command. */
export class Push {
  readonly values: readonly Value[];
  constructor(values: readonly Value[]) {
    this.values = values;
  }
}

/** A value with what an attribute before it says. */
export class Attributed {
  readonly attributes: ReadonlyMap<Value, Value>;
  readonly value: Value;
  constructor(attributes: ReadonlyMap<Value, Value>, value: Value) {
    this.attributes = attributes;
    this.value = value;
  }
}

export type Value =
  | string
  | number
  | bigint
  | boolean
  | null
  | ReplyError
  | Verbatim
  | Push
  | Attributed
  | readonly Value[]
  | ReadonlySet<Value>
  | ReadonlyMap<Value, Value>;

export interface Parsed {
  value: Value;
  /** Where the next reply begins. */
  end: number;
}

/** The reply that begins at `offset`, or null if it is not whole. Throws a ProtocolError where none can begin. */
export function parseReply(buffer: Uint8Array, offset = 0): Parsed | null {
  if (offset >= buffer.length) return null;
  const type = String.fromCharCode(buffer[offset] as number);
  if (!'+-:$*_#,(!=%~>|'.includes(type)) throw new ProtocolError(`no type of reply: ${JSON.stringify(type)}`);
  const line = readLine(buffer, offset + 1);
  if (line === null) return null;
  const { text, end } = line;
  switch (type) {
    case '+':
      return { value: text, end };
    case '-':
      return { value: new ReplyError(text), end };
    case ':':
      expect(/^[+-]?\d{1,19}$/, text);
      return { value: exactNumber(text), end };
    case ',':
      return { value: parseDouble(text), end };
    case '(':
      expect(/^[+-]?\d+$/, text);
      return { value: BigInt(text.replace('+', '')), end };
    case '#':
      expect(/^[tf]$/, text);
      return { value: text === 't', end };
    case '_':
      expect(/^$/, text);
      return { value: null, end };
    case '$':
      if (text === '-1') return { value: null, end };
      return parseBulk(buffer, end, text, (bulk) => bulk);
    case '!':
      return parseBulk(buffer, end, text, (bulk) => new ReplyError(bulk));
    case '=':
      if (parseCount(text) < 4) throw new ProtocolError('a verbatim string without a format');
      return parseBulk(buffer, end, text, (bulk) => new Verbatim(bulk.slice(0, 3), bulk.slice(4)));
    case '*':
      if (text === '-1') return { value: null, end };
      return parseMany(buffer, end, parseCount(text), (values) => values);
    case '~':
      return parseMany(buffer, end, parseCount(text), (values) => new Set(values));
    case '>':
      return parseMany(buffer, end, parseCount(text), (values) => new Push(values));
    case '%':
      return parseMany(buffer, end, parseCount(text) * 2, toMap);
    default:
      return parseAttributed(buffer, end, parseCount(text));
  }
}

/** All replies in `buffer`, the last of which must be whole. */
export function parseReplies(buffer: Uint8Array): Value[] {
  const values: Value[] = [];
  for (let offset = 0; offset < buffer.length; ) {
    const parsed = parseReply(buffer, offset);
    if (parsed === null) throw new ProtocolError(`the reply at ${offset} of ${buffer.length} bytes is not whole`);
    values.push(parsed.value);
    offset = parsed.end;
  }
  return values;
}

function parseBulk(buffer: Uint8Array, offset: number, count: string, make: (text: string) => Value): Parsed | null {
  const bulkEnd = offset + parseCount(count);
  if (buffer.length < bulkEnd + 2) return null;
  if (latin1(buffer, bulkEnd, bulkEnd + 2) !== '\r\n') throw new ProtocolError('a bulk longer than announced');
  return { value: make(latin1(buffer, offset, bulkEnd)), end: bulkEnd + 2 };
}

function parseMany(buffer: Uint8Array, offset: number, count: number, make: (values: Value[]) => Value): Parsed | null {
  const values: Value[] = [];
  let end = offset;
  while (values.length < count) {
    const parsed = parseReply(buffer, end);
    if (parsed === null) return null;
    values.push(parsed.value);
    end = parsed.end;
  }
  return { value: make(values), end };
}

function parseAttributed(buffer: Uint8Array, offset: number, count: number): Parsed | null {
  const attributes = parseMany(buffer, offset, count * 2, toMap);
  if (attributes === null) return null;
  const parsed = parseReply(buffer, attributes.end);
  if (parsed === null) return null;
  return { value: new Attributed(attributes.value as ReadonlyMap<Value, Value>, parsed.value), end: parsed.end };
}

function toMap(values: Value[]): ReadonlyMap<Value, Value> {
  const map = new Map<Value, Value>();
  for (let index = 0; index < values.length; index += 2) map.set(values[index] as Value, values[index + 1] as Value);
  return map;
}

/** The text up to the next CR LF, or null if that has not come. */
function readLine(buffer: Uint8Array, offset: number): { text: string; end: number } | null {
  const at = buffer.indexOf(0x0d, offset);
  if (at < 0 || at + 1 >= buffer.length) return null;
  if (buffer[at + 1] !== 0x0a) throw new ProtocolError('a CR without its LF');
  return { text: latin1(buffer, offset, at), end: at + 2 };
}

function parseCount(text: string): number {
  expect(/^(0|[1-9]\d*)$/, text);
  const count = Number(text);
  if (count >= 2 ** 31) throw new ProtocolError(`a length of ${text}`);
  return count;
}

function parseDouble(text: string): number {
  expect(/^[+-]?(inf|nan|(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?)$/, text);
  if (text.endsWith('inf')) return text.startsWith('-') ? -Infinity : Infinity;
  return text.endsWith('nan') ? Number.NaN : Number(text);
}

function exactNumber(text: string): number | bigint {
  const number = Number(text);
  return Number.isSafeInteger(number) ? number : BigInt(text.replace('+', ''));
}

function expect(pattern: RegExp, text: string): void {
  if (!pattern.test(text)) throw new ProtocolError(`${JSON.stringify(text)} is not of the form ${pattern}`);
}

function latin1(buffer: Uint8Array, start: number, end: number): string {
  return Buffer.from(buffer.buffer, buffer.byteOffset + start, end - start).toString('latin1');
}
