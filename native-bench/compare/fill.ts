/** Makes sure that an endpoint answers, and that every key the load reads is there: a GET of nothing is too cheap. */
import { Redis } from 'ioredis';
import { BenchmarkError } from './children.js';
import type { Target } from './load.js';

const TIMEOUT_MS = 30_000;
const BATCH = 1_000;

/** Waits until `endpoint` answers PING, which a server that has just been started does not at once. */
export async function awaitAnswer(endpoint: Target): Promise<void> {
  await withClient(endpoint, 'no answer to PING', (redis) => redis.ping());
}

/** Sets the keys that redis-benchmark names `key:000000000000` up to `keys` - 1, and reads one back. */
export async function fill(endpoint: Target, keys: number, size: number): Promise<void> {
  const value = 'x'.repeat(size);
  await withClient(endpoint, 'the keys could not be set', async (redis) => {
    for (let first = 0; first < keys; first += BATCH) {
      const pipeline = redis.pipeline();
      for (let key = first; key < Math.min(first + BATCH, keys); key++) pipeline.set(keyName(key), value);
      for (const [error] of (await pipeline.exec()) ?? []) if (error !== null) throw error;
    }
    const read = await redis.get(keyName(keys - 1));
    if (read !== value) throw new Error(`${keyName(keys - 1)} does not hold what was set`);
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

/** `__rand_int__` has 12 digits. */
function keyName(key: number): string {
  return `key:${String(key).padStart(12, '0')}`;
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
