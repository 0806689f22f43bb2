/** RL.FENCED on real servers: what is written with a fence refuses smaller ones, and all else is as without it, byte for byte. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Redis } from 'ioredis';
import t from 'tap';
import { freePort } from '../help/free-port.js';
import { deployLocks } from '../help/lock-deployment.js';
import { ProxyProcess } from '../help/proxy.js';
import { redisPrograms } from '../help/redis-programs.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

type Words = readonly string[];

/** What the keys of the cases are made of, before each. */
const SEED: readonly Words[] = [
  ['SET', 's', 'a value'],
  ['SET', 'n', '10'],
  ['SET', 'big', '9007199254740990'],
  ['SET', 'least', '-9223372036854775800'],
  ['SET', 'bits', '\xf0\x0f\x00\r\n'],
  ['SET', 'mortal', 'x', 'EXAT', '99999999999'],
  ['HSET', 'h', 'b', '1', 'a', '2', 'c', '', 'big', '9007199254740993'],
  ['RPUSH', 'l', 'one', 'two', 'three', 'two'],
  ['SADD', 'set', 'c', 'a', 'b'],
  ['SADD', 'other', 'a', 'z'],
  ['SADD', 'numbers', '3', '1', '2'],
  [
    'ZADD',
    'z',
    '1',
    'one',
    '2.5',
    'half',
    '0.1',
    'tenth',
    'inf',
    'most',
    '-inf',
    'least',
    '1e300',
    'large',
    '1e-7',
    'small',
  ],
  ['ZADD', 'y', '3', 'one', '4', 'y'],
  ['PFADD', 'hll', 'a', 'b'],
  ['GEOADD', 'geo', '13.361389', '38.115556', 'Palermo', '15.087269', '37.502669', 'Catania'],
  ['XADD', 'x', '1-1', 'a', '1', 'b', '2'],
  ['XADD', 'x', '2-0', 'c', ''],
  ['XGROUP', 'CREATE', 'x', 'group', '0'],
  ['XREADGROUP', 'GROUP', 'group', 'me', 'COUNT', '1', 'STREAMS', 'x', '>'],
];

/** Keys without a colon get the hash tag {k}: all are on one node. `key` says which words are keys. */
const CASES: readonly Words[] = [
  ...lines(`GET s|GET none|SET s 1|SET s 1 GET|SET none 1 GET|SET none 1 XX|SET s 1 NX|SETNX s 1|SETEX s 9 v|PSETEX s 9000 v
    GETSET s v|GETSET none v|GETDEL s|GETDEL none|GETEX s|GETEX s EX 100|APPEND s !|STRLEN s|GETRANGE s 0 3|SUBSTR s 1 2|SETRANGE s 2 xx
    MGET s none h|MSET s 1 none 2|MSETNX s 1 none 2|MSETNX none 1
    INCR n|DECR n|INCRBY n 5|DECRBY n 50|INCRBYFLOAT n 0.1|INCR s|INCR big|INCRBY big 2|INCRBY big 3|INCRBY big 4|INCRBY big 9000000000000000000
    DECR least|DECRBY least 1000|INCR none
    SETBIT bits 3 0|GETBIT bits 3|BITCOUNT bits|BITPOS bits 1|BITPOS bits 1 99|BITOP NOT none bits
    LCS s n|LCS s bits LEN|LCS s mortal IDX
    DEL s none|UNLINK s|EXISTS s none s|TOUCH s none|TYPE s|TYPE none|RENAME s none|RENAME none s|RENAMENX s h|COPY s none|COPY none s
    EXPIRE s 100|EXPIRE none 100|EXPIRE s x|PEXPIRE s 100000|EXPIREAT s 99999999999|PEXPIREAT s 99999999999000|PERSIST mortal|PERSIST s
    TTL s|TTL none|PTTL s|EXPIRETIME mortal|PEXPIRETIME mortal|DUMP s|DUMP none|RESTORE none 0 nonsense
    OBJECT ENCODING s|OBJECT ENCODING none|OBJECT REFCOUNT s|OBJECT FREQ s
    SORT l ALPHA|SORT numbers|SORT numbers DESC LIMIT 0 1|SORT l|SORT l ALPHA STORE none|SORT_RO l ALPHA
    HGET h a|HGET h none|HGET none a|HSET h a 3 d 4|HSET s a 1|HSETNX h a 1|HMSET h a 1|HMGET h a none b|HMGET none a b|HDEL h a none
    HEXISTS h a|HLEN h|HSTRLEN h a|HKEYS h|HVALS h|HGETALL h|HGETALL none|HGETALL s|HINCRBY h a 5|HINCRBY h big 2|HINCRBY h c 1|HINCRBYFLOAT h a 0.5
    HRANDFIELD none|HRANDFIELD none 2|HRANDFIELD none 2 WITHVALUES|HRANDFIELD h 9|HRANDFIELD h 9 WITHVALUES|HSCAN h 0
    LPUSH l zero|LPUSH s x|RPUSH none a b|LPUSHX none a|RPUSHX l a|LPOP l|LPOP l 2|LPOP none|LPOP none 2|LPOP l 0|RPOP l|RPOP none|RPOP none 2
    LRANGE l 0 -1|LRANGE none 0 -1|LLEN l|LINDEX l 0|LINDEX l 99|LSET l 0 x|LSET l 99 x|LSET none 0 x|LREM l 1 two|LTRIM l 0 1
    LINSERT l BEFORE two x|LINSERT l BEFORE none x|LPOS l two|LPOS l none|LPOS l two COUNT 0|LPOS none two COUNT 0
    LMOVE l none LEFT RIGHT|LMOVE none l LEFT RIGHT|RPOPLPUSH l none|RPOPLPUSH none l|LMPOP 2 none l LEFT COUNT 2|LMPOP 1 none LEFT
    SADD set x|SADD l x|SREM set a|SMOVE set other c|SCARD set|SISMEMBER set a|SMISMEMBER set a x|SMEMBERS set|SMEMBERS none|SMEMBERS numbers
    SINTER set other|SUNION numbers none|SDIFF set other|SDIFF none other|SINTER set l|SINTERSTORE none set other|SUNIONSTORE none set other|SDIFFSTORE none set other
    SINTERCARD 2 set other|SPOP none|SPOP none 2|SPOP set 9|SPOP set 0|SRANDMEMBER none|SRANDMEMBER none 2|SRANDMEMBER set 9|SSCAN set 0
    ZADD z 9 one|ZADD z NX 9 nine|ZADD z INCR 0.2 tenth|ZADD z NX INCR 1 one|ZADD z x one|ZADD s 1 one|ZINCRBY z 0.2 tenth|ZINCRBY z inf least|ZSCORE z tenth|ZSCORE z most|ZSCORE z none|ZSCORE none x
    ZMSCORE z tenth none one|ZMSCORE z none none|ZMSCORE none a b|ZMSCORE z one none
    ZCARD z|ZCOUNT z 0 3|ZLEXCOUNT z - +|ZRANK z one|ZRANK z none|ZREVRANK z one|ZREM z one none
    ZRANGE z 0 -1|ZRANGE z 0 -1 WITHSCORES|ZRANGE z (0 +inf BYSCORE WITHSCORES LIMIT 0 2|ZRANGE none 0 -1 WITHSCORES|ZREVRANGE z 0 1 WITHSCORES
    ZRANGEBYSCORE z -inf +inf WITHSCORES|ZREVRANGEBYSCORE z +inf -inf|ZRANGEBYLEX y - +|ZREVRANGEBYLEX y + -|ZRANGESTORE none z 0 1
    ZREMRANGEBYRANK z 0 1|ZREMRANGEBYSCORE z 0 1|ZREMRANGEBYLEX y - +
    ZPOPMIN z|ZPOPMIN z 2|ZPOPMIN none|ZPOPMIN none 2|ZPOPMAX z|ZPOPMAX z 2|ZMPOP 2 none z MIN COUNT 2|ZMPOP 1 none MAX
    ZRANDMEMBER none|ZRANDMEMBER none 2|ZRANDMEMBER z 99 WITHSCORES
    ZINTER 2 z y WITHSCORES|ZINTER 2 z y|ZUNION 2 z y WITHSCORES|ZDIFF 2 z y WITHSCORES|ZDIFF 1 none|ZINTERSTORE none 2 z y|ZUNIONSTORE none 2 z y|ZDIFFSTORE none 2 z y|ZINTERCARD 2 z y|ZSCAN z 0
    PFADD hll c|PFADD hll a|PFCOUNT hll|PFMERGE none hll
    GEOADD geo 1 2 x|GEODIST geo Palermo Catania km|GEODIST geo Palermo none|GEOHASH geo Palermo none|GEOSEARCHSTORE none geo FROMMEMBER Palermo BYRADIUS 200 km
    XADD none 5-5 f v|XADD x 1-1 f v|XADD none NOMKSTREAM 5-5 f v|XLEN x|XDEL x 1-1|XTRIM x MAXLEN 1|XACK x group 1-1|XRANGE x - +|XRANGE none - +|XREVRANGE x + -
    XCLAIM x group you 0 1-1|XCLAIM x group you 0 1-1 JUSTID|XAUTOCLAIM x group you 0 0|XGROUP CREATE x second $|XGROUP CREATE x group $|XGROUP CREATECONSUMER x group new
    XGROUP DELCONSUMER x group me|XGROUP DESTROY x group|XGROUP SETID x group 0|XSETID x 9-9`),
  ['SET', 'a key', 'v'],
  ['SET', 's', ''],
  ['SET', 's', '\r\n\0\xff'],
  ['XSETID', 'none', '1-1'],
];

/** In RESP2 besides. */
const CASES_2: readonly Words[] =
  lines(`GEOPOS geo Palermo none|GEOPOS none x|GEOSEARCH geo FROMMEMBER Palermo BYRADIUS 200 km ASC WITHCOORD WITHDIST WITHHASH
  GEORADIUS geo 15 37 200 km ASC WITHCOORD|GEORADIUSBYMEMBER_RO geo Palermo 200 km
  XREAD COUNT 1 STREAMS x 0|XREAD STREAMS x $|XREADGROUP GROUP group me STREAMS x >|XREADGROUP GROUP group me STREAMS x 0|XREADGROUP GROUP none me STREAMS x >`);

function lines(text: string): Words[] {
  return text.split(/[|\n]/).map((line) => line.trim().split(' '));
}

const NAMES = new Set([...SEED.map((words) => words[words[0] === 'XGROUP' ? 2 : 1] as string), 'none', 'a key']);

function placed(words: Words): string[] {
  return words.map((word, at) => (at > 0 && NAMES.has(word) ? `{k}${word}` : word));
}

async function seed(client: RespClient): Promise<void> {
  await client.command('DEL', ...[...NAMES].map((name) => `{k}${name}`));
  for (const words of SEED)
    await client.command(...placed(words).map((word) => (word === '{k}x' && words[3] === 'EXAT' ? 'x' : word)));
}

const deployment = await deployLocks(t, { nodes: 3, ttlMaxMs: 20_000 });
const [first, second] = deployment.proxies;

for (const protocol of [2, 3] as const) {
  t.test(`replies are those of the command alone, in RESP${protocol}`, async (t) => {
    const client = await connect(t, first.port);
    await client.command('HELLO', `${protocol}`);
    let fence = 0;
    for (const words of protocol === 2 ? [...CASES, ...CASES_2] : CASES) {
      const command = placed(words);
      await seed(client);
      const plain = await say(client, ...command);
      await seed(client);
      t.equal(await say(client, 'RL.FENCED', `lock:${protocol}`, `${++fence}`, ...command), plain, words.join(' '));
    }
    t.equal(await say(client, 'DEL', '{k}s'), ':1\r\n');
  });
}

t.test('fences of the coordination store are its versions, however large', async (t) => {
  const [node] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => node.stop());
  const proxy = await ProxyProcess.start({
    layout: {
      pools: { main: { nodes: [{ name: 'a', url: node.url }] } },
      keyspaces: [
        { prefix: 'lock:', pool: 'main', mode: 'lock', provider: 'store' },
        { prefix: '', pool: 'main' },
      ],
    },
    dataDir: t.testdir({}),
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  // ZooKeeper counts epochs above 32 bits.
  const [last, next] = [`${2 ** 32 * 100}`, `${2 ** 32 * 100 + 1}`];
  t.equal(await say(client, 'RL.FENCED', 'lock:f', next, 'SET', 'k', 'v'), '+OK\r\n');
  t.match(await say(client, 'RL.FENCED', 'lock:f', last, 'SET', 'k', 'w'), /^-FENCED/);
});

t.test('a smaller fence is refused, an equal or a larger one is not; what is read is noted, too', async (t) => {
  const client = await connect(t, first.port);
  const fenced = (fence: number | string, ...words: string[]) =>
    say(client, 'RL.FENCED', 'lock:f', `${fence}`, ...words);
  t.equal(await fenced(3, 'GET', 'f'), '$-1\r\n');
  t.match(await fenced(2, 'SET', 'f', '2'), /^-FENCED 'f' was used with fence 3 /, 'who has read it goes by it');
  t.equal(await fenced(5, 'SET', 'f', '5'), '+OK\r\n');
  t.equal(await fenced(5, 'SET', 'f', 'again'), '+OK\r\n');
  t.match(
    await fenced(4, 'SET', 'f', '4'),
    /^-FENCED 'f' was used with fence 5 of this lock, and this is 4: the lock was lost; nothing was done\. /,
  );
  t.match(await fenced(4, 'GET', 'f'), /^-FENCED 'f'/);
  t.equal(await fenced(5, 'GET', 'f'), '$5\r\nagain\r\n');
  t.match(await fenced(6, 'LPUSH', 'f', 'x'), /^-WRONGTYPE/);
  t.equal(await fenced(5, 'GET', 'f'), '$5\r\nagain\r\n', 'what fails notes no fence');
  t.equal(await fenced(6, 'DEL', 'f'), ':1\r\n');
  t.match(await fenced(5, 'SET', 'f', '5'), /^-FENCED/, 'a key that is gone keeps its fence');
  t.equal(
    await say(client, 'RL.FENCED', 'lock:g', '1', 'SET', 'f', '1'),
    '+OK\r\n',
    'another lock has fences of its own',
  );
  t.equal(await say(client, 'SET', 'f', 'plain'), '+OK\r\n');
  const given = Date.now() - Date.UTC(2020, 0, 1);
  t.equal(await fenced(given + 1, 'SET', 'f', 'last'), '+OK\r\n');
  t.match(await fenced(given, 'SET', 'f', 'x'), new RegExp(`with fence ${given + 1} `), 'compared exactly');
  t.match(await fenced('9007199254740991', 'SET', 'f', 'x'), /^-ERR the fence is larger than any/);
  t.equal(await fenced(3, 'MSET', '{g}1', 'a', '{g}2', 'b'), '+OK\r\n');
  t.equal(await fenced(2, 'SET', '{g}3', 'c'), '+OK\r\n');
  t.match(await fenced(2, 'MGET', '{g}3', '{g}2'), /^-FENCED '\{g\}2'/);
  t.equal(await fenced(9, 'SET', '\x00\r\n\xff', 'v'), '+OK\r\n');
  t.match(await fenced(8, 'SET', '\x00\r\n\xff', 'v'), /^-FENCED '\\x00\\x0d\\x0a\\xff' was used/);
  t.equal(await fenced(0, 'SET', '{g}0', 'v'), '+OK\r\n');
});

t.test('what it does not carry out it refuses, and says why', async (t) => {
  const client = await connect(t, first.port);
  const refused: [RegExp, ...string[]][] = [
    [/^-ERR no keyspace of mode lock has this name/, 'RL.FENCED', 'lokc:f', '1', 'SET', 'r', '1'],
    ...['x', '-1', '01', '1.5', '99999999999999999', ''].map((fence): [RegExp, ...string[]] => [
      /^-ERR the fence must be a whole number/,
      ...['RL.FENCED', 'lock:f', fence, 'SET', 'r', '1'],
    ]),
    [/^-ERR wrong number of arguments for 'rl.fenced' command/, 'RL.FENCED', 'lock:f', '1'],
    ...(
      [
        [/^-ERR unknown command 'NOPE', with args beginning with: 'r' /, 'NOPE r'],
        [/^-ERR wrong number of arguments for 'set' command/, 'SET r'],
        [/^-ERR unknown subcommand 'NOPE'. Try OBJECT HELP/, 'OBJECT NOPE r'],
        [/^-ERR RL.FENCED does not carry out PING here: it is not about keys/, 'PING'],
        [/^-ERR RL.FENCED does not carry out PUBLISH here: it is not about keys/, 'PUBLISH r x'],
        [/^-ERR RL.FENCED does not carry out WATCH here: it is not about keys/, 'WATCH r'],
        [/^-ERR RL.FENCED does not carry out MULTI here/, 'MULTI'],
        [/^-ERR RL.FENCED does not carry out SUBSCRIBE here/, 'SUBSCRIBE r'],
        [/^-ERR RL.FENCED does not carry out LOCK.INFO here/, 'LOCK.INFO lock:r'],
        [/^-ERR RL.FENCED does not carry out RL.FENCED here/, 'RL.FENCED lock:f 1 SET r 1'],
        [/^-ERR RL.FENCED does not carry out EVAL here: it may write keys that it does not name/, 'EVAL script 1 r'],
        [/^-ERR RL.FENCED does not carry out FCALL here: it may write keys that it does not name/, 'FCALL f 1 r'],
        [/^-ERR RL.FENCED does not carry out BLPOP here: it would not wait/, 'BLPOP r 1'],
        [/^-ERR RL.FENCED does not carry out XREAD here: it would not wait/, 'XREAD BLOCK 1 STREAMS r 0'],
        [/^-ERR RL.FENCED does not carry out COPY here: with DB it writes where no fence/, 'COPY r {r}s replace dB 1'],
        [/^-ERR RL.FENCED does not carry out BITFIELD here: .* more than 53 bits/, 'BITFIELD r GET u8 0'],
        [/^-ERR RL.FENCED does not carry out XPENDING here: .* two kinds/, 'XPENDING r g'],
        [/^-ERR RL.FENCED does not carry out GET here: locks have fences of their own/, 'GET lock:x'],
        [/^-ERR the key '~rl:f:r' is the proxy's own/, 'GET ~rl:f:r'],
        [/^-ERR SORT with patterns of BY or GET is not supported/, 'SORT r BY w_*'],
        [/^-ERR MIGRATE is not supported by this proxy/, 'MIGRATE h 1 r 0 1'],
        [/^-ERR syntax error/, 'ZINTER 0 r'],
      ] as [RegExp, string][]
    ).map(([wanted, line]): [RegExp, ...string[]] => [wanted, 'RL.FENCED', 'lock:f', '1', ...line.split(' ')]),
  ];
  for (const [wanted, ...words] of refused) t.match(await say(client, ...words), wanted, words.join(' '));
  await client.command('MULTI');
  t.match(await say(client, 'RL.FENCED', 'lock:f', '1', 'SET', 'r', '1'), /^-ERR RL.FENCED inside MULTI is not/);
  t.match(await say(client, 'EXEC'), /^-EXECABORT/);
  t.match(
    await say(client, 'RL.FENCED', 'lock:f', '1', 'DEL', ...Array(7000).fill('r')),
    /^-ERR .* may have 7000 words/,
  );
  t.equal(await say(client, 'RL.FENCED', 'lock:f', '1', 'DEL', ...Array(6999).fill('r')), ':0\r\n');
  await client.command('HELLO', '3');
  for (const line of ['GEOPOS r x', 'GEOSEARCH r FROMMEMBER m BYRADIUS 1 km', 'XREAD STREAMS r 0']) {
    t.match(await say(client, 'RL.FENCED', 'lock:f', '1', ...line.split(' ')), /RESP3.*; it is served in RESP2/, line);
  }
});

t.test('what is noted beside keys is not seen, and stays with its key', async (t) => {
  const client = await connect(t, first.port);
  const node = await connect(t, deployment.plain.port);
  await node.command('FLUSHALL');
  for (const name of ['one', 'two', 'three'])
    await client.command('RL.FENCED', 'lock:f', '7', 'SET', `seen:${name}`, 'v');
  t.equal(await node.command('DBSIZE'), 6);
  t.equal(await node.command('HGET', '~rl:f:seen:one', 'lock:f'), '7');
  t.same(((await client.command('KEYS', '*')) as string[]).sort(), ['seen:one', 'seen:three', 'seen:two']);
  t.same(await client.command('KEYS', '~rl:*'), []);
  t.equal(await client.command('DBSIZE'), 3);
  const [cursor, names] = (await client.command('SCAN', '0', 'COUNT', '1000')) as [string, string[]];
  t.same([cursor, names.sort()], ['0', ['seen:one', 'seen:three', 'seen:two']]);
  for (let draw = 0; draw < 20; draw++) t.match(await client.command('RANDOMKEY'), /^seen:/);
  t.match(await say(client, 'DEL', '~rl:f:seen:one'), /^-ERR the key '~rl:f:seen:one' is the proxy's own/);
});

t.test('a client that tracks hears of its keys alone', async (t) => {
  for (const options of [[], ['BCAST']]) {
    const [tracking, other] = [await connect(t, first.port), await connect(t, first.port)];
    await tracking.command('HELLO', '3');
    await tracking.command('CLIENT', 'TRACKING', 'ON', ...options);
    await other.command('RL.FENCED', 'lock:f', '7', 'SET', 'tracked', '1');
    if (options.length > 0) t.match((await tracking.next()).toString(), /invalidate\r\n\*1\r\n\$7\r\ntracked/);
    t.equal(await say(tracking, 'RL.FENCED', 'lock:f', '8', 'GET', 'tracked'), '$1\r\n1\r\n');
    await other.command('RL.FENCED', 'lock:f', '9', 'SET', 'tracked', '2');
    t.match((await tracking.next()).toString(), /^>2\r\n\$10\r\ninvalidate\r\n\*1\r\n\$7\r\ntracked\r\n$/);
    await other.command('DEL', 'tracked');
    if (options.length > 0) await tracking.next();
    t.equal(await say(tracking, 'PING'), '+PONG\r\n', 'and nothing else');
    await (await connect(t, deployment.plain.port)).command('FLUSHALL');
  }
});

t.test('the nodes have never heard of the script, and pipelined commands stay in order', async (t) => {
  const client = await connect(t, first.port);
  const node = await connect(t, deployment.plain.port);
  for (let round = 0; round < 20; round++) {
    await node.command('SCRIPT', 'FLUSH');
    const replies = [client.raw('RL.FENCED', 'lock:f', '1', 'SET', 'order', '1'), client.raw('GET', 'order')];
    replies.push(client.raw('RL.FENCED', 'lock:f', '1', 'INCR', 'order'), client.raw('INCR', 'order'));
    t.same((await Promise.all(replies)).map(String), ['+OK\r\n', '$1\r\n1\r\n', ':2\r\n', ':3\r\n']);
  }
});

t.test('in another database, and by COMMAND', async (t) => {
  const client = await connect(t, first.port);
  await client.command('RL.FENCED', 'lock:f', '9', 'SET', 'db', '0');
  await client.command('SELECT', '3');
  t.equal(await say(client, 'RL.FENCED', 'lock:f', '1', 'SET', 'db', '3'), '+OK\r\n', 'a database has keys of its own');
  t.same(await client.command('KEYS', '*'), ['db']);
  t.equal(await client.command('DBSIZE'), 1);
  t.same(await client.command('COMMAND', 'GETKEYS', 'RL.FENCED', 'lock:f', '1', 'MSET', 'a', '1', 'b', '2'), [
    'a',
    'b',
  ]);
  t.same(await client.command('COMMAND', 'GETKEYSANDFLAGS', 'rl.fenced', 'lock:f', '1', 'GET', 'a'), [
    ['a', ['RO', 'access']],
  ]);
  t.match(await client.command('COMMAND', 'INFO', 'rl.fenced'), [['rl.fenced', -4]]);
});

t.test('with ioredis, in RESP2 and its pipelines', async (t) => {
  const redis = new Redis({ port: first.port });
  t.teardown(() => redis.disconnect());
  t.equal(await redis.call('RL.FENCED', 'lock:io', 5, 'HSET', 'io', 'a', 1), 1);
  t.same(await redis.call('RL.FENCED', 'lock:io', 5, 'HGETALL', 'io'), ['a', '1']);
  await t.rejects(redis.call('RL.FENCED', 'lock:io', 4, 'HSET', 'io', 'a', 2), {
    message: /^FENCED 'io' was used with fence 5/,
  });
  const results = await redis.pipeline().call('RL.FENCED', 'lock:io', 6, 'INCR', 'io:n').get('io:n').exec();
  t.same(results, [
    [null, 1],
    [null, '1'],
  ]);
});

t.test(
  'a client that was stopped for longer than its lock lasted writes nothing after the next holder has',
  async (t) => {
    const { cli, env } = await redisPrograms();
    // The holder is a process of its own, which is stopped as a virtual machine is: it notices nothing of it.
    const holder = spawn(cli, ['-p', `${first.port}`], {
      env: { ...process.env, ...env },
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    t.teardown(() => holder.kill('SIGKILL'));
    const told = createInterface({ input: holder.stdout })[Symbol.asyncIterator]();
    const next = async () => (await told.next()).value as string;
    holder.stdin.write('LOCK.ACQUIRE lock:report TTL 300\n');
    const reply = [await next(), await next(), await next(), await next(), await next(), await next()];
    const fence = Number(reply[3]);
    holder.stdin.write(`RL.FENCED lock:report ${fence} SET report first\n`);
    t.equal(await next(), 'OK');
    holder.kill('SIGSTOP');
    holder.stdin.write(`RL.FENCED lock:report ${fence} SET report stale\n`);
    const client = await connect(t, second.port);
    const granted = (await client.command('LOCK.ACQUIRE', 'lock:report', 'TTL', '10000', 'WAIT', '10000')) as (
      | string
      | number
    )[];
    t.ok((granted[3] as number) > fence);
    t.equal(await say(client, 'RL.FENCED', 'lock:report', `${granted[3]}`, 'SET', 'report', 'second'), '+OK\r\n');
    holder.kill('SIGCONT');
    t.match(
      await next(),
      new RegExp(`^FENCED 'report' was used with fence ${granted[3]} of this lock, and this is ${fence}:`),
    );
    t.equal(await client.command('GET', 'report'), 'second');
    holder.stdin.end();
  },
);

t.test('another service on the same nodes does not see what is noted there', async (t) => {
  const { plain, servers } = deployment;
  const [port, otherPort] = [await freePort(), await freePort()];
  const proxy = await ProxyProcess.start({
    layout: {
      pools: {
        main: { nodes: servers.map(({ url }, index) => ({ name: 'abcde'[index], url })) },
        plain: { nodes: [{ name: 'plain', url: plain.url }] },
      },
      services: [
        {
          name: 'locking',
          listen: `127.0.0.1:${port}`,
          keyspaces: [
            { prefix: 'lock:', pool: 'main', mode: 'lock', ttlMaxMs: 20_000 },
            { prefix: '', pool: 'plain' },
          ],
        },
        { name: 'other', listen: `127.0.0.1:${otherPort}`, keyspaces: [{ prefix: '', pool: 'plain' }] },
      ],
    },
  });
  t.teardown(() => proxy.kill9());
  const [locking, other] = [await connect(t, port), await connect(t, otherPort)];
  await other.command('FLUSHALL');
  await waitFor(
    'the service',
    async () => (await say(locking, 'RL.FENCED', 'lock:f', '7', 'SET', 'shared', 'v')) === '+OK\r\n',
  );
  t.equal(await other.command('GET', 'shared'), 'v');
  t.same(await other.command('KEYS', '*'), ['shared']);
  t.equal(await other.command('DBSIZE'), 1);
  t.equal(await other.command('RANDOMKEY'), 'shared');
  t.same(await other.command('SCAN', '0'), ['0', ['shared']]);
  t.match(await say(other, 'HGETALL', '~rl:f:shared'), /^-ERR the key '~rl:f:shared' is the proxy's own/);
  t.match(await say(other, 'RL.FENCED', 'lock:f', '7', 'SET', 'shared', 'v'), /^-ERR no keyspace of mode lock/);
  t.equal(await say(other, 'FLUSHALL'), '+OK\r\n');
  t.equal(await say(locking, 'RL.FENCED', 'lock:f', '1', 'SET', 'shared', 'v'), '+OK\r\n', 'it takes the fences along');
});
