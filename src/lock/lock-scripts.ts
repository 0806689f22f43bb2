/**
 * The steps of locks in Lua, as a node carries them out. KEYS: the register of the lock's fences, the lock; ARGV[1] the record that
 * `~rl:node` must hold. The register is a replicated key like any other: its checks are those of replica/scripts, whose verdicts N, A
 * and R these give, too. Besides:
 *
 *   Q ms                      quarantined for so long
 *   H ms                      held for so long
 *                             with which slots are taken, in an array, where others are free
 *   W share                   the token has another share of it
 *   P floor accepted tail     voted, with the register's text behind it, in an array
 *   F ms now                  not held by that token, but for so long, at that time of the node's; behind it texts as registers have them, of those
 *                             who hold it
 *   L                         lost
 *   E share                   the token has that share from now on; after an extension in an array, with mode, ballot, fence and client, and of a
 *                             share the time of the node's
 *   B                         broken, in an array with the tokens of those who held it
 *   I mode                    what is there, in an array: accepted, the register, and two texts for each holder
 *   K                         done
 *
 * A lock that one holds is a text; one that several may hold is a hash: see shares-script. Where somebody has it the one way, `GET` says so or is an
 * error; of the other way nothing is looked at before that.
 */

import {
  FLOOR_KEY,
  LOCKS_KEY,
  META_PREFIX,
  NO_FACTS_TEXT,
  NO_FLOOR,
  NODE_KEY,
  WAIT_PREFIX,
  WAKE_CHANNEL,
} from '../replica/meta.js';
import { ALLOW_OOM, CHECK_BALLOT, PROMISED, REFUSE, type Script, script, TAIL_AT } from '../replica/scripts.js';
import { OWN_PREFIX } from '../routing/own-prefix.js';
import { WHOLE } from './share.js';
import { findOwn, findShare, KEEP, leave, NOW, ONLY_SHARES, SHARES, takeShare } from './shares-script.js';

/** Who waits asks again in a third of that. */
export const AWAITED_MS = 3000;

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

/** One MGET of all that a step depends on, but for QUARANTINE. `awaited`: who waits for the lock has been here a short time ago. */
const BEGIN_LOCK = `
local metaKey, waitKey = '${META_PREFIX}' .. KEYS[1], '${WAIT_PREFIX}' .. KEYS[2]
local found = redis.call('MGET', '${NODE_KEY}', '${FLOOR_KEY}', metaKey, KEYS[1], KEYS[2], waitKey)
if found[1] ~= ARGV[1] then return 'N' end
local floor, meta, register, holder, awaited = found[2], found[3], found[4] or '', found[5], found[6]
`;

/** `holder`: the token of who has all of the lock; of something else than a text, of which MGET says nothing, the error. */
const HOLDER = `
if not holder then holder = redis.pcall('GET', KEYS[2]) end
`;

/** Answers that others have it, and remembers for a while who waits for it. `waits`: '1' if he does, as Lua. */
const held = (waits: string, verdict: string) => `
if ${waits} == '1' then redis.call('SET', waitKey, '', 'PX', ${AWAITED_MS}) end
return ${verdict}
`;

/** What is done where it is a lock that several may hold. */
const whereShared = (steps: string) => `
if type(holder) == 'table' then
  ${ONLY_SHARES}
  ${SHARES}
  ${steps}
end
`;

/** How long it is held for: 0 where it is free. */
const LEFT = `(holder and redis.call('PTTL', KEYS[2]) or 0)`;

/** Promises the ballot ARGV[3], and tells of the register, where `take` takes the lock. */
const voteThat = (take: string) => `
${PROMISED}
if promised > ARGV[3] then ${REFUSE} end
local facts = meta and string.sub(meta, 41) or '${NO_FACTS_TEXT}'
if meta and register == '' and string.byte(meta, ${TAIL_AT}) == 49 then
  return redis.error_reply('ERR the register of fences is gone, and its ballots are there')
end
${take}
redis.call('SET', metaKey, ARGV[3] .. facts)
return { 'P' .. (floor or '${NO_FLOOR}') .. facts, register }
`;

/** ARGV[3]: ballot, [4]: token, [5]: ttl, [6]: '1' if he waits for it. */
export const ACQUIRE = script(
  `
${BEGIN_LOCK}
${HOLDER}
${QUARANTINE}
${whereShared(`
  if not prune() then return holder end
  if mode then ${held('ARGV[6]', "'H' .. left(last)")} end
  holder = false
`)}
if holder and holder ~= ARGV[4] then ${held('ARGV[6]', `'H' .. ${LEFT}`)} end
${voteThat("redis.call('SET', KEYS[2], ARGV[4], 'PX', ARGV[5])")}
`,
  2,
);

/** ARGV[3] to [5] as in ACQUIRE, [6]: mode, [7]: share, [8]: '1' if it may give up another share for that, [9] as ARGV[6] there. */
export const ACQUIRE_SHARE = script(
  `
${BEGIN_LOCK}
${QUARANTINE}
${SHARES}
${findShare((verdict) => held('ARGV[9]', verdict))}
${voteThat(takeShare('0', "'?'"))}
`,
  2,
);

/** ARGV[2]: ballot, [3]: token, [4]: lineage, [5]: the register's text, [6]: share. What is begun is finished without memory, too. */
export const CONFIRM = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
local ballot = ARGV[2]
${CHECK_BALLOT}
local share = '${WHOLE}'
${whereShared(`
  local own = holderOf(ARGV[3])
  if not own or own.share ~= ARGV[6] then return 'L' end
  own.fence, own.client = string.match(ARGV[5], '^(%d+) (%S+) ')
  write(own)
  holder, share = own.token, own.share
`)}
if holder ~= ARGV[3] or share ~= ARGV[6] then return 'L' end
redis.call('MSET', KEYS[1], ARGV[5], metaKey, ballot .. ballot .. ARGV[4] .. '10')
return 'K'
`,
  2,
);

const NOT_HELD = `
${NOW}
if not holder or string.match(register, '^%d+ %S+ (.*)$') ~= holder then
  return { 'F' .. ${LEFT} .. ' ' .. string.format('%.0f', now) }
end
return { 'F' .. ${LEFT} .. ' ' .. string.format('%.0f', now), register }
`;

/** Those who wait are told, by that mark; where nobody does there is nobody to be told. */
const wakeBy = (mark: string) => `if awaited then redis.call('PUBLISH', '${WAKE_CHANNEL}', ${mark} .. KEYS[2]) end`;

const WAKE = wakeBy('ARGV[3]');

const FREE = `
if holder ~= ARGV[2] then
  ${NOT_HELD}
end
redis.call('DEL', KEYS[2])
${WAKE}
return 'K'
`;

/** ARGV[2]: token, [3]: mark. */
export const RELEASE = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
${whereShared(`
  ${findOwn('ARGV[2]')}
  ${leave(WAKE)}
`)}
${FREE}
`,
  2,
);

/**
 * ARGV[2] and [3] as in RELEASE, [4]: ballot, [5]: the fence that it was granted by, or 0. Only its own proposer's promises are those of who takes
 * back; and those of who has but settled the register, or carried it here (a repair, a copy that was behind): then it names the token with that fence
 * still, which one grant alone has, and nobody has voted since. Where several hold the lock each has its own ballot: others have promises after it, and
 * leave it what it has.
 */
export const TAKE_BACK = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
${whereShared(`
  ${findOwn('ARGV[2]')}
  if own.ballot > ARGV[4] or string.sub(own.ballot, 21) ~= string.sub(ARGV[4], 21) then return 'L' end
  ${leave(WAKE)}
`)}
if not meta then return 'L' end
if string.sub(meta, 1, 40) > ARGV[4] or string.sub(meta, 21, 40) ~= string.sub(ARGV[4], 21) then
  local fence, named = string.match(register, '^(%d+) %S+ (.*)$')
  if string.sub(meta, 1, 40) ~= string.sub(meta, 41, 80) or fence ~= ARGV[5] or named ~= ARGV[2] then return 'L' end
end
${FREE}
`,
  2,
);

/**
 * ARGV[2]: ttlMaxMs, [3]: token, [4]: ttl. What is held for longer stays so: an extension may come late, when the same token has been granted the lock
 * again.
 */
export const EXTEND = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
${QUARANTINE}
${whereShared(`
  ${findOwn('ARGV[3]')}
  local expires = math.max(own.expires, now + ARGV[4])
  ${KEEP}
  return { 'E' .. own.share, table.concat({
    redis.call('HGET', KEYS[2], ''), own.ballot, string.format('%.0f', own.fence), own.client, string.format('%.0f', now)
  }, ' ') }
`)}
if holder ~= ARGV[3] then
  ${NOT_HELD}
end
if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[4]) then redis.call('PEXPIRE', KEYS[2], ARGV[4]) end
local fence, client, named = string.match(register, '^(%d+) (%S+) (.*)$')
if not meta or named ~= holder then return 'E${WHOLE}' end
return { 'E${WHOLE}', table.concat({ '${WHOLE}', string.sub(meta, 41, 80), fence, client }, ' ') }
`,
  2,
);

/** What was asked for by an extension is over. */
const inTime = (since: string, until: string) => `
if now < tonumber(${since}) or now > tonumber(${until}) then return 'L' end
`;

/**
 * Takes the lock where it is free. ARGV[2]: ttlMaxMs, [3]: token, [4]: ttl, [5] and [6]: from when until when, by the node's clock; [7]: the ballot
 * of the register that names the token. Where that has a larger one, and another name, somebody has had the lock since. One that has a
 * smaller ballot is behind, and stays as it is: it is brought up to date as any replicated key. But it promises that ballot, as it would if it had
 * voted: so what is taken back is what was granted by it, and not what the same token had before.
 */
export const RETAKE = script(
  `
${BEGIN_LOCK}
${HOLDER}
${QUARANTINE}
${NOW}
${inTime('ARGV[5]', 'ARGV[6]')}
${whereShared(`
  if not prune() then return holder end
  if mode then return 'H' .. left(last) end
  holder = false
`)}
if holder == ARGV[3] then return 'E${WHOLE}' end
if holder then return 'H' .. ${LEFT} end
if meta and string.sub(meta, 41, 80) > ARGV[7] and string.match(register, '^%d+ %S+ (.*)$') ~= ARGV[3] then return 'L' end
redis.call('SET', KEYS[2], ARGV[3], 'PX', ARGV[4])
${PROMISED}
if ARGV[7] > promised then
  redis.call('SET', metaKey, ARGV[7] .. (meta and string.sub(meta, 41) or '${NO_FACTS_TEXT}'))
end
return 'E${WHOLE}'
`,
  2,
);

/**
 * The same for a share. ARGV[3] to [8] as in ACQUIRE_SHARE, [9] and [10]: from when until when, [11]: fence, [12]: client. Another share that the token
 * has here was left over when it got this one, unless it was taken by a larger ballot.
 */
export const RETAKE_SHARE = script(
  `
${BEGIN_LOCK}
${QUARANTINE}
${SHARES}
${inTime('ARGV[9]', 'ARGV[10]')}
${findShare((verdict) => `return ${verdict}`)}
if own and own.share == ARGV[7] then return 'E' .. own.share end
if own and own.ballot > ARGV[3] then return 'L' end
${takeShare('ARGV[11]', 'ARGV[12]')}
return 'E' .. own.share
`,
  2,
);

/** ARGV[2]: mark. */
export const BREAK = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
local broken = { 'B' }
${whereShared(`
  if not prune() then return holder end
  for at = 1, #live do broken[at + 1] = live[at] end
  holder = false
`)}
if holder then broken[2] = holder end
if #broken > 1 then
  redis.call('DEL', KEYS[2])
  ${wakeBy('ARGV[2]')}
end
return broken
`,
  2,
);

/** ARGV[2]: ttlMaxMs. Of each holder its token; and milliseconds left, share, fence (0: see the register, or none yet) and client, with blanks between. */
export const LOOK = script(
  `${ALLOW_OOM}
${BEGIN_LOCK}
${HOLDER}
${QUARANTINE}
local accepted = meta and string.sub(meta, 41, 80) or string.rep('0', 40)
${whereShared(`
  if not prune() then return holder end
  local seen = { 'I' .. (mode or ''), accepted, register }
  for at = 1, #live do
    local other = parse(live[at], values[at])
    seen[#seen + 1] = other.token
    seen[#seen + 1] = table.concat({
      left(other.expires), other.share, string.format('%.0f', other.fence), other.client
    }, ' ')
  end
  return seen
`)}
if not holder then return { 'I', accepted, register } end
return { 'I${WHOLE}', accepted, register, holder, ${LEFT} .. ' ${WHOLE} 0 ?' }
`,
  2,
);

/**
 * A page of what the node has, but for the proxy's own keys: the cursor of the next one, and names. ARGV[2]: ttlMaxMs, [3]: cursor, [4]: pattern,
 * [5]: about how many keys are looked at. Without KEYS.
 */
export const NAMES = script(
  `${ALLOW_OOM}
if redis.call('GET', '${NODE_KEY}') ~= ARGV[1] then return 'N' end
${QUARANTINE}
local page = redis.call('SCAN', ARGV[3], 'MATCH', ARGV[4], 'COUNT', ARGV[5])
local names = { page[1] }
for _, name in ipairs(page[2]) do
  if string.sub(name, 1, ${OWN_PREFIX.length}) ~= '${OWN_PREFIX}' then names[#names + 1] = name end
end
return names
`,
  0,
);

export const LOCK_SCRIPTS: readonly Script[] = [
  ACQUIRE,
  ACQUIRE_SHARE,
  CONFIRM,
  RELEASE,
  TAKE_BACK,
  EXTEND,
  RETAKE,
  RETAKE_SHARE,
  BREAK,
  LOOK,
  NAMES,
];
