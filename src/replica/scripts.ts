/**
 * The steps of the protocol in Lua, as a node carries them out (REPLICATION.md, "Steps on a node"): each is one script, so that
 * it is atomic, and begins with one MGET of all that it depends on.
 *
 * KEYS[1] is the key, ARGV[1] the record that `~rl:node` must hold. Texts are those of `meta`; of ballots only digits are
 * compared, since Lua orders texts by the server's locale. A verdict is a text whose first letter says which:
 *
 *   N                            not the member that was expected
 *   R promised floor accepted    refused for a larger ballot
 *   A promised tail              accepted before
 *   U                            carried out, and the value is as it was
 *   S, B, O                      stale; the base has expired; the commands' own expiry has passed
 *   P floor accepted tail        promised
 *   C0, C1                       not collected, collected
 *   K                            accepted as was expected, and the reply is OK
 *
 * A tail alone, which begins with a digit, says that it was accepted. An error is one that tells of the node (rule W8).
 */
import { createHash } from 'node:crypto';
import { encodeCommand } from '../resp/reply.js';
import { OWN_PREFIX } from '../routing/own-prefix.js';
import { BALLOT_DIGITS, NEVER } from './ballot.js';
import { FLOOR_KEY, GUARD_PREFIX, META_PREFIX, NO_FACTS_TEXT, NO_FLOOR, NODE_KEY, PASS_PREFIX } from './meta.js';
import { ANY } from './step.js';
import { VERSIONS_BEGIN_MS } from './version-clock.js';

export interface Script {
  readonly source: string;
  /** 40 hexadecimal digits, for EVALSHA. */
  readonly sha: string;
  /** The first words of a call, as a command has them: EVALSHA, `sha`, and the number of KEYS: 1 unless it says otherwise. */
  readonly call: Uint8Array;
}

/** May be carried out while the node has no memory left: it makes little or nothing grow. */
export const ALLOW_OOM = '#!lua flags=allow-oom\n';

/** As Redis reads while it has no memory left. */
export const READS_OOM = '#!lua flags=no-writes,allow-oom\n';

/** Finds `meta` and `floor`, and refuses on a node that is another member than ARGV[1] says. */
export const BEGIN = `
local metaKey = '${META_PREFIX}' .. KEYS[1]
local found = redis.call('MGET', '${NODE_KEY}', '${FLOOR_KEY}', metaKey)
if found[1] ~= ARGV[1] then return 'N' end
local floor, meta = found[2], found[3]
`;

/** Where a meta's tail begins: behind a lineage of so many ballots as its first digit says, and of one more digit. */
export const TAIL_AT = 'string.byte(meta, 81) * 40 - 1837';
const TAIL = `string.sub(meta, ${TAIL_AT})`;

/** The key's effective promise. */
export const PROMISED = `
local promised = meta and string.sub(meta, 1, 40) or floor and string.sub(floor, 9, 48) or '${NEVER}'
if floor then
  local least = string.sub(floor, 1, 8) .. '${'0'.repeat(32)}'
  if least > promised then promised = least end
end
`;

/** Says that it has promised more, and what it has. */
export const REFUSE = `return 'R' .. promised .. (floor or '${NO_FLOOR}') .. (meta and string.sub(meta, 41, 80) or '${NEVER}')`;

/** The first two checks of ACCEPT and INSTALL. */
export const CHECK_BALLOT = `
if meta and string.sub(meta, 41, 80) == ballot then
  return 'A' .. string.sub(meta, 1, 40) .. ${TAIL}
end
${PROMISED}
if promised > ballot then ${REFUSE} end
`;

/**
 * As Lua: the server's clock, milliseconds since 1970. It goes on while a script runs, of which Redis decides at one time what has expired: at
 * its beginning. Commands that set an expiry ask the clock anew (Redis 7.0), and delete where that has passed.
 */
const CLOCK = `(function()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end)()`;

/**
 * ACCEPT's checks, as Lua with these expressions in it; `ballots`: ballot and base; `isExpired`: whether the base has expired;
 * `moment`: the expiry that the commands set, or ''. Who has promised this ballot, and has the base, finds both together at the head
 * of the meta: then nothing else can refuse but the epoch's floor. A value without expiry cannot be gone: these nodes evict nothing.
 * Where the base is ANY it does not matter what is there, nor whether it has expired.
 */
function checkAccept(key: string, ballots: string, isExpired: string, moment: string): string {
  return `
local tail
if meta and string.sub(meta, 1, 80) == ${ballots}
  and (not floor or string.sub(floor, 1, 8) <= string.sub(meta, 1, 8)) then
  tail = ${TAIL}
else
  local ballot = string.sub(${ballots}, 1, 40)
  ${CHECK_BALLOT}
  local base = string.sub(${ballots}, 41)
  if base == '${ANY}' then
    tail = '00'
  elseif meta then
    if string.sub(meta, 41, 80) ~= base then return 'S' end
    tail = ${TAIL}
  else
    if base ~= '${NEVER}' then return 'S' end
    tail = '00'
  end
end
if not ${isExpired} and #tail > 2 and string.byte(tail) == 49 and redis.call('EXISTS', ${key}) == 0 then
  return 'B'
end
if ${moment} ~= '' and ${CLOCK} >= tonumber(${moment}) then return 'O' end
`;
}

/** ARGV[2]: ballot and base; ARGV[4]: '1' if the base has expired; ARGV[5]: the expiry that the commands set, or ''. */
const CHECK_ACCEPT = checkAccept('KEYS[1]', 'ARGV[2]', "(ARGV[4] == '1')", 'ARGV[5]');

/**
 * Of a reply, as Lua: `isError`, and `isRefusal`. Redis answers errors of the data with these codes; with any other it has not carried
 * out the command (rule W8).
 */
const JUDGE_REPLY = `
local isError = type(reply) == 'table' and reply.err
local isRefusal, code = false, nil
if isError then
  code = string.match(reply.err, '^%-?(%u+) ')
  isRefusal = code ~= 'WRONGTYPE' and code ~= 'NOGROUP' and code ~= 'BUSYGROUP' and code ~= 'BUSYKEY'
    and code ~= 'INVALIDOBJ'
    and (code ~= 'ERR' or string.find(reply.err, ' script', 1, true))
end
`;

/** Of a number too large to be exact; ARGV[first] is the command's name. */
const EXACT_NUMBER = `
if type(reply) == 'number' and (reply >= 9007199254740992 or reply <= -9007199254740992) then
  -- Lua's numbers are doubles. Only these commands answer so large ones, and what they answer is there to be read.
  if string.lower(ARGV[first]) == 'hincrby' then
    reply = { big_number = redis.call('HGET', ARGV[first + 1], ARGV[first + 2]) }
  else
    reply = { big_number = redis.call('GET', ARGV[first + 1]) }
  end
end
`;

/**
 * The key's state here is nobody's: it has no ballot any more, so that repair does not take it for that of the last one, and the
 * node's record says that it is to be repaired.
 */
function giveUp(metaKey: string): string {
  return `
  redis.call('DEL', ${metaKey})
  redis.call('SET', '${NODE_KEY}', (string.gsub(ARGV[1], '^1 %S+', '1 repairing:0', 1)))
`;
}
const GIVE_UP = giveUp(`'${META_PREFIX}' .. KEYS[1]`);

function askTail(key: string): string {
  return `
  local expireAt = redis.call('PEXPIRETIME', ${key})
  if expireAt == -2 then
    tail = '00'
  elseif expireAt == -1 then
    tail = '10'
  else
    tail = '1' .. string.format('%.0f', expireAt)
  end
`;
}
const ASK_TAIL = askTail('KEYS[1]');

export const PREPARE = script(`${ALLOW_OOM}
${BEGIN}
${PROMISED}
if promised > ARGV[2] then ${REFUSE} end
local facts = meta and string.sub(meta, 41) or '${NO_FACTS_TEXT}'
redis.call('SET', metaKey, ARGV[2] .. facts)
return 'P' .. (floor or '${NO_FLOOR}') .. facts
`);

/** Of the code of an item of ACCEPT_EACH: how many words its command has, with the moment, and what is to be known of them besides. */
export const ITEM = {
  wordsMax: 8191,
  /** It is SET with nothing behind the value: done with the metas. */
  sets: 8192,
  /** The base may have expired, or what the proposer knows of it is not enough: it is looked at. */
  looks: 16_384,
  /** The last word is the expiry that the command sets. With `looks`. */
  moment: 32_768,
  /** What the command leaves is to be looked up; the next meta has no tail. With `looks`. */
  asks: 65_536,
} as const;

/** A code has no more digits; an `expected` is longer. */
const CODE_DIGITS_MAX = 20;

/** What the floor asks of metas: `least`, the epoch that it takes, and `none`, whether it lets a key that has none pass for one that promised nothing. */
const READ_FLOOR = `
local least = floor and sub(floor, 1, 8) or '00000000'
local none = not floor or sub(floor, 9, 48) == '${NEVER}'
`;

/** Whether an item of ACCEPT_EACH finds what it expects: `isExpected`, and `isPut`. */
const AS_EXPECTED = `
local isPut, isExpected = #expected == ${BALLOT_DIGITS}, meta == expected
if isPut then isExpected = meta and sub(meta, 1, 40) < expected or not meta and none end
isExpected = isExpected and (least == '00000000' or least <= sub(expected, 1, 8))
`;

/** ARGV of a call that has one item, and that is a plain one: the record besides. */
const ALONE_WORDS = 5;

/**
 * One command on each of many keys, or on one: what nearly all writes are. No KEYS: of each after the record
 *
 *   code       see ITEM
 *   expected   the meta as the proposer takes it to be: ballot, base, its lineage and tail; of a put, whose base is ANY, the ballot alone:
 *              any meta is as expected that has promised less
 *   next       the whole meta to be, if the command does not fail
 *   words      the command, whose second word is the key
 *
 * or, where the command is SET with nothing behind the value, and nothing is to be looked at: expected, next, key, value.
 *
 * They do not know of each other: each has a verdict of its own, in an array; or all have 'K', and it is said once. Most find what they
 * expect, and are carried out as they were expected to be: of them no meta is cut apart, and only the reply is answered: a number, or 'K'
 * for OK. Others are answered { tail, reply }, or a verdict, or the node's error. All metas are written at the end, by one command, with the values that are just to be
 * set: of all that was begun, whatever comes in between. If they cannot be, what was carried out is nobody's.
 */
export const ACCEPT_EACH = script(
  `
local ARGV, try, sub = ARGV, redis.pcall, string.sub
if #ARGV == ${ALONE_WORDS} then
  -- One plain item alone: what the rest makes of it, for half of what that takes. Where it is not as expected the rest sees to it.
  local name = '${META_PREFIX}' .. ARGV[4]
  local found = redis.call('MGET', '${NODE_KEY}', '${FLOOR_KEY}', name)
  if found[1] ~= ARGV[1] then return 'N' end
  local floor, meta, expected = found[2], found[3], ARGV[2]
  ${READ_FLOOR}
  ${AS_EXPECTED}
  if isExpected then
    local saved = try('MSET', ARGV[4], ARGV[5], name, ARGV[3])
    return saved.err and { saved } or 'K'
  end
end
local names, count, at, size = { '${NODE_KEY}', '${FLOOR_KEY}' }, 2, 2, #ARGV
while at < size do
  count = count + 1
  if #ARGV[at] > ${CODE_DIGITS_MAX} then
    names[count] = '${META_PREFIX}' .. ARGV[at + 2]
    at = at + 4
  else
    names[count] = '${META_PREFIX}' .. ARGV[at + 4]
    at = at + 3 + ARGV[at] % ${ITEM.sets}
  end
end
local found = redis.call('MGET', unpack(names))
if found[1] ~= ARGV[1] then return 'N' end
local floor = found[2]
${READ_FLOOR}
-- By name: who names a key twice finds what the first has left.
local metas = {}
for place = 3, count do metas[names[place]] = found[place] end
local function check(meta, ballots, key, moment)
${checkAccept('key', 'ballots', 'false', 'moment')}
end
local verdicts, asExpected, writes, written, begun, hasRun = {}, 2, {}, 0, nil, false
local function save()
  if written == 0 then return nil end
  local saved = try('MSET', unpack(writes))
  if saved.err then return saved end
  writes, written, hasRun = {}, 0, true
  return nil
end
local function carryOut()
  at = 2
  for place = 3, count do
    local name, expected, next, code, first = names[place], ARGV[at], ARGV[at + 1], ${ITEM.sets}, at + 1
    if #expected > ${CODE_DIGITS_MAX} then
      at = at + 4
    else
      code, expected, next, first = expected + 0, next, ARGV[at + 2], at + 3
      at = first + code % ${ITEM.sets}
    end
    local meta, last, moment, verdict = metas[name], at - 1, '', nil
    ${AS_EXPECTED}
    if not isExpected or code >= ${ITEM.looks} then
      if code % ${ITEM.asks} >= ${ITEM.moment} then
        moment = ARGV[last]
        last = last - 1
      end
      verdict = check(meta, sub(expected, 1, 80), ARGV[first + 1], moment)
    end
    if not verdict and code % ${ITEM.looks} >= ${ITEM.sets} then
      written = written + 4
      writes[written - 3], writes[written - 2] = ARGV[first + 1], ARGV[first + 2]
      writes[written - 1], writes[written] = name, next
      metas[name] = next
      verdict, asExpected = 'K', asExpected + 1
    elseif not verdict then
      -- What a put leaves does not depend on what was there.
      local asks = code >= ${ITEM.asks} or not isExpected and not isPut
      -- What an item before it sets is to be there.
      local unsaved = meta ~= found[place] and save()
      if unsaved then error(unsaved) end
      begun = name
      local reply = try(unpack(ARGV, first, last))
      ${JUDGE_REPLY}
      if isRefusal or isPut and isError then
        verdict = reply
      else
        hasRun = true
        ${EXACT_NUMBER}
        local tail
        if isError then
          -- What fails changes nothing.
          tail = meta and ${TAIL} or '00'
        elseif asks then
          ${askTail('ARGV[first + 1]')}
          -- It is done, and the moment has passed since the check. Only a ballot makes a key not live (X2).
          if tail == '00' and moment ~= '' and reply and reply ~= 0 then tail = '1' .. moment end
        end
        if tail then next = sub(next, 1, string.byte(next, 81) * 40 - 1838) .. tail end
        written = written + 2
        writes[written - 1], writes[written] = name, next
        metas[name] = next
        if not tail and type(reply) == 'number' then
          verdict = reply
        elseif not tail and type(reply) == 'table' and reply.ok == 'OK' then
          verdict, asExpected = 'K', asExpected + 1
        else
          verdict = { sub(next, string.byte(next, 81) * 40 - 1837), reply }
        end
      end
      begun = nil
    end
    verdicts[place - 2] = verdict
  end
end
local isWhole, fault = pcall(carryOut)
local unsaved = save()
if unsaved and not hasRun then
  -- Nothing at all was written: neither what was to be set, nor what was said on top of it.
  for place = 3, count do
    if metas[names[place]] ~= found[place] then verdicts[place - 2] = unsaved end
  end
elseif unsaved then
  isWhole, fault = false, unsaved
  for place = 3, count do
    local name = names[place]
    if metas[name] ~= found[place] then
      ${giveUp('name')}
    end
  end
end
if begun then
  ${giveUp('begun')}
end
if not isWhole then error(fault) end
if asExpected == count and not unsaved then return 'K' end
return verdicts
`,
  0,
);

/** Milliseconds before an expiry from which on it is taken into account that it may pass while commands are carried out, which take less. */
const SOON_MS = 100;

/**
 * Any number of commands, of none (an identity). ARGV[6…]: before each command the number of its words. If the node refuses
 * one after another was carried out, which checks at start are to rule out, its state is nobody's: it says in its record that
 * it needs to be repaired. If the expiry has passed meanwhile, what was there before is put back: one command may have deleted what the
 * next one has changed.
 */
const ACCEPT = `
${BEGIN}
${CHECK_ACCEPT}
local before
if ARGV[5] ~= '' and ${CLOCK} + ${SOON_MS} >= tonumber(ARGV[5]) then
  before = { redis.call('DUMP', KEYS[1]), redis.call('PEXPIRETIME', KEYS[1]) }
end
if ARGV[4] == '1' then
  redis.call('DEL', KEYS[1])
  tail = '00'
end
local replies = { '' }
local at = 6
while at <= #ARGV do
  local first = at + 1
  at = first + ARGV[at]
  local reply = redis.pcall(unpack(ARGV, first, at - 1))
  ${JUDGE_REPLY}
  if isRefusal or isError and #ARGV[2] == ${BALLOT_DIGITS} then
    -- Of memory, disk and role Redis asks before a script's first write only: nothing was written then.
    -- What fails has written nothing, and of a put it would leave what was there, under a ballot that means something else elsewhere.
    local isBefore = code == 'OOM' or code == 'MISCONF' or code == 'READONLY' or code == 'NOREPLICAS'
    if not isBefore and (first > 7 or ARGV[4] == '1') then
      ${GIVE_UP}
    end
    return reply
  end
  ${EXACT_NUMBER}
  replies[#replies + 1] = reply
end
if ARGV[5] ~= '' and ${CLOCK} >= tonumber(ARGV[5]) then
  if not before then
    -- They have taken longer than anybody thought.
    ${GIVE_UP}
    return 'N'
  elseif before[1] then
    local expireAt = string.format('%.0f', math.max(before[2], 0))
    redis.call('RESTORE', KEYS[1], expireAt, before[1], 'REPLACE', 'ABSTTL')
  else
    redis.call('DEL', KEYS[1])
  end
  return 'O'
end
if #replies > 1 then
${ASK_TAIL}
end
redis.call('SET', metaKey, ARGV[3] .. tail)
replies[1] = tail
return replies
`;
export const ACCEPT_ALL = script(ACCEPT);
/** For commands that make nothing grow: without memory, too, what was begun can be finished, and read. */
export const ACCEPT_SMALL = script(`${ALLOW_OOM}${ACCEPT}`);

/** Milliseconds for which an attempt's guard is there, and its pass, which one that was not carried out leaves behind. */
const GUARD_MS = 1000;
const PASS_MS = 600_000;

/** A text that is another one when the value or its expiry is. */
const VALUE_MARK = `redis.sha1hex(redis.call('DUMP', KEYS[1]) or '') .. string.format('%.0f', redis.call('PEXPIRETIME', KEYS[1]))`;

/**
 * The watch form's check, outside of the transaction; ARGV[2], [4] and [5] as in CHECK_ACCEPT, ARGV[3]: a text that no other
 * attempt has; ARGV[6]: memory that the value may take, or ''; ARGV[7]: '1' where a value that is left as it was keeps its ballot. Where it refuses it touches what the connection watches, and EXEC
 * does nothing.
 */
export const CHECK = script(`${ALLOW_OOM}
local function check()
${BEGIN}
${CHECK_ACCEPT}
end
local verdict = check()
local bytes = not verdict and ARGV[6] ~= '' and redis.call('MEMORY', 'USAGE', KEYS[1])
if bytes and bytes > tonumber(ARGV[6]) then
  verdict = redis.error_reply('OVERLOADED the value takes ' .. string.format('%.0f', bytes)
    .. ' bytes of memory, and would have to be sent to all nodes whole (replicatedScriptBytesMax ' .. ARGV[6]
    .. '); the command had no effect: keep less in one key, or raise the limit')
end
if verdict then
  redis.call('SET', '${GUARD_PREFIX}' .. ARGV[3], '', 'PX', ${GUARD_MS})
  return verdict
end
redis.call('SET', '${PASS_PREFIX}' .. ARGV[3], ARGV[7] == '1' and ${VALUE_MARK} or '', 'PX', ${PASS_MS})
return ''
`);

/**
 * The watch form's last command; ARGV[2]: head of the new meta, ARGV[3] and [4] as in CHECK. If the node refused to check and,
 * a moment later, did not refuse the transaction (it was loading, or busy with another script), then that was carried out on
 * whatever was there.
 *
 * A transaction has one time, and this script its own, a little later: what is gone now may have expired in between, and is
 * then noted as live, for a ballot to delete (X2).
 */
export const FINISH = script(`${ALLOW_OOM}
local pass = redis.call('GET', '${PASS_PREFIX}' .. ARGV[3])
if redis.call('DEL', '${PASS_PREFIX}' .. ARGV[3]) == 0 then
  ${GIVE_UP}
  return 'N'
end
if pass ~= '' and pass == ${VALUE_MARK} then return 'U' end
local metaKey = '${META_PREFIX}' .. KEYS[1]
local tail
${ASK_TAIL}
if tail == '00' and ARGV[4] ~= '1' then
  local meta = redis.call('GET', metaKey)
  local old = meta and ${TAIL} or ''
  if #old > 2 and string.byte(old) == 49 and ${CLOCK} >= tonumber(string.sub(old, 2)) then tail = old end
end
redis.call('SET', metaKey, ARGV[2] .. tail)
return tail
`);

/** Value, live and expireAt. ARGV[4]: tail; ARGV[5]: expireAt; ARGV[6]: the value, if there is one. */
const REPLACE = `
if ARGV[6] then
  local reply = redis.pcall('RESTORE', KEYS[1], ARGV[5], ARGV[6], 'REPLACE', 'ABSTTL')
  if reply.err then return reply end
else
  redis.call('DEL', KEYS[1])
end
`;

/** ARGV[2]: the ballot; ARGV[3]: head of the new meta; then as in REPLACE. */
export const INSTALL = script(`
${BEGIN}
local ballot = ARGV[2]
${CHECK_BALLOT}
${REPLACE}
redis.call('SET', metaKey, ARGV[3] .. ARGV[4])
return ARGV[4]
`);

/** INSTALL of what is newer, which no promise and no floor refuses; ARGV as there, ARGV[3] with the version as its promise. */
export const MERGE = script(`
${BEGIN}
local ballot = ARGV[2]
local head = ARGV[3]
if meta then
  local promised, accepted = string.sub(meta, 1, 40), string.sub(meta, 41, 80)
  if accepted == ballot then return 'A' .. promised .. ${TAIL} end
  if accepted > ballot then return 'R' .. accepted .. (floor or '${NO_FLOOR}') .. accepted end
  if promised > ballot then head = promised .. string.sub(head, 41) end
end
${REPLACE}
redis.call('SET', metaKey, head .. ARGV[4])
return ARGV[4]
`);

export const COLLECT = script(`${ALLOW_OOM}
${BEGIN}
if not meta then return 'C1' end
if string.sub(meta, 41, 80) ~= ARGV[2] or string.byte(meta, ${TAIL_AT}) == 49 then return 'C0' end
floor = floor or '${NO_FLOOR}'
local promised, accepted = string.sub(meta, 1, 40), string.sub(meta, 41, 80)
local collectFloor, collected = string.sub(floor, 9, 48), string.sub(floor, 49)
if promised > collectFloor then collectFloor = promised end
if accepted > collected then collected = accepted end
redis.call('SET', '${FLOOR_KEY}', string.sub(floor, 1, 8) .. collectFloor .. collected)
redis.call('DEL', metaKey)
return 'C1'
`);

/**
 * What a transaction reads (READ, PEEK, SNAPSHOT), for a node that has no memory left: then Redis queues nothing, not even reads.
 * ARGV[1]: EXISTS or DUMP.
 */
export const VIEW = script(`${READS_OOM}
local found = redis.call('MGET', '${NODE_KEY}', '${FLOOR_KEY}', '${META_PREFIX}' .. KEYS[1])
return { found, redis.call(ARGV[1], KEYS[1]) }
`);

/** What a connection for steps on keys needs. */
export const KEY_SCRIPTS: readonly Script[] = [
  PREPARE,
  ACCEPT_EACH,
  ACCEPT_ALL,
  ACCEPT_SMALL,
  INSTALL,
  MERGE,
  COLLECT,
  VIEW,
];

// The steps of members and repair. They have no KEYS but where a key is named.

/** Which process runs, and what its record says. Sent whole: it comes before all that is loaded. */
export const LOOK_SCRIPT = script(`${READS_OOM}
return { redis.call('INFO', 'server', 'replication'), redis.call('GET', '${NODE_KEY}') }
`);

const MEMBER_BEGIN = `
local found = redis.call('MGET', '${NODE_KEY}', '${FLOOR_KEY}')
local record, floor = found[1] or '', found[2] or '${NO_FLOOR}'
`;

/**
 * ARGV: the record that is expected, run_id, master_replid, the new record, and epochFloor's 8 digits or ''. A record that names
 * its process is compared with the one that runs: a late message must not admit another (H7).
 */
export const ADMIT = script(`${ALLOW_OOM}
${MEMBER_BEGIN}
local info = redis.call('INFO', 'server', 'replication')
local runId, replId = string.match(info, 'run_id:(%w+)'), string.match(info, 'master_replid:(%w+)')
local epochFloor = string.sub(floor, 1, 8)
if (record ~= ARGV[1] and record ~= ARGV[4]) or runId ~= ARGV[2] or replId ~= ARGV[3]
  or (ARGV[5] ~= '' and epochFloor > ARGV[5]) then
  return { record, runId, replId, epochFloor }
end
if ARGV[5] ~= '' and epochFloor ~= ARGV[5] then
  redis.call('SET', '${FLOOR_KEY}', ARGV[5] .. string.sub(floor, 9))
end
if record ~= ARGV[4] then redis.call('SET', '${NODE_KEY}', ARGV[4]) end
return {}
`);

/** ARGV: the record, the epoch's 8 digits. */
export const RAISE = script(`${ALLOW_OOM}
${MEMBER_BEGIN}
if record ~= ARGV[1] then return 'N' end
if ARGV[2] > string.sub(floor, 1, 8) then
  floor = ARGV[2] .. string.sub(floor, 9)
  redis.call('SET', '${FLOOR_KEY}', floor)
end
return string.sub(floor, 1, 8)
`);

/**
 * ARGV: the record, 'metas', 'gone' or 'values', the cursor, COUNT, and for how many seconds a meta must have been left alone; of 'gone', before which
 * moment the key must have been deleted, by the time that is its version, or have expired.
 */
export const SCAN = script(`${ALLOW_OOM}
if (redis.call('GET', '${NODE_KEY}') or '') ~= ARGV[1] then return 'N' end
local keys = {}
local page
if ARGV[2] == 'metas' then
  page = redis.call('SCAN', ARGV[3], 'MATCH', '${META_PREFIX}*', 'COUNT', ARGV[4])
  local idle = tonumber(ARGV[5])
  for _, name in ipairs(page[2]) do
    if idle == 0 or (redis.call('OBJECT', 'IDLETIME', name) or 0) >= idle then
      keys[#keys + 1] = string.sub(name, ${META_PREFIX.length + 1})
    end
  end
elseif ARGV[2] == 'gone' then
  page = redis.call('SCAN', ARGV[3], 'MATCH', '${META_PREFIX}*', 'COUNT', ARGV[4])
  local names, before = page[2], tonumber(ARGV[5])
  for at, meta in ipairs(#names > 0 and redis.call('MGET', unpack(names)) or {}) do
    local tail = meta and ${TAIL} or '10'
    -- 0: it does not expire.
    local since = string.byte(tail) == 49 and tonumber(string.sub(tail, 2)) or ${VERSIONS_BEGIN_MS} + tonumber(string.sub(meta, 49, 60))
    if since > 0 and since < before then keys[#keys + 1] = string.sub(names[at], ${META_PREFIX.length + 1}) end
  end
else
  page = redis.call('SCAN', ARGV[3], 'COUNT', ARGV[4])
  for _, name in ipairs(page[2]) do
    if string.sub(name, 1, ${OWN_PREFIX.length}) ~= '${OWN_PREFIX}' then keys[#keys + 1] = name end
  end
end
return { page[1], keys }
`);

/** What metas say of KEYS. ARGV: the record, and '1' for the values' sizes. Not more keys at once than Lua's stack holds. */
export const METAS = script(`${ALLOW_OOM}
if (redis.call('GET', '${NODE_KEY}') or '') ~= ARGV[1] then return 'N' end
local facts, sizes = {}, {}
for first = 1, #KEYS, 1000 do
  local names = {}
  for at = first, math.min(first + 999, #KEYS) do names[#names + 1] = '${META_PREFIX}' .. KEYS[at] end
  for _, meta in ipairs(redis.call('MGET', unpack(names))) do
    facts[#facts + 1] = meta and string.sub(meta, 41) or '${NO_FACTS_TEXT}'
  end
end
if ARGV[2] ~= '1' then return { facts } end
for at, key in ipairs(KEYS) do sizes[at] = redis.call('MEMORY', 'USAGE', key) or 0 end
return { facts, sizes }
`);

/** INSTALL of repair, which no promise refuses; ARGV as there. */
export const REPLACE_STATE = script(`
${BEGIN}
if meta and string.sub(meta, 41, 80) == ARGV[2] then return 'D' end
${REPLACE}
redis.call('SET', metaKey, ARGV[3] .. ARGV[4])
return 'D'
`);

export const DROP = script(`${ALLOW_OOM}
${BEGIN}
redis.call('DEL', KEYS[1], metaKey)
return 'D'
`);

/** What a connection for steps of members and repair needs. */
export const MEMBER_SCRIPTS: readonly Script[] = [ADMIT, RAISE, SCAN, METAS, REPLACE_STATE, DROP];

/** SCRIPT LOAD for each, whose replies are the scripts' `sha`. */
export function encodeLoads(scripts: readonly Script[]): Uint8Array {
  return Buffer.concat(scripts.map(({ source }) => encodeCommand(['SCRIPT', 'LOAD', source])));
}

/** `keys`: how many KEYS it has. */
export function script(text: string, keys = 1): Script {
  // The watch form sends its scripts whole: without what only readers want.
  const source = `${text
    .trim()
    .replaceAll(/\s*--.*/g, '')
    .replaceAll(/\n\s*/g, '\n')}\n`;
  const sha = createHash('sha1').update(source).digest('hex');
  return { source, sha, call: Buffer.from(`$7\r\nEVALSHA\r\n$40\r\n${sha}\r\n$1\r\n${keys}\r\n`) };
}
