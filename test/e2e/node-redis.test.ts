/** node-redis, as its README has it used: each of its ways goes over three shards, in RESP2 and RESP3. */
import t, { type Test } from 'tap';
import { deploy } from '../help/deployment.js';
import { type NodeRedisClient, type NodeRedisOptions, nodeRedis } from '../help/node-redis.js';
import { waitFor, within } from '../help/wait-for.js';
import { DEATH_HOOKS, outlivesWorkers } from '../help/worker-deaths.js';

/** What `defineScript` adds. */
interface OwnCommands {
  swap(key: string, value: string): Promise<unknown>;
}

for (const name of ['redis-5', 'redis-6']) {
  const { version, obstacle, load } = await nodeRedis(name);
  for (const protocol of [2, 3] as const) {
    t.test(`node-redis ${version} in RESP${protocol}`, { skip: obstacle ?? false }, async (t) => {
      const { createClient, createClientPool, defineScript, RESP_TYPES } = load();
      const deployment = await deploy(t, { env: DEATH_HOOKS });
      const basis = { url: `redis://127.0.0.1:${deployment.port}`, RESP: protocol };
      const open = async (t: Test, options: Partial<NodeRedisOptions> = {}) => {
        const redis = await createClient({ ...basis, ...options })
          .on('error', () => {})
          .connect();
        t.teardown(() => redis.destroy());
        return redis;
      };
      const redis = await open(t);
      const keys = Array.from({ length: 1_000 }, (_, number) => `key:${number}`);

      t.test('commands', async (t) => {
        t.equal(await redis.ping(), 'PONG');
        t.equal(await redis.set('key', 'value', { EX: 100, NX: true }), 'OK');
        t.equal(await redis.get('key'), 'value');
        t.ok((await redis.ttl('key')) > 0);
        await redis.hSet('hash', { field: 'value', other: 'one' });
        t.same({ ...(await redis.hGetAll('hash')) }, { field: 'value', other: 'one' });
        t.same(await redis.hVals('hash'), ['value', 'one']);
        await redis.zAdd('zset', [
          { score: 1.5, value: 'low' },
          { score: 2e10, value: 'high' },
        ]);
        t.same(await redis.zRangeWithScores('zset', 0, -1), [
          { score: 1.5, value: 'low' },
          { score: 2e10, value: 'high' },
        ]);
        t.equal(await redis.mSet(Object.fromEntries(keys.map((key) => [key, key]))), 'OK');
        t.same(await redis.mGet(keys), keys);
        t.equal(await redis.del(keys), keys.length);
        t.match(await redis.info('server'), /^redis_version:7/m);
        t.equal(await redis.sendCommand(['SET', 'key', 'other', 'NX']), null);
        await t.rejects(redis.hGetAll('key'), /WRONGTYPE/);
      });

      t.test('bytes', async (t) => {
        const bytes = Buffer.from([0, 255, 13, 10]);
        const binary = redis.withTypeMapping({ [RESP_TYPES.BLOB_STRING]: Buffer });
        await binary.set('bytes', bytes);
        t.same(await binary.get('bytes'), bytes);
        t.equal(await binary.restore('copy', 0, await binary.dump('bytes')), 'OK');
        t.same(await binary.get('copy'), bytes);
      });

      t.test('auto-pipelining sends what is called in one turn together, to all shards', async (t) => {
        t.same(new Set(await Promise.all(keys.map((key) => redis.set(key, key)))), new Set(['OK']));
        t.same(await Promise.all(keys.map((key) => redis.get(key))), keys);
        const pipeline = redis.multi();
        for (const key of keys) pipeline.set(key, `${key}!`).get(key);
        t.same(
          await pipeline.execAsPipeline(),
          keys.flatMap((key) => ['OK', `${key}!`]),
        );
        t.equal(await redis.del(keys), keys.length);
      });

      t.test('transactions', async (t) => {
        t.same(await redis.multi().set('{tag}key', 'value').get('{tag}key').get('{tag}none').exec(), [
          'OK',
          'value',
          null,
        ]);
        const [one, other] = [deployment.key(0), deployment.key(1)];
        await t.rejects(redis.multi().set(one, '1').set(other, '1').exec(), /EXECABORT|CROSSSLOT/);
        t.same(await redis.mGet([one, other]), [null, null]);
      });

      t.test('WATCH: a transaction is not done when what it has read is changed meanwhile', async (t) => {
        const other = await open(t);
        await redis.set('balance', '10');
        await redis.watch('balance');
        await other.set('balance', '15');
        await t.rejects(redis.multi().set('balance', '9').exec(), {
          name: 'Error',
          message: /watched keys has been changed/,
        });
        await redis.watch('balance');
        t.same(await redis.multi().set('balance', '14').exec(), ['OK']);
        t.equal(await redis.get('balance'), '14');
      });

      t.test('a database of its own', async (t) => {
        const apart = await open(t, { database: 3 });
        await apart.set('apart', 'here');
        t.equal(await redis.get('apart'), null);
        await redis.select(3);
        t.equal(await redis.get('apart'), 'here');
        await redis.select(0);
      });

      t.test('Pub/Sub: channels, patterns and sharded channels', async (t) => {
        const sub = redis.duplicate().on('error', () => {});
        await sub.connect();
        t.teardown(() => sub.destroy());
        const heard: string[] = [];
        const listener = (message: string, channel: string) => heard.push(`${channel} ${message}`);
        await sub.subscribe(['one', 'two'], listener);
        await sub.pSubscribe('pat*', listener);
        await sub.sSubscribe('shard', listener);
        t.equal(await redis.publish('one', '1'), 1);
        t.equal(await redis.publish('pattern', '2'), 1);
        t.equal(await redis.sPublish('shard', '3'), 1);
        await waitFor('all messages', () => heard.length >= 3);
        t.same(heard.sort(), ['one 1', 'pattern 2', 'shard 3']);
        t.same(await redis.pubSubNumSub(['one', 'none']), { one: 1, none: 0 });
        await sub.unsubscribe('one');
        t.equal(await redis.publish('one', '4'), 0);
        t.equal(await redis.publish('two', '5'), 1);
        await waitFor('the message', () => heard.includes('two 5'));
        t.notOk(heard.includes('one 4'));
      });

      t.test('blocking commands, on connections of a pool', async (t) => {
        const pool = await createClientPool(basis)
          .on('error', () => {})
          .connect();
        t.teardown(() => pool.destroy());
        const keysOfAll = [0, 1, 2].map((node) => deployment.key(node, 'list'));
        const taken = keysOfAll.map((key) => pool.blPop(key, 0));
        for (const key of keysOfAll) await redis.lPush(key, `for ${key}`);
        const found = await within('all', Promise.all(taken));
        t.same(
          found.map((item) => ({ ...item })),
          keysOfAll.map((key) => ({ key, element: `for ${key}` })),
        );
        t.equal(await pool.blPop(['{none}1', '{none}2'], 0.01), null);
      });

      // node-redis offers it in RESP3 only.
      t.test('a cache in the client, which is told of changes', { skip: protocol === 2 }, async (t) => {
        const cached = await open(t, { clientSideCache: { ttl: 0, maxEntries: 0, evictPolicy: 'LRU' } });
        const read = [0, 1, 2].map((node) => deployment.key(node, 'cached'));
        for (const key of read) await redis.set(key, 'old');
        t.same(await Promise.all(read.map((key) => cached.get(key))), ['old', 'old', 'old']);
        const commands = async () => Number(/total_commands_processed:(\d+)/.exec(await redis.info('stats'))?.[1]);
        const before = await commands();
        for (let round = 0; round < 100; round++) t.equal(await cached.get(read[round % 3] as string), 'old');
        t.ok((await commands()) - before < 50, 'answered from the cache');
        for (const key of read) {
          await redis.set(key, 'new');
          await waitFor(`the new value of ${key}`, async () => (await cached.get(key)) === 'new');
        }
      });

      t.test('scripts', async (t) => {
        t.equal(await redis.eval('return redis.call("get", KEYS[1])', { keys: ['key'], arguments: [] }), 'value');
        const swap = defineScript({
          SCRIPT: 'return redis.call("set", KEYS[1], ARGV[1], "GET")',
          NUMBER_OF_KEYS: 1,
          parseCommand(parser, key, value) {
            parser.pushKey(key as string);
            parser.push(value as string);
          },
          transformReply: (reply) => reply,
        });
        const own = (await open(t, { scripts: { swap } })) as NodeRedisClient & OwnCommands;
        for (let node = 0; node < 3; node++) {
          const key = deployment.key(node, 'swapped');
          t.equal(await own.swap(key, 'one'), null);
          t.equal(await own.swap(key, 'two'), 'one');
        }
      });

      t.test('iterators of SCAN and HSCAN', async (t) => {
        await redis.flushAll();
        await redis.mSet(Object.fromEntries(keys.map((key) => [key, key])));
        await redis.hSet('hash', Object.fromEntries(keys.map((key) => [key, key])));
        const found: string[] = [];
        for await (const batch of redis.scanIterator({ TYPE: 'string', MATCH: 'key:*', COUNT: 100 }))
          found.push(...batch);
        t.same(found.sort(), [...keys].sort());
        const fields: string[] = [];
        for await (const batch of redis.hScanIterator('hash')) fields.push(...batch.map(({ field }) => field));
        t.same(fields.sort(), [...keys].sort());
      });

      t.test('a pool', async (t) => {
        const pool = await createClientPool(basis)
          .on('error', () => {})
          .connect();
        t.teardown(() => pool.destroy());
        t.same(new Set(await Promise.all(keys.map((key) => pool.set(key, `${key}?`)))), new Set(['OK']));
        t.same(
          await pool.execute((client) => client.mGet(keys)),
          keys.map((key) => `${key}?`),
        );
      });

      t.test('a new connection after the death of a worker', async (t) => {
        await outlivesWorkers(t, deployment, async (value) => {
          await redis.set('after', value);
          return redis.get('after');
        });
      });
    });
  }
}
