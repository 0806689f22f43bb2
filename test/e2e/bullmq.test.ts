/** BullMQ, as its README and its guide have it used, with the configuration of conf/bullmq.yaml: queues on three shards. */
import { readFileSync } from 'node:fs';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { type Deployment, deploy } from '../help/deployment.js';
import { nodeRedis } from '../help/node-redis.js';
import type { RedisServer } from '../help/redis-server.js';
import { connect } from '../help/resp-client.js';
import { testClient } from '../help/test-clients.js';
import { waitFor, within } from '../help/wait-for.js';
import { DEATH_HOOKS, outlivesWorkers } from '../help/worker-deaths.js';

interface Job {
  id: string;
  name: string;
  data: Record<string, unknown>;
  timestamp: number;
  attemptsMade: number;
  queueName: string;
  updateProgress(progress: number): Promise<void>;
  getChildrenValues(): Promise<Record<string, unknown>>;
  waitUntilFinished(events: QueueEvents, timeoutMs: number): Promise<unknown>;
}

interface FlowJob {
  name: string;
  queueName: string;
  data?: object;
  children?: FlowJob[];
}

interface Closable {
  on(event: string, listener: (...args: never[]) => void): this;
  once(event: string, listener: (...args: never[]) => void): this;
  waitUntilReady(): Promise<unknown>;
  close(): Promise<void>;
}

interface Queue extends Closable {
  add(name: string, data: object, options?: object): Promise<Job>;
  addBulk(jobs: { name: string; data: object; opts?: object }[]): Promise<Job[]>;
  getJobCounts(...states: string[]): Promise<Record<string, number>>;
  getFailed(): Promise<Job[]>;
  pause(): Promise<void>;
  resume(): Promise<void>;
  upsertJobScheduler(id: string, repeat: object, template: object): Promise<Job>;
  removeJobScheduler(id: string): Promise<boolean>;
  obliterate(): Promise<void>;
}

type QueueEvents = Closable;
type Worker = Closable;

interface FlowProducer extends Closable {
  add(flow: FlowJob): Promise<{ job: Job }>;
}

interface Library {
  Queue: new (name: string, options: object) => Queue;
  QueueEvents: new (name: string, options: object) => QueueEvents;
  Worker: new (name: string, work: (job: Job) => Promise<unknown>, options: object) => Worker;
  FlowProducer: new (options: object) => FlowProducer;
}

const { version, obstacle, load } = await testClient('bullmq');
const EXAMPLE = parse(readFileSync('conf/bullmq.yaml', 'utf8')) as { keyspaces: { colocate: string[] }[] };
const redis6 = await nodeRedis('redis-6');

/** By the client that BullMQ is given: options for its own ioredis, or a connection of node-redis. */
const CLIENTS = [
  { client: 'ioredis', obstacle: null, connectionFor: async (_: Test, port: number): Promise<object> => ({ port }) },
  {
    client: `node-redis ${redis6.version}`,
    obstacle: redis6.obstacle,
    connectionFor: async (t: Test, port: number): Promise<object> => {
      const redis = redis6.load().createClient({ url: `redis://127.0.0.1:${port}` });
      redis.on('error', () => {});
      await redis.connect();
      t.teardown(() => redis.destroy());
      return redis;
    },
  },
];

// Most of their time BullMQ waits before it tries again what has failed.
t.jobs = 3;

for (const { client, obstacle: own, connectionFor } of CLIENTS) {
  t.test(`BullMQ ${version} with ${client}`, { skip: obstacle ?? own ?? false }, async (t) => {
    const { Queue, QueueEvents, Worker } = load() as Library;
    const deployment = await deploy(t, { keyspaces: EXAMPLE.keyspaces, env: DEATH_HOOKS });

    /** What is opened is closed when its test ends, in time, although it waits for jobs. */
    const opened = async <T extends Closable>(t: Test, opening: (connection: object) => T): Promise<T> => {
      const it = opening(await connectionFor(t, deployment.port));
      it.on('error', () => {});
      t.teardown(() => within('a close', it.close()));
      await it.waitUntilReady();
      return it;
    };
    const openQueue = (t: Test, name: string) => opened(t, (connection) => new Queue(name, { connection }));
    const openEvents = (t: Test, name: string) => opened(t, (connection) => new QueueEvents(name, { connection }));
    const openWorker = (t: Test, name: string, work: (job: Job) => Promise<unknown>, options = {}) =>
      opened(t, (connection) => new Worker(name, work, { connection, ...options }));

    t.test('jobs are added, processed and reported', async (t) => {
      const queue = await openQueue(t, 'Paint');
      const events = await openEvents(t, 'Paint');
      const seen: string[] = [];
      for (const event of ['waiting', 'active', 'progress', 'completed', 'failed']) {
        events.on(event, ({ data }: { data?: unknown }) => seen.push(data === undefined ? event : `${event} ${data}`));
      }
      await openWorker(t, 'Paint', async (job) => {
        if (job.name !== 'cars') throw new Error('only cars are painted');
        await job.updateProgress(42);
        return `a ${job.data['color']} car`;
      });
      const cars = await queue.add('cars', { color: 'blue' });
      t.equal(await cars.waitUntilFinished(events, 20_000), 'a blue car');
      t.same(seen.splice(0), ['waiting', 'active', 'progress 42', 'completed']);
      const houses = await queue.add('houses', {});
      await t.rejects(houses.waitUntilFinished(events, 20_000), { message: 'only cars are painted' });
      t.match(await queue.getJobCounts(), { completed: 1, failed: 1, waiting: 0, active: 0 });
      t.match(await queue.getFailed(), [{ name: 'houses', failedReason: 'only cars are painted' }]);
    });

    t.test('a job that fails is tried again, a delayed one waits, a scheduled one comes again and again', async (t) => {
      const queue = await openQueue(t, 'Later');
      const events = await openEvents(t, 'Later');
      const ran: { name: string; atMs: number; attemptsMade: number }[] = [];
      await openWorker(t, 'Later', async (job) => {
        ran.push({ name: job.name, atMs: Date.now(), attemptsMade: job.attemptsMade });
        if (job.name === 'fragile' && job.attemptsMade < 2) throw new Error('not yet');
      });
      const delayed = await queue.add('delayed', {}, { delay: 500 });
      const fragile = await queue.add('fragile', {}, { attempts: 3, backoff: { type: 'fixed', delay: 50 } });
      await fragile.waitUntilFinished(events, 20_000);
      t.same(
        ran.filter(({ name }) => name === 'fragile').map(({ attemptsMade }) => attemptsMade),
        [0, 1, 2],
      );
      await delayed.waitUntilFinished(events, 20_000);
      const waitedMs = (ran.find(({ name }) => name === 'delayed')?.atMs as number) - delayed.timestamp;
      t.ok(waitedMs >= 500, `after ${waitedMs} ms`);

      await queue.upsertJobScheduler('often', { every: 100 }, { name: 'tick' });
      const ticks = () => ran.filter(({ name }) => name === 'tick').length;
      await waitFor('three ticks', () => ticks() >= 3);
      t.equal(await queue.removeJobScheduler('often'), true);
    });

    t.test('the queues are spread over the shards, and each of many jobs is done once', async (t) => {
      const names = queueNames(deployment);
      const done: string[] = [];
      for (const name of names) {
        for (let worker = 0; worker < 2; worker++) {
          const work = async (job: Job) => done.push(`${name} ${job.data['number']}`);
          await openWorker(t, name, work, { concurrency: 10 });
        }
      }
      const expected = names.flatMap((name) => Array.from({ length: 200 }, (_, number) => `${name} ${number}`));
      for (const name of names) {
        const queue = await openQueue(t, name);
        const jobs = Array.from({ length: 200 }, (_, number) => ({
          name: 'one',
          data: { number },
          opts: { priority: number % 3 },
        }));
        await queue.addBulk(jobs);
      }
      await waitFor('all jobs', () => done.length >= expected.length);
      t.same(done.sort(), expected.sort());
      for (const [node, name] of names.entries()) {
        const redis = await connect(t, deployment.servers[node]?.port as number);
        t.equal(await redis.command('EXISTS', `bull:${name}:meta`), 1);
      }
    });

    t.test('a queue that is paused waits, then goes by priority', async (t) => {
      const queue = await openQueue(t, 'Calm');
      await queue.pause();
      const done: unknown[] = [];
      await openWorker(t, 'Calm', async (job) => done.push(job.data['priority']));
      for (const priority of [3, 1, 2]) await queue.add('one', { priority }, { priority });
      t.match(await queue.getJobCounts('prioritized', 'paused'), { prioritized: 3 });
      t.same(done, []);
      await queue.resume();
      await waitFor('all jobs', () => done.length === 3);
      t.same(done, [1, 2, 3]);
      await waitFor('the end of the last', async () => (await queue.getJobCounts('completed'))['completed'] === 3);
      await queue.pause();
      await queue.obliterate();
      const redis = await connect(t, deployment.port);
      t.same(await redis.command('KEYS', 'bull:Calm:*'), []);
    });

    t.test('workers and events go on when their node was killed and is back', async (t) => {
      const queue = await openQueue(t, 'Tough');
      const events = await openEvents(t, 'Tough');
      await openWorker(t, 'Tough', async (job) => job.data['value']);
      const server = deployment.servers[deployment.nodeOf('Tough')] as RedisServer;
      await server.kill9();
      await t.rejects(queue.add('one', { value: 'lost' }), /NODEDOWN|UNKNOWN/);
      await server.restart();
      const value = await waitFor('a job', async () => {
        const job = await queue.add('one', { value: 'new' });
        return job.waitUntilFinished(events, 500);
      });
      t.equal(value, 'new');
    });

    t.test('workers and events go on after the death of a worker of the proxy', async (t) => {
      const queue = await openQueue(t, 'Tough');
      const events = await openEvents(t, 'Tough');
      await openWorker(t, 'Tough', async (job) => job.data['value']);
      await outlivesWorkers(t, deployment, async (value) => {
        const job = await queue.add('one', { value });
        return job.waitUntilFinished(events, 500);
      });
    });
  });
}

t.test(`BullMQ ${version}: flows`, { skip: obstacle ?? false }, async (t) => {
  const { FlowProducer, Worker, QueueEvents } = load() as Library;
  const closing = <T extends Closable>(t: Test, it: T): T => {
    t.teardown(() => within('a close', it.close()));
    return it;
  };
  /** A root that sums up what its children do, which sum up what theirs do; the work of each in the queue that is said. */
  const run = async (t: Test, deployment: Deployment, names: { top: string; middle: string; low: string }) => {
    const connection = { port: deployment.port };
    const work = async (job: Job) => {
      if (job.name === 'leaf') return (job.data['number'] as number) * 10;
      const values = Object.values(await job.getChildrenValues()) as number[];
      return values.reduce((sum, value) => sum + value, 0);
    };
    for (const name of new Set(Object.values(names))) closing(t, new Worker(name, work, { connection }));
    const events = closing(t, new QueueEvents(names.top, { connection }));
    await events.waitUntilReady();
    const producer = closing(t, new FlowProducer({ connection }));
    const child = (...numbers: number[]): FlowJob => ({
      name: 'child',
      queueName: names.middle,
      children: numbers.map((number) => ({ name: 'leaf', queueName: names.low, data: { number } })),
    });
    const { job } = await producer.add({ name: 'root', queueName: names.top, children: [child(1, 2), child(3)] });
    return job.waitUntilFinished(events, 20_000);
  };

  t.test('in one queue they need nothing more', async (t) => {
    const deployment = await deploy(t, { keyspaces: EXAMPLE.keyspaces });
    t.equal(await run(t, deployment, { top: 'one', middle: 'one', low: 'one' }), 60);
  });

  t.test('over several queues they need these on one shard', async (t) => {
    const deployment = await deploy(t, { keyspaces: [{ prefix: '', pool: 'main', colocate: ['{bull}:*'] }] });
    t.equal(await run(t, deployment, { top: 'top', middle: 'children', low: 'grandchildren' }), 60);
  });

  t.test('over several shards they are refused, and no job of them is added', async (t) => {
    const deployment = await deploy(t, { keyspaces: EXAMPLE.keyspaces });
    const [top, middle, low] = queueNames(deployment);
    await t.rejects(run(t, deployment, { top, middle, low }), { message: /^EXECABORT/ });
    const redis = await connect(t, deployment.port);
    for (const name of [top, middle, low]) {
      const lists = ['wait', 'active', 'waiting-children', 'completed', 'failed'].map((list) => `bull:${name}:${list}`);
      t.equal(await redis.command('EXISTS', ...lists), 0);
    }
  });
});

/** The names of three queues, on three shards by the rule of the example. */
function queueNames(deployment: Deployment): [string, string, string] {
  return [0, 1, 2].map((node) => {
    for (let number = 0; ; number++) {
      if (deployment.nodeOf(`queue-${number}`) === node) return `queue-${number}`;
    }
  }) as [string, string, string];
}
