/** Several Redis servers with the proxy in front, for one test: all of it is stopped when the test ends. */
import type { Test } from 'tap';
import { planRing } from '../../src/routing/ring.js';
import { slotOf } from '../../src/routing/slot.js';
import { type ProxyOptions, ProxyProcess } from './proxy.js';
import { type RedisServer, type RedisServerOptions, startRedisServers } from './redis-server.js';

export interface DeploymentOptions extends Omit<ProxyOptions, 'nodes'> {
  nodes?: number;
  redis?: RedisServerOptions;
  /** By node: another address than its server's, in the configuration. */
  url?: (server: RedisServer, index: number) => string;
}

/** Nodes are named a, b, c …, so that keys lie on the same node in every run, whatever the ports. */
export class Deployment {
  readonly servers: readonly RedisServer[];
  readonly proxy: ProxyProcess;
  readonly names: readonly string[];
  private readonly placement: Placement;

  constructor(servers: readonly RedisServer[], proxy: ProxyProcess) {
    this.servers = servers;
    this.proxy = proxy;
    this.names = servers.map((_, index) => nodeName(index));
    this.placement = new Placement(this.names);
  }

  /** The index of the node that `key` lies on. */
  nodeOf(key: string): number {
    return this.placement.nodeOf(key);
  }

  /** A key that lies on that node; another for each `label`. */
  key(node: number, label = 'key'): string {
    return this.placement.key(node, label);
  }

  get port(): number {
    return this.proxy.port;
  }
}

/** Starts Redis servers (three unless said otherwise) and the proxy, with two workers on what users get (`auto`) unless said otherwise. */
export async function deploy(t: Test, options: DeploymentOptions = {}): Promise<Deployment> {
  const { nodes: count = 3, redis = {}, url = (server) => server.url, ...proxyOptions } = options;
  const servers = await startRedisServers(count, redis);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const nodes = servers.map((server, index) => ({ name: nodeName(index), url: url(server, index) }));
  const proxy = await ProxyProcess.start({ workers: 2, transport: 'auto', ...proxyOptions, nodes });
  t.teardown(() => proxy.kill9());
  return new Deployment(servers, proxy);
}

/** Where the proxy puts keys, by the same ring. */
export class Placement {
  private readonly slotOwners: Uint16Array;

  /** All nodes weigh 1. */
  constructor(names: readonly string[]) {
    this.slotOwners = planRing(names.map((name) => ({ name, weight: 1 })));
  }

  nodeOf(key: string): number {
    const bytes = Buffer.from(key, 'latin1');
    return this.slotOwners[slotOf(bytes, 0, bytes.length)] as number;
  }

  key(node: number, label: string): string {
    for (let number = 0; ; number++) {
      const key = `${label}:${number}`;
      if (this.nodeOf(key) === node) return key;
    }
  }
}

function nodeName(index: number): string {
  return String.fromCharCode('a'.charCodeAt(0) + index);
}
