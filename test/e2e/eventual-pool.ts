/** Three servers with keys of consistency eventual, and proxies before them, for tests of what copies are given that have missed something. */
import type { Test } from 'tap';
import type { PoolCare } from '../../src/control/caretaker.js';
import type { Status } from '../../src/control/status.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

/** Short, so that a test meets them. */
const LIMITS = {
  connectTimeoutMs: 300,
  queueTimeoutMs: 500,
  requestTimeoutMs: 1_500,
  stallTimeoutMs: 2_000,
  idlePingMs: 500,
  reconnectMaxMs: 200,
  // Comparing nodes is not to hide that hints do nothing.
  compareIntervalMs: 3_600_000,
};
/** On a machine that does a lot besides. */
export const PATIENT_MS = 60_000;

export interface StartOptions {
  limits?: Readonly<Record<string, number | string>>;
  dataDir?: string;
}

/** Nodes a, b and c. */
export async function startServers(t: Test): Promise<RedisServer[]> {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

/** Resolves when its workers serve keys. Its workers must not have died when the test ends. */
export async function startProxy(
  t: Test,
  servers: readonly RedisServer[],
  { limits = {}, dataDir }: StartOptions = {},
): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start({
    layout: {
      pools: { main: { nodes: servers.map(({ url }, index) => ({ name: 'abc'[index], url })) } },
      keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3, consistency: 'eventual' }],
    },
    limits: { ...LIMITS, ...limits },
    workers: 2,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  t.teardown(async () => {
    await proxy.kill9();
    const deaths = proxy.logLines.filter(({ msg }) => msg === 'worker-died');
    if (deaths.length > 0) throw new Error(`a worker died: ${JSON.stringify(deaths)}`);
  });
  for (let client = 0; client < 12; client++) {
    const asking = await RespClient.connect(proxy.port);
    await waitFor('keys to be served', async () => (await asking.command('DEL', 'no such key')) === 0, PATIENT_MS);
    asking.close();
  }
  return proxy;
}

export async function careOf(proxy: ProxyProcess): Promise<PoolCare> {
  return (await statusOf(proxy)).replicatedPools[0] as PoolCare;
}

export async function countsOf(proxy: ProxyProcess): Promise<Status['counters']> {
  return (await statusOf(proxy)).counters;
}

/** What each node has itself: of each key its value, if that is a string, and its version with what goes with that. */
export function copiesOf(servers: readonly RedisServer[], keys: readonly string[]): Promise<string[][]> {
  return Promise.all(
    servers.map(async ({ port }) => {
      const client = await RespClient.connect(port);
      try {
        const found = (await client.command('MGET', ...keys, ...keys.map((key) => `~rl:m:${key}`))) as (
          | string
          | null
        )[];
        return keys.map((_, place) => `${found[place]} ${`${found[keys.length + place]}`.slice(40)}`);
      } finally {
        client.close();
      }
    }),
  );
}

export async function awaitEqual(servers: readonly RedisServer[], keys: readonly string[]): Promise<void> {
  await waitFor(
    'all copies to be equal',
    async () => new Set((await copiesOf(servers, keys)).map((own) => own.join('\n'))).size === 1,
    PATIENT_MS,
  );
}

async function statusOf({ adminUrl }: ProxyProcess): Promise<Status> {
  return (await (await fetch(`${adminUrl}/status`)).json()) as Status;
}
