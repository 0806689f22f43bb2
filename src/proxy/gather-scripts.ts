/**
 * What nodes are asked for a gather (gather.ts). Each is one script, so that a node does it at one moment; what is brought to a node
 * is there for the length of one transaction, or of one script, and nobody can see it.
 *
 *   a read    MULTI · EVAL PLACE · the command · EVAL REMOVE · EXEC      its reply is Redis's own, and scripts may be read-only commands
 *   a write   EVAL CARRY_OUT                                             a transaction would go on with the command after a PLACE that failed
 *   PFCOUNT   EVAL CARRY_OUT                                             less to read and to answer
 *
 * What these answer, a number or OK, comes out of a script as it was.
 *
 * A name that is brought must be free there. That is looked at where it is placed: what a client has put there meanwhile, since the
 * layout changed, is neither read nor taken away.
 */
import { encodeCommand } from '../resp/reply.js';
import { OWN_PREFIX } from '../routing/own-prefix.js';

/** Beside what PLACE has placed, so that REMOVE takes nothing away where it failed. */
export const MARKER = `${OWN_PREFIX}gather`;

/** What is to be placed beside a node's own keys. */
export interface Brought {
  name: string;
  /** As DUMP gives it; empty where there is none. */
  value: Uint8Array;
  /** Milliseconds since 1970, in digits; 0: never. */
  expiry: Uint8Array;
}

/**
 * Lua has integers as doubles: a time far beyond all calendars is rounded, and must not become more than Redis takes (the largest
 * double below 2^63).
 */
const EXPIRY = `local function expiry(key)
  return string.format('%.0f', math.max(0, math.min(redis.call('PEXPIRETIME', key), 9223372036854774784)))
end`;

/**
 * The function `values`: the value of each of KEYS ('': there is none) and when it expires (ms since 1970, 0: never); or, where these are
 * more than so many bytes, a number of bytes that is more.
 */
const VALUES = `${EXPIRY}
local function values(most)
  local bytes, replies = 0, {}
  for at, key in ipairs(KEYS) do
    local value = redis.call('DUMP', key)
    bytes = bytes + (value and #value or 0)
    if bytes > most then return bytes end
    replies[at * 2 - 1] = value or ''
    replies[at * 2] = value and expiry(key) or '0'
  end
  return replies
end`;

/**
 * KEYS: some; ARGV: how many bytes count as few. Answers with the bytes of memory that they take, of which a few elements are looked at, as
 * MEMORY USAGE does; or, where these are few, with what DUMP_SCRIPT would.
 */
export const SIZE_SCRIPT = `${VALUES}
local bytes, few = 0, tonumber(ARGV[1])
for _, key in ipairs(KEYS) do bytes = bytes + (redis.call('MEMORY', 'USAGE', key) or 0) end
if bytes > few then return bytes end
return values(few)`;

/** KEYS: some; ARGV: how many bytes of DUMP are wanted at the most. Answers with their `values`. */
export const DUMP_SCRIPT = `${VALUES}
return values(tonumber(ARGV[1]))`;

/**
 * KEYS: streams; ARGV: how many bytes count as few, and at how many it is enough; how many entries are wanted of each stream at the most, 0: all; and
 * behind which id of each. Answers, where their entries are few bytes, with [name, entries] of each stream that has some; else with how many bytes they
 * are, or a number that is more than enough; or with the number of the first stream (from 1) that cannot be read, and the error.
 *
 * Entries are read in steps, so that no more is read than a little beyond what is enough. The first has as many as are often wanted in all.
 */
export const READ_SCRIPT = `local few, enough, count = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local bytes, replies = 0, {}
for at, key in ipairs(KEYS) do
  local id, left, step, entries = ARGV[at + 3], count > 0 and count or math.huge, 16, {}
  repeat
    local wanted = math.min(step, left)
    local reply = redis.pcall('XREAD', 'COUNT', wanted, 'STREAMS', key, id)
    if reply and reply.err then return {at, reply.err} end
    local found = reply and reply[1][2] or {}
    for _, entry in ipairs(found) do
      bytes = bytes + #entry[1] + 20
      for _, text in ipairs(entry[2]) do bytes = bytes + #text + 8 end
      if bytes <= few then entries[#entries + 1] = entry end
      id = entry[1]
    end
    if bytes > enough then return bytes end
    left, step = left - #found, math.min(step * 2, 128)
  until #found < wanted or left == 0
  if #entries > 0 then replies[#replies + 1] = {key, entries} end
end
if bytes > few then return bytes end
return replies`;

/**
 * The function `place`, of `count` names, which begin with list[first], and of their values and expiries, as DUMP_SCRIPT answers, which
 * begin with ARGV[from]. Returns nil; or what was wrong, and then nothing is placed: the number of the name (from 1), and the node's
 * error, none where the name is taken.
 */
const PLACE = `local function place(list, first, count, from)
  local function name(at) return list[first + at - 1] end
  for at = 1, count do
    if redis.call('EXISTS', name(at)) == 1 then return {at} end
  end
  for at = 1, count do
    local value, expiry = ARGV[from + at * 2 - 2], ARGV[from + at * 2 - 1]
    local reply = value ~= '' and redis.pcall('RESTORE', name(at), expiry, value, 'ABSTTL') or {}
    if reply.err then
      for done = 1, at - 1 do redis.call('DEL', name(done)) end
      return {at, reply.err}
    end
  end
end`;

/** KEYS: MARKER, then names; ARGV: values and expiries. OK, or what `place` says; MARKER has the number 0. */
export const PLACE_SCRIPT = `${PLACE}
if redis.call('EXISTS', KEYS[1]) == 1 then return {0} end
local marked = redis.pcall('SET', KEYS[1], '')
if marked.err then return {0, marked.err} end
local wrong = place(KEYS, 2, #KEYS - 1, 1)
if wrong then redis.call('DEL', KEYS[1]) end
return wrong or redis.status_reply('OK')`;

/** KEYS: as of PLACE_SCRIPT. Takes away what it placed. */
export const REMOVE_SCRIPT = `if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for _, key in ipairs(KEYS) do redis.call('DEL', key) end
return 1`;

/**
 * ARGV: how many names, the names, values and expiries, and the command's words. The command's reply, or what `place` says: no such
 * reply is an array. The names are no KEYS: a client that tracks would be told that they come and go.
 */
export const CARRY_OUT_SCRIPT = `${PLACE}
local count = tonumber(ARGV[1])
local wrong = place(ARGV, 2, count, count + 2)
if wrong then return wrong end
local reply = redis.pcall(unpack(ARGV, count * 3 + 2))
for at = 2, count + 1 do redis.call('DEL', ARGV[at]) end
return reply`;

export const GATHER_SCRIPTS: readonly string[] = [
  ...[SIZE_SCRIPT, DUMP_SCRIPT, READ_SCRIPT],
  ...[PLACE_SCRIPT, REMOVE_SCRIPT, CARRY_OUT_SCRIPT],
];

/** EVAL; keys that are text have a character a byte. */
export function evaluation(
  script: string,
  keys: readonly (string | Uint8Array)[],
  options: readonly (string | Uint8Array)[],
): Uint8Array {
  const names = keys.map((key) => (typeof key === 'string' ? bytesOf(key) : key));
  return encodeCommand(['EVAL', script, String(names.length), ...names, ...options]);
}

/** Of a name with a character a byte. */
export function bytesOf(name: string): Uint8Array {
  return Buffer.from(name, 'latin1');
}
