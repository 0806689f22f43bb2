/**
 * What a node has missed of a write to a key of consistency eventual, as it is kept until the node can be given it: its state, or the command
 * that makes it, and its version. So it does no harm to give it twice, or late: a node takes what is larger than what it has.
 *
 *   bytes (4) of all that follows, made at (8, milliseconds since 1970), kind (1: 'p' put, 's' state), version (40), the key,
 *   put: the expiry that it sets (8), whether it makes nothing grow (1), of each command how many words it has (4), and these
 *   state: live (1), expiry (8), the value or nothing
 *
 * Texts have their lengths (4) before them. Numbers are little-endian.
 */
import { BALLOT_DIGITS, type Ballot } from './ballot.js';
import type { Command, Commands, Value } from './commands.js';
import { NO_LINEAGE } from './lineage.js';
import { ANY, type KeyState, type Step } from './step.js';

export interface Hint {
  /** All of it, as it is kept. */
  bytes: Uint8Array;
  madeAtMs: number;
  key: Uint8Array;
  version: Ballot;
  /** Null: it is a state. */
  put: { commands: Commands; setsExpiry: number } | null;
  /** Null: it is a put. */
  state: KeyState<Value> | null;
}

type KeyStep = Step<Commands, Value>;

const LENGTH_BYTES = 4;
const TIME_BYTES = 8;
const HEAD_BYTES = LENGTH_BYTES + TIME_BYTES + 1 + BALLOT_DIGITS;
const KIND_AT = LENGTH_BYTES + TIME_BYTES;
const PUT = 0x70;
const STATE = 0x73;

/** `key`: a character a byte. Throws a TypeError for a step that no write of these keys consists of. */
export function encodeHint(key: string, step: KeyStep, nowMs: number): Buffer {
  const name = Buffer.from(key, 'latin1');
  if (step.kind === 'merge') {
    const { accepted, live, expireAt, value } = step.state;
    const parts = value === null ? [name] : [name, value];
    const bytes = begin(STATE, accepted, nowMs, 1 + TIME_BYTES, parts);
    let at = writeText(bytes, HEAD_BYTES, name);
    at = bytes.writeUInt8(live ? 1 : 0, at);
    at = bytes.writeDoubleLE(expireAt, at);
    if (value !== null) writeText(bytes, at, value);
    return bytes;
  }
  if (step.kind !== 'accept' || step.base !== ANY) throw new TypeError(`no write consists of a step ${step.kind}`);
  const { list, isSmall } = step.commands;
  const fixedBytes = TIME_BYTES + 1 + LENGTH_BYTES * list.length;
  const bytes = begin(PUT, step.ballot, nowMs, fixedBytes, [name, ...list.flat()]);
  let at = writeText(bytes, HEAD_BYTES, name);
  at = bytes.writeDoubleLE(step.setsExpiry, at);
  at = bytes.writeUInt8(isSmall === true ? 1 : 0, at);
  for (const words of list) {
    at = bytes.writeUInt32LE(words.length, at);
    for (const word of words) at = writeText(bytes, at, word);
  }
  return bytes;
}

/** All hints that stand there, one behind the other. */
export function* readHints(bytes: Buffer): Generator<Hint> {
  for (let at = 0; at < bytes.length; ) {
    const end = at + LENGTH_BYTES + bytes.readUInt32LE(at);
    yield readHint(bytes.subarray(at, end));
    at = end;
  }
}

/** The step that gives a node the put, under its version or another one. */
export function putStep(put: NonNullable<Hint['put']>, version: Ballot): KeyStep {
  const own = { ballot: version, next: version, base: ANY, expected: null, lineage: NO_LINEAGE, expired: false };
  return { kind: 'accept', ...own, commands: put.commands, setsExpiry: put.setsExpiry };
}

function readHint(bytes: Buffer): Hint {
  const madeAtMs = bytes.readDoubleLE(LENGTH_BYTES);
  const version = bytes.toString('latin1', KIND_AT + 1, HEAD_BYTES);
  const key = textAt(bytes, HEAD_BYTES);
  let at = HEAD_BYTES + LENGTH_BYTES + key.length;
  if (bytes[KIND_AT] === STATE) {
    const live = bytes[at] === 1;
    const expireAt = bytes.readDoubleLE(at + 1);
    at += 1 + TIME_BYTES;
    const value = at < bytes.length ? textAt(bytes, at) : null;
    const state = { accepted: version, lineage: NO_LINEAGE, live, expireAt, value };
    return { bytes, madeAtMs, key, version, put: null, state };
  }
  const setsExpiry = bytes.readDoubleLE(at);
  const isSmall = bytes[at + TIME_BYTES] === 1;
  at += TIME_BYTES + 1;
  const list: Command[] = [];
  while (at < bytes.length) {
    let left = bytes.readUInt32LE(at);
    at += LENGTH_BYTES;
    const words: Uint8Array[] = [];
    for (; left > 0; left--) {
      const word = textAt(bytes, at);
      words.push(word);
      at += LENGTH_BYTES + word.length;
    }
    list.push(words);
  }
  const commands: Commands = isSmall ? { list, protocol: 3, isSmall } : { list, protocol: 3 };
  return { bytes, madeAtMs, key, version, put: { commands, setsExpiry }, state: null };
}

function begin(kind: number, version: Ballot, nowMs: number, fixedBytes: number, texts: readonly Uint8Array[]): Buffer {
  const length = texts.reduce((sum, text) => sum + LENGTH_BYTES + text.length, HEAD_BYTES + fixedBytes);
  const bytes = Buffer.allocUnsafe(length);
  bytes.writeUInt32LE(length - LENGTH_BYTES, 0);
  bytes.writeDoubleLE(nowMs, LENGTH_BYTES);
  bytes[KIND_AT] = kind;
  bytes.write(version, KIND_AT + 1, 'latin1');
  return bytes;
}

/** Returns where it ends. */
function writeText(bytes: Buffer, at: number, text: Uint8Array): number {
  bytes.writeUInt32LE(text.length, at);
  bytes.set(text, at + LENGTH_BYTES);
  return at + LENGTH_BYTES + text.length;
}

function textAt(bytes: Buffer, at: number): Buffer {
  const start = at + LENGTH_BYTES;
  return bytes.subarray(start, start + bytes.readUInt32LE(at));
}
