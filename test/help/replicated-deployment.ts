/**
 * A pool of replicated keys behind two proxies, for one test, and one plain Redis server beside it: all of it is stopped when the
 * test ends.
 *
 *   proxies[0], two workers on epoll   ──┬── three servers: every key, replicated
 *   proxies[1], one worker on node:net ──┴── plain: keys `plain:…`, sharded; and whatever a test compares with
 */
import type { Test } from 'tap';
import { ProxyProcess } from './proxy.js';
import { type RedisServer, startRedisServers } from './redis-server.js';
import { connect, RespClient, say } from './resp-client.js';
import { waitFor } from './wait-for.js';

/** Clients that are asked for whether a proxy with two workers serves. */
const ASKED = 24;

export interface ReplicatedOptions {
  limits?: Readonly<Record<string, string | number>>;
  /** What is promised of the keys; strong unless given. */
  keyspace?: Readonly<Record<string, string | number>>;
  /** More of the command lines of the servers. */
  args?: readonly string[];
}

export interface ReplicatedDeployment {
  /** Three: each has a copy of every key. */
  readonly servers: readonly RedisServer[];
  readonly plain: RedisServer;
  readonly proxies: readonly [ProxyProcess, ProxyProcess];
}

/** Resolves when replicated keys are served by all workers. */
export async function deployReplicated(t: Test, options: ReplicatedOptions = {}): Promise<ReplicatedDeployment> {
  const { args = [], keyspace = { consistency: 'strong' }, ...rest } = options;
  const [plain, ...servers] = (await startRedisServers(4, { args })) as [RedisServer, ...RedisServer[]];
  t.teardown(() => Promise.all([plain, ...servers].map((server) => server.stop())));
  const start = async (workers: number, transport: 'auto' | 'node') => {
    const proxy = await ProxyProcess.start({
      ...rest,
      layout: {
        pools: {
          main: { nodes: servers.map(({ url }, index) => ({ name: 'abc'[index], url })) },
          plain: { nodes: [{ name: 'plain', url: plain.url }] },
        },
        keyspaces: [
          { prefix: '', pool: 'main', mode: 'replicated', copies: 3, ...keyspace },
          { prefix: 'plain:', pool: 'plain', mode: 'sharded' },
        ],
      },
      workers,
      transport,
    });
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  const proxies = [await start(2, 'auto'), await start(1, 'node')] as const;
  // With so many it is unlikely that a worker has none.
  const isWeak = keyspace['consistency'] === 'weak';
  for (const { port } of [...Array(ASKED).fill(proxies[0]), proxies[1]] as ProxyProcess[]) {
    await isServed(port);
    if (isWeak) await isWrittenToAll(port, servers);
  }
  return { servers, plain, proxies };
}

/** Resolves when the worker that takes a new client has agreed with the nodes. */
async function isServed(port: number): Promise<void> {
  const client = await RespClient.connect(port);
  try {
    await waitFor('replicated keys to be served', async () => (await client.command('DEL', 'no such key')) === 0);
  } finally {
    client.close();
  }
}

/** Resolves when the worker that takes a new client counts all nodes: before that another copy may be the home of a weak key. */
async function isWrittenToAll(port: number, servers: readonly RedisServer[]): Promise<void> {
  const client = await RespClient.connect(port);
  const nodes = await Promise.all(servers.map(({ port }) => RespClient.connect(port)));
  let asked = 0;
  const key = 'of the deployment';
  try {
    await waitFor('a write to be at all nodes', async () => {
      const value = `${port} ${++asked}`;
      if ((await say(client, 'SET', key, value)) !== '+OK\r\n') return false;
      const copies = await Promise.all(nodes.map((node) => say(node, 'GET', key)));
      return copies.every((copy) => copy.endsWith(`${value}\r\n`));
    });
    await client.command('DEL', key);
  } finally {
    for (const one of [client, ...nodes]) one.close();
  }
}

/** Clients until the test ends: those of the first proxy are of both workers, most likely. */
export function connectAll(t: Test, { port }: ProxyProcess, count: number): Promise<RespClient[]> {
  return Promise.all(Array.from({ length: count }, () => connect(t, port)));
}

/** What the proxies have logged of workers that died. */
export function deathsOf({ proxies }: ReplicatedDeployment): string[] {
  const lines = proxies.flatMap((proxy) => proxy.logLines);
  return lines.filter(({ msg }) => msg === 'worker-died').map((line) => JSON.stringify(line));
}
