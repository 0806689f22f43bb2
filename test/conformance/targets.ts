/** What the suite is run against: one Redis, or the proxy in front of some, all of them fresh. */
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import type { Target } from './unit-run.js';

/** Starts one Redis (no shards), or so many with the proxy in front. */
export async function startTarget(shards: number): Promise<Target> {
  for (;;) {
    try {
      return await startOnFreePorts(shards);
    } catch (error) {
      // Another test may have taken the proxy's free port meanwhile: a whole run takes more ports than its process has.
      if (!(error instanceof Error && error.message.includes('another process listens there'))) throw error;
    }
  }
}

async function startOnFreePorts(shards: number): Promise<Target> {
  const servers = await startRedisServers(Math.max(shards, 1));
  const stopServers = () => Promise.all(servers.map((server) => server.stop()));
  try {
    if (shards === 0) {
      return {
        port: servers[0]?.port as number,
        hasDatabases: true,
        stop: async () => {
          await stopServers();
        },
      };
    }
    // By name and not by port, so that keys lie on the same shards in every run.
    const nodes = servers.map(({ url }, index) => ({ url, name: String.fromCharCode('a'.charCodeAt(0) + index) }));
    const proxy = await ProxyProcess.start({ workers: 2, log: { level: 'info', format: 'json' }, nodes });
    return {
      port: proxy.port,
      hasDatabases: await hasDatabases(proxy.port),
      stop: async () => {
        await proxy.kill9();
        await stopServers();
      },
    };
  } catch (error) {
    await stopServers();
    throw error;
  }
}

async function hasDatabases(port: number): Promise<boolean> {
  const client = await RespClient.connect(port);
  const reply = await client.raw('SELECT', '9');
  client.close();
  return reply.toString('latin1') === '+OK\r\n';
}
