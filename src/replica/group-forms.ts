/**
 * XREADGROUP, XCLAIM and XAUTOCLAIM: which entries it is about is read first, by a script that only reads; then all nodes do
 * the same to those, and note the same time of delivery.
 *
 *   XREADGROUP … >     XREADGROUP … NOACK …, XCLAIM the same entries FORCE RETRYCOUNT 1      the reply is the first's
 *   XREADGROUP … id    the same, XCLAIM the same entries JUSTID                              (it counts the delivery itself)
 *   XCLAIM             without those that were not idle long enough
 *   XAUTOCLAIM         XCLAIM
 *
 * The time of delivery is the clock of the node that was read, since idle times are counted from it on nodes. XCLAIM does not
 * note a time that is still to come: a node whose clock is behind that one's notes its own. Nothing follows from the
 * difference: who is idle is always decided at one node.
 */
import { arrayHeader, bulkReply, type Protocol } from '../resp/reply.js';
import { bulksOf } from './bulk-array.js';
import type { Command, Replies } from './commands.js';
import {
  all,
  atOneNode,
  everywhere,
  FIRST,
  isNoGroup,
  isWrongType,
  type KeyOperation,
  type KeyPlan,
  oneNode,
  planned,
  type Shape,
} from './key-operation.js';
import { withoutBlock } from './stream-forms.js';
import { formatStreamId, isLastPossible, parseStreamId } from './stream-id.js';
import { INT64_MAX, integerOf, isWord, textOf, word } from './words.js';

const EVAL_RO = word('EVAL_RO');
const ONE = word('1');
const ZERO = word('0');
const XCLAIM = word('XCLAIM');
const XREADGROUP = word('XREADGROUP');
const GROUP = word('GROUP');
const COUNT = word('COUNT');
const NOACK = word('NOACK');
const STREAMS = word('STREAMS');
const TIME = word('TIME');
const RETRYCOUNT = word('RETRYCOUNT');
const FORCE = word('FORCE');
const JUSTID = word('JUSTID');
/** Nothing is idle for so long. */
const FOR_EVER = word(`${INT64_MAX}`);
/** As many as there are. */
const ALL = FOR_EVER;

/** Milliseconds since 1970, as the first string of each script's answer. */
const CLOCK = `local now = redis.call('TIME') local answer = { string.format('%d%03d', now[1], math.floor(now[2] / 1000)) }`;

/** Group, count (empty: all): the ids after the group's last. */
const NEW_ENTRIES = word(`${CLOCK}
local last
for _, group in ipairs(redis.call('XINFO', 'GROUPS', KEYS[1])) do
  local name
  for at = 1, #group, 2 do
    if group[at] == 'name' then name = group[at + 1] end
    if group[at] == 'last-delivered-id' and name == ARGV[1] then last = group[at + 1] end
  end
end
if not last then return { err = 'NOGROUP' } end
if last == '18446744073709551615-18446744073709551615' then return answer end
local entries
if ARGV[2] == '' then entries = redis.call('XRANGE', KEYS[1], '(' .. last, '+')
else entries = redis.call('XRANGE', KEYS[1], '(' .. last, '+', 'COUNT', ARGV[2]) end
for _, entry in ipairs(entries) do answer[#answer + 1] = entry[1] end
return answer`);

/** Group, consumer, id, count: the ids after that one that are pending for the consumer and still there. */
const HISTORY = word(`${CLOCK}
for _, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], '(' .. ARGV[3], '+', ARGV[4], ARGV[2])) do
  if #redis.call('XRANGE', KEYS[1], pending[1], pending[1]) > 0 then answer[#answer + 1] = pending[1] end
end
return answer`);

/** Group, idle time, ids: those of them that nobody has had for less than that time. */
const LONG_IDLE = word(`${CLOCK}
for at = 3, #ARGV do
  local id = ARGV[at]
  local pending = redis.call('XPENDING', KEYS[1], ARGV[1], id, id, '1')[1]
  local isYoung = pending and pending[3] < tonumber(ARGV[2])
  if not isYoung or #redis.call('XRANGE', KEYS[1], id, id) == 0 then answer[#answer + 1] = id end
end
return answer`);

/**
 * Group, idle time, first id, count, how many to look at and one more: the next id, how many are to be claimed, their ids, and
 * those of entries that are gone.
 */
const ABANDONED = word(`${CLOCK}
local claimed, gone, next = {}, {}, '0-0'
local left, looks = tonumber(ARGV[4]), tonumber(ARGV[4]) * 10
for at, pending in ipairs(redis.call('XPENDING', KEYS[1], ARGV[1], ARGV[3], '+', ARGV[5])) do
  if at > looks or left == 0 then
    next = pending[1]
    break
  end
  if #redis.call('XRANGE', KEYS[1], pending[1], pending[1]) == 0 then
    gone[#gone + 1] = pending[1]
    left = left - 1
  elseif pending[3] >= tonumber(ARGV[2]) then
    claimed[#claimed + 1] = pending[1]
    left = left - 1
  end
end
answer[2], answer[3] = next, tostring(#claimed)
for _, id in ipairs(claimed) do answer[#answer + 1] = id end
for _, id in ipairs(gone) do answer[#answer + 1] = id end
return answer`);

export const GROUP_SCRIPTS: readonly string[] = [NEW_ENTRIES, HISTORY, LONG_IDLE, ABANDONED].map((text) =>
  Buffer.from(text).toString(),
);

/** XREADGROUP GROUP group consumer [COUNT count] [BLOCK ms] [NOACK] STREAMS key id: what is there at once. */
export function xreadgroupForm(words: Command, protocol: Protocol): KeyOperation | Uint8Array {
  const patient = withoutBlock(words);
  if (patient instanceof Uint8Array) return patient;
  const request = parseReadGroup(patient);
  if (request === null) return everywhere(patient, protocol);
  const { group, consumer, key, id, count, isNoAck, streams } = request;
  if (streams !== 1) return atOneNode(patient, protocol);
  const counted = count > 0n ? word(`${count}`) : null;
  const tail = [...(counted === null ? [] : [COUNT, counted]), STREAMS, key, id];
  const whole = [XREADGROUP, GROUP, group, consumer, ...tail];
  if (textOf(id) === '>') {
    if (isNoAck) return everywhere(patient, protocol);
    const reads = script(NEW_ENTRIES, key, group, counted ?? word(''));
    const taking = [XREADGROUP, GROUP, group, consumer, NOACK, ...tail];
    return decided(patient, protocol, reads, ([now, ...ids]) => {
      const noting = [XCLAIM, key, group, consumer, ZERO, ...ids, TIME, now, RETRYCOUNT, ONE, FORCE, JUSTID];
      return all({ list: ids.length === 0 ? [taking] : [taking, noting], protocol }, FIRST);
    });
  }
  const after = parseStreamId(textOf(id));
  if (after === null || isLastPossible(after)) return atOneNode(patient, protocol);
  const reads = script(HISTORY, key, group, consumer, word(formatStreamId(after)), counted ?? ALL);
  return decided(patient, protocol, reads, ([now, ...ids]) => {
    const noting = [XCLAIM, key, group, consumer, ZERO, ...ids, TIME, now, JUSTID];
    return all({ list: ids.length === 0 ? [whole] : [whole, noting], protocol }, FIRST);
  });
}

/** XCLAIM key group consumer idle id … [IDLE ms] [TIME ms] [RETRYCOUNT count] [FORCE] [JUSTID] [LASTID id] */
export function xclaimForm(words: Command, protocol: Protocol): KeyOperation {
  const request = parseClaim(words);
  if (request === 'faulty') return everywhere(words, protocol);
  const [, key, group, consumer, idle] = words as [Uint8Array, Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  // The second of two that are the same finds what the first has made.
  if (request === 'odd' || new Set(request.ids).size < request.ids.length) return atOneNode(words, protocol);
  const { ids, options, delivered } = request;
  const named = ids.map(word);
  return decided(words, protocol, script(LONG_IDLE, key, group, idle, ...named), ([now, ...claimed]) => {
    const time = word(`${delivered(BigInt(textOf(now)))}`);
    // With nothing to claim it has yet to forget entries that are gone, and to note LASTID.
    const [minIdle, entries] = claimed.length === 0 ? [FOR_EVER, named] : [ZERO, claimed];
    return all({ list: [[XCLAIM, key, group, consumer, minIdle, ...entries, ...options, TIME, time]], protocol });
  });
}

/** XAUTOCLAIM key group consumer idle start [COUNT count] [JUSTID] */
export function xautoclaimForm(words: Command, protocol: Protocol): KeyOperation {
  const request = parseAutoClaim(words);
  if (request === null) return everywhere(words, protocol);
  const [, key, group, consumer, idle, start] = words as [
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
    Uint8Array,
  ];
  const { count, options } = request;
  const looks = count * LOOKS_PER_ENTRY + 1n;
  const reads = script(ABANDONED, key, group, idle, start, word(`${count}`), word(`${looks}`));
  return decided(words, protocol, reads, ([now, next, claimedCount, ...ids]) => {
    const gone = ids.slice(Number(textOf(claimedCount as Uint8Array)));
    const reply = (claimed: Uint8Array) =>
      Buffer.concat([
        ...[arrayHeader(3), bulkReply(next as Uint8Array), claimed],
        ...[arrayHeader(gone.length), ...gone.map(bulkReply)],
      ]);
    if (ids.length === 0) return all({ list: [], protocol }, () => [reply(arrayHeader(0))]);
    const claiming = [XCLAIM, key, group, consumer, ZERO, ...ids, TIME, now, ...options];
    const shape: Shape = ([claimed]) => [reply(claimed as Uint8Array)];
    return all({ list: [claiming], protocol }, shape);
  });
}

/** Entries that XAUTOCLAIM looks at for each that it is to claim. */
const LOOKS_PER_ENTRY = 10n;
/** What it refuses is more (t_stream.c: LONG_MAX / sizeof(streamID)). */
const COUNT_MAX = INT64_MAX / 16n;
const COUNT_DEFAULT = 100n;

/** An operation of which a script reads what is to be done. Without a key or group, or with another type, nothing is. */
function decided(
  words: Command,
  protocol: Protocol,
  read: Command,
  plan: (answer: [Uint8Array, ...Uint8Array[]]) => KeyPlan,
): KeyOperation {
  return planned(words, protocol, (base, found: Replies | null, plain) => {
    if (!base.live) return all(plain);
    if (found === null) return { kind: 'read', commands: { list: [read], protocol } };
    const reply = found[0] as Uint8Array;
    if (isWrongType(reply) || isNoGroup(reply)) return all(plain);
    const answer = bulksOf(reply);
    return answer === null || answer.length === 0 ? oneNode(plain) : plan(answer as [Uint8Array, ...Uint8Array[]]);
  });
}

function script(source: Uint8Array, key: Uint8Array, ...rest: Uint8Array[]): Command {
  return [EVAL_RO, source, ONE, key, ...rest];
}

interface ReadGroup {
  group: Uint8Array;
  consumer: Uint8Array;
  /** 0 for all. */
  count: bigint;
  isNoAck: boolean;
  streams: number;
  key: Uint8Array;
  id: Uint8Array;
}

/** Null where Redis finds a fault in it. */
function parseReadGroup(words: Command): ReadGroup | null {
  let group: Uint8Array | undefined;
  let consumer: Uint8Array | undefined;
  let count = 0n;
  let isNoAck = false;
  let at = 1;
  for (; at < words.length && !isWord(words[at], 'streams'); at++) {
    const option = words[at];
    if (isWord(option, 'count') && at + 1 < words.length) {
      const number = integerOf(words[at + 1] as Uint8Array);
      if (number === null) return null;
      count = number < 0n ? 0n : number;
      at++;
    } else if (isWord(option, 'group') && at + 2 < words.length) {
      group = words[at + 1];
      consumer = words[at + 2];
      at += 2;
    } else if (isWord(option, 'noack')) isNoAck = true;
    else return null;
  }
  const streams = (words.length - at - 1) / 2;
  const [key, id] = [words[at + 1], words[at + 1 + streams]];
  if (group === undefined || consumer === undefined || key === undefined || id === undefined) return null;
  return { group, consumer, count, isNoAck, streams, key, id };
}

interface Claim {
  /** In full. */
  ids: string[];
  /** But for those of time. */
  options: Uint8Array[];
  /** The time of delivery, at that moment. */
  delivered: (nowMs: bigint) => bigint;
}

/** `odd`: it may be one that only C can read. */
function parseClaim(words: Command): Claim | 'faulty' | 'odd' {
  if (integerOf(words[4] as Uint8Array) === null) return 'faulty';
  const ids: string[] = [];
  let at = 5;
  for (; at < words.length; at++) {
    const id = parseStreamId(textOf(words[at] as Uint8Array));
    if (id === null) break;
    ids.push(formatStreamId(id));
  }
  const options: Uint8Array[] = [];
  let time: { value: bigint; isIdle: boolean } | null = null;
  for (; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    const value = words[at + 1];
    if (isWord(option, 'force') || isWord(option, 'justid')) options.push(option);
    else if (value === undefined) return 'odd';
    else if (isWord(option, 'lastid')) options.push(option, value);
    else {
      const number = integerOf(value);
      if (number === null) return 'odd';
      if (isWord(option, 'idle') || isWord(option, 'time')) time = { value: number, isIdle: isWord(option, 'idle') };
      else if (isWord(option, 'retrycount')) options.push(option, value);
      else return 'odd';
    }
    if (!isWord(option, 'force') && !isWord(option, 'justid')) at++;
  }
  if (ids.length === 0) return 'odd';
  const delivered = (nowMs: bigint): bigint => {
    const moment = time === null ? nowMs : time.isIdle ? nowMs - time.value : time.value;
    return moment < 0n || moment > nowMs ? nowMs : moment;
  };
  return { ids, options, delivered };
}

/** Null where Redis finds a fault in it. */
function parseAutoClaim(words: Command): { count: bigint; options: Uint8Array[] } | null {
  if (integerOf(words[4] as Uint8Array) === null) return null;
  let count = COUNT_DEFAULT;
  const options: Uint8Array[] = [];
  for (let at = 6; at < words.length; at++) {
    const option = words[at] as Uint8Array;
    if (isWord(option, 'justid')) options.push(option);
    else if (isWord(option, 'count') && at + 1 < words.length) {
      at++;
      const number = integerOf(words[at] as Uint8Array);
      if (number === null || number < 1n || number > COUNT_MAX) return null;
      count = number;
    } else return null;
  }
  return { count, options };
}
