/**
 * Several Redis servers and several proxies, with a relay between each two of them, so that any proxy can be parted from any
 * node while others see both. For tests of what survives that.
 *
 *   clients -> proxy 0 -> relay 0.a, 0.b, 0.c -> a, b, c
 *           -> proxy 1 -> relay 1.a, 1.b, 1.c -> a, b, c
 */
import type { Test } from 'tap';
import type { TransportKind } from '../../src/messages.js';
import { parseNodeRecord } from '../../src/replica/node-record.js';
import { freePort } from './free-port.js';
import { ProxyProcess } from './proxy.js';
import { RedisServer } from './redis-server.js';
import { Relay } from './relay.js';
import { RespClient } from './resp-client.js';
import { skewedClock } from './skewed-clock.js';
import { waitFor } from './wait-for.js';

export interface ClusterOptions {
  nodes: number;
  proxies: number;
  /** The only keyspace, but its pool and its prefix, which is empty. */
  keyspace:
    | { mode: 'sharded' }
    | {
        mode: 'replicated';
        copies: 3 | 5;
        consistency: 'strong' | 'quorum' | 'eventual' | 'weak';
        readQuorum?: number;
        writeQuorum?: number;
      }
    | { mode: 'lock'; ttlMaxMs: number };
  /** Of a pool with replicated keys, or locks. */
  restart?: 'keeps-data' | 'loses-data';
  /** By how many milliseconds the clocks of nodes and of proxies are ahead, each in turn; not at all where it is left out. */
  skewsMs?: { nodes: readonly number[]; proxies: readonly number[] };
  transport?: 'auto' | TransportKind;
}

/** All that was acknowledged is on the disk: a node that is killed comes back with it. */
const DURABLE = ['--appendonly', 'yes', '--appendfsync', 'always', '--no-appendfsync-on-rewrite', 'no'];
/** Clients that ask whether a proxy with two workers serves: with so many it is unlikely that a worker has none. */
const ASKED = 24;

/** Short, so that a test meets them; the order between them is that of the defaults. */
const LIMITS = {
  connectTimeoutMs: 500,
  queueTimeoutMs: 1_000,
  requestTimeoutMs: 1_000,
  stallTimeoutMs: 2_000,
  idlePingMs: 1_000,
  reconnectMaxMs: 300,
  compareIntervalMs: 2_000,
};
const WHOLE_MS_MAX = 60_000;

export class Cluster {
  readonly servers: RedisServer[];
  /** By proxy, then by node. */
  readonly relays: readonly (readonly Relay[])[];
  readonly options: ClusterOptions;
  private readonly proxies: ({ process: ProxyProcess; port: number } | null)[];

  private constructor(options: ClusterOptions, servers: RedisServer[], relays: Relay[][]) {
    this.options = options;
    this.servers = servers;
    this.relays = relays;
    this.proxies = relays.map(() => null);
  }

  /** Resolves when all nodes are there and all proxies listen. All of it is stopped when the test ends. */
  static async start(t: Test, options: ClusterOptions): Promise<Cluster> {
    const servers = await Promise.all(Array.from({ length: options.nodes }, (_, node) => startNode(options, node)));
    t.teardown(() => Promise.all(cluster.servers.map((server) => server.stop())));
    const relays: Relay[][] = [];
    for (let proxy = 0; proxy < options.proxies; proxy++) {
      relays.push(await Promise.all(servers.map(() => Relay.start())));
    }
    t.teardown(() => Promise.all(relays.flat().map((relay) => relay.stop())));
    const cluster = new Cluster(options, servers, relays);
    t.teardown(() => Promise.all(cluster.proxies.map((proxy) => proxy?.process.kill9())));
    await Promise.all(relays.map((_, index) => cluster.startProxy(index)));
    await cluster.isWhole();
    await cluster.isServed();
    return cluster;
  }

  /** Where the proxies listen that run. */
  ports(): number[] {
    return this.proxies.flatMap((proxy) => (proxy === null ? [] : [proxy.port]));
  }

  /** Throws if it does not run. */
  proxy(index: number): ProxyProcess {
    const proxy = this.proxies[index] ?? null;
    if (proxy === null) throw new Error(`proxy ${index} does not run`);
    return proxy.process;
  }

  /** The last lines that each proxy that runs has logged. */
  lastLines(count: number): string[] {
    return this.proxies.flatMap((proxy, index) => {
      const lines = proxy?.process.logLines.slice(-count) ?? [];
      return lines.map((line) => `proxy ${index}: ${JSON.stringify(line)}`);
    });
  }

  /** What the proxies that run have logged of workers that died. */
  deaths(): string[] {
    const lines = this.proxies.flatMap((proxy) => proxy?.process.logLines ?? []);
    return lines.filter(({ msg }) => msg === 'worker-died').map((line) => JSON.stringify(line));
  }

  /** Of the proxies that run, together: what INFO says of `count`, which begins at 0 with each of them. */
  async count(count: string): Promise<number> {
    let sum = 0;
    for (const port of this.ports()) {
      const client = await RespClient.connect(port);
      try {
        const found = new RegExp(`^ringleader_${count}:(\\d+)\r$`, 'm').exec(
          `${await client.command('INFO', 'ringleader')}`,
        );
        if (found === null) throw new Error(`INFO has no ringleader_${count}`);
        sum += Number(found[1]);
      } finally {
        client.close();
      }
    }
    return sum;
  }

  async startProxy(index: number): Promise<void> {
    const { keyspace, restart, transport = 'auto' } = this.options;
    const port = await freePort();
    const nodes = this.servers.map((server, node) => {
      return { name: nodeName(node), url: this.relay(index, node).to(server.port) };
    });
    const process = await ProxyProcess.start({
      layout: {
        listen: [`127.0.0.1:${port}`],
        pools: { main: restart === undefined ? { nodes } : { nodes, restart } },
        keyspaces: [{ prefix: '', pool: 'main', ...keyspace }],
      },
      limits: LIMITS,
      log: { level: 'info', format: 'json' },
      transport,
      workers: 2,
      env: await skewedClock(inTurn(this.options.skewsMs?.proxies, index)),
    });
    this.proxies[index] = { process, port };
  }

  async killProxy(index: number): Promise<void> {
    const proxy = this.proxy(index);
    this.proxies[index] = null;
    await proxy.kill9();
  }

  relay(proxy: number, node: number): Relay {
    return this.relays[proxy]?.[node] as Relay;
  }

  server(node: number): RedisServer {
    return this.servers[node] as RedisServer;
  }

  /** Another machine takes the node's place: an empty server on a port of its own. */
  async replaceServer(node: number): Promise<void> {
    const old = this.server(node);
    const server = await startNode(this.options, node);
    this.servers[node] = server;
    for (const relays of this.relays) relays[node]?.to(server.port);
    await old.stop();
  }

  /** FLUSHALL on the node itself, past all proxies. */
  async flush(node: number): Promise<void> {
    const client = await RespClient.connect(this.server(node).port);
    await client.command('FLUSHALL');
    client.close();
  }

  /** Resolves when every worker has heard of the members: before, it knows too few of them to serve keys. */
  private async isServed(): Promise<void> {
    for (const port of this.ports()) {
      for (let asked = 0; asked < ASKED; asked++) {
        const client = await RespClient.connect(port);
        const isServed = async () => (await client.command('EXISTS', 'nothing')) === 0;
        await waitFor('keys to be served', isServed, WHOLE_MS_MAX).finally(() => client.close());
      }
    }
  }

  /** Resolves when every node is a member: admitted, or repaired. With sharded keys each is from the start. */
  async isWhole(): Promise<void> {
    if (this.options.keyspace.mode === 'sharded') return;
    for (const [node, server] of this.servers.entries()) {
      await waitFor(`node ${nodeName(node)} to be a member`, () => isMember(server.port), WHOLE_MS_MAX);
    }
  }
}

async function startNode({ skewsMs }: ClusterOptions, node: number): Promise<RedisServer> {
  return RedisServer.start({ args: DURABLE, env: await skewedClock(inTurn(skewsMs?.nodes, node)) });
}

function inTurn(values: readonly number[] | undefined, index: number): number {
  return values?.[index % values.length] ?? 0;
}

async function isMember(port: number): Promise<boolean> {
  const client = await RespClient.connect(port);
  try {
    const text = await client.command('GET', '~rl:node');
    const info = `${await client.command('INFO', 'server')}`;
    const record = parseNodeRecord(`${text ?? ''}`);
    return record?.status.kind === 'member' && info.includes(`run_id:${record.process.runId}`);
  } finally {
    client.close();
  }
}

export function nodeName(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index);
}
