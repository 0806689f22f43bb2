/** Redis servers and one proxy before them, for the length of one measurement. */
import { ProxyProcess } from '../../test/help/proxy.js';
import { RedisServer } from '../../test/help/redis-server.js';

export interface Deployed {
  readonly port: number;
  readonly pid: number;
  readonly servers: readonly RedisServer[];
  readonly proxy: ProxyProcess;
}

export interface DeployedOptions {
  readonly nodes: number;
  readonly workers: number;
  readonly limits?: Readonly<Record<string, string | number>>;
}

/** What `measure` returns of them; all of it is stopped, however it ends. */
export async function deployment<T>(options: DeployedOptions, measure: (deployed: Deployed) => Promise<T>): Promise<T> {
  const servers = await Promise.all(Array.from({ length: options.nodes }, () => RedisServer.start()));
  try {
    const nodes = servers.map(({ url }, index) => ({ name: 'abcdefgh'[index] as string, url }));
    const { workers, limits = {} } = options;
    const proxy = await ProxyProcess.start({ nodes, workers, limits, log: { level: 'info', format: 'json' } });
    try {
      return await measure({ port: proxy.port, pid: proxy.pid, servers, proxy });
    } finally {
      await proxy.kill9();
    }
  } finally {
    await Promise.all(servers.map((server) => server.stop()));
  }
}
