/**
 * How the replies of commands come through a script, which RL.FENCED has them carried out by, exactly as the node gives them without one.
 *
 * A script has replies as Lua's values. In RESP2 these tell one null from the other no more, and integers are doubles; in RESP3 maps and sets
 * have no order, and an array ends at its first null. So most commands are asked for in RESP2, whatever the client speaks, and what is another
 * type in RESP3 gets its own head back from the proxy; only scores, which are text in RESP2, are asked for in RESP3. What is not in the
 * table is refused.
 */
import { skipValue, TYPE } from '../resp/frame.js';
import { mapHeader, type Protocol, parseInteger, REPLY_NULL_ARRAY, setHeader } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import type { Part, Parts, ResponsePolicy } from './response-policy.js';

/** How the reply to one command comes to a client. */
export interface Carriage {
  /** What the script speaks. */
  readonly resp: Protocol;
  /** Nulls that the array may have, as many as words stand behind the key: a script that speaks RESP3 would break off there. */
  readonly hasNulls: boolean;
  /** By which command an integer is read again that has more than 53 bits; '' where there is none. */
  readonly wide: '' | 'GET' | 'HGET';
  /** Makes the client's reply of it; null: it is that already. */
  readonly policy: ResponsePolicy | null;
}

interface Row {
  readonly 2: Carriage | string;
  readonly 3: Carriage | string;
}

/** The carriage of a command of so many words, its name (`xgroup|create`) among them; or why there is none. */
export function carriageOf(name: string, words: number, protocol: Protocol): Carriage | string {
  const row = (words > 2 ? WITH_COUNT.get(name) : undefined) ?? TABLE.get(name);
  return row?.[protocol] ?? OTHER;
}

const OTHER = 'its reply does not come through a script as it is';
const WIDE = 'its reply may have numbers of more than 53 bits, which a script rounds';
const DIGITS = 'its reply may have more digits in RESP3 than a script keeps; it is served in RESP2';
const STREAMS = 'its reply is a map in RESP3, whose order a script does not keep; it is served in RESP2';
const NULLS = 'its reply may have nulls of two kinds, which a script does not tell apart';

const PLAIN: Carriage = { resp: 2, hasNulls: false, wide: '', policy: null };
const SCORES: Carriage = { ...PLAIN, resp: 3 };

const NULL_ARRAY: Carriage = {
  ...PLAIN,
  policy: patched((bytes, start, end, output) => {
    if (isNullBulk(bytes, start)) output.appendBytes(REPLY_NULL_ARRAY);
    else output.appendNow(start, end);
  }),
};
/** Each element may be a null array. */
const NULL_ARRAYS: Carriage = {
  ...PLAIN,
  policy: patched((bytes, start, end, output) => {
    let at = bodyStart(bytes, start);
    output.appendNow(start, at);
    for (; at < end; at = skipValue(bytes, at)) {
      if (isNullBulk(bytes, at)) output.appendBytes(REPLY_NULL_ARRAY);
      else output.appendNow(at, skipValue(bytes, at));
    }
  }),
};
const MAP: Carriage = { ...PLAIN, policy: headed((count) => mapHeader(count / 2, 3)) };
const SET: Carriage = { ...PLAIN, policy: headed((count) => setHeader(count, 3)) };

const INTEGER_MARK = Buffer.from(':');
/** An integer of more than 53 bits comes as a status. */
const WIDE_INTEGER = patched((bytes, start, end, output) => {
  const isWide = bytes[start] === TYPE.simple;
  if (isWide) output.appendBytes(INTEGER_MARK);
  output.appendNow(isWide ? start + 1 : start, end);
});

const TABLE: ReadonlyMap<string, Row> = new Map([
  ...rows(PLAIN, PLAIN, [
    ...['append', 'get', 'getdel', 'getex', 'getrange', 'getset', 'incrbyfloat', 'mget', 'mset', 'msetnx', 'psetex'],
    ...['set', 'setex', 'setnx', 'setrange', 'strlen', 'substr'],
    ...['bitcount', 'bitop', 'bitpos', 'getbit', 'setbit'],
    ...['copy', 'del', 'dump', 'exists', 'expire', 'expireat', 'expiretime', 'persist', 'pexpire', 'pexpireat'],
    ...['pexpiretime', 'pttl', 'rename', 'renamenx', 'restore', 'sort', 'sort_ro', 'touch', 'ttl', 'type', 'unlink'],
    ...['object|encoding', 'object|freq', 'object|idletime', 'object|refcount'],
    ...['hdel', 'hexists', 'hget', 'hincrbyfloat', 'hkeys', 'hlen', 'hmget', 'hmset', 'hscan', 'hset', 'hsetnx'],
    ...['hstrlen', 'hvals'],
    ...['lindex', 'linsert', 'llen', 'lmove', 'lpos', 'lpush', 'lpushx', 'lrange', 'lrem', 'lset', 'ltrim'],
    ...['rpoplpush', 'rpush', 'rpushx'],
    ...['sadd', 'scard', 'sdiffstore', 'sintercard', 'sinterstore', 'sismember', 'smismember', 'smove', 'srandmember'],
    ...['srem', 'sscan', 'sunionstore'],
    ...['zcard', 'zcount', 'zdiffstore', 'zintercard', 'zinterstore', 'zlexcount', 'zrangebylex', 'zrangestore'],
    ...['zrank', 'zrem', 'zremrangebylex', 'zremrangebyrank', 'zremrangebyscore', 'zrevrangebylex', 'zrevrank'],
    ...['zscan', 'zunionstore'],
    ...['pfadd', 'pfcount', 'pfmerge'],
    ...['geoadd', 'geodist', 'geohash', 'geosearchstore'],
    ...['xack', 'xadd', 'xautoclaim', 'xclaim', 'xdel', 'xlen', 'xrange', 'xrevrange', 'xsetid', 'xtrim'],
    ...['xgroup|create', 'xgroup|createconsumer', 'xgroup|delconsumer', 'xgroup|destroy', 'xgroup|setid'],
  ]),
  ...rows(wide('GET'), wide('GET'), ['decr', 'decrby', 'incr', 'incrby']),
  ...rows(wide('HGET'), wide('HGET'), ['hincrby']),
  ...rows(PLAIN, MAP, ['hgetall', 'lcs']),
  ...rows(PLAIN, SET, ['sdiff', 'sinter', 'smembers', 'spop', 'sunion']),
  ...rows(PLAIN, SCORES, ['hrandfield', 'zadd', 'zdiff', 'zincrby', 'zinter', 'zpopmax', 'zpopmin', 'zrandmember']),
  ...rows(PLAIN, SCORES, ['zrange', 'zrangebyscore', 'zrevrange', 'zrevrangebyscore', 'zscore', 'zunion']),
  ...rows(PLAIN, { ...SCORES, hasNulls: true }, ['zmscore']),
  ...rows(NULL_ARRAY, PLAIN, ['lmpop']),
  ...rows(PLAIN, PLAIN, ['lpop', 'rpop']),
  ...rows(NULL_ARRAY, SCORES, ['zmpop']),
  ...rows(NULL_ARRAYS, DIGITS, ['geopos']),
  ...rows(PLAIN, DIGITS, ['georadius', 'georadius_ro', 'georadiusbymember', 'georadiusbymember_ro', 'geosearch']),
  ...rows(NULL_ARRAY, STREAMS, ['xread', 'xreadgroup']),
  ...rows(NULLS, NULLS, ['xpending']),
  ...rows(WIDE, WIDE, ['bitfield', 'bitfield_ro', 'xinfo|consumers', 'xinfo|groups', 'xinfo|stream']),
]);

/** Those that are asked for several, which have another null then. */
const WITH_COUNT: ReadonlyMap<string, Row> = new Map(rows(NULL_ARRAY, PLAIN, ['lpop', 'rpop']));

function rows(two: Carriage | string, three: Carriage | string, names: readonly string[]): [string, Row][] {
  return names.map((name) => [name, { 2: two, 3: three }]);
}

function wide(command: 'GET' | 'HGET'): Carriage {
  return { ...PLAIN, wide: command, policy: WIDE_INTEGER };
}

/** The only part's reply, bytes[start, end), written so. */
function patched(write: (bytes: Uint8Array, start: number, end: number, output: Output) => void): ResponsePolicy {
  return {
    needsOne: false,
    fits: (bytes, { start }: Part) => bytes[start] !== TYPE.error,
    write: (parts: Parts, output: Output) => {
      const { start, bytes } = parts.part(0);
      write(parts.bytes, start, start + bytes, output);
    },
  };
}

/** An array under the head that another type of so many elements has. Other replies stay. */
function headed(head: (count: number) => Uint8Array): ResponsePolicy {
  return patched((bytes, start, end, output) => {
    const body = bodyStart(bytes, start);
    const isArray = bytes[start] === TYPE.array;
    if (isArray) output.appendBytes(head(parseInteger(bytes, start, body)));
    output.appendNow(isArray ? body : start, end);
  });
}

const MINUS = 0x2d;
const LF = 0x0a;

/** `$-1`: a script has no other null in RESP2. An error is none. */
function isNullBulk(bytes: Uint8Array, start: number): boolean {
  return bytes[start] === TYPE.bulk && bytes[start + 1] === MINUS;
}

function bodyStart(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(LF, start) + 1;
}
