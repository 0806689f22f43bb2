/** ioredis, as its README has it used: each of its ways goes over three shards, in RESP2 and RESP3 (its default since 6). */
import { once } from 'node:events';
import type { CommonRedisOptions, Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { testClient } from '../help/test-clients.js';
import { waitFor, within } from '../help/wait-for.js';
import { DEATH_HOOKS, outlivesWorkers } from '../help/worker-deaths.js';

/** What `defineCommand` adds. */
interface OwnCommands {
  swap(key: string, value: string): Promise<string | null>;
  echoKeys(count: number, ...words: string[]): Promise<string[]>;
}

/** In the versions that people have, which are alike in what is used here, on both transports, and in both protocols. */
const WAYS = [
  { name: 'ioredis', protocol: 3, transport: 'auto' },
  { name: 'ioredis', protocol: 2, transport: 'node' },
  { name: 'ioredis-5', protocol: 2, transport: 'auto' },
] as const;

for (const { name, protocol, transport } of WAYS) {
  const { version, obstacle, load } = await testClient(name);
  const what = `ioredis ${version} in RESP${protocol} on ${transport}`;
  t.test(what, { skip: obstacle ?? false }, async (t) => {
    const { Redis } = load() as typeof import('ioredis');
    const deployment = await deploy(t, { transport, env: DEATH_HOOKS });
    const open = (t: Test, options: Omit<CommonRedisOptions, 'replyMapping'> = {}) => {
      const redis = new Redis({ port: deployment.port, protocol, ...options });
      redis.on('error', () => {});
      t.teardown(() => redis.disconnect());
      return redis;
    };
    const redis = open(t);
    const keys = Array.from({ length: 1_000 }, (_, number) => `key:${number}`);

    t.test('commands', async (t) => {
      t.equal(await redis.set('key', 'value', 'EX', 100), 'OK');
      t.equal(await redis.get('key'), 'value');
      t.equal(await redis.zadd('zset', 1, 'one', 2, 'dos', 4, 'quatro', 3, 'three'), 4);
      t.same(await redis.zrange('zset', '0', '2', 'WITHSCORES'), ['one', '1', 'dos', '2', 'three', '3']);
      await redis.hset('hash', { field: 'value', other: 'one' });
      t.same(await redis.hgetall('hash'), { field: 'value', other: 'one' });
      t.equal(await redis.mset(Object.fromEntries(keys.map((key) => [key, key]))), 'OK');
      t.same(await redis.mget(keys), keys);
      t.equal(await redis.del(...keys), keys.length);
      await redis.set('bytes', Buffer.from([0, 255, 13, 10]));
      t.same(await redis.getBuffer('bytes'), Buffer.from([0, 255, 13, 10]));
      await t.rejects(redis.hget('key', 'field'), { name: 'ReplyError', message: /^WRONGTYPE/ });
    });

    t.test('pipelines', async (t) => {
      const pipeline = redis.pipeline();
      for (const key of keys) pipeline.set(key, key).get(key);
      pipeline.hget('key:1', 'field').mget(keys).del(keys);
      const results = (await pipeline.exec()) as [Error | null, unknown][];
      const rest = results.splice(2 * keys.length);
      t.same(
        results,
        keys.flatMap((key) => [
          [null, 'OK'],
          [null, key],
        ]),
      );
      t.match(rest, [[{ message: /^WRONGTYPE/ }], [null, keys], [null, keys.length]]);
    });

    t.test('auto-pipelining sends what is called in one turn together, to all shards', async (t) => {
      const auto = open(t, { enableAutoPipelining: true });
      const stored = keys.map((key) => auto.set(key, key));
      t.equal(auto.autoPipelineQueueSize, keys.length);
      t.same(new Set(await Promise.all(stored)), new Set(['OK']));
      t.same(await Promise.all(keys.map((key) => auto.get(key))), keys);
      const [wrong, right] = await Promise.allSettled([auto.hget('key:1', 'field'), auto.get('key:2')]);
      t.match(wrong, { status: 'rejected', reason: /WRONGTYPE/ });
      t.same(right, { status: 'fulfilled', value: 'key:2' });
      t.equal(await auto.del(...keys), keys.length);
    });

    t.test('transactions', async (t) => {
      const stored = [
        [null, 'OK'],
        [null, 'bar'],
      ];
      t.same(await redis.multi().set('foo', 'bar').get('foo').exec(), stored);
      redis.multi({ pipeline: false });
      redis.set('foo', 'bar');
      t.equal(await redis.get('foo'), 'QUEUED');
      t.same(await redis.exec(), stored);
      t.same(
        await redis
          .pipeline([['get', 'foo'], ['multi'], ['set', 'foo', 'new'], ['get', 'foo'], ['exec'], ['get', 'foo']])
          .exec(),
        [
          ...[[null, 'bar']],
          ...[
            [null, 'OK'],
            [null, 'QUEUED'],
            [null, 'QUEUED'],
            [null, ['OK', 'new']],
          ],
          ...[[null, 'new']],
        ],
      );
      await t.rejects(
        redis
          .multi([
            ['set', 'foo'],
            ['set', 'foo', 'x'],
          ])
          .exec(),
        /^EXECABORT/,
      );
      t.equal(await redis.get('foo'), 'new');
      const other = ['a', 'b', 'c', 'd'].find((key) => deployment.nodeOf(key) !== deployment.nodeOf('foo')) as string;
      await t.rejects(redis.multi().set('foo', 'x').set(other, 'x').exec(), {
        message: /EXECABORT/,
        previousErrors: [{ message: /CROSSSLOT/ }],
      });
      t.same(await redis.mget('foo', other), ['new', null]);
    });

    t.test('WATCH: a transaction is not done when what it has read is changed meanwhile', async (t) => {
      const other = open(t);
      await redis.set('balance', '10');
      for (const isChanged of [true, false]) {
        await redis.watch('balance');
        const balance = Number(await redis.get('balance'));
        if (isChanged) await other.incrby('balance', 5);
        const results = await redis
          .multi()
          .set('balance', balance - 1)
          .get('balance')
          .exec();
        if (isChanged) t.equal(results, null);
        else t.same(results?.[1], [null, '14']);
      }
    });

    t.test('a database of its own', async (t) => {
      const apart = open(t, { db: 3 });
      await apart.set('apart', 'here');
      t.equal(await redis.get('apart'), null);
      t.equal(await redis.select(3), 'OK');
      t.equal(await redis.get('apart'), 'here');
      t.equal(await redis.select(0), 'OK');
    });

    t.test('Pub/Sub: channels and patterns, text and bytes', async (t) => {
      const [sub, pub] = [open(t), open(t)];
      t.equal(await sub.subscribe('my-channel-1', 'my-channel-2'), 2);
      t.equal(await sub.psubscribe('pat?ern'), 3);
      const heard: string[][] = [];
      sub.on('message', (channel, message) => heard.push([channel, message]));
      sub.on('pmessage', (pattern, channel, message) => heard.push([pattern, channel, message]));
      const bytes = once(sub, 'messageBuffer');
      t.equal(await pub.publish('my-channel-2', Buffer.from([0, 255])), 1);
      t.same(await within('bytes', bytes), [Buffer.from('my-channel-2'), Buffer.from([0, 255])]);
      heard.splice(0);
      const numbers = Array.from({ length: 300 }, (_, number) => `${number}`);
      for (const number of numbers) pub.publish(`my-channel-${1 + (Number(number) % 2)}`, number);
      t.equal(await pub.publish('pattern', 'the last'), 1);
      await waitFor('all messages', () => heard.length > numbers.length);
      // Channels have an order each.
      for (const [name, rest] of [
        ['my-channel-1', 0],
        ['my-channel-2', 1],
      ] as const) {
        const ofChannel = heard.filter(([channel]) => channel === name).map(([, message]) => message);
        t.same(
          ofChannel,
          numbers.filter((number) => Number(number) % 2 === rest),
        );
      }
      t.same(
        heard.filter(([pattern]) => pattern === 'pat?ern'),
        [['pat?ern', 'pattern', 'the last']],
      );
      t.equal(await sub.unsubscribe('my-channel-1'), 2);
      t.equal(await pub.publish('my-channel-1', 'nobody'), 0);
      t.equal(await sub.unsubscribe('my-channel-2'), 1);
      t.equal(await sub.punsubscribe('pat?ern'), 0);
      t.equal(await sub.get('none'), null, 'a connection as any other');
    });

    t.test('streams: a reader waits for what is written', async (t) => {
      const reader = open(t);
      let lastId = '$';
      const read = async () => {
        const results = await reader.xread('BLOCK', 0, 'STREAMS', 'mystream', lastId);
        const [key, messages] = (results as [string, [string, string[]][]][])[0] as [string, [string, string[]][]];
        t.equal(key, 'mystream');
        return messages.map(([id, fields]) => {
          lastId = id;
          return fields[1] as string;
        });
      };
      const expected = Array.from({ length: 20 }, (_, number) => `${number}`);
      const found: string[] = [];
      for (const value of expected) {
        const reading = read();
        await waitFor('the reader', async () => /blocked_clients:1\r/.test(await redis.info('clients')));
        await redis.xadd('mystream', '*', 'value', value);
        found.push(...(await within('a message', reading)));
      }
      t.same(found, expected);
    });

    t.test('blocking commands', async (t) => {
      const consumers = [0, 1, 2].map((node) => ({ key: deployment.key(node, 'list'), redis: open(t) }));
      const taken = consumers.map(({ key, redis }) => redis.brpop(key, 0));
      for (const { key } of consumers) await redis.lpush(key, `for ${key}`);
      t.same(
        await within('all', Promise.all(taken)),
        consumers.map(({ key }) => [key, `for ${key}`]),
      );
      t.equal(await consumers[0]?.redis.blpop('{none}1', '{none}2', 0.01), null);
    });

    t.test('commands of its user, made of scripts', async (t) => {
      const own = open(t, {
        scripts: { swap: { numberOfKeys: 1, lua: 'return redis.call("set", KEYS[1], ARGV[1], "GET")' } },
      }) as Redis & OwnCommands;
      own.defineCommand('echoKeys', { lua: 'return { KEYS[1], KEYS[2], ARGV[1] }' });
      for (let node = 0; node < 3; node++) {
        const key = deployment.key(node, 'swapped');
        t.equal(await own.swap(key, 'one'), null);
        t.equal(await own.swap(key, 'two'), 'one');
        t.same(
          await own
            .pipeline([
              ['set', key, 'three'],
              ['swap', key, 'four'],
              ['get', key],
            ])
            .exec(),
          [
            [null, 'OK'],
            [null, 'three'],
            [null, 'four'],
          ],
        );
      }
      t.same(await own.echoKeys(2, '{k}1', '{k}2', 'a'), ['{k}1', '{k}2', 'a']);
      // The script is gone, and ioredis thinks that it is there.
      await own.script('FLUSH');
      t.equal(await own.swap(deployment.key(1, 'swapped'), 'five'), 'four');
    });

    t.test('a prefix for all keys', async (t) => {
      const prefixed = open(t, { keyPrefix: 'foo:' });
      await prefixed.set('bar', 'baz');
      t.equal(await redis.get('foo:bar'), 'baz');
      t.same(await prefixed.pipeline().get('bar').exists('bar', 'none').exec(), [
        [null, 'baz'],
        [null, 1],
      ]);
    });

    t.test('streams of SCAN, HSCAN, SSCAN and ZSCAN', async (t) => {
      await redis.flushall();
      await redis.mset(Object.fromEntries(keys.map((key) => [key, key])));
      await redis.sadd('set', ...keys);
      await redis.zadd('zset', ...keys.flatMap((key, score) => [score, key]));
      await redis.hset('hash', Object.fromEntries(keys.map((key) => [key, key])));
      const all = async (stream: AsyncIterable<string[]>) => {
        const found: string[] = [];
        for await (const batch of stream) found.push(...batch);
        return found.sort();
      };
      const sorted = [...keys].sort();
      t.same(await all(redis.scanStream({ match: 'key:*' })), sorted);
      t.same(await all(redis.scanStream({ type: 'zset', count: 500 })), ['zset']);
      t.same(
        await all(redis.sscanStream('set', { match: 'key:99*' })),
        sorted.filter((key) => /:99/.test(key)),
      );
      t.equal((await all(redis.hscanStream('hash'))).length, 2 * keys.length);
      t.equal((await all(redis.zscanStream('zset'))).length, 2 * keys.length);
    });

    t.test('after the death of a worker there is a new connection, with its subscriptions', async (t) => {
      const sub = open(t);
      const heard = new Set<string>();
      sub.on('message', (_, message) => heard.add(message));
      await sub.subscribe('news');
      await outlivesWorkers(t, deployment, async (value) => {
        await redis.set('after', value);
        await redis.publish('news', value);
        return heard.has(value) ? redis.get('after') : null;
      });
    });
  });
}
