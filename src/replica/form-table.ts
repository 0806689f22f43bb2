/**
 * THE table of deterministic forms (REPLICATION.md, W4): what becomes of each command that has a key, if it stands on a
 * replicated one. A command that is not named here and reads stays as it is; a test says that no other is left out.
 */

import { COMMANDS, type CommandSpec } from '../resp/commands.js';
import type { Protocol } from '../resp/reply.js';
import { blockingListPop, blockingMove, blockingPopMany, blockingPopPush, blockingZsetPop } from './blocking-forms.js';
import type { Command } from './commands.js';
import { cursorForm } from './cursor-forms.js';
import { expireForm, getexForm, msetForm, restoreForm, setexForm, setForm } from './expiry-forms.js';
import { hincrByFloatForm, incrByFloatForm } from './float-forms.js';
import { xautoclaimForm, xclaimForm, xreadgroupForm } from './group-forms.js';
import { atOneNode, everywhere, type KeyOperation, put, reading } from './key-operation.js';
import { spopForm } from './pop-form.js';
import {
  bitfieldForm,
  copyForm,
  geoRadiusForm,
  moveForm,
  pfcountForm,
  scriptForm,
  sortForm,
} from './rewritten-forms.js';
import { xaddForm, xreadForm, xtrimForm } from './stream-forms.js';

/** Makes the operation of a command's words; or the error reply to a command that is refused. */
export type Form = (words: Command, protocol: Protocol) => KeyOperation | Uint8Array;

/** Writes that make equal states of equal states, wherever and whenever they run. GEOADD is ZADD to Redis itself. */
const AS_THEY_ARE = `
  append decr decrby getdel getset incr incrby msetnx setnx setrange
  setbit bitop pfadd pfmerge
  persist rename renamenx
  hdel hincrby hmset hset hsetnx
  linsert lmove lmpop lpop lpush lpushx lrem lset ltrim rpop rpoplpush rpush rpushx
  sadd sdiffstore sinterstore smove srem sunionstore
  geoadd geosearchstore zadd zdiffstore zincrby zinterstore zmpop zpopmax zpopmin zrangestore zrem zremrangebylex
  zremrangebyrank zremrangebyscore zunionstore
  xack xdel xgroup|create xgroup|createconsumer xgroup|delconsumer xgroup|destroy xgroup|setid xsetid
`;

/** What they do depends on anything. */
const AT_ONE_NODE = 'evalsha fcall';

const FORMS: Readonly<Record<string, Form>> = {
  del: put,
  unlink: put,
  mset: msetForm,
  set: setForm,
  setex: setexForm(1000n),
  psetex: setexForm(1n),
  getex: getexForm,
  expire: expireForm(1000n, true),
  pexpire: expireForm(1n, true),
  expireat: expireForm(1000n, false),
  pexpireat: expireForm(1n, false),
  restore: restoreForm,

  incrbyfloat: incrByFloatForm,
  hincrbyfloat: hincrByFloatForm,
  spop: spopForm,

  xadd: xaddForm,
  xtrim: xtrimForm,
  xread: xreadForm,
  xreadgroup: xreadgroupForm,
  xclaim: xclaimForm,
  xautoclaim: xautoclaimForm,

  bitfield: bitfieldForm,
  copy: copyForm,
  move: moveForm,
  pfcount: pfcountForm,
  sort: sortForm,
  georadius: geoRadiusForm('GEORADIUS_RO', 6),
  georadiusbymember: geoRadiusForm('GEORADIUSBYMEMBER_RO', 5),
  eval: scriptForm,

  blpop: blockingListPop('LPOP'),
  brpop: blockingListPop('RPOP'),
  blmove: blockingMove,
  brpoplpush: blockingPopPush,
  blmpop: blockingPopMany('LMPOP', ['left', 'right']),
  bzmpop: blockingPopMany('ZMPOP', ['min', 'max']),
  bzpopmin: blockingZsetPop('ZPOPMIN'),
  bzpopmax: blockingZsetPop('ZPOPMAX'),

  hscan: cursorForm,
  sscan: cursorForm,
  zscan: cursorForm,
};

/** Reads in whose replies chance, a clock, or the order of a hash table has a say. */
const DIFFERING = `
  dump eval_ro evalsha_ro fcall_ro hgetall hkeys hrandfield hvals memory|usage
  object|encoding object|freq object|idletime object|refcount
  pttl sdiff sinter smembers sort_ro srandmember sunion touch ttl
  xinfo|consumers xinfo|groups xinfo|stream xpending zrandmember
`;

/** By the command's index; null for one without a form. */
const TABLE: readonly (Form | null)[] = makeTable();

/** What becomes of a command with a key; null for one that has no business with a key of its own (WATCH). */
export function formOf(spec: CommandSpec): Form | null {
  return TABLE[spec.index] as Form | null;
}

/** Of commands that have one key, at a fixed place, and only read it: whether they are carried out as they are. */
const PLAIN_READS = Uint8Array.from(COMMANDS, ({ name, readonly, firstKey, route }) => {
  return Number(readonly && firstKey > 0 && route === 'one' && FORMS[name] === undefined);
});

/** Whether the command has one key, at a fixed place, and only reads it, as it is. */
export function readsPlainly(spec: CommandSpec): boolean {
  return PLAIN_READS[spec.index] === 1;
}

function makeTable(): (Form | null)[] {
  const asTheyAre = names(AS_THEY_ARE);
  const atOne = names(AT_ONE_NODE);
  const differing = names(DIFFERING);
  return COMMANDS.map((spec) => {
    const form = FORMS[spec.name];
    if (form !== undefined) return form;
    if (asTheyAre.has(spec.name)) return everywhere;
    if (atOne.has(spec.name)) return atOneNode;
    if (spec.keys === 'none' || spec.route === 'lock' || !spec.readonly) return null;
    const repliesAgree = !differing.has(spec.name);
    return (words, protocol) => reading(words, protocol, repliesAgree);
  });
}

function names(list: string): ReadonlySet<string> {
  return new Set(list.trim().split(/\s+/));
}
