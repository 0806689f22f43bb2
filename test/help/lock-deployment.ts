/**
 * A pool of locks behind two proxies, for one test, and one plain Redis server beside it: all of it is stopped when the test ends.
 *
 *   proxies[0], two workers on epoll   ──┬── servers: keys `lock:…`, each a lock on all of them, or on `copies`
 *   proxies[1], one worker on node:net ──┴── plain: all other keys; and what a test compares with
 */
import type { Test } from 'tap';
import { ProxyProcess } from './proxy.js';
import { type RedisServer, startRedisServers } from './redis-server.js';
import { RespClient } from './resp-client.js';
import { waitFor } from './wait-for.js';

export interface LockOptions {
  /** Nodes, all of which have every lock; or `copies` of them, which a reload may change. */
  nodes: 3 | 5;
  copies?: 3;
  restart?: 'keeps-data';
  ttlMaxMs: number;
  fenceTtl?: string;
  limits?: Readonly<Record<string, string | number>>;
}

export interface LockDeployment {
  readonly servers: readonly RedisServer[];
  readonly plain: RedisServer;
  readonly proxies: readonly [ProxyProcess, ProxyProcess];
}

/** Clients that are asked for whether a proxy with two workers serves: with so many it is unlikely that a worker has none. */
export const ASKED = 24;

/** Resolves when locks named `lock:…` are served by all workers. */
export async function deployLocks(
  t: Test,
  { nodes, copies, restart, ttlMaxMs, fenceTtl, limits = {} }: LockOptions,
): Promise<LockDeployment> {
  const args = restart === undefined ? [] : ['--appendonly', 'yes', '--appendfsync', 'always'];
  const [plain, ...servers] = (await startRedisServers(1 + nodes, { args })) as [RedisServer, ...RedisServer[]];
  t.teardown(() => Promise.all([plain, ...servers].map((server) => server.stop())));
  const start = async (workers: number, transport: 'auto' | 'node') => {
    const proxy = await ProxyProcess.start({
      limits,
      acceptRemap: copies !== undefined,
      layout: {
        pools: {
          main: {
            nodes: servers.map(({ url }, index) => ({ name: 'abcde'[index], url })),
            ...(restart === undefined ? {} : { restart }),
          },
          plain: { nodes: [{ name: 'plain', url: plain.url }] },
        },
        keyspaces: [
          {
            prefix: 'lock:',
            pool: 'main',
            mode: 'lock',
            ttlMaxMs,
            ...(copies === undefined ? {} : { copies }),
            ...(fenceTtl === undefined ? {} : { fenceTtl }),
          },
          { prefix: '', pool: 'plain' },
        ],
      },
      workers,
      transport,
    });
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  const proxies = [await start(2, 'auto'), await start(1, 'node')] as const;
  for (const proxy of [...Array<ProxyProcess>(ASKED).fill(proxies[0]), proxies[1]]) await isServed(proxy);
  return { servers, plain, proxies };
}

async function isServed({ port }: ProxyProcess): Promise<void> {
  const client = await RespClient.connect(port);
  try {
    await waitFor('locks to be served', async () => {
      return !(await client.raw('LOCK.INFO', 'lock:none')).toString().startsWith('-');
    });
  } finally {
    client.close();
  }
}
