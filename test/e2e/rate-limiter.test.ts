/** rate-limiter-flexible, as its README has it used, with ioredis and with node-redis: a limit holds for all who share it. */
import { Redis } from 'ioredis';
import t from 'tap';
import { deploy } from '../help/deployment.js';
import { nodeRedis } from '../help/node-redis.js';
import { testClient } from '../help/test-clients.js';
import { waitFor } from '../help/wait-for.js';

/** What a call resolves with, or rejects with when there are not enough points. */
interface Result {
  remainingPoints: number;
  consumedPoints: number;
  msBeforeNext: number;
  isFirstInDuration: boolean;
}

interface Limiter {
  consume(key: string, points?: number): Promise<Result>;
  get(key: string): Promise<Result | null>;
  set(key: string, points: number, durationSeconds: number): Promise<Result>;
  block(key: string, durationSeconds: number): Promise<Result>;
  penalty(key: string, points: number): Promise<Result>;
  reward(key: string, points: number): Promise<Result>;
  delete(key: string): Promise<boolean>;
  getKey(key: string): string;
}

interface Library {
  RateLimiterRedis: new (options: {
    storeClient: unknown;
    points: number;
    duration: number;
    keyPrefix?: string;
    useRedisPackage?: boolean;
    insuranceLimiter?: Limiter;
  }) => Limiter;
  RateLimiterMemory: new (options: { points: number; duration: number }) => Limiter;
}

const { version, obstacle, load } = await testClient('rate-limiter-flexible');
const redis6 = await nodeRedis('redis-6');
const CLIENTS = [
  {
    name: 'ioredis',
    obstacle: null,
    useRedisPackage: false,
    connect: async (port: number) => {
      const redis = new Redis({ port, enableOfflineQueue: false, lazyConnect: true });
      await redis.connect();
      return { storeClient: redis, close: () => redis.disconnect() };
    },
  },
  {
    name: `node-redis ${redis6.version}`,
    obstacle: redis6.obstacle,
    useRedisPackage: true,
    connect: async (port: number) => {
      const redis = await redis6
        .load()
        .createClient({ url: `redis://127.0.0.1:${port}` })
        .connect();
      return { storeClient: redis, close: () => redis.destroy() };
    },
  },
];

for (const { name, obstacle: own, useRedisPackage, connect } of CLIENTS) {
  t.test(`rate-limiter-flexible ${version} with ${name}`, { skip: obstacle ?? own ?? false }, async (t) => {
    const { RateLimiterRedis, RateLimiterMemory } = load() as Library;
    const deployment = await deploy(t);
    const limiter = async (options: { points: number; duration: number; insuranceLimiter?: Limiter }) => {
      const { storeClient, close } = await connect(deployment.port);
      t.teardown(close);
      return new RateLimiterRedis({ storeClient, useRedisPackage, ...options });
    };
    /** One whose counter lies on that node. */
    const user = (node: number, label: string) => deployment.key(node, `rlflx:${label}`).slice('rlflx:'.length);
    const users = [0, 1, 2].map((node) => user(node, 'user'));

    t.test('of what many ask for on two connections, exactly the limit is let through', async (t) => {
      const limiters = await Promise.all([1, 2].map(() => limiter({ points: 10, duration: 100 })));
      for (const user of users) {
        const asked = Array.from({ length: 50 }, (_, number) => (limiters[number % 2] as Limiter).consume(user, 2));
        const answers = await Promise.allSettled(asked);
        const passed = answers.flatMap((answer) => (answer.status === 'fulfilled' ? [answer.value] : []));
        const refused = answers.flatMap((answer) => (answer.status === 'rejected' ? [answer.reason as Result] : []));
        const remaining = passed.map(({ remainingPoints }) => remainingPoints).sort((a, b) => b - a);
        t.same(remaining, [8, 6, 4, 2, 0]);
        t.equal(passed.filter(({ isFirstInDuration }) => isFirstInDuration).length, 1);
        t.equal(refused.length, 45);
        t.ok(refused.every(({ remainingPoints, msBeforeNext }) => remainingPoints === 0 && msBeforeNext > 0));
        t.equal((await limiters[0]?.get(user))?.consumedPoints, 100);
      }
    });

    t.test('points are seen, given and taken', async (t) => {
      const limit = await limiter({ points: 5, duration: 100 });
      for (const user of users.map((name) => `${name}:points`)) {
        t.equal(limit.getKey(user), `rlflx:${user}`);
        t.equal(await limit.get(user), null);
        t.match(await limit.consume(user), { remainingPoints: 4, consumedPoints: 1, isFirstInDuration: true });
        t.match(await limit.penalty(user, 3), { remainingPoints: 1, consumedPoints: 4 });
        t.match(await limit.reward(user, 2), { consumedPoints: 2 });
        t.match(await limit.set(user, 5, 50), { consumedPoints: 5 });
        t.match(await refusal(limit.consume(user)), { consumedPoints: 6 });
        t.equal(await limit.delete(user), true);
        t.equal(await limit.delete(user), false);
        t.match(await limit.consume(user), { consumedPoints: 1 });
        await limit.block(user, 50);
        t.match(await refusal(limit.consume(user)), { remainingPoints: 0 });
      }
    });

    t.test('after the duration the points are there again', async (t) => {
      const limit = await limiter({ points: 1, duration: 1 });
      const user = `${users[1]}:again`;
      await limit.consume(user);
      t.match(await refusal(limit.consume(user)), { remainingPoints: 0 });
      t.match(await waitFor('new points', () => limit.consume(user)), { consumedPoints: 1 });
    });

    t.test('where a node is gone the insurance limiter steps in, for its keys only', async (t) => {
      const insuranceLimiter = new RateLimiterMemory({ points: 1, duration: 100 });
      const limit = await limiter({ points: 10, duration: 100, insuranceLimiter });
      const [gone, ...others] = [0, 1, 2].map((node) => user(node, 'insured')) as [string, string, string];
      t.match(await limit.consume(gone), { remainingPoints: 9 });
      await deployment.servers[0]?.kill9();
      t.match(await limit.consume(gone), { remainingPoints: 0 });
      t.match(await refusal(limit.consume(gone)), { consumedPoints: 2 });
      for (const other of others) t.match(await limit.consume(other), { remainingPoints: 9 });
    });
  });
}

/** What `asked` is refused with. */
async function refusal(asked: Promise<Result>): Promise<Result> {
  const [answer] = await Promise.allSettled([asked]);
  if (answer.status === 'fulfilled') throw new Error(`let through: ${JSON.stringify(answer.value)}`);
  return answer.reason as Result;
}
