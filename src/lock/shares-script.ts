/**
 * A lock that several hold, as a node keeps it, in Lua: a hash under the lock's own name, so that an exclusive lock and this one find each other
 * there. Field '' is its mode (see share); each other one is a holder's token, and holds
 *
 *   ballot expires share fence client
 *
 * `ballot`: by which it was taken; `expires`: in milliseconds since 1970, by the node's clock; fence 0 and client ?: it was not confirmed yet.
 * Invariants: the hash expires when the last of its holders does; there is a mode where there is a holder.
 */
import { BALLOT_DIGITS } from '../replica/ballot.js';
import { HOLDERS_MAX, READER } from './share.js';

const FIELD = "'^(%d+) (%d+) (%S+) (%d+) (%S+)$'";
/** Where `expires` and `share` begin, as Lua counts. Times have no more digits until the year 2286; zeros stand before fewer. */
const EXPIRES_AT = BALLOT_DIGITS + 2;
const EXPIRES_DIGITS = 13;
const SHARE_AT = EXPIRES_AT + EXPIRES_DIGITS + 1;
/** How it ends where it was not confirmed. */
const UNCONFIRMED = ' 0 ?';

/** Holders that are told to who does not hold the lock: those with the largest fences. One more says that there are others. */
export const HOLDERS_TOLD_MAX = 3;

/** `now`, in milliseconds since 1970, by the node's clock. */
export const NOW = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
`;

/**
 * KEYS[2]: the lock. `prune` makes `mode`, `live` (tokens), `values` and `last`, the time at which it is free, of what is there, and takes what has
 * expired out of it; false: it is something else than a lock. It walks over all of them: what it needs is cut out where it stands.
 * `holderOf` is null where the token does not hold it.
 */
export const SHARES = `
${NOW}
local mode, live, values, last

local function parse(token, value)
  local ballot, expires, share, fence, client = string.match(value, ${FIELD})
  return {
    token = token, ballot = ballot, expires = tonumber(expires), share = share, fence = tonumber(fence), client = client
  }
end

local function expiresAt(value) return tonumber(string.sub(value, ${EXPIRES_AT}, ${EXPIRES_AT + EXPIRES_DIGITS - 1})) end

local function prune()
  mode, live, values, last = nil, {}, {}, 0
  local fields, gone, count = redis.call('HGETALL', KEYS[2]), {}, 0
  for at = 1, #fields, 2 do
    local value = fields[at + 1]
    if fields[at] == '' then
      mode = value
    else
      local expires = expiresAt(value)
      if not expires then return false end
      if expires < now then
        gone[#gone + 1] = fields[at]
      else
        count = count + 1
        live[count], values[count] = fields[at], value
        if expires > last then last = expires end
      end
    end
  end
  if #fields > 0 and not mode then return false end
  if count == 0 then
    redis.call('DEL', KEYS[2])
    mode = nil
  else
    if #gone > 0 then redis.call('HDEL', KEYS[2], unpack(gone)) end
    redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', last))
  end
  return true
end

local function holderOf(token)
  local value = redis.call('HGET', KEYS[2], token)
  local holder = value and parse(token, value)
  return holder and holder.ballot and holder.expires >= now and holder or nil
end

local function write(holder)
  local expires = string.format('%0${EXPIRES_DIGITS}.0f', holder.expires)
  local fence = string.format('%.0f', holder.fence)
  redis.call('HSET', KEYS[2], holder.token, table.concat({
    holder.ballot, expires, holder.share, fence, holder.client
  }, ' '))
end

local function left(moment) return string.format('%.0f', moment - now) end
`;

/** Of `holder`, what `GET` has said: an error. */
export const ONLY_SHARES = `if redis.call('TYPE', KEYS[2]).ok ~= 'hash' then return holder end`;

/** `own`: what `token`, as Lua, has of it; to whom has nothing of it, who holds it. */
export const findOwn = (token: string) => `
  local own = holderOf(${token})
  if not own then
    if not prune() then return holder end
    if not mode then return { 'F0 ' .. string.format('%.0f', now) } end
    local others = {}
    for at = 1, #live do others[at] = parse(live[at], values[at]) end
    table.sort(others, function(one, other) return one.fence > other.fence end)
    local told = { 'F' .. left(last) .. ' ' .. string.format('%.0f', now) }
    for at = 1, math.min(#others, ${HOLDERS_TOLD_MAX + 1}) do
      if others[at].fence > 0 then
        told[#told + 1] = string.format('%.0f', others[at].fence) .. ' ' .. others[at].client .. ' ' .. others[at].token
      end
    end
    return told
  end
`;

/** Has `own` held until `expires`. */
export const KEEP = `
  local was, expiry = own.expires, redis.call('PEXPIRETIME', KEYS[2])
  own.expires = expires
  write(own)
  if expires > expiry then
    redis.call('PEXPIREAT', KEYS[2], string.format('%.0f', expires))
  elseif was >= expiry then
    prune()
  end
`;

/** Takes `own` out. A reader who leaves others behind frees nothing. */
export const leave = (wake: string) => `
  local expiry = redis.call('PEXPIRETIME', KEYS[2])
  redis.call('HDEL', KEYS[2], own.token)
  if own.expires >= expiry then prune() end
  if own.share ~= '${READER}' or redis.call('EXISTS', KEYS[2]) == 0 then
    ${wake}
  end
  return 'K'
`;

/**
 * Finds the lock as who wants a share of it has it: `own`, what it has of it already. Where others leave it none it answers as `held` has it. ARGV[4]: token,
 * [6]: mode, [7]: share, [8]: '1' if it may give up another share for this one.
 */
export const findShare = (held: (verdict: string) => string) => `
local kind = redis.call('TYPE', KEYS[2]).ok
if kind == 'string' then ${held("'H' .. redis.call('PTTL', KEYS[2])")} end
local own
if kind ~= 'none' then
  mode = redis.pcall('HGET', KEYS[2], '')
  if type(mode) == 'table' then return mode end
  own = mode == ARGV[6] and holderOf(ARGV[4])
  if mode ~= ARGV[6] or mode ~= '${READER}' or not own and redis.call('HLEN', KEYS[2]) > ${HOLDERS_MAX} then
    if not prune() then
      return redis.error_reply('WRONGTYPE Operation against a key holding the wrong kind of value')
    end
  end
  if mode and mode ~= ARGV[6] then ${held("'H' .. left(last)")} end
  if mode == '${READER}' then
    if not own and redis.call('HLEN', KEYS[2]) > ${HOLDERS_MAX} then
      for at = 1, #live do last = math.min(last, expiresAt(values[at])) end
      ${held("'H' .. left(last)")}
    end
  elseif mode then
    if own and own.share ~= ARGV[7] and ARGV[8] == '0' then return 'W' .. own.share end
    local slots, wanted = {}, ARGV[7] + 1
    for slot = 1, tonumber(mode) do slots[slot] = '0' end
    for at = 1, #live do
      if live[at] ~= ARGV[4] then
        local isVote = string.sub(values[at], -${UNCONFIRMED.length}) == '${UNCONFIRMED}'
        slots[string.match(values[at], '^%d+', ${SHARE_AT}) + 1] = isVote and '2' or '1'
      end
    end
    if slots[wanted] ~= '0' then
      for at = 1, #live do
        if live[at] ~= ARGV[4] then last = math.min(last, expiresAt(values[at])) end
      end
      ${held("{ 'H' .. left(last), table.concat(slots) }")}
    end
  end
end
`;

/** Takes it. ARGV[3]: ballot, [5]: ttl. Fence and client, as Lua: 0 and '?' until they are confirmed. */
export const takeShare = (fence: string, client: string) => `
if not mode then redis.call('HSET', KEYS[2], '', ARGV[6]) end
own = own or { token = ARGV[4], expires = 0 }
own.ballot, own.share, own.fence, own.client = ARGV[3], ARGV[7], ${fence}, ${client}
local expires = now + ARGV[5]
${KEEP}
`;
