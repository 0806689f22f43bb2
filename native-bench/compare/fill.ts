/** Makes sure that an endpoint answers, and that every key the load reads is there: a GET of nothing is too cheap. */
import { Redis } from 'ioredis';
import { BenchmarkError } from './children.js';
import type { Target } from './load.js';
import { KEY, keyCount, LIST, LIST_LENGTH, type TestName } from './tests.js';

const TIMEOUT_MS = 30_000;
const BATCH = 1_000;

/** Waits until `endpoint` answers PING, which a server that has just been started does not at once. */
export async function awaitAnswer(endpoint: Target): Promise<void> {
  await withClient(endpoint, 'no answer to PING', (redis) => redis.ping());
}

/** Makes what `test` asks for: keys of which redis-benchmark names the first `key:000000000000`, or lists. Reads one back. */
export async function fill(endpoint: Target, test: TestName, keys: number, size: number): Promise<void> {
  const count = keyCount(test, keys, size);
  if (test === 'lrange') await fillLists(endpoint, count, size);
  else await fillKeys(endpoint, count, size);
}

async function fillKeys(endpoint: Target, keys: number, size: number): Promise<void> {
  const value = 'x'.repeat(size);
  await withClient(endpoint, 'the keys could not be set', async (redis) => {
    for (let first = 0; first < keys; first += BATCH) {
      const pipeline = redis.pipeline();
      for (let key = first; key < Math.min(first + BATCH, keys); key++) pipeline.set(nameOf(KEY, key), value);
      for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
    }
    const last = nameOf(KEY, keys - 1);
    if ((await redis.get(last)) !== value) throw new Error(`${last} does not hold what was set`);
  });
}

async function fillLists(endpoint: Target, lists: number, size: number): Promise<void> {
  const elements = Array<string>(LIST_LENGTH).fill('x'.repeat(size));
  await withClient(endpoint, 'the lists could not be made', async (redis) => {
    for (let list = 0; list < lists; list++) {
      const name = nameOf(LIST, list);
      await redis.del(name);
      await redis.rpush(name, ...elements);
    }
    const length = await redis.llen(nameOf(LIST, lists - 1));
    if (length !== LIST_LENGTH) throw new Error(`a list has ${length} elements`);
  });
}

/** Does `work` with a connected client, within the time limit; says `complaint` about the endpoint when it fails. */
async function withClient(endpoint: Target, complaint: string, work: (redis: Redis) => Promise<unknown>) {
  const redis = connect(endpoint);
  let timer: NodeJS.Timeout | undefined;
  const timeout = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done within ${TIMEOUT_MS / 1000} s`)), TIMEOUT_MS);
  });
  try {
    await Promise.race([work(redis), timeout]);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new BenchmarkError(`${endpoint.label} (${endpoint.host}:${endpoint.port}): ${complaint}: ${reason}`);
  } finally {
    clearTimeout(timer);
    redis.disconnect();
  }
}

function nameOf(pattern: string, number: number): string {
  return pattern.replace('__rand_int__', String(number).padStart(12, '0'));
}

/** A client that asks for nothing by itself: nutcracker closes the connection at commands it does not know. */
function connect({ host, port }: Target): Redis {
  const redis = new Redis({
    host,
    port,
    protocol: 2,
    enableReadyCheck: false,
    disableClientInfo: true,
    maxRetriesPerRequest: null,
    retryStrategy: () => 50,
  });
  // A refused connection while the server starts is expected; whoever waits has a time-out.
  redis.on('error', () => {});
  return redis;
}
