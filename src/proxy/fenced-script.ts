/**
 * What a node is asked for RL.FENCED: one script, so that nothing comes between the look at the fences, the command, and the note of its
 * fence.
 *
 *   EVAL script n  ~rl:f:KEY …        one for each of the command's keys: a hash, by lock the largest fence that has used KEY
 *                  KEY …              those: a client that tracks is told of what scripts name
 *                  lock fence         whose command it is
 *                  resp nulls wide    how its reply is carried: see fenced-commands.ts
 *                  word …             the command
 *
 * It is EVAL, not EVALSHA: a node that did not know the script would have to be asked again, behind what the client has sent since.
 */
import { ERROR_CODES } from '../base/errors.js';
import { OWN_PREFIX } from '../routing/own-prefix.js';

/**
 * Before the name of a key: where the fences lie of those who wrote it. It lies on the node of KEY, whatever its own slot: who moves KEY,
 * moves it.
 */
export const FENCES_PREFIX = `${OWN_PREFIX}f:`;

/** Before the words of the command. */
export const FENCED_OPTIONS = 5;

/** Of a key, in an error. */
const SHOWN_BYTES_MAX = 64;

/** Scripts have integers as doubles. */
const EXACT = '9007199254740992';

export const FENCED_SCRIPT = `local lock, fence = ARGV[1], tonumber(ARGV[2])
local lower = {}
for at = 1, #KEYS / 2 do
  local key = KEYS[at]
  local seen = redis.call('HGET', key, lock)
  if seen and tonumber(seen) > fence then
    local name = string.sub(key, ${FENCES_PREFIX.length + 1})
    local shown = string.gsub(string.sub(name, 1, ${SHOWN_BYTES_MAX}), '[^ -~]', function(c) return string.format('\\\\x%02x', string.byte(c)) end)
    if #name > ${SHOWN_BYTES_MAX} then shown = shown .. '...' end
    return redis.error_reply("${ERROR_CODES.FENCED} '" .. shown .. "' was used with fence " .. seen .. " of this lock, and this is " .. ARGV[2] .. ": the lock was lost; nothing was done. Acquire it again, and read anew what it protects")
  end
  if not seen or tonumber(seen) < fence then lower[#lower + 1] = key end
end
if ARGV[3] == '3' then redis.setresp(3) end
local reply = redis.pcall(unpack(ARGV, ${FENCED_OPTIONS + 1}))
if ARGV[3] == '3' then redis.setresp(2) end
if type(reply) == 'table' and reply.err then return reply end
for _, key in ipairs(lower) do redis.call('HSET', key, lock, ARGV[2]) end
if type(reply) == 'number' and (reply >= ${EXACT} or reply <= -${EXACT}) then
  if ARGV[5] == '' then return redis.error_reply('ERR the number has more than 53 bits, which a script rounds: ask for it without RL.FENCED') end
  local last = ${FENCED_OPTIONS + 2}
  if ARGV[5] == 'HGET' then last = last + 1 end
  return redis.status_reply(redis.call(ARGV[5], unpack(ARGV, ${FENCED_OPTIONS + 2}, last)))
end
if type(reply) == 'table' then
  for at = 1, tonumber(ARGV[4]) do if reply[at] == nil then reply[at] = false end end
end
return reply`;
