/**
 * Which commands may be carried out inside a script with replies that are exactly Redis's, and what is known of a key after
 * them. A script sees replies in RESP2 and integers as doubles (REPLICATION.md, "What Redis makes hard"); all that is not in
 * this table takes the watch form, which is exact for whatever there is.
 */

import { COMMAND_FLAG } from '../resp/command-spec.js';
import { COMMANDS, type CommandSpec, findCommand } from '../resp/commands.js';
import { SCRIPT_WORDS_MAX } from '../resp/script-words.js';
import type { Command, Commands } from './commands.js';
import { formatTail, NO_TAIL } from './meta.js';
import type { KeyFacts } from './step.js';

/**
 * `same`: alike in RESP2 and RESP3 but for what null looks like, and no integer is wide that a script cannot read again.
 * `alike`: alike in RESP2 and RESP3 but for null, and asked for in no script.
 * `wide`: the same, but integers may have more than 53 bits, which a script rounds.
 * `differs`: another shape in RESP3, that of RESP2 is exact in a script.
 */
type Shape = 'same' | 'alike' | 'wide' | 'differs';

interface Row {
  readonly shape: Shape;
  /** What is left after it, unless it fails: see `tailAfter`. */
  readonly after: string;
}

/** A value, whose expiry is kept; a new one has none. */
const KEPT = 'k';
const ASK = '';

const TABLE: ReadonlyMap<string, Row> = new Map([
  ...rows('same', KEPT, [
    ...['append', 'decr', 'decrby', 'incr', 'incrby', 'setbit', 'setnx'],
    ...['hincrby', 'hmset', 'hset', 'hsetnx', 'lpush', 'lset', 'pfadd', 'rpush', 'sadd'],
  ]),
  ...rows('same', NO_TAIL, ['del', 'getdel', 'unlink']),
  ...rows('same', formatTail(true, 0), ['getset']),
  ...rows('same', ASK, [
    ...['expireat', 'getex', 'incrbyfloat', 'persist', 'pexpireat', 'restore', 'set', 'setrange'],
    ...['hdel', 'hincrbyfloat'],
    ...['linsert', 'lmove', 'lmpop', 'lpop', 'lpushx', 'lrem', 'ltrim', 'rpop', 'rpoplpush', 'rpushx'],
    ...['srem', 'zrem', 'zremrangebylex', 'zremrangebyrank', 'zremrangebyscore'],
    ...['xack', 'xadd', 'xdel', 'xgroup', 'xsetid', 'xtrim'],
    'publish',
    // Reads, in a transaction or where copies were found to differ.
    ...['bitcount', 'bitpos', 'exists', 'get', 'getbit', 'getrange', 'strlen', 'substr', 'type'],
    ...['hexists', 'hget', 'hkeys', 'hlen', 'hmget', 'hstrlen', 'hvals', 'lindex', 'llen', 'lpos', 'lrange'],
    ...['scard', 'sismember', 'smismember', 'xlen', 'xrange', 'xrevrange'],
    ...['zcard', 'zcount', 'zlexcount', 'zrangebylex', 'zrevrangebylex'],
  ]),
  ...rows('alike', ASK, [
    ...[
      'dump',
      'geohash',
      'hscan',
      'memory',
      'mget',
      'object',
      'pfcount',
      'sintercard',
      'srandmember',
      'sscan',
      'touch',
    ],
    ...['zintercard', 'zscan'],
  ]),
  ...rows('wide', ASK, ['bitfield', 'bitfield_ro', 'expiretime', 'pexpiretime', 'pttl', 'ttl']),
  ...rows('differs', KEPT, ['zincrby']),
  ...rows('differs', ASK, [
    ...['hgetall', 'smembers', 'zadd', 'zmpop', 'zpopmax', 'zpopmin', 'zrange', 'zrangebyscore', 'zrevrange'],
    ...['zrevrangebyscore', 'zscore'],
  ]),
]);

/** What the encoder and the decoder need to know of a command. */
export interface CommandTraits {
  /** Its replies are exact when it is carried out by a script for a client of RESP2; of RESP3. */
  readonly inScript2: boolean;
  readonly inScript3: boolean;
  /** Its reply for a client of RESP2 is that in RESP3 with another null. */
  readonly isAlike: boolean;
  /** Its null is `*-1` in RESP2. */
  readonly nullArray: boolean;
  readonly readonly: boolean;
  /** Redis refuses it when there is no memory left. */
  readonly denyOom: boolean;
  /** What is left after it: a tail, 'k' or ''. */
  readonly after: string;
}

/** Of what is not in the table. */
const OTHER: CommandTraits = {
  inScript2: false,
  inScript3: false,
  isAlike: false,
  nullArray: false,
  readonly: false,
  denyOom: true,
  after: ASK,
};

/** By the command's index. */
const TRAITS: readonly CommandTraits[] = makeTraits();
/** ZADD without options: its reply is no score, and it leaves a value. */
const ZADD_PLAIN: CommandTraits = { ...traitsOf('zadd'), inScript3: true, isAlike: true, after: KEPT };
const LPOP_COUNT: CommandTraits = { ...traitsOf('lpop'), nullArray: true };
const SET = traitsOf('set');
export const GET = traitsOf('get');
const ZADD = traitsOf('zadd');
const LPOP = traitsOf('lpop');
const RPOP = traitsOf('rpop');

export function commandTraits(command: Command): CommandTraits {
  const name = command[0] as Uint8Array;
  const spec = findCommand(name, 0, name.length);
  if (spec === null || command.length > SCRIPT_WORDS_MAX) return OTHER;
  const traits = TRAITS[spec.index] as CommandTraits;
  if (traits === ZADD && command.length > 2 && isNumeral(command[2] as Uint8Array)) return ZADD_PLAIN;
  if ((traits === LPOP || traits === RPOP) && command.length > 2) return LPOP_COUNT;
  return traits;
}

/** Whether a script can carry them out with replies that are exactly Redis's. Else they take the watch form. */
export function areExactInScript(traits: readonly CommandTraits[], protocol: 2 | 3): boolean {
  for (const { inScript2, inScript3 } of traits) if (!(protocol === 3 ? inScript3 : inScript2)) return false;
  return true;
}

/**
 * Whether all nodes may carry out these commands although they set an expiry. Those of the watch form may not: the transaction's
 * time is later than that of its check, so that the expiry might pass in between at one node and not at another. They are
 * for one node (W4).
 */
export function canSetExpiry({ list, protocol }: Commands): boolean {
  return areExactInScript(list.map(commandTraits), protocol);
}

/**
 * The tail of what a command that does not fail leaves, which is carried out on a base with these facts; '' where the node is to be
 * asked.
 */
export function tailAfter(command: Command, traits: CommandTraits, { live, expireAt }: KeyFacts): string {
  if (traits.after === KEPT) return formatTail(true, live ? expireAt : 0);
  if (traits !== SET) return traits.after;
  if (isPlainSet(command, traits)) return formatTail(true, 0);
  if (command.length !== 5 || textOfWord(command[3] as Uint8Array).toLowerCase() !== 'pxat') return ASK;
  const time = textOfWord(command[4] as Uint8Array);
  return /^[1-9]\d{0,14}$/.test(time) ? `1${time}` : ASK;
}

/** SET of a key and a value, and nothing else. */
export function isPlainSet(command: Command, traits: CommandTraits): boolean {
  return traits === SET && command.length === 3;
}

function textOfWord(word: Uint8Array): string {
  return Buffer.from(word.buffer, word.byteOffset, word.length).toString('latin1');
}

function isNumeral(word: Uint8Array): boolean {
  const first = word[0] as number;
  return (first >= 0x30 && first <= 0x39) || first === 0x2d || first === 0x2b;
}

function makeTraits(): readonly CommandTraits[] {
  const traits: CommandTraits[] = COMMANDS.map(() => OTHER);
  for (const [name, { shape, after }] of TABLE) {
    const { index, readonly, flags } = specOf(name);
    traits[index] = {
      inScript2: shape !== 'wide' && shape !== 'alike',
      inScript3: shape === 'same',
      isAlike: shape !== 'differs',
      nullArray: name === 'lmpop' || name === 'zmpop',
      readonly,
      denyOom: (flags & COMMAND_FLAG.denyoom) !== 0,
      after,
    };
  }
  return traits;
}

function traitsOf(name: string): CommandTraits {
  return TRAITS[specOf(name).index] as CommandTraits;
}

function specOf(name: string): CommandSpec {
  const bytes = Buffer.from(name);
  const spec = findCommand(bytes, 0, bytes.length);
  if (spec === null) throw new Error(`the table of commands in scripts names ${name}, which is no command`);
  return spec;
}

function rows(shape: Shape, after: string, names: readonly string[]): [string, Row][] {
  return names.map((name) => [name, { shape, after }]);
}
