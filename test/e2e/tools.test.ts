/** What people use with Redis, used with the proxy: redis-benchmark, ioredis, node-redis. */
import { Redis } from 'ioredis';
import t, { type Test } from 'tap';
import { type Deployment, deploy } from '../help/deployment.js';
import { nodeRedis } from '../help/node-redis.js';
import { redisPrograms } from '../help/redis-programs.js';
import { runProgram } from '../help/run-program.js';
import { waitFor } from '../help/wait-for.js';

const HOOKS = { RINGLEADER_TEST_HOOKS: '1' };
/** What redis-benchmark runs unless told otherwise. */
const BENCHMARKS = [
  ...['PING_INLINE', 'PING_MBULK', 'SET', 'GET', 'INCR', 'LPUSH', 'RPUSH', 'LPOP', 'RPOP', 'SADD', 'HSET', 'SPOP'],
  ...['ZADD', 'ZPOPMIN', 'LPUSH (needed to benchmark LRANGE)', 'LRANGE_100 (first 100 elements)'],
  ...['LRANGE_300 (first 300 elements)', 'LRANGE_500 (first 500 elements)', 'LRANGE_600 (first 600 elements)'],
  'MSET (10 keys)',
];

/** With 1,024 bytes a reply of LRANGE_600 has 614 KB: 64 of them for each of 5 clients are 200 MB under way. */
const BENCHMARK_OPTIONS = {
  epoll: [
    [],
    ['-c', '5', '-P', '64', '-d', '1024', '-n', '320'],
    ['-3', '-c', '20', '-P', '16', '-r', '10000', '--threads', '2'],
  ],
  node: [[]],
};

for (const transport of ['epoll', 'node'] as const) {
  for (const options of BENCHMARK_OPTIONS[transport]) {
    t.test(`redis-benchmark ${options.join(' ')} on ${transport} runs clean`, async (t) => {
      const deployment = await deploy(t, { transport });
      const { benchmark } = await redisPrograms();
      const words = ['-p', `${deployment.port}`, '-q', '-n', '1000', ...options];
      const { code, output } = await runProgram(benchmark, words);
      t.equal(code, 0);
      const lines = output.split(/[\r\n]+/).map((line) => line.trim());
      const finished = lines.filter((line) => /requests per second, p50=/.test(line));
      t.same(
        finished.map((line) => line.slice(0, line.indexOf(': '))),
        BENCHMARKS,
      );
      t.notMatch(output, /error|warning|fail/i);
    });
  }

  t.test(
    `ioredis on ${transport}: commands, pipelines, auto-pipelining, and a new connection after a death`,
    async (t) => {
      const deployment = await deploy(t, { transport, env: HOOKS });
      const redis = new Redis({ port: deployment.port, enableAutoPipelining: true });
      t.teardown(() => redis.disconnect());
      redis.on('error', () => {});
      t.equal(await redis.set('key', 'value'), 'OK');
      t.equal(await redis.get('key'), 'value');
      await redis.hset('hash', { field: 'value', other: 'one' });
      t.same(await redis.hgetall('hash'), { field: 'value', other: 'one' });
      t.equal(await redis.eval('return redis.call("get", KEYS[1])', 1, 'key'), 'value');
      await t.rejects(redis.hget('key', 'field'), /WRONGTYPE/);

      const pipeline = redis.pipeline();
      const keys = Array.from({ length: 1_000 }, (_, number) => `key:${number}`);
      for (const key of keys) pipeline.set(key, key).get(key);
      const results = await pipeline.exec();
      t.same(
        results,
        keys.flatMap((key) => [
          [null, 'OK'],
          [null, key],
        ]),
      );
      t.same(await Promise.all(keys.map((key) => redis.get(key))), keys, 'auto-pipelined');
      t.same(await redis.mget(keys), keys);
      t.equal(await redis.del(...keys), keys.length);

      await outlives(t, deployment, async (value) => {
        await redis.set('after', value);
        return redis.get('after');
      });
    },
  );
}

for (const name of ['redis-5', 'redis-6']) {
  const { version, obstacle, createClient } = await nodeRedis(name);
  for (const protocol of [2, 3] as const) {
    const what = `node-redis ${version} in RESP${protocol}: commands, pipelines, and a new connection`;
    t.test(what, { skip: obstacle ?? false }, async (t) => {
      const deployment = await deploy(t, { env: HOOKS });
      const redis = await createClient({ url: `redis://127.0.0.1:${deployment.port}`, RESP: protocol });
      redis.on('error', () => {});
      await redis.connect();
      t.teardown(() => redis.destroy());
      t.equal(await redis.ping(), 'PONG');
      t.equal(await redis.set('key', 'value'), 'OK');
      t.equal(await redis.get('key'), 'value');
      await redis.hSet('hash', { field: 'value', other: 'one' });
      t.same({ ...(await redis.hGetAll('hash')) }, { field: 'value', other: 'one' });
      t.equal(await redis.eval('return redis.call("get", KEYS[1])', { keys: ['key'], arguments: [] }), 'value');
      t.match(await redis.info('server'), /^redis_version:7/m);
      await t.rejects(redis.hGetAll('key'), /WRONGTYPE/);

      const keys = Array.from({ length: 1_000 }, (_, number) => `key:${number}`);
      t.same(new Set(await Promise.all(keys.map((key) => redis.set(key, key)))), new Set(['OK']));
      t.same(await Promise.all(keys.map((key) => redis.get(key))), keys, 'pipelined in one tick');
      t.same(await redis.mGet(keys), keys);
      const pipeline = redis.multi();
      pipeline.set('one', '1');
      pipeline.get('one');
      t.same(await pipeline.execAsPipeline(), ['OK', '1']);
      t.equal(await redis.del(keys), keys.length);

      await outlives(t, deployment, async (value) => {
        await redis.set('after', value);
        return redis.get('after');
      });
    });
  }
}

/** After its worker has died a client connects again by itself and goes on. */
async function outlives(
  t: Test,
  deployment: Deployment,
  setAndGet: (value: string) => Promise<unknown>,
): Promise<void> {
  const { proxy } = deployment;
  const deaths = () => proxy.logLines.filter(({ msg }) => msg === 'worker-died').length;
  const restarts = () => proxy.logLines.filter(({ msg }) => msg === 'worker-restarted').length;
  // As many deaths as workers: its own is among them.
  for (let death = 1; death <= 2; death++) {
    proxy.signal('SIGUSR2');
    await waitFor('a death', () => deaths() === death);
    await waitFor('a successor', () => restarts() === death);
    // What was under way at that moment may fail; what comes later does not.
    t.equal(await waitFor('an answer', () => setAndGet(`${death}`).catch(() => null)), `${death}`);
  }
}
