/** `redlock` of npm, which asks the three servers itself; its clients share an ioredis connection to each, as in one process. */
import { Redis } from 'ioredis';
import { testClient } from '../../test/help/test-clients.js';
import type { RingleaderTarget } from '../replicated/ringleader.js';
import type { LockClients, LockTarget } from './lock-client.js';

interface Redlock {
  acquire(names: readonly string[], ttlMs: number): Promise<{ release(): Promise<unknown> }>;
}
type RedlockClass = new (clients: readonly Redis[], options: object) => Redlock;

const TTL_MS = 10_000;
/** Its default for what it waits between two attempts, 200 ms and up to 100 more; as many attempts as it takes. */
const OPTIONS = { retryCount: -1 };

export async function redlockLocks({ nodePorts, serverPids }: RingleaderTarget): Promise<LockTarget> {
  const { load, version } = await testClient('redlock-5');
  const { default: Redlock } = load() as { default: RedlockClass };
  return {
    label: `redlock ${version}`,
    proxyPid: null,
    serverPids,
    connect: async (): Promise<LockClients> => {
      const servers = nodePorts.map((port) => new Redis({ host: '127.0.0.1', port, protocol: 2 }));
      const redlock = new Redlock(servers, OPTIONS);
      return {
        acquire: async (_client, name) => {
          const lock = await redlock.acquire([`redlock:${name}`], TTL_MS);
          return async () => {
            await lock.release();
          };
        },
        close: () => {
          for (const server of servers) server.disconnect();
        },
      };
    },
  };
}
