/** The coordination store on real Redis servers, for tests: a pool of them, who cares for it, and clients. */
import { type Logger, pino } from 'pino';
import { DEFAULT_NODE_LIMITS } from '../../src/base/limits.js';
import { BulkPool } from '../../src/control/bulk-pool.js';
import { Caretaker } from '../../src/control/caretaker.js';
import { Hints } from '../../src/control/hints.js';
import { NameLookup } from '../../src/control/name-lookup.js';
import { PoolRegisters } from '../../src/control/pool-registers.js';
import { poolNodes, type ReplicatedPool, replicatedPools } from '../../src/control/replicated-pools.js';
import { RedisDriver } from '../../src/coord/redis-driver.js';
import type { TopologyPool } from '../../src/routing/topology.js';
import { configurationOf } from '../coord/candidate.js';
import type { Servers } from '../coord/case.js';
import { type RedisServer, startRedisServers } from './redis-server.js';
import type { LoggedEvent } from './replicated-pool.js';
import { waitFor } from './wait-for.js';

/** What a restart keeps. */
export const DURABLE_ARGS = ['--appendonly', 'yes', '--appendfsync', 'always'];

export class RedisStore implements Servers {
  readonly servers: RedisServer[];
  readonly pool: TopologyPool;
  readonly replicated: ReplicatedPool;
  readonly events: LoggedEvent[] = [];
  private readonly keepsData: boolean;
  private readonly log: Logger;
  private readonly caretaker: Caretaker;
  private readonly hints: Hints;

  private constructor(servers: RedisServer[], keepsData: boolean) {
    this.servers = servers;
    this.keepsData = keepsData;
    this.pool = poolOf(servers);
    this.replicated = replicatedPools({ version: 1, nodes: [], services: [] }, this.pool)[0] as ReplicatedPool;
    this.log = pino({ level: 'debug' }, { write: (line: string) => void this.events.push(JSON.parse(line)) });
    const hints = new Hints(null, this.log);
    this.hints = hints;
    this.caretaker = new Caretaker(
      this.replicated,
      { duty: 'all', keepsData, wasBegun: false, compared: null, isLeader: () => true, bulk: new BulkPool(), hints },
      new NameLookup(),
      this.log,
    );
  }

  /** Resolves when all servers are members. */
  static async start(count = 3, keepsData = true): Promise<RedisStore> {
    const servers = await startRedisServers(count, { args: DURABLE_ARGS });
    const store = new RedisStore(servers, keepsData);
    store.caretaker.start();
    await store.settled();
    return store;
  }

  get size(): number {
    return this.servers.length;
  }

  /** One client, of that fleet, as a configuration with that pool would have it. */
  connect(cluster: string, pool: TopologyPool = this.pool, entriesMax?: number): RedisDriver {
    return new RedisDriver(this.registers(cluster, pool), entriesMax);
  }

  registers(cluster: string, pool: TopologyPool = this.pool): PoolRegisters {
    return new PoolRegisters({ nodes: poolNodes(pool), cluster, names: new NameLookup(), log: this.log });
  }

  /** That of a process whose fleet of that name meets here. */
  configuration(cluster: string): string {
    const nodes = this.servers.map(({ port }, index) => ({ name: `n${index}`, url: `redis://127.0.0.1:${port}` }));
    return configurationOf({ store: 'redis', pool: 'main', cluster }, { main: { nodes } });
  }

  server(index: number): RedisServer {
    return this.servers[index] as RedisServer;
  }

  kill(index: number): Promise<void> {
    return this.server(index).kill9();
  }

  /** One that may have lost something counts as gone until it is repaired: resolves then. */
  async restart(index: number): Promise<void> {
    await this.server(index).restart();
    if (!this.keepsData) await this.isMember(index);
  }

  pause(index: number): void {
    this.server(index).pause();
  }

  resume(index: number): void {
    this.server(index).resume();
  }

  /** None leads: any may stand for it. */
  async leader(): Promise<number> {
    return 0;
  }

  async settled(): Promise<void> {
    for (let index = 0; index < this.size; index++) await this.isMember(index);
  }

  async stop(): Promise<void> {
    await this.caretaker.stop();
    await this.hints.close();
    await Promise.all(this.servers.map((server) => server.stop()));
  }

  private async isMember(index: number): Promise<void> {
    const { caretaker } = this;
    await waitFor(`n${index} is a member`, () => caretaker.care().nodes[index]?.standing === 'member', 30_000);
  }
}

/** These servers, as a configuration has them: n0, n1 … */
export function poolOf(servers: readonly RedisServer[]): TopologyPool {
  return {
    name: 'main',
    nodes: servers.map(({ port }, index) => ({
      name: `n${index}`,
      weight: 1,
      address: { kind: 'tcp', host: '127.0.0.1', port } as const,
      username: null,
      password: null,
    })),
    limits: { ...DEFAULT_NODE_LIMITS, reconnectMaxMs: 200 },
  };
}
