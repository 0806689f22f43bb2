/**
 * What nodes are asked where SORT's patterns name keys (sort-steps.ts). Each is one script, so that a node does it at one moment; what two of them
 * place is there for the length of the script, and nobody can see it.
 */
import { OWN_PREFIX } from '../routing/own-prefix.js';

/** The list that a node sorts; what lies under this name and a colon are its elements' weights. */
export const SORTED = `${OWN_PREFIX}sorted`;

/** As many words as Lua's stack holds in one call; an even number. */
const BATCH = 4000;

/**
 * KEYS: what SORT is to sort; ARGV: how many bytes, and how many elements, are wanted at the most; which: `all`, or in order, `unsorted`, `sorted`, or
 * as STORE has them, `stored`; of which on how many (-1: all); and the words of a SORT that puts them in order. Answers with the elements; with the error
 * of that SORT; with their number of bytes, where that is more; or with a status where they are too many.
 *
 * A script's SORT puts a set in order though BY says that it is not sorted, as STORE does.
 */
export const ELEMENTS_SCRIPT = `local key, most, which = KEYS[1], tonumber(ARGV[1]), ARGV[3]
local kind = redis.call('TYPE', key).ok
local counts = {list = 'LLEN', set = 'SCARD', zset = 'ZCARD'}
if kind == 'none' then return {} end
if not counts[kind] then return redis.pcall('SORT_RO', key) end
local length = redis.call(counts[kind], key)
local first, count = math.max(tonumber(ARGV[4]), 0), tonumber(ARGV[5])
local wanted = math.max(length - first, 0)
if count >= 0 then wanted = math.min(wanted, count) end
if wanted > tonumber(ARGV[2]) then return redis.status_reply('MORE') end
local bytes = wanted == length and redis.call('MEMORY', 'USAGE', key) or 0
if bytes > most then return bytes end
local elements
if which == 'all' and kind == 'list' then elements = redis.call('LRANGE', key, 0, -1)
elseif which == 'all' and kind == 'zset' then elements = redis.call('ZRANGE', key, 0, -1)
elseif which == 'all' then elements = redis.call('SMEMBERS', key)
elseif which == 'unsorted' and kind == 'set' then
  local all = redis.call('SMEMBERS', key)
  elements = {}
  for at = 1, wanted do elements[at] = all[first + at] end
elseif which == 'stored' then
  if redis.call('EXISTS', '${SORTED}') == 1 then return redis.error_reply('ERR this node has a key ${SORTED}') end
  elements = redis.pcall('SORT', key, unpack(ARGV, 6))
  if type(elements) == 'number' then elements = redis.call('LRANGE', '${SORTED}', 0, -1) end
  redis.call('DEL', '${SORTED}')
else elements = redis.pcall('SORT_RO', key, unpack(ARGV, 6)) end
bytes = 0
for _, element in ipairs(elements) do bytes = bytes + #element end
if bytes > most then return bytes end
return elements`;

/**
 * KEYS: in groups; ARGV: how many bytes count as few, and at how many it is enough; and of each group the number of its keys, and of the fields that are
 * wanted of them, and these; no field: they are strings. Answers, where they are few bytes, with what lies in each key and field, nothing where it is of
 * another type; else with how many bytes they are, or a number that is more than enough.
 *
 * Strings are read in steps, so that no more is read than a little beyond what is enough.
 */
export const LOOKUP_SCRIPT = `local few, enough = tonumber(ARGV[1]), tonumber(ARGV[2])
local bytes, found, size = 0, {}, 0
local function take(values, count)
  for at = 1, count do
    local value = values[at]
    if value then bytes = bytes + #value end
    if bytes <= few then found[size + at] = value or false end
  end
  size = size + count
end
local key, at = 0, 3
while ARGV[at] do
  local last, fields, step = key + tonumber(ARGV[at]), tonumber(ARGV[at + 1]), 1
  while key < last do
    local upto = fields == 0 and math.min(key + step, last) or key + 1
    if fields == 0 then take(redis.call('MGET', unpack(KEYS, key + 1, upto)), upto - key)
    else take(redis.pcall('HMGET', KEYS[upto], unpack(ARGV, at + 2, at + 1 + fields)), fields) end
    if bytes > enough then return bytes end
    key, step = upto, math.min(step * 2, 128)
  end
  at = at + 2 + fields
end
if bytes > few then return bytes end
return found`;

/** Makes `${SORTED}` a list of ARGV[first] and what follows up to `last`: returns nil; or what was wrong, and then there is none, see ORDER_SCRIPT. */
const LIST = `local function list(first, last)
  if redis.call('EXISTS', '${SORTED}') == 1 then return {1} end
  for at = first, last, ${BATCH} do
    local reply = redis.pcall('RPUSH', '${SORTED}', unpack(ARGV, at, math.min(at + ${BATCH - 1}, last)))
    if type(reply) == 'table' then
      redis.call('DEL', '${SORTED}')
      return {1, reply.err}
    end
  end
end`;

/**
 * ARGV: how many elements, and how many words of weights; the elements, each weight's name and value, and the words of a SORT that puts the elements in
 * order by them. Answers with the elements in order, with the error of that SORT; or with what could not be placed: 1, the elements, or 2, weights, and
 * the node's error, none where the name is taken.
 */
export const ORDER_SCRIPT = `${LIST}
local count, words = tonumber(ARGV[1]), tonumber(ARGV[2])
local wrong = list(3, count + 2)
if wrong then return wrong end
local last = count + 2
while last < count + words + 2 and not wrong do
  local upto = math.min(last + ${BATCH}, count + words + 2)
  local reply = redis.pcall('MSETNX', unpack(ARGV, last + 1, upto))
  if reply == 1 then last = upto else wrong = {2, type(reply) == 'table' and reply.err or nil} end
end
local reply = wrong or redis.pcall('SORT', '${SORTED}', unpack(ARGV, count + words + 3))
if type(reply) == 'number' then reply = redis.call('LRANGE', '${SORTED}', 0, -1) end
redis.call('DEL', '${SORTED}')
for from = count + 3, last, ${BATCH} do
  local names = {}
  for at = from, math.min(from + ${BATCH - 1}, last), 2 do names[#names + 1] = ARGV[at] end
  redis.call('DEL', unpack(names))
end
return reply`;

/** ARGV: the key that SORT writes, and its elements. The reply of SORT with STORE; or, as of ORDER_SCRIPT, what could not be placed. */
export const STORE_SCRIPT = `${LIST}
local wrong = list(2, #ARGV)
if wrong then return wrong end
local reply = redis.pcall('SORT', '${SORTED}', 'BY', 'nosort', 'STORE', ARGV[1])
redis.call('DEL', '${SORTED}')
return reply`;

export const SORT_SCRIPTS: readonly string[] = [ELEMENTS_SCRIPT, LOOKUP_SCRIPT, ORDER_SCRIPT, STORE_SCRIPT];
