/** Redis servers and one proxy or several before them, for the length of one measurement. */
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
  const { nodes, workers, limits = {} } = options;
  return fleet(nodes, [workers], limits, async (servers, [proxy]) => {
    const { port, pid } = proxy as ProxyProcess;
    return measure({ port, pid, servers, proxy: proxy as ProxyProcess });
  });
}

/** The same with several proxies before the same servers: one for each number of workers. */
export async function fleet<T>(
  nodes: number,
  workers: readonly number[],
  limits: Readonly<Record<string, string | number>>,
  measure: (servers: readonly RedisServer[], proxies: readonly ProxyProcess[]) => Promise<T>,
): Promise<T> {
  const servers: RedisServer[] = [];
  const proxies: ProxyProcess[] = [];
  try {
    for (let node = 0; node < nodes; node++) servers.push(await RedisServer.start());
    const named = servers.map(({ url }, index) => ({ name: 'abcdefgh'[index] as string, url }));
    const log = { level: 'info', format: 'json' } as const;
    for (const count of workers) proxies.push(await ProxyProcess.start({ nodes: named, workers: count, limits, log }));
    return await measure(servers, proxies);
  } finally {
    await Promise.all(proxies.map((proxy) => proxy.kill9()));
    await Promise.all(servers.map((server) => server.stop()));
  }
}
