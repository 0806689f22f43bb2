/** Redis servers that are one pool of replicated keys, without a proxy: for tests of who cares for them. */

import { setTimeout as sleep } from 'node:timers/promises';
import { type Logger, pino } from 'pino';
import type { Test } from 'tap';
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../../src/base/limits.js';
import { BulkPool } from '../../src/control/bulk-pool.js';
import { Caretaker, type NodeCare, type PoolCare } from '../../src/control/caretaker.js';
import { Hints } from '../../src/control/hints.js';
import { NameLookup } from '../../src/control/name-lookup.js';
import { type ReplicatedPool, replicatedPools } from '../../src/control/replicated-pools.js';
import type { LevelSnapshot } from '../../src/messages.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { strongLevel } from '../../src/routing/levels.js';
import { planTopology } from '../../src/routing/topology.js';
import { type RedisServer, type RedisServerOptions, startRedisServers } from './redis-server.js';
import { RespClient } from './resp-client.js';
import { PLACER } from './topology.js';

export interface PoolOptions {
  nodes?: number;
  copies?: 3 | 5;
  tombstoneTtlMs?: number;
  /** Strong unless given. */
  level?: LevelSnapshot;
  /** Besides the replicated keys: keys that begin so are locks, on three nodes. */
  locks?: string;
  /** Of these. */
  fenceTtlMs?: number;
  limits?: Partial<NodeLimits>;
  server?: RedisServerOptions;
}

export interface LoggedEvent {
  msg: string;
  level: number;
  [field: string]: unknown;
}

/** Who cares for the pool, as one proxy does, and what it has logged. */
export interface CareProcess {
  readonly caretaker: Caretaker;
  readonly events: readonly LoggedEvent[];
  /** What it keeps for nodes. */
  readonly hints: Hints;
  stop(): Promise<void>;
}

export class TestPool {
  readonly servers: RedisServer[];
  readonly pool: ReplicatedPool;
  private readonly t: Test;

  private constructor(t: Test, servers: RedisServer[], pool: ReplicatedPool) {
    this.t = t;
    this.servers = servers;
    this.pool = pool;
  }

  /** Empty servers, named n0, n1 …, which are stopped with the test. */
  static async start(t: Test, options: PoolOptions = {}): Promise<TestPool> {
    const servers = await startRedisServers(options.nodes ?? 3, options.server);
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    return new TestPool(t, servers, await planOf(servers, options));
  }

  /** The pool as another configuration has it: these servers. */
  static async of(t: Test, servers: RedisServer[], options: PoolOptions = {}): Promise<TestPool> {
    return new TestPool(t, servers, await planOf(servers, options));
  }

  server(node: number): RedisServer {
    return this.servers[node] as RedisServer;
  }

  /** Somebody cares for it from now on, until the end of the test at the latest. */
  care(options: { keepsData?: boolean; isLeader?: boolean; dataDir?: string } = {}): CareProcess {
    const events: LoggedEvent[] = [];
    const log: Logger = pino({ level: 'debug' }, { write: (line: string) => void events.push(JSON.parse(line)) });
    const bulk = new BulkPool();
    const hints = new Hints(options.dataDir ?? null, log);
    const caretaker = new Caretaker(
      this.pool,
      {
        duty: 'all',
        keepsData: options.keepsData ?? false,
        wasBegun: false,
        isLeader: () => options.isLeader ?? true,
        bulk,
        hints,
        compared: null,
      },
      new NameLookup(),
      log,
    );
    caretaker.start();
    let stopped: Promise<void> | null = null;
    const stop = () => {
      stopped ??= caretaker.stop().then(async () => {
        await Promise.all([bulk.destroy(), hints.close()]);
      });
      return stopped;
    };
    this.t.teardown(stop);
    return { caretaker, events, hints, stop };
  }

  /** What a command is answered by that node, as text. */
  async ask(node: number, ...words: string[]): Promise<string> {
    const client = await RespClient.connect(this.server(node).port);
    try {
      return (await client.raw(...words)).toString('latin1');
    } finally {
      client.close();
    }
  }

  /** The bulk string that a command is answered; null for none. */
  async text(node: number, ...words: string[]): Promise<string | null> {
    const reply = await this.ask(node, ...words);
    if (reply.startsWith('$-1')) return null;
    return reply.slice(reply.indexOf('\n') + 1, -2);
  }

  /** These nodes hold that state of a key, as if a proposer had made it: of epoch 0, by that counter. */
  async put(nodes: readonly number[], key: string, counter: number, value: string | null): Promise<void> {
    for (const node of nodes) {
      const accepted = `${'0'.repeat(8)}${String(counter).padStart(12, '0')}${'7'.repeat(20)}`;
      await this.ask(node, 'SET', `~rl:m:${key}`, `${accepted}${accepted}${NO_LINEAGE}${value === null ? '00' : '10'}`);
      if (value === null) await this.ask(node, 'DEL', key);
      else await this.ask(node, 'SET', key, value);
    }
  }

  /** So many keys, `key:0` …, on these nodes. */
  async fill(nodes: readonly number[], count: number): Promise<void> {
    const script = `
      local accepted = string.rep('0', 19) .. '1' .. string.rep('7', 20)
      for i = ARGV[1], ARGV[2] do
        redis.call('SET', 'key:' .. string.format('%.0f', i), 'value ' .. string.format('%.0f', i))
        redis.call('SET', '~rl:m:key:' .. string.format('%.0f', i), accepted .. accepted .. '${NO_LINEAGE}10')
      end`;
    for (let from = 0; from < count; from += 20_000) {
      const to = Math.min(count, from + 20_000) - 1;
      await Promise.all(nodes.map((node) => this.ask(node, 'EVAL', script, '0', `${from}`, `${to}`)));
    }
  }
}

/** Resolves with what holds when `matches` does. */
export async function untilCare(
  { caretaker, events }: CareProcess,
  what: string,
  matches: (care: PoolCare) => boolean,
  timeoutMs = 30_000,
): Promise<PoolCare> {
  const deadlineMs = performance.now() + timeoutMs;
  for (;;) {
    const care = caretaker.care();
    if (matches(care)) return care;
    if (performance.now() > deadlineMs) {
      throw new Error(`${what}: has not come; ${JSON.stringify(care)}\n${JSON.stringify(events.slice(-20), null, 1)}`);
    }
    await sleep(10);
  }
}

/** Resolves when all nodes are members. */
export function untilMembers(care: CareProcess, timeoutMs?: number): Promise<PoolCare> {
  return untilCare(care, 'all are members', ({ nodes }) => nodes.every(isMember), timeoutMs);
}

/** Resolves with the event, also if it has come before. */
export async function untilEvent(
  { events }: CareProcess,
  msg: string,
  matches: (event: LoggedEvent) => boolean = () => true,
): Promise<LoggedEvent> {
  const deadlineMs = performance.now() + 30_000;
  for (;;) {
    const found = events.find((event) => event.msg === msg && matches(event));
    if (found !== undefined) return found;
    if (performance.now() > deadlineMs) throw new Error(`${msg} was not logged:\n${JSON.stringify(events, null, 1)}`);
    await sleep(10);
  }
}

/** Whether its votes count. */
export function isMember({ standing }: NodeCare): boolean {
  return standing === 'member';
}

async function planOf(servers: readonly RedisServer[], options: PoolOptions): Promise<ReplicatedPool> {
  const limits = { ...DEFAULT_NODE_LIMITS, reconnectMaxMs: 200, ...options.limits };
  const nodes = servers.map(({ port }, index) => ({
    name: `n${index}`,
    weight: 1,
    address: { kind: 'tcp', host: '127.0.0.1', port } as const,
    username: null,
    password: null,
  }));
  const keyspace = {
    prefix: '',
    pool: 'main',
    mode: 'replicated',
    placement: { kind: 'slots', colocate: [] },
    multiKeyWrites: 'split',
    copies: options.copies ?? 3,
    level: options.level ?? strongLevel(options.copies ?? 3),
    tombstoneTtlMs: options.tombstoneTtlMs ?? 600_000,
  } as const;
  const pools = [{ name: 'main', nodes, limits, restart: 'loses-data' as const }];
  const { prefix, pool, placement, multiKeyWrites } = keyspace;
  const basics = { prefix: options.locks ?? prefix, pool, placement, multiKeyWrites };
  const fenceTtlMs = options.fenceTtlMs ?? 600_000;
  const locks = { ...basics, mode: 'lock', provider: 'redlock', copies: 3, ttlMaxMs: 1_000, fenceTtlMs } as const;
  const keyspaces = options.locks === undefined ? [keyspace] : [keyspace, locks];
  const services = [{ name: 'main', port: 1, announced: [], keyspaces }];
  const topology = await planTopology(null, pools, services, PLACER);
  return replicatedPools(topology, null)[0] as ReplicatedPool;
}
