import { Redis } from 'ioredis';
import t from 'tap';
import { findKeys, KeyList, MALFORMED } from '../../src/resp/command-keys.js';
import { arityFits, COMMANDS, type CommandSpec } from '../../src/resp/commands.js';
import { layOut } from '../help/arguments.js';
import { RedisServer } from '../help/redis-server.js';
import { Seeded } from '../transport/seeded.js';

const server = await RedisServer.start();
const redis = new Redis(server.port);
t.teardown(async () => {
  redis.disconnect();
  await server.stop();
});

/** At least one line for every command that has keys. Keys are single letters, or words that look like options. */
const LINES = `
append a x|bitcount a|bitfield a get u8 0|bitfield_ro a get u8 0|bitop and a b c|bitop not a b|bitpos a 1
blmove a b left right 0|blmpop 0 2 a b left|blpop a b c 0|blpop a 0|brpop a 0|brpop a b 0|brpoplpush a b 0
bzmpop 0 2 a b min count 3|bzpopmax a b 0|bzpopmin a 0|copy a b|copy a b db 0 replace|decr a|decrby a 1|del a|del a b a
dump a|eval s 0|eval s 0 x|eval s 2 a b x|eval_ro s 1 a|eval_ro s 1 2 3|evalsha h 1 a b|evalsha_ro h 2 a b
exists a b|expire a 1|expireat a 1|expiretime a|fcall f 1 a b|fcall_ro f 2 a b x|geoadd a 1 2 x|geodist a x y
geohash a x|geopos a x|georadius a 1 2 3 m|georadius a 1 2 3 m store b|georadius a 1 2 3 m asc STOREDIST b count 1
georadius store 1 2 3 m|georadius_ro a 1 2 3 m
georadiusbymember a x 3 m|georadiusbymember store store 3 m store b|georadiusbymember a x 3 m storedist b
georadiusbymember_ro a x 3 m|geosearch a fromlonlat 1 2 byradius 3 m|geosearchstore a b fromlonlat 1 2 byradius 3 m
get a|getbit a 1|getdel a|getex a|getrange a 0 1|getset a x|hdel a f|hexists a f|hget a f|hgetall a|hincrby a f 1
hincrbyfloat a f 1|hkeys a|hlen a|hmget a f g|hmset a f 1|hrandfield a|hscan a 0|hset a f 1|hsetnx a f 1|hstrlen a f
hvals a|incr a|incrby a 1|incrbyfloat a 1|lcs a b|lindex a 0|linsert a before x y|llen a|lmove a b left right
lmpop 2 a b left|lpop a|lpos a x|lpush a x|lpushx a x|lrange a 0 1|lrem a 0 x|lset a 0 x|ltrim a 0 1|memory|usage a
mget a|mget a b c|move a 1|mset a 1|mset a 1 b 2|msetnx a 1 b 2|object|encoding a|object|freq a|object|idletime a
object|refcount a|persist a|pexpire a 1|pexpireat a 1|pexpiretime a|pfadd a x|pfcount a b|pfdebug getreg a
pfmerge a b c|psetex a 1 x|pttl a|rename a b|renamenx a b|restore a 0 x|restore-asking a 0 x|rpop a
rpoplpush a b|rpush a x|rpushx a x|sadd a x|scard a|sdiff a b|sdiffstore a b c|set a x|setbit a 0 1|setex a 1 x
setnx a x|setrange a 0 x|sinter a b|sintercard 2 a b limit 3|sinterstore a b|sismember a x|smembers a|smismember a x
smove a b x|sort a|sort a store b|sort a by nosort limit 0 1 get # asc store b|sort store store b store c
sort a get store|sort a by store get store store d|sort_ro a|sort_ro a desc alpha|spop a|srandmember a|srem a x
sscan a 0|strlen a|substr a 0 1|sunion a b|sunionstore a b c|touch a b|ttl a|type a|unlink a b|watch a b|xack a g 1
xadd a * f 1|xautoclaim a g c 0 0|xclaim a g c 0 1|xdel a 1|xgroup|create a g 0|xgroup|createconsumer a g c
xgroup|delconsumer a g c|xgroup|destroy a g|xgroup|setid a g 0|xinfo|consumers a g|xinfo|groups a|xinfo|stream a
xlen a|xpending a g|xrange a - +|xread streams a 0|xread count 1 block 1 STREAMS a b 0 0
xreadgroup group g c streams a >|xreadgroup GROUP g c COUNT 1 BLOCK 1 NOACK streams a b > >
xreadgroup group streams streams streams a >|xrevrange a + -|xsetid a 0|xtrim a maxlen 1|zadd a 1 x|zcard a
zcount a 0 1|zdiff 2 a b|zdiff 1 a withscores|zdiffstore a 2 b c|zincrby a 1 x|zinter 2 a b weights 1 2
zintercard 2 a b|zinterstore a 2 b c aggregate max|zlexcount a - +|zmpop 2 a b min|zmscore a x|zpopmax a|zpopmin a
zrandmember a|zrange a 0 1|zrangebylex a - +|zrangebyscore a 0 1|zrangestore a b 0 1|zrank a x|zrem a x
zremrangebylex a - +|zremrangebyrank a 0 1|zremrangebyscore a 0 1|zrevrange a 0 1|zrevrangebylex a + -
zrevrangebyscore a 1 0|zrevrank a x|zscan a 0|zscore a x|zunion 2 a b|zunion 2 2 2|zunionstore a 1 b
`;

/** The container's bar, `object|freq a`, is not the end of a line: there is no blank after it. */
const TABLE = LINES.trim()
  .split(
    /\n|\|(?!(?:usage|encoding|freq|idletime|refcount|create|createconsumer|delconsumer|destroy|setid|consumers|groups|stream) )/,
  )
  .map((line) => line.split(' '));

/** MIGRATE's specification is incomplete, and the proxy refuses it whatever its keys; LOCK commands are the proxy's own. */
const WITH_KEYS = COMMANDS.filter(({ keys, name, route }) => keys !== 'none' && name !== 'migrate' && route !== 'lock');

const list = new KeyList();

/** The key arguments of a command, in the order of the alphabet; null when it is malformed. */
function ours(spec: CommandSpec, args: readonly string[]): string[] | null {
  const { bytes, start, end, count } = layOut(args);
  const found = findKeys(spec, bytes, start, end, count, list);
  if (found === MALFORMED) return null;
  return Array.from(list.positions.subarray(0, found), (argument) => args[argument] as string).sort();
}

/** The same by a real Redis. */
async function theirs(args: readonly string[]): Promise<string[] | null> {
  try {
    return ((await redis.call('COMMAND', 'GETKEYS', ...args)) as string[]).sort();
  } catch (error) {
    return String(error).includes('The command has no key arguments') ? [] : null;
  }
}

t.test('the table has a line for every command with keys', async (t) => {
  const named = new Set(TABLE.map(([name]) => name));
  t.strictSame(
    WITH_KEYS.filter((spec) => !named.has(spec.name)).map((spec) => spec.name),
    [],
  );
});

t.test('keys are where COMMAND GETKEYS of a real Redis says', async (t) => {
  for (const [name, ...rest] of TABLE as [string, ...string[]][]) {
    const spec = WITH_KEYS.find((other) => other.name === name);
    if (spec === undefined) throw new Error(`no command ${name}`);
    const args = [...name.split('|'), ...rest];
    const keys = ours(spec, args);
    t.ok(keys, `${args.join(' ')} is well-formed`);
    t.strictSame(keys, await theirs(args), args.join(' '));
  }
});

t.test('where COMMAND GETKEYS and the command itself differ, the command is right', async (t) => {
  const radius = 'georadius a 15 37 200 km store b storedist c store d'.split(' ');
  t.strictSame(ours(COMMANDS.find((spec) => spec.name === 'georadius') as CommandSpec, radius), ['a', 'd']);
  t.strictSame(await theirs(radius), ['a', 'b', 'c']);
  await redis.geoadd('a', 15, 37, 'x');
  await redis.call(...(radius as [string]));
  t.strictSame((await redis.keys('*')).sort(), ['a', 'd']);

  t.strictSame(ours(COMMANDS.find((spec) => spec.name === 'pfmerge') as CommandSpec, ['pfmerge', 'p']), ['p']);
  t.equal(await theirs(['pfmerge', 'p']), null);
  t.equal(await redis.pfmerge('p'), 'OK');
});

t.test('a command without keys has none', async (t) => {
  for (const spec of COMMANDS.filter((other) => other.keys === 'none')) {
    const args = [...spec.name.split('|'), 'a', 'b', 'c'];
    t.strictSame(ours(spec, args), [], spec.name);
  }
});

t.test('what is malformed is said to be so', async (t) => {
  const lines = [
    'mset a 1 b',
    'eval s 2 a',
    'eval s -1 a',
    'eval s x a',
    'eval s 01 a',
    'eval s +1 a',
    'eval s 99999999999 a',
    'zunion 0 a',
    'zunion 3 a b',
    'xread streams a b 0',
    'xread streams streams streams streams',
    'xread count streams a 0',
    'xread group g c streams a 0',
    'sort a store',
    'sort a limit 1',
    'sort a sideways',
    'sort_ro a store b',
  ];
  for (const line of lines) {
    const args = line.split(' ');
    const spec = COMMANDS.find((other) => other.name === args[0]);
    t.equal(spec && ours(spec, args), null, line);
    await t.rejects(redis.call(...(args as [string])), { name: 'ReplyError' }, `${line}: Redis refuses it`);
  }
});

t.test('whatever the arguments: the keys are those of Redis, or Redis refuses the command', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const words = [
    ...[
      'a',
      'b',
      'c',
      'a',
      'b',
      'c',
      '0',
      '1',
      '2',
      '3',
      '1',
      '2',
      '-1',
      '01',
      '',
      'x*',
      '#',
      '>',
      '$',
      '1-1',
      'm',
      '1.5',
    ],
    ...['store', 'STOREDIST', 'by', 'get', 'LIMIT', 'asc', 'alpha', 'streams', 'STREAMS', 'count', 'block', 'group'],
    ...[
      'noack',
      'keys',
      'weights',
      'aggregate',
      'min',
      'left',
      'right',
      'withscores',
      'replace',
      'db',
      'and',
      'store\0',
    ],
  ];
  // SORT, XREAD and the like have the most ways to go wrong.
  const specs = [
    ...WITH_KEYS,
    ...Array.from({ length: 5 }, () => WITH_KEYS.filter((spec) => spec.keys === 'computed')).flat(),
  ];
  let compared = 0;
  let refused = 0;
  for (let i = 0; i < 6000; i++) {
    const spec = random.pick(specs);
    const nameWords = spec.name.split('|');
    const count = Math.max(Math.abs(spec.arity), nameWords.length + 1) + (spec.arity < 0 ? random.below(7) : 0);
    const args = [...nameWords, ...Array.from({ length: count - nameWords.length }, () => random.pick(words))];
    if (!arityFits(spec, args.length)) throw new Error(`${args.join(' ')}: wrong number of arguments`);
    const keys = ours(spec, args);
    const wanted = await theirs(args);
    if (keys !== null && wanted !== null && keys.join(' ') === wanted.join(' ')) {
      compared++;
      continue;
    }
    // Not the same: then no node must carry it out. On an empty database no wrong type can be the reason.
    refused++;
    await redis.call('FLUSHALL');
    const isRefused = await redis.call(...(args as [string])).then(
      () => false,
      () => true,
    );
    if (!isRefused && !isKnownToDiffer(args)) t.fail(`${JSON.stringify(args)}: keys ${keys}, of Redis ${wanted}`);
  }
  t.comment(`${compared} alike, ${refused} refused by Redis`);
  t.ok(compared > 2000 && refused > 200);
});

/**
 * PFMERGE without a source and GEORADIUS with several STORE: see above. SORT with several: where one of them is the name of a key,
 * COMMAND GETKEYS takes it for the word, and SORT itself does not.
 */
function isKnownToDiffer(args: readonly string[]): boolean {
  if (args[0] === 'pfmerge') return args.length === 2;
  return (
    /^(georadius|sort$)/.test(args[0] as string) && args.filter((word) => /^store(dist)?(\0|$)/i.test(word)).length > 1
  );
}

t.test('a huge command finds room, and gives it back', async (t) => {
  const spec = COMMANDS.find((other) => other.name === 'mget') as CommandSpec;
  const args = ['mget', ...Array.from({ length: 100_000 }, () => 'a')];
  t.equal(ours(spec, args)?.length, 100_000);
  t.strictSame(ours(spec, ['mget', 'a', 'b']), ['a', 'b']);
  t.ok(list.positions.length <= 64);
});
