/** Replicated keys on nodes whose memory is full: what Redis carries out still is carried out, and what frees memory lets writes go on. */
import t, { type Test } from 'tap';
import { ProxyProcess } from '../help/proxy.js';
import { RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, type RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const OOM = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";

async function startProxy(t: Test, servers: readonly RedisServer[]): Promise<RespClient> {
  const proxy = await ProxyProcess.start({
    nodes: servers.map(({ url }, index) => ({ name: `n${index}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3 }],
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  await waitFor('replicated keys to be served', async () => (await say(client, 'DEL', 'no such key')) === ':0\r\n');
  return client;
}

async function start(t: Test, args: readonly string[] = []): Promise<[RespClient, RedisServer[]]> {
  const servers = await startRedisServers(3, { args });
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  return [await startProxy(t, servers), servers];
}

t.test('full nodes refuse writes, and take them again when keys were deleted', async (t) => {
  const [client, servers] = await start(t, ['--maxmemory', '16mb', '--maxmemory-policy', 'noeviction']);
  await say(client, 'RPUSH', 'list', 'a', 'b');
  const value = 'x'.repeat(200_000);
  let count = 0;
  for (let reply = '+OK\r\n'; reply === '+OK\r\n' && count < 200; count++)
    reply = await say(client, 'SET', `key ${count}`, value);
  t.ok(count > 10 && count < 200, `${count} keys fill them`);
  t.equal(await say(client, 'SET', 'one more', value), OOM);
  t.equal(await say(client, 'STRLEN', 'key 0'), ':200000\r\n');
  t.equal(await say(client, 'LPOP', 'list'), '$1\r\na\r\n');
  t.equal(await say(client, 'EXPIRE', 'list', '100'), ':1\r\n');

  const other = await startProxy(t, servers);
  t.equal(await say(other, 'LRANGE', 'list', '0', '-1'), '*1\r\n$1\r\nb\r\n');
  t.equal(await say(other, 'SET', 'one more', value), OOM);
  for (let key = 0; key < 5; key++) t.equal(await say(other, 'DEL', `key ${key}`), ':1\r\n');
  t.equal(await say(other, 'EXISTS', 'key 0'), ':0\r\n');
  t.equal(await say(client, 'SET', 'one more', value), '+OK\r\n');
  t.equal(await say(other, 'STRLEN', 'one more'), ':200000\r\n');
});

/** One after the other, on keys that `SET_UP` has made; what chance and time have no say in. */
const SET_UP = `SET s value | SET s2 value | SET n 5 | SET e v EX 1000 | RPUSH l a b c d e f g h | RPUSH l2 a | SADD set a b | HSET h a 1 b 2
ZADD z 1 a 2.5 b 3 c 4 d | XADD x 1-1 f v | XADD x 1-2 f v | XGROUP CREATE x g 0 | PFADD pf a b`;
const COMMANDS = `SET s other | GET s | APPEND s x | INCR n | EXISTS s | STRLEN s | TYPE s | EXPIRE s 100 | PERSIST s | TTL s | LPOP l | RPOP l
LPOP l 2 | LRANGE l 0 -1 | LTRIM l 0 2 | LREM l 0 f | LINDEX l 0 | LMPOP 1 l LEFT | BLPOP l 0.1 | BLPOP l 0.1 | LPUSH l x | SREM set a
SMEMBERS set | SRANDMEMBER set | SISMEMBER set b | SPOP set | SADD set c | HDEL h a | HGETALL h | HMGET h b c | HSET h c 1 | HSCAN h 0 | ZREM z a
ZRANGE z 0 -1 WITHSCORES | ZSCORE z b | ZREMRANGEBYSCORE z 4 9 | ZADD z 9 q | XLEN x | XRANGE x - + | XACK x g 1-1 | XDEL x 1-1
XTRIM x MAXLEN 0 | XADD x * f v | XGROUP DELCONSUMER x g c | GETDEL s2 | GETEX e PERSIST | PFCOUNT pf | DUMP n | BITCOUNT s | GETRANGE s 0 1
MGET n nothing | MSET n 6 nothing 7 | OBJECT ENCODING n | TOUCH n e | EXPIREAT e 1 | EXISTS e | UNLINK l2 | DEL h nothing | DEL n | DBSIZE`;
/** Their replies have another shape in RESP3, which is exact in a transaction only. */
const IN_RESP2 = 'ZPOPMIN z | ZPOPMAX z 1 | ZINCRBY z 1 b';

for (const protocol of ['2', '3']) {
  t.test(`what a full Redis carries out, full nodes do, in RESP${protocol}`, async (t) => {
    const [own, servers] = await start(t);
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const plain = await connect(t, server.port);
    for (const client of [own, plain]) {
      await client.raw('HELLO', protocol);
      for (const words of wordsOf(SET_UP)) await client.raw(...words);
    }
    const admins = await Promise.all([...servers, server].map(({ port }) => connect(t, port)));
    for (const admin of admins) await admin.raw('CONFIG', 'SET', 'maxmemory', '1');
    let refused = 0;
    for (const words of wordsOf(protocol === '2' ? `${IN_RESP2} | ${COMMANDS}` : COMMANDS)) {
      const expected = await say(plain, ...words);
      t.equal(await say(own, ...words), expected, words.join(' '));
      if (expected === OOM) refused++;
    }
    t.equal(refused, protocol === '2' ? 10 : 9, 'what makes them grow is refused');
    // One node alone would carry it out, in a transaction, of which a full node queues nothing.
    t.equal(await say(own, 'EVAL', "return redis.call('DEL', KEYS[1])", '1', 's'), OOM);
    t.equal(await say(own, 'XREADGROUP', 'GROUP', 'g', 'c', 'STREAMS', 'x', '>'), OOM);
    const other = await startProxy(t, servers);
    t.equal(await say(other, 'UNLINK', 'pf'), ':1\r\n', 'who comes now finds its nodes');
    t.equal(await say(own, 'EXISTS', 'pf'), ':0\r\n');
    for (const admin of admins) await admin.raw('CONFIG', 'SET', 'maxmemory', '0');
    t.equal(await say(own, 'SET', 's', 'again'), '+OK\r\n');
    t.equal(await say(own, 'EVAL', "return redis.call('DEL', KEYS[1])", '1', 's'), ':1\r\n');
  });
}

function wordsOf(text: string): string[][] {
  return text.split(/ \| |\n/).map((line) => line.split(' '));
}
