/**
 * Which arguments of a command are keys. Follows Redis's key specifications (https://redis.io/docs/reference/key-specs);
 * where these are incomplete, or a value may look like the keyword that keys follow, the options are read as Redis's own
 * command reads them. A command whose keys are not found where Redis looks for them would run on the wrong shard.
 */

import { COMMAND_FLAG, type CommandSpec } from './command-spec.js';
import { argumentIs } from './command-words.js';

/** Positions kept for good. */
const POSITIONS_KEPT = 64 * 1024;

/** Argument indices of keys, reused from command to command; ask for `positions` anew after each: it grows. */
export class KeyList {
  positions = new Int32Array(64);

  /** An empty list with room for `count` keys. The memory of a huge command is given back at the next. */
  reserve(count: number): Int32Array {
    const { length } = this.positions;
    if (count > length || length > POSITIONS_KEPT) {
      this.positions = new Int32Array(Math.max(64, 2 ** Math.ceil(Math.log2(count))));
    }
    return this.positions;
  }
}

/** The arguments are not what the command takes: no node will run it, any may answer why. */
export const MALFORMED = -1;

/**
 * Writes the argument indices of all keys of a command into `out` and returns how many there are, or `MALFORMED`. A key
 * that is named twice is there twice. The command's number of arguments must fit (`arityFits`); `spec` is the
 * subcommand's for a container. Argument i is bytes[argumentStart[i], argumentEnd[i]), the command's name is argument 0.
 */
export function findKeys(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
  out: KeyList,
): number {
  if (spec.keys === 'none') return 0;
  const positions = out.reserve(argumentCount);
  switch (spec.keys) {
    case 'single':
      positions[0] = spec.firstKey;
      return 1;
    case 'range':
      return findRange(spec, argumentCount, positions);
    case 'computed':
      break;
    case 'asked':
      out.reserve(spec.askedKeys.length).set(spec.askedKeys);
      return spec.askedKeys.length;
  }
  switch (spec.name) {
    case 'sort':
    case 'sort_ro':
      return findSort(spec, bytes, argumentStart, argumentEnd, argumentCount, positions);
    case 'xread':
    case 'xreadgroup':
      return findStreams(spec, bytes, argumentStart, argumentEnd, argumentCount, positions);
    case 'georadius':
    case 'georadiusbymember':
      return findGeoRadius(spec, bytes, argumentStart, argumentEnd, argumentCount, positions);
    default:
      return findBySpecs(spec, bytes, argumentStart, argumentEnd, argumentCount, positions);
  }
}

/** MSET with a key that lacks its value is malformed. */
function findRange(spec: CommandSpec, argumentCount: number, positions: Int32Array): number {
  const { rangeFirst, lastKey, keyStep } = spec;
  const end = lastKey < 0 ? argumentCount + lastKey + 1 : lastKey + 1;
  if (lastKey < 0 && (end - rangeFirst) % keyStep !== 0) return MALFORMED;
  let count = 0;
  for (let argument = rangeFirst; argument < end; argument += keyStep) {
    positions[count] = argument;
    count += 1;
  }
  return count;
}

/** `SORT key [ASC|DESC|ALPHA] [LIMIT a b] [STORE key] [BY pattern] [GET pattern]…`: the last STORE counts. */
function findSort(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
  positions: Int32Array,
): number {
  positions[0] = 1;
  let store = 0;
  for (let i = 2; i < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'asc') || argumentIs(bytes, start, end, 'desc')) continue;
    if (argumentIs(bytes, start, end, 'alpha')) continue;
    if (argumentIs(bytes, start, end, 'limit')) i += 2;
    else if (argumentIs(bytes, start, end, 'by') || argumentIs(bytes, start, end, 'get')) i += 1;
    else if (argumentIs(bytes, start, end, 'store') && spec.write) {
      i += 1;
      store = i;
    } else return MALFORMED;
    if (i >= argumentCount) return MALFORMED;
  }
  if (store === 0) return 1;
  positions[1] = store;
  return 2;
}

/** `XREAD [COUNT n] [BLOCK ms] STREAMS key… id…`, XREADGROUP with `GROUP group consumer` and `NOACK` before STREAMS. */
function findStreams(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
  positions: Int32Array,
): number {
  const grouped = spec.name === 'xreadgroup';
  for (let i = 1; i < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'streams')) {
      const rest = argumentCount - i - 1;
      if (rest === 0 || rest % 2 !== 0) return MALFORMED;
      for (let key = 0; key < rest / 2; key += 1) positions[key] = i + 1 + key;
      return rest / 2;
    }
    if (argumentIs(bytes, start, end, 'count') || argumentIs(bytes, start, end, 'block')) i += 1;
    else if (grouped && argumentIs(bytes, start, end, 'group')) i += 2;
    else if (!(grouped && argumentIs(bytes, start, end, 'noack'))) return MALFORMED;
  }
  return MALFORMED;
}

/** `GEORADIUS key longitude latitude radius unit …`: of several STORE and STOREDIST the last counts. */
function findGeoRadius(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
  positions: Int32Array,
): number {
  positions[0] = 1;
  let store = 0;
  for (let i = spec.name === 'georadius' ? 6 : 5; i + 1 < argumentCount; i += 1) {
    const start = argumentStart[i] as number;
    const end = argumentEnd[i] as number;
    if (argumentIs(bytes, start, end, 'store') || argumentIs(bytes, start, end, 'storedist')) {
      i += 1;
      store = i;
    }
  }
  if (store === 0) return 1;
  positions[1] = store;
  return 2;
}

function findBySpecs(
  spec: CommandSpec,
  bytes: Uint8Array,
  argumentStart: Int32Array,
  argumentEnd: Int32Array,
  argumentCount: number,
  positions: Int32Array,
): number {
  let count = 0;
  for (const { begin, find } of spec.keySpecs) {
    // Keywords stand only in specifications of commands that have a finder of their own, or are refused.
    if (begin.kind !== 'index' || find.kind === 'unknown') return MALFORMED;
    let argument = begin.index;
    let keys: number;
    if (find.kind === 'keynum') {
      const at = argument + find.numIndex;
      if (at >= argumentCount) return MALFORMED;
      keys = parseKeyCount(bytes, argumentStart[at] as number, argumentEnd[at] as number);
      if (keys < 0 || (keys === 0 && (spec.flags & COMMAND_FLAG.no_mandatory_keys) === 0)) return MALFORMED;
      argument += find.first;
    } else {
      const last = find.last < 0 ? argumentCount + find.last : argument + find.last;
      keys = last < argument ? 0 : Math.floor((last - argument) / find.step) + 1;
    }
    if (keys > 0 && argument + (keys - 1) * find.step >= argumentCount) return MALFORMED;
    for (let key = 0; key < keys; key += 1) {
      positions[count] = argument + key * find.step;
      count += 1;
    }
  }
  return count;
}

/** Redis's string2ll: digits without sign, blanks or leading zeros. -1 when it is none, or absurdly large. */
function parseKeyCount(bytes: Uint8Array, start: number, end: number): number {
  const length = end - start;
  if (length === 0 || length > 9 || (bytes[start] === 0x30 && length > 1)) return -1;
  let value = 0;
  for (let i = start; i < end; i += 1) {
    const digit = (bytes[i] as number) - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value;
}
