/**
 * The steps of locks in Lua, as a node carries them out. KEYS: the register of the lock's fences, the lock; ARGV[1] the record that
 * `~rl:node` must hold. The register is a replicated key like any other: its checks are those of replica/scripts, whose verdicts N, A
 * and R these give, too. Besides:
 *
 *   Q ms                      quarantined for so long
 *   H ms                      held for so long
 *   P floor accepted tail     voted, with the register's text behind it, in an array
 *   F ms                      not held by that token, but for so long; with the register's text, if it is about who holds it
 *   L                         lost
 *   K                         done
 */

import { LOCKS_KEY, NO_FACTS_TEXT, NO_FLOOR, WAKE_CHANNEL } from '../replica/meta.js';
import { ALLOW_OOM, BEGIN, CHECK_BALLOT, PROMISED, READS_OOM, type Script, script } from '../replica/scripts.js';

/**
 * A node may have forgotten locks that are held: so the locks that are asked of a process that was admitted again are counted from the first on,
 * by its own clock, as it counts their expiry. Who was a member from the first start on (M2) has nothing to forget. ARGV[2]: ttlMaxMs.
 */
export const QUARANTINE = `
if not string.find(ARGV[1], '^1 member 0%.1 ') then
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local known = redis.call('GET', '${LOCKS_KEY}')
  local since = known and string.match(known, '^(%d+) ')
  if not since or string.sub(known, #since + 2) ~= ARGV[1] then
    since = now
    redis.call('SET', '${LOCKS_KEY}', string.format('%.0f', now) .. ' ' .. ARGV[1])
  end
  local left = since + ARGV[2] - now
  if left > 0 then return 'Q' .. string.format('%.0f', left) end
end
`;

/** What the lock holds; of something else than a text the error. */
const HOLDER = `
local holder = redis.pcall('GET', KEYS[2])
if type(holder) == 'table' then return holder end
`;

const REGISTER = `(redis.call('GET', KEYS[1]) or '')`;

/** How long it is held for: 0 where it is free. */
const LEFT = `(holder and redis.call('PTTL', KEYS[2]) or 0)`;

/** ARGV[3]: ballot, [4]: token, [5]: ttl. */
export const ACQUIRE = script(
  `
${BEGIN}
${QUARANTINE}
${HOLDER}
if holder and holder ~= ARGV[4] then return 'H' .. ${LEFT} end
${PROMISED}
if promised > ARGV[3] then return 'R' .. promised .. (floor or '${NO_FLOOR}') end
local facts = meta and string.sub(meta, 41) or '${NO_FACTS_TEXT}'
local register = ${REGISTER}
if meta and register == '' and string.sub(meta, 41, 80) ~= string.rep('0', 40) then
  return redis.error_reply('ERR the register of fences is gone, and its ballots are there')
end
redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])
redis.call('SET', metaKey, ARGV[3] .. facts)
return { 'P' .. (floor or '${NO_FLOOR}') .. facts, register }
`,
  2,
);

/** ARGV[2]: ballot, [3]: token, [4]: lineage, [5]: the register's text. What is begun is finished without memory, too. */
export const CONFIRM = script(
  `${ALLOW_OOM}
${BEGIN}
local ballot = ARGV[2]
${CHECK_BALLOT}
${HOLDER}
if holder ~= ARGV[3] then return 'L' end
redis.call('SET', KEYS[1], ARGV[5])
redis.call('SET', metaKey, ballot .. ballot .. ARGV[4] .. '10')
return 'K'
`,
  2,
);

const NOT_HELD = `
local register = ${REGISTER}
if not holder or string.match(register, '^%d+ %S+ (.*)$') ~= holder then register = '' end
return { 'F' .. ${LEFT}, register }
`;

const FREE = `
if holder ~= ARGV[2] then
  ${NOT_HELD}
end
redis.call('DEL', KEYS[2])
redis.call('PUBLISH', '${WAKE_CHANNEL}', ARGV[3] .. KEYS[2])
return 'K'
`;

/** ARGV[2]: token, [3]: mark. */
export const RELEASE = script(`${ALLOW_OOM}${BEGIN}${HOLDER}${FREE}`, 2);

/** ARGV[2] and [3] as in RELEASE, [4]: ballot. Only its own proposer's promises are those of who takes back. */
export const TAKE_BACK = script(
  `${ALLOW_OOM}
${BEGIN}
if not meta or string.sub(meta, 1, 40) > ARGV[4] or string.sub(meta, 21, 40) ~= string.sub(ARGV[4], 21) then return 'L' end
${HOLDER}
${FREE}
`,
  2,
);

/** ARGV[3]: token, [4]: ttl. */
export const EXTEND = script(
  `${ALLOW_OOM}
${BEGIN}
${QUARANTINE}
${HOLDER}
if holder ~= ARGV[3] then
  ${NOT_HELD}
end
redis.call('PEXPIRE', KEYS[2], ARGV[4])
return 'K'
`,
  2,
);

/** { token or nothing, milliseconds left, accepted, register }. */
export const LOOK = script(
  `${READS_OOM}
${BEGIN}
${HOLDER}
return { holder, ${LEFT}, meta and string.sub(meta, 41, 80) or string.rep('0', 40), ${REGISTER} }
`,
  2,
);

export const LOCK_SCRIPTS: readonly Script[] = [ACQUIRE, CONFIRM, RELEASE, TAKE_BACK, EXTEND, LOOK];
