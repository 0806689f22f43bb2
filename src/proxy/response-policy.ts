/**
 * How the replies of several shards become one: Redis's response policies, in the words of its command tips
 * (https://redis.io/docs/reference/command-tips).
 *
 *   all_succeeded   MSET, FLUSHALL, SCRIPT LOAD: the reply that all gave
 *   one_succeeded   SCRIPT KILL: the first that is no error
 *   agg_sum …       DEL, EXISTS, DBSIZE: one number of all numbers; agg_logical_and also of arrays, place by place
 *   default, keys   MGET: the values in the order of the keys
 *   default         KEYS: the elements of all, one after the other
 *
 * What is special of one command (INFO, SCAN, RANDOMKEY) is made where that command is. An error of any part is the whole's:
 * partial-failure.ts sees to it, and merge.ts to the parts' memory.
 */
import type { Pending } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, integerReply, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Wait } from './node-steps.js';

// Not imported: see resp/frame.ts.
const LF = 0x0a;
const SIMPLE = 0x2b;
const INTEGER = 0x3a;
const BULK = 0x24;
const ARRAY = 0x2a;

/** One shard's part of a command. */
export class Part {
  nodeName = '';
  /** Until its reply has come. */
  pending: Pending | null = null;
  /** Its reply: an own block of the arena, or an error of ours that names the node. */
  start = 0;
  bytes = 0;
  failure: Uint8Array | null = null;
  /** Of a command that was split by keys: how many values it is to have, and where the next begins. */
  keyCount = 0;
  cursor = 0;
}

/** All parts of a command, as a policy sees them when the last reply has come. */
export interface Parts {
  /** The arena, where replies lie. */
  readonly bytes: Uint8Array;
  readonly partCount: number;
  part(index: number): Part;
  /** Of a command that was split by keys: the part that holds the value of each key. */
  readonly keyCount: number;
  readonly partOfKey: Uint16Array;
}

export interface ResponsePolicy {
  /** What becomes of the replies, for docs/COMMANDS.md; without it the remark of the command says so (resp/command-routes.ts). */
  readonly inWords?: string | undefined;
  /** One part's success is enough. Otherwise an error of any part is the whole's. */
  readonly needsOne: boolean;
  /** Whether the reply of `part`, which is there, is of the kind that can be merged. An error reply never is. */
  fits(bytes: Uint8Array, part: Part): boolean;
  /** Whether it says itself what became of part `index`, which has failed: that is not the whole's error then. */
  tellsOf?(index: number, parts: Parts): boolean;
  /** Of the replies that come before that of the only part (see Pending.preludes), number `place` is bytes [start, end). */
  onPrelude?(place: number, bytes: Uint8Array, start: number, end: number): void;
  /**
   * What it does here when the last reply has come, before a client is told: also where it does not want to be (CLIENT REPLY), or has gone.
   * Null, or none: nothing. Returns what has to come to pass before the client is told, in a bounded time; null: it is done. The replies are kept until then.
   */
  readonly effect?: ((parts: Parts) => Wait | null) | null;
  /** Appends the whole reply. All parts fit, or one of them does where `needsOne`. */
  write(parts: Parts, output: Output): void;
}

/** The policy of a command's tips; null is Redis's default, which differs with keys. */
export function responsePolicy(tip: string | null, hasKeys: boolean): ResponsePolicy {
  if (tip === null) return hasKeys ? DEFAULT_KEYED : DEFAULT_KEYLESS;
  const policy = POLICIES.get(tip);
  if (policy === undefined) throw new Error(`there is no general way to merge replies with the policy ${tip}`);
  return policy;
}

const ALL_SUCCEEDED: ResponsePolicy = {
  inWords: 'what all say alike, else an error',
  needsOne: false,
  fits: (bytes, part) => bytes[part.start] === SIMPLE || bytes[part.start] === BULK,
  write: (parts, output) => {
    const first = parts.part(0);
    for (let index = 1; index < parts.partCount; index++) {
      const part = parts.part(index);
      if (isSame(parts.bytes, first, part)) continue;
      output.appendBytes(unexpectedReply(parts.bytes, part));
      return;
    }
    output.appendNow(first.start, first.start + first.bytes);
  },
};

const ONE_SUCCEEDED: ResponsePolicy = {
  inWords: 'the first that is no error',
  needsOne: true,
  fits: ALL_SUCCEEDED.fits,
  write: (parts, output) => {
    for (let index = 0; index < parts.partCount; index++) {
      const part = parts.part(index);
      if (part.failure !== null || !ONE_SUCCEEDED.fits(parts.bytes, part)) continue;
      output.appendNow(part.start, part.start + part.bytes);
      return;
    }
  },
};

const DEFAULT_KEYED: ResponsePolicy = {
  inWords: 'the values in the order of the keys',
  needsOne: false,
  fits: (bytes, part) => bytes[part.start] === ARRAY && elementCount(bytes, part) === part.keyCount,
  write: (parts, output) => {
    const { bytes, keyCount, partOfKey } = parts;
    for (let index = 0; index < parts.partCount; index++) {
      const part = parts.part(index);
      part.cursor = bodyStart(bytes, part);
    }
    output.appendBytes(arrayHeader(keyCount));
    for (let key = 0; key < keyCount; key++) {
      const part = parts.part(partOfKey[key] as number);
      const end = skipValue(bytes, part.cursor);
      output.appendNow(part.cursor, end);
      part.cursor = end;
    }
  },
};

const DEFAULT_KEYLESS: ResponsePolicy = {
  inWords: 'the elements of all, one shard behind the other',
  needsOne: false,
  fits: (bytes, part) => bytes[part.start] === ARRAY && elementCount(bytes, part) >= 0,
  write: (parts, output) => {
    const { bytes, partCount } = parts;
    let count = 0;
    for (let index = 0; index < partCount; index++) count += elementCount(bytes, parts.part(index));
    output.appendBytes(arrayHeader(count));
    for (let index = 0; index < partCount; index++) {
      const part = parts.part(index);
      output.appendNow(bodyStart(bytes, part), part.start + part.bytes);
    }
  },
};

const POLICIES: ReadonlyMap<string, ResponsePolicy> = new Map([
  ['all_succeeded', ALL_SUCCEEDED],
  ['one_succeeded', ONE_SUCCEEDED],
  ['agg_sum', aggregate('the sum', (one, other) => one + other)],
  ['agg_min', aggregate('the smallest', Math.min)],
  ['agg_max', aggregate('the largest', Math.max)],
  ['agg_logical_and', aggregate('1 where all say so', (one, other) => (one !== 0 && other !== 0 ? 1 : 0))],
  ['agg_logical_or', aggregate('1 where any says so', (one, other) => (one !== 0 || other !== 0 ? 1 : 0))],
]);

/** All replies are integers, or all are arrays of as many integers. */
function aggregate(inWords: string, combine: (one: number, other: number) => number): ResponsePolicy {
  return {
    inWords,
    needsOne: false,
    fits: (bytes, part) => bytes[part.start] === INTEGER || bytes[part.start] === ARRAY,
    write: (parts, output) => {
      const { bytes, partCount } = parts;
      const first = parts.part(0);
      if (bytes[first.start] === ARRAY) {
        writeAggregates(parts, combine, output);
        return;
      }
      let total = parseInteger(bytes, first.start, first.start + first.bytes);
      for (let index = 1; index < partCount; index++) {
        const part = parts.part(index);
        if (bytes[part.start] !== INTEGER) {
          output.appendBytes(unexpectedReply(bytes, part));
          return;
        }
        total = combine(total, parseInteger(bytes, part.start, part.start + part.bytes));
      }
      output.appendBytes(integerReply(total));
    },
  };
}

function writeAggregates(parts: Parts, combine: (one: number, other: number) => number, output: Output): void {
  const { bytes, partCount } = parts;
  const count = elementCount(bytes, parts.part(0));
  const totals: number[] = [];
  for (let index = 0; index < partCount; index++) {
    const part = parts.part(index);
    if (bytes[part.start] !== ARRAY || elementCount(bytes, part) !== count) {
      output.appendBytes(unexpectedReply(bytes, part));
      return;
    }
    let at = bodyStart(bytes, part);
    for (let place = 0; place < count; place++) {
      const end = skipValue(bytes, at);
      const value = bytes[at] === INTEGER ? parseInteger(bytes, at, end) : Number.NaN;
      if (Number.isNaN(value)) {
        output.appendBytes(unexpectedReply(bytes, part));
        return;
      }
      totals[place] = index === 0 ? value : combine(totals[place] as number, value);
      at = end;
    }
  }
  output.appendBytes(arrayHeader(count));
  for (const total of totals) output.appendBytes(integerReply(total));
}

/** What the client is told when the reply of `part` is of no kind that the command has. It may hold what is not for the client: nothing of it is shown. */
export function unexpectedReply(bytes: Uint8Array, part: Part): Uint8Array {
  const type = TYPE_NAMES.get(bytes[part.start] as number);
  return errorBytes('ERR', `node ${part.nodeName} answered the unexpected: ${type}, ${part.bytes} bytes in all`);
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map([
  [TYPE.simple, 'a simple string'],
  [TYPE.error, 'an error'],
  [TYPE.integer, 'an integer'],
  [TYPE.bulk, 'a bulk string'],
  [TYPE.array, 'an array'],
  [TYPE.null, 'null'],
  [TYPE.boolean, 'a boolean'],
  [TYPE.double, 'a double'],
  [TYPE.bigNumber, 'a big number'],
  [TYPE.bulkError, 'a bulk error'],
  [TYPE.verbatim, 'a verbatim string'],
  [TYPE.map, 'a map'],
  [TYPE.set, 'a set'],
  [TYPE.push, 'a push'],
  [TYPE.attribute, 'an attribute'],
]);

/** Elements of the array that the reply of `part` is; -1 for a null array. */
function elementCount(bytes: Uint8Array, part: Part): number {
  return parseInteger(bytes, part.start, bodyStart(bytes, part));
}

/** Where the first element of the array begins that the reply of `part` is. */
function bodyStart(bytes: Uint8Array, part: Part): number {
  return bytes.indexOf(LF, part.start) + 1;
}

function isSame(bytes: Uint8Array, one: Part, other: Part): boolean {
  if (one.bytes !== other.bytes) return false;
  for (let offset = 0; offset < one.bytes; offset++) {
    if (bytes[one.start + offset] !== bytes[other.start + offset]) return false;
  }
  return true;
}
