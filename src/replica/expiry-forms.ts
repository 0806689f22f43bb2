/**
 * The commands that set an expiry, counted from the proposer's clock and sent as a moment: all nodes get the same one.
 *
 * A moment that has passed (rule X2) is sent as a command that deletes on every node, whatever its clock says, and that
 * checks the same flags first: so nothing needs to be known of the base. What Redis refuses is sent as it is, for the nodes
 * to say why. The parsers follow Redis 7.0's t_string.c, expire.c and cluster.c.
 */
import { nullReply, type Protocol, REPLY_OK } from '../resp/reply.js';
import type { Command } from './commands.js';
import {
  all,
  allBefore,
  asPut,
  everywhere,
  type KeyOperation,
  oneNode,
  planned,
  put,
  reading,
  SAME,
  type Shape,
  unlessError,
} from './key-operation.js';
import { INT64_MAX, INT64_MIN, integerOf, isWord, replaced, word } from './words.js';

const SET = word('SET');
const GET = word('GET');
const GETDEL = word('GETDEL');
const GETEX = word('GETEX');
const DEL = word('DEL');
const EXISTS = word('EXISTS');
const PXAT = word('PXAT');
const PEXPIREAT = word('PEXPIREAT');
const ABSTTL = word('ABSTTL');
/** Over for every clock. */
const LONG_AGO = word('1');
/** Counted from any moment of now, later than there are numbers for: Redis refuses it. */
const BEYOND = word(`${INT64_MAX}`);

interface Expiry {
  /** Where its number stands among the words. */
  at: number;
  amountMs: bigint;
  /** From now on. */
  isRelative: boolean;
}

/** What takes the place of a command. Without a shape its reply is the client's. */
interface Form {
  command: Command;
  shape?: Shape;
}

/** SET with any options. */
export function setForm(words: Command, protocol: Protocol): KeyOperation {
  if (words.length === 3) return put(words, protocol);
  const options = parseSetOptions(words);
  if (options === null || options.expiry === null) return everywhere(words, protocol);
  const { expiry, isNx, isXx, isGet } = options;
  const [, key, value] = words as [Uint8Array, Uint8Array, Uint8Array];
  const flags = words.filter((_word, at) => at > 2 && !options.ofExpiry.has(at));
  let past: Form;
  if (isGet && isNx) past = { command: [GET, key] };
  else if (isGet) past = { command: [GETDEL, key] };
  else if (isNx) past = { command: [EXISTS, key], shape: okFor(false, protocol) };
  else if (isXx) past = { command: [DEL, key], shape: okFor(true, protocol) };
  else past = { command: [DEL, key], shape: unlessError(() => REPLY_OK) };
  const operation = dated(words, protocol, expiry, (moment) => [SET, key, value, ...flags, PXAT, moment], past);
  return isGet || isNx || isXx ? operation : asPut(operation);
}

/** MSET of one key: as SET, whatever that does. */
export function msetForm(words: Command, protocol: Protocol): KeyOperation {
  return words.length === 3 ? put([SET, ...words.slice(1)], protocol) : everywhere(words, protocol);
}

/** SETEX and PSETEX: `unitMs` is 1000 or 1. */
export function setexForm(unitMs: bigint): (words: Command, protocol: Protocol) => KeyOperation {
  return (words, protocol) => {
    const expiry = parsePositive(words, 2, unitMs, true);
    if (expiry === null) return everywhere(words, protocol);
    const [, key, , value] = words as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
    const past: Form = { command: [DEL, key], shape: unlessError(() => REPLY_OK) };
    return asPut(dated(words, protocol, expiry, (moment) => [SET, key, value, PXAT, moment], past));
  };
}

/** GETEX, which only reads when it has no options. */
export function getexForm(words: Command, protocol: Protocol): KeyOperation {
  const key = words[1] as Uint8Array;
  if (words.length === 2) return reading([GET, key], protocol, true);
  const expiry = parseGetexExpiry(words);
  if (expiry === null) return everywhere(words, protocol);
  const past: Form = { command: [GETEX, key, PXAT, LONG_AGO] };
  return dated(words, protocol, expiry, (moment) => [GETEX, key, PXAT, moment], past);
}

/** EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT. */
export function expireForm(unitMs: bigint, isRelative: boolean): (words: Command, protocol: Protocol) => KeyOperation {
  return (words, protocol) => {
    const amount = integerOf(words[2] as Uint8Array);
    const isValid = amount !== null && amount <= INT64_MAX / unitMs && amount >= INT64_MIN / unitMs;
    if (!isValid || !areExpireFlags(words)) return everywhere(words, protocol);
    const [, key, , ...flags] = words as [Uint8Array, Uint8Array, ...Uint8Array[]];
    const past: Form = { command: [PEXPIREAT, key, LONG_AGO, ...flags] };
    const expiry = { at: 2, amountMs: amount * unitMs, isRelative };
    return dated(words, protocol, expiry, (moment) => [PEXPIREAT, key, moment, ...flags], past);
  };
}

/** RESTORE: a moment that has passed makes it delete what it was to replace. */
export function restoreForm(words: Command, protocol: Protocol): KeyOperation {
  const options = parseRestoreOptions(words);
  const amountMs = integerOf(words[2] as Uint8Array);
  const asItIs = options?.isReplacing === true ? put(words, protocol) : everywhere(words, protocol);
  if (options === null || amountMs === null || amountMs <= 0n) return asItIs;
  const withMoment = (moment: Uint8Array): Command => [
    ...replaced(words, 2, moment),
    ...(options.isAbsolute ? [] : [ABSTTL]),
  ];
  const expiry = { at: 2, amountMs, isRelative: !options.isAbsolute };
  const operation = dated(words, protocol, expiry, withMoment, { command: withMoment(LONG_AGO) });
  return options.isReplacing ? asPut(operation) : operation;
}

/** `form` of the moment that `expiry` means, or `past` if that is over. */
function dated(
  words: Command,
  protocol: Protocol,
  expiry: Expiry,
  form: (moment: Uint8Array) => Command,
  past: Form,
): KeyOperation {
  return planned(words, protocol, ({ nowMs, isOwnExpired }, _found, plain) => {
    const now = BigInt(Math.floor(nowMs));
    const moment = expiry.isRelative ? now + expiry.amountMs : expiry.amountMs;
    if (moment > INT64_MAX) return all({ list: [replaced(words, expiry.at, BEYOND)], protocol });
    if (isOwnExpired || moment <= now) return all({ list: [past.command], protocol }, past.shape);
    return allBefore(Number(moment), { list: [form(word(`${moment}`))], protocol }, SAME, oneNode(plain));
  });
}

interface SetOptions {
  isNx: boolean;
  isXx: boolean;
  isGet: boolean;
  expiry: Expiry | null;
  /** Where the words stand that make the expiry. */
  ofExpiry: ReadonlySet<number>;
}

/** Null where Redis finds a fault in them, or in the number. */
function parseSetOptions(words: Command): SetOptions | null {
  let isNx = false;
  let isXx = false;
  let isGet = false;
  let keepsTtl = false;
  let unit: ExpiryUnit | null = null;
  let numberAt = 0;
  const ofExpiry = new Set<number>();
  for (let at = 3; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    const named = expiryUnit(option);
    if (isWord(option, 'nx') && !isXx) isNx = true;
    else if (isWord(option, 'xx') && !isNx) isXx = true;
    else if (isWord(option, 'get')) isGet = true;
    else if (isWord(option, 'keepttl') && unit === null) keepsTtl = true;
    else if (named !== null && !keepsTtl && (unit ?? named) === named && at + 1 < words.length) {
      unit = named;
      ofExpiry.add(at).add(at + 1);
      at++;
      numberAt = at;
    } else return null;
  }
  if (unit === null) return { isNx, isXx, isGet, expiry: null, ofExpiry };
  const expiry = parsePositive(words, numberAt, unit.unitMs, unit.isRelative);
  return expiry === null ? null : { isNx, isXx, isGet, expiry, ofExpiry };
}

/** Null also where it sets none. */
function parseGetexExpiry(words: Command): Expiry | null {
  let unit: ExpiryUnit | null = null;
  let numberAt = 0;
  for (let at = 2; at < words.length; at += 2) {
    const named = expiryUnit(words[at] as Uint8Array);
    if (named === null || (unit ?? named) !== named || at + 1 >= words.length) return null;
    unit = named;
    numberAt = at + 1;
  }
  return unit === null ? null : parsePositive(words, numberAt, unit.unitMs, unit.isRelative);
}

interface ExpiryUnit {
  name: string;
  unitMs: bigint;
  isRelative: boolean;
}

const UNITS: readonly ExpiryUnit[] = [
  { name: 'ex', unitMs: 1000n, isRelative: true },
  { name: 'px', unitMs: 1n, isRelative: true },
  { name: 'exat', unitMs: 1000n, isRelative: false },
  { name: 'pxat', unitMs: 1n, isRelative: false },
];

function expiryUnit(option: Uint8Array): ExpiryUnit | null {
  for (const unit of UNITS) if (isWord(option, unit.name)) return unit;
  return null;
}

/** Null for a number that SET and its like refuse at any time. */
function parsePositive(words: Command, at: number, unitMs: bigint, isRelative: boolean): Expiry | null {
  const amount = integerOf(words[at] as Uint8Array);
  if (amount === null || amount <= 0n || amount > INT64_MAX / unitMs) return null;
  return { at, amountMs: amount * unitMs, isRelative };
}

function areExpireFlags(words: Command): boolean {
  let isNx = false;
  let isXx = false;
  let isGt = false;
  let isLt = false;
  for (let at = 3; at < words.length; at++) {
    const flag = words[at] as Uint8Array;
    if (isWord(flag, 'nx')) isNx = true;
    else if (isWord(flag, 'xx')) isXx = true;
    else if (isWord(flag, 'gt')) isGt = true;
    else if (isWord(flag, 'lt')) isLt = true;
    else return false;
  }
  return !(isNx && (isXx || isGt || isLt)) && !(isGt && isLt);
}

function parseRestoreOptions(words: Command): { isAbsolute: boolean; isReplacing: boolean } | null {
  let isAbsolute = false;
  let isReplacing = false;
  for (let at = 4; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    if (isWord(option, 'absttl')) isAbsolute = true;
    else if ((isWord(option, 'idletime') || isWord(option, 'freq')) && at + 1 < words.length) at++;
    else if (isWord(option, 'replace')) isReplacing = true;
    else return null;
  }
  return { isAbsolute, isReplacing };
}

/** +OK if the key was there, or if it was not; else none. The reply is a count. */
function okFor(wasThere: boolean, protocol: Protocol): Shape {
  return unlessError((count) => ((count[1] === 0x31) === wasThere ? REPLY_OK : nullReply(protocol)));
}
