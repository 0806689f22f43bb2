/**
 * Random invocations of every command that can stand on one key, valid ones and spoilt ones, and random states of a key to
 * run them on. A pattern is a command's words; in it
 *
 *   $x      one of POOLS.x                     [a|b c]  one of these, each of some words or none
 *   {a|b}   up to three of these, in any order
 */
import type { Random } from './random.js';

const POOLS: Readonly<Record<string, readonly string[]>> = {
  v: ['a', '', '5', '-7', '3.14', '3.0e3', 'hello world', '\x00\xff', '9223372036854775807', 'inf', '1e400', '0x1p3'],
  n: ['0', '1', '2', '3', '10', '-1', '-2', '100', '9223372036854775807', '-9223372036854775808', 'x', '1.5', ''],
  few: ['1', '2', '3', '5', '50'],
  seconds: ['1000', '2000', '100000', '0', '-5', '9223372036854775', '9223372036854775807', '9223370000000000', 'x'],
  ms: ['1000000', '2000000', '0', '-500', '3000000', '9223372036854775807', '9223372036854775000', '01', 'x'],
  at: ['1', '0', '-1', '4102444800', '4102444801', '9223372036854775807', '9223372036854776', 'x', ' 5'],
  atms: ['1', '0', '-1', '4102444800000', '4102444800001', '9223372036854775807', 'x'],
  f: ['f1', 'f2', 'f3', 'none', '\x01'],
  m: ['1', '2', '3', '4', 'm1', 'm2', 'm3', 'none'],
  s: ['0', '1', '2.5', '-3', '1e3', 'inf', '-inf', 'nan', 'x', '3.0000000000000001'],
  inc: ['1', '0.1', '-0.2', '3.0e2', '1e-20', '5e18', '-3', 'x', 'inf', '0x10', '', ' 1', '-0', '.5', '5.', '1e4000'],
  // Between what the states have: none is about to come of age.
  idle: ['0', '0', '1000000', '1000000', '-5', '9223372036854775807', 'x'],
  id: ['0', '1-1', '2-0', '3-5', '5', '7-1', '$', '-', '+', '18446744073709551615-18446744073709551615', 'x', '2-x'],
  entry: ['1-1', '2-1', '3-1', '4-1', '5-1', '9-9', '5'],
  newid: ['*', '*', '*', '9-*', '9-9', '1-1', '0-0', '*-1', 'x', '18446744073709551615-*', '18446744073709551615-0'],
  g: ['g1', 'g1', 'g2', 'nog'],
  c: ['c1', 'c2', 'c3'],
  lon: ['13.361389', '15.087269', '2.2', '-122.4', '181', 'x'],
  lat: ['38.115556', '37.502669', '48.8', '37.7', '-86', '1e1'],
  unit: ['m', 'km', 'mi', 'ft', 'cm'],
  type: ['u8', 'i16', 'u63', 'i64', 'u64', 'x'],
  off: ['0', '8', '#1', '100', '-1', 'x'],
  timeout: ['0', '1', '0.5', '-1', 'x', 'inf', '1e30', '-0.0001'],
};

const TREAT = '{nx|xx|gt|lt|NX|zz}';
const GEO = '{count $few|count $few any|asc|desc|withcoord|withdist|withhash}';
const TRIM = '[|maxlen $n|maxlen = 2|minid $entry|minid = $id|limit 5|maxlen 5 limit 5|maxlen 3 minid 2-1]';

export const PATTERNS: readonly string[] = `
append k $v
bitcount k [|$n $n|$n $n bit|$n]
bitfield k {get $type $off|set $type $off $n|incrby $type $off $n|overflow sat|overflow fail incrby u8 0 300}
bitfield k {get $type $off|get $type $off|GET $type $off}
bitfield_ro k {get $type $off|set u8 0 1}
bitop [not|and|or|xor|nope] k [k|k k]
bitpos k [0|1|2] [|$n|$n $n]
blmove k k [left|right|up] [left|RIGHT|down] $timeout
blmpop $timeout 1 k [left|right|up] [|count $few|count $n|count 1 count 2]
blpop [k|k k] $timeout
brpop k $timeout
brpoplpush k k $timeout
bzmpop $timeout 1 k [min|max|up] [|count $few|count $n|coun 1]
bzpopmax k $timeout
bzpopmin k $timeout
copy k k [|replace|db 1]
decr k
decrby k $n
del k
dump k
eval [return_1|return_redis.call('incr',KEYS[1])|return_redis.call('lpush',KEYS[1],ARGV[1])] 1 k $v
eval_ro [return_redis.call('type',KEYS[1])|return_redis.call('del',KEYS[1])] 1 k
evalsha 0123456789012345678901234567890123456789 1 k
exists [k|k k]
expire k $seconds ${TREAT}
expireat k $at ${TREAT}
expiretime k
fcall nofunction 1 k
geoadd k {nx|xx|ch} [$lon $lat $m|$lon $lat $m $lon $lat $m]
geodist k $m $m [|$unit]
geohash k $m $m
geopos k $m $m
georadius k $lon $lat 200 $unit ${GEO} [|||store k|storedist k]
georadius_ro k $lon $lat 200 $unit ${GEO}
georadiusbymember k $m 200 $unit ${GEO} [|||store k|storedist k]
georadiusbymember_ro k $m 200 $unit ${GEO}
geosearch k [frommember $m|fromlonlat $lon $lat] [byradius 200 $unit|bybox 400 400 $unit] ${GEO}
geosearchstore k k [frommember $m|fromlonlat $lon $lat] [byradius 200 $unit|bybox 400 400 $unit] {count $few|asc|storedist}
get k
getbit k $n
getdel k
getex k {ex $seconds|px $ms|exat $at|pxat $atms|persist|zz}
getex k [|ex 1000|px 1000000|exat 4102444800|pxat 4102444800000|persist|exat 1|pxat 5]
getrange k $n $n
getset k $v
hdel k $f $f
hexists k $f
hget k $f
hgetall k
hincrby k $f $n
hincrbyfloat k $f $inc
hkeys k
hlen k
hmget k $f $f
hmset k $f $v [|$f $v|$f]
hrandfield k [|$few|-3|$n withvalues]
hscan k 0 [|count $few|match f*]
hset k $f $v [|$f $v|$f]
hsetnx k $f $v
hstrlen k $f
hvals k
incr k
incrby k $n
incrbyfloat k $inc
lcs k k [|len|idx|idx len]
lindex k $n
linsert k [before|after|in] $m $v
llen k
lmove k k [left|right] [left|right|up]
lmpop 1 k [left|right|up] [|count $n]
lpop k [|$n]
lpos k $m {rank $n|count $n|maxlen $n}
lpush k $v $m
lpushx k $v
lrange k $n $n
lrem k $n $m
lset k $n $v
ltrim k $n $n
memory usage k
mget [k|k k]
move k 1
mset k $v [|k $v]
msetnx k $v
object encoding k
object freq k
object idletime k
object refcount k
persist k
pexpire k $ms ${TREAT}
pexpireat k $atms ${TREAT}
pexpiretime k
pfadd k [|$v|$v $m]
pfcount [k|k k]
pfmerge k [|k]
psetex k $ms $v
pttl k
rename k k
renamenx k k
rpop k [|$n]
rpoplpush k k
rpush k $m $v
rpushx k $m
sadd k $m $v
scard k
sdiff [k|k k]
sdiffstore k [k|k k]
set k $v {nx|xx|get|keepttl|ex $seconds|px $ms|exat $at|pxat $atms|zz}
set k $v {nx|xx|get} [ex 1000|px 1000000|exat 4102444800|pxat 4102444800000|exat 1|pxat 5|PXAT 1 pxat 7]
set k $v
setbit k $n [0|1|2]
setex k $seconds $v
setnx k $v
setrange k $n $v
sinter [k|k k]
sintercard 1 k [|limit $n]
sinterstore k k k
sismember k $m
smembers k
smismember k $m $m
smove k k $m
sort k {asc|desc|alpha|limit $n $n|by nosort|get #|alpha}
sort k {asc|alpha|limit 0 2} store k
sort_ro k {asc|desc|alpha|limit $n $n|by nosort|get #|store k}
spop k [|$few|$n|1 2]
srandmember k [|$few|-3|$n]
srem k $m $m
sscan k 0 [|count $few]
strlen k
substr k $n $n
sunion [k|k k]
sunionstore k [k|k k]
touch k
ttl k
type k
unlink k
xack k $g $entry $entry
xadd k {nomkstream} ${TRIM} $newid f v [|f2 v2|f2]
xadd k * f v
xautoclaim k $g $c $idle [0|-|2-1|(1-1|$id] {count $n|count $few|justid|zz}
xclaim k $g $c $idle $entry $entry {idle $ms|time $atms|retrycount $n|force|justid|lastid $entry|zz}
xclaim k $g $c [0|1000000] $entry $entry $entry {force|justid}
xdel k $entry $entry
xgroup create k $g [$id|1-1] {mkstream|entriesread $n}
xgroup createconsumer k $g $c
xgroup delconsumer k $g $c
xgroup destroy k $g
xgroup setid k $g [$id|2-1] {entriesread $n}
xinfo consumers k $g
xinfo groups k
xinfo stream k [|full|full count 2]
xlen k
xpending k $g [|- + 10|- + 10 $c|idle 0 - + 10]
xrange k [-|$id] [+|$id] {count $few}
xread {count $n|block $n} streams k [0|$id]
xreadgroup group $g $c {count $n|noack|block $n} streams k $id
xreadgroup group $g $c {count $few|noack} streams k [>|>|>|0|1-1]
xrevrange k + - {count $few}
xsetid k $entry {entriesadded $n|maxdeletedid $entry}
xtrim k ${TRIM}
zadd k {nx|xx|gt|lt|ch|incr} $s $m [|$s $m]
zcard k
zcount k $s $s
zdiff 1 k [|withscores]
zdiffstore k [1 k|2 k k]
zincrby k $s $m
zinter 1 k [|withscores]
zintercard 1 k
zinterstore k 1 k [|weights $s]
zlexcount k - +
zmpop 1 k [min|max|up] [|count $n]
zmscore k $m $m
zpopmax k [|$n]
zpopmin k [|$n]
zrandmember k [|$few|-3|$few withscores]
zrange k [$n $n|$s $s byscore|- + bylex] {withscores|rev|limit $n $n}
zrangebylex k - +
zrangebyscore k $s $s [|withscores]
zrangestore k k [0 1|0 -1|$s $s byscore]
zrank k $m
zrem k $m $m
zremrangebylex k [-|(1] [(3|+|x]
zremrangebyrank k $n $n
zremrangebyscore k $s $s
zrevrange k $n $n [|withscores]
zrevrangebylex k + -
zrevrangebyscore k inf -inf [|withscores]
zrevrank k $m
zscan k 0
zscore k $m
zunion 1 k [|withscores]
zunionstore k 1 k [|weights 2]
`
  .trim()
  .split('\n');

/** One after the other, they make a key's state: 'k' is its name. */
const STATES: readonly (readonly string[])[] = [
  [],
  ['set k a'],
  ['set k 5'],
  ['set k 3.14'],
  ['set k 17.000000000000000000000000001'],
  ['set k 1e300'],
  ['setrange k 20 hello'],
  ['pfadd k a b c', 'pfcount k'],
  ['pfadd k a b c d'],
  ['rpush k 1 2 3 m1 m2 m1'],
  ['sadd k 1 2 3 4 5 6 7'],
  ['sadd k m1 m2 m3 none'],
  ['hset k f1 5 f2 2.5 f3 abc'],
  ['zadd k 1 1 2.5 2 3 m1 4 m2'],
  ['geoadd k 13.361389 38.115556 m1 15.087269 37.502669 m2'],
  ['xadd k 1-1 f v', 'xadd k 2-1 f v', 'xadd k 3-1 f v', 'xgroup create k g1 0', 'xadd k 5-1 f v'],
  [
    ...['xadd k 1-1 f v', 'xadd k 2-1 f v', 'xadd k 3-1 f v', 'xadd k 4-1 f v', 'xgroup create k g1 0'],
    ...[
      'xgroup create k g2 2-1',
      'xreadgroup group g1 c1 count 2 streams k >',
      'xreadgroup group g1 c2 count 1 streams k >',
    ],
    ...[
      'xadd k 5-1 f v',
      'xdel k 2-1',
      'xreadgroup group g1 c1 streams k 0',
      'xclaim k g1 c1 0 3-1 idle 2000000 justid',
    ],
  ],
];

/** Commands that make a key's state. Some have an expiry that is far away. */
export function randomState(random: Random): string[][] {
  const state = random.pick(STATES).map((line) => line.split(' '));
  if (state.length > 0 && random.chance(40)) state.push(['pexpireat', 'k', '4102444800000']);
  return state;
}

/** A command's words, one character a byte. One in ten is spoilt in one word. */
export function randomWords(random: Random, pattern: string): string[] {
  const words = expand(random, pattern);
  if (random.chance(10) && words.length > 2) {
    const at = 1 + random.below(words.length - 1);
    if (words[at] !== 'k')
      words.splice(at, random.below(2), random.pick(['', 'x', 'nx', '-1', '9'.repeat(30), 'COUNT']));
  }
  return words.map((word) => (word.startsWith('return_') ? word.replaceAll('_', ' ') : word));
}

function expand(random: Random, pattern: string): string[] {
  let text = pattern;
  for (const [open, close] of ['[]', '{}'] as const) {
    const group = new RegExp(`(?<=^| )\\${open}([^\\${close}]*)\\${close}(?= |$)`);
    for (let match = group.exec(text); match !== null; match = group.exec(text)) {
      const choices = (match[1] as string).split('|');
      const count = open === '[' ? 1 : random.below(4);
      const chosen = Array.from({ length: count }, () => random.pick(choices)).join(' ');
      text = `${text.slice(0, match.index)}${chosen}${text.slice(match.index + match[0].length)}`;
    }
  }
  return text
    .split(' ')
    .filter((word) => word !== '')
    .map((word) => (word.startsWith('$') && word.length > 1 ? random.pick(POOLS[word.slice(1)] as string[]) : word));
}
