/** Transactions through the proxy, word for word as one Redis answers them. */
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, RespClient, say } from '../help/resp-client.js';

const SCRIPTS: readonly (readonly string[])[] = [
  ['MULTI', 'SET {t}a 1', 'INCR {t}a', 'LPUSH {t}a x', 'GET {t}a', 'EXEC', 'GET {t}a'],
  ['EXEC', 'DISCARD', 'MULTI', 'MULTI', 'PING', 'EXEC'],
  ['MULTI', 'SET {t}a 2', 'DISCARD', 'GET {t}a', 'EXEC'],
  ['MULTI', 'SET {t}a', 'SET {t}a 3', 'EXEC', 'GET {t}a'],
  ['MULTI', 'NOSUCH {t}a', 'EXEC', 'MULTI', 'CLIENT NOSUCH', 'EXEC'],
  ['MULTI', 'EXEC', 'MULTI', 'PING hello', 'ECHO there', 'SELECT 0', 'UNWATCH', 'EXEC'],
  ['MULTI', 'MSET {t}b 1 {t}c 2', 'MGET {t}b {t}c {t}d', 'DEL {t}b {t}c', 'EXISTS {t}b', 'EXEC'],
  [
    'MULTI',
    "EVAL return{redis.call('incr',KEYS[1]),'x'} 1 {t}n",
    'EVALSHA 0123456789012345678901234567890123456789 0',
    'EXEC',
  ],
  ['MULTI', 'HSET {t}h f v', 'HGETALL {t}h', 'ZADD {t}z 1.5 m', 'ZRANGE {t}z 0 -1 WITHSCORES', 'EXEC'],
  ['MULTI', 'SET {t}a 4', 'RESET', 'EXEC', 'GET {t}a'],
  ['MULTI', 'SPOP {t}none', 'HGET {t}h nothing', 'LRANGE {t}none 0 -1', 'EXEC'],
  ['multi', 'incr {t}lower', 'exec'],
  [
    'SET {t}a 1',
    'SET other 2',
    'MULTI',
    'DBSIZE',
    'FLUSHALL',
    'SET {t}b 1',
    'DBSIZE',
    'KEYS *',
    'RANDOMKEY',
    'EXEC',
    'DBSIZE',
  ],
  ['SET one 1', 'SET two 2', 'SET three 3', 'MULTI', 'FLUSHDB', 'PING', 'EXEC', 'DBSIZE', 'MGET one two three'],
  [
    'MULTI',
    'SET {t}a 1',
    'CONFIG SET maxmemory bla',
    'CONFIG GET maxmemory-policy',
    'CONFIG RESETSTAT',
    'SLOWLOG RESET',
    'EXEC',
  ],
  [
    'MULTI',
    'SCRIPT LOAD return{5}',
    'EVALSHA c1c98d5f2f2c9602770ec1bd426ebbe7af0c5da6 0',
    'SCRIPT EXISTS c1c98d5f2f2c9602770ec1bd426ebbe7af0c5da6',
    'SCRIPT FLUSH',
    'SCRIPT EXISTS c1c98d5f2f2c9602770ec1bd426ebbe7af0c5da6',
    'EXEC',
    'SCRIPT EXISTS c1c98d5f2f2c9602770ec1bd426ebbe7af0c5da6',
  ],
  [
    'MULTI',
    'SCRIPT KILL',
    'LATENCY RESET',
    'LATENCY LATEST',
    'MEMORY PURGE',
    'FUNCTION FLUSH',
    'PUBSUB CHANNELS',
    'EXEC',
  ],
  ['SET {t}a 1', 'MULTI', 'SWAPDB 0 1', 'GET {t}a', 'SWAPDB 0 1', 'EXEC', 'GET {t}a'],
  ['WATCH {t}a', 'FLUSHALL', 'MULTI', 'DBSIZE', 'EXEC', 'WATCH {t}none', 'MULTI', 'FLUSHALL', 'SET {t}none 1', 'EXEC'],
  ['MULTI', 'FLUSHALL NOSUCH', 'SAVE', 'EXEC'],
];

for (const transport of ['io_uring', 'node'] as const) {
  for (const protocol of [2, 3] as const) {
    t.test(`on ${transport} in RESP${protocol}, as one Redis answers them`, async (t) => {
      const deployment = await deploy(t, { transport });
      // A node of its own, with nothing in it: what it answers is what is right.
      const [reference] = await startRedisServers(1);
      t.teardown(() => reference?.stop());
      const client = await RespClient.connect(deployment.port);
      const direct = await RespClient.connect(reference?.port as number);
      for (const script of SCRIPTS) {
        if (protocol === 3) for (const one of [client, direct]) await one.raw('HELLO', '3');
        for (const line of script) {
          const words = line.split(' ');
          const [got, expected] = [await client.raw(...words), await direct.raw(...words)];
          t.equal(got.toString('latin1'), expected.toString('latin1'), line);
        }
      }
      client.close();
      direct.close();
    });
  }

  t.test(`on ${transport}, transactions of many clients on one key exclude each other`, async (t) => {
    const deployment = await deploy(t, { transport });
    const [a, b] = ['{pair}a', '{pair}b'];
    const rounds = 50;
    const clients = await Promise.all(Array.from({ length: 10 }, () => RespClient.connect(deployment.port)));
    await Promise.all(
      clients.map(async (client) => {
        for (let round = 0; round < rounds; round++) {
          client.send('MULTI\r\n');
          client.send(`INCR ${a}\r\nINCR ${b}\r\nMGET ${a} ${b}\r\nEXEC\r\n`);
          for (let reply = 0; reply < 4; reply++) await client.next();
          const text = (await client.next()).toString();
          const [, one, other] = /^\*3\r\n:(\d+)\r\n:(\d+)\r\n/.exec(text) ?? [];
          if (one === undefined || one !== other) throw new Error(`EXEC answered ${text}`);
        }
      }),
    );
    const [first] = clients as [RespClient];
    const total = `${clients.length * rounds}`;
    t.same(await first.command('MGET', a, b), [total, total]);
    for (const client of clients) client.close();
  });
}

t.test(
  'another shard that hangs or dies is an error of the element that is for all of them, and of no other',
  async (t) => {
    const deployment = await deploy(t, { limits: { requestTimeoutMs: 500, stallTimeoutMs: 1000 } });
    const client = await connect(t, deployment.port);
    const [key, lost] = [deployment.key(0), deployment.key(2)];
    const transaction = async (...commands: string[][]) => {
      await say(client, 'MULTI');
      for (const words of commands) t.equal(await say(client, ...words), '+QUEUED\r\n');
      return say(client, 'EXEC');
    };
    const [, , c] = deployment.servers as [RedisServer, RedisServer, RedisServer];
    await say(client, 'MSET', key, '1', lost, '1');
    c.pause();
    t.match(
      await transaction(['DBSIZE'], ['FLUSHALL'], ['SET', key, '2']),
      /^\*3\r\n-NODEDOWN node c [^\r]*\r\n-UNKNOWN node c [^\r]*\r\n\+OK\r\n$/,
    );
    c.resume();
    t.equal(await say(client, 'GET', key), '$1\r\n2\r\n');
    await c.kill9();
    await deployment.proxy.waitForLog('node-down', (line) => line['node'] === 'c');
    t.match(
      await transaction(['SET', key, '3'], ['CONFIG', 'RESETSTAT']),
      /^\*2\r\n\+OK\r\n-UNKNOWN node c [^\r]* other shards have carried out their part of it\r\n$/,
    );
    t.match(await transaction(['SET', lost, '3'], ['FLUSHALL']), /^-NODEDOWN node c /);
    t.equal(await say(client, 'GET', key), '$1\r\n3\r\n', 'what is not begun on its own shard is not done on others');
  },
);
