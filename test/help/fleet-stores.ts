/** The stores that proxies of one fleet may have, on real servers; null with a word in the test where the machine has none. */
import { pino } from 'pino';
import { parseConfig } from '../../src/config.js';
import { openCoordination } from '../../src/control/coordination.js';
import type { Store } from '../../src/coord/store.js';
import type { Servers } from '../coord/case.js';
import { EtcdCluster, findEtcd } from './etcd.js';
import { startRedisServers } from './redis-server.js';
import { DURABLE_ARGS } from './redis-store.js';
import { findZooKeeper, ZooKeeperEnsemble } from './zookeeper.js';

/** Who stops it when it is not needed any more: a test. */
export interface StoreOwner {
  teardown(stop: () => unknown): void;
  pass(message: string, extra: { skip: string }): unknown;
}

/** A store that runs, and how members reach it. */
export interface FleetStore {
  /** The section, but for `cluster`, `member` and `lease`. */
  readonly section: Readonly<Record<string, unknown>>;
  /** Pools besides those that have keys. */
  readonly pools?: Readonly<Record<string, unknown>>;
  readonly servers: Pick<Servers, 'size' | 'kill' | 'restart' | 'pause' | 'resume'>;
  /** Of the servers that run. */
  pids(): number[];
}

/** A client of the store, which sees what the fleet of that name has there. */
export function connectTo({ section, pools }: FleetStore, cluster: string): Store {
  const config = {
    pools: { main: { nodes: ['redis://127.0.0.1:1'] }, ...pools },
    keyspaces: [{ prefix: '', pool: 'main' }],
    coordination: { ...section, cluster },
  };
  const parsed = parseConfig(JSON.stringify(config), { workers: 1, environment: {} });
  if ('problems' in parsed) throw new Error(JSON.stringify(parsed.problems));
  return openCoordination(parsed.config, { dataDir: null, log: pino({ level: 'silent' }) }).store;
}

/** Three plain servers, which the members of the fleet admit and care for themselves. */
export async function startRedisStore(t: StoreOwner): Promise<FleetStore> {
  const nodes = await startRedisServers(3, { args: DURABLE_ARGS });
  t.teardown(() => Promise.all(nodes.map((node) => node.stop())));
  const servers = {
    size: nodes.length,
    kill: async (index: number) => nodes[index]?.kill9(),
    restart: async (index: number) => nodes[index]?.restart(),
    pause: (index: number) => nodes[index]?.pause(),
    resume: (index: number) => nodes[index]?.resume(),
  };
  const agreement = { nodes: nodes.map(({ url }, index) => ({ name: `n${index}`, url })), restart: 'keeps-data' };
  return {
    section: { store: 'redis', pool: 'agreement' },
    pools: { agreement },
    servers,
    pids: () => nodes.map(({ pid }) => pid),
  };
}

export async function startEtcdStore(t: StoreOwner): Promise<FleetStore | null> {
  const program = await findEtcd();
  if ('reason' in program) return notTried(t, program.reason);
  const servers = await EtcdCluster.start(program);
  t.teardown(() => servers.stop());
  return { section: { store: 'etcd', endpoints: servers.endpoints }, servers, pids: () => servers.pids };
}

export async function startZooKeeperStore(t: StoreOwner): Promise<FleetStore | null> {
  const program = await findZooKeeper();
  if ('reason' in program) return notTried(t, program.reason);
  const servers = await ZooKeeperEnsemble.start(program);
  t.teardown(() => servers.stop());
  const endpoints = servers.endpoints.map(({ host, port }) => `${host}:${port}`);
  return { section: { store: 'zookeeper', endpoints }, servers, pids: () => servers.pids };
}

function notTried(t: StoreOwner, reason: string): null {
  t.pass(`not tried: ${reason}`, { skip: reason });
  return null;
}
