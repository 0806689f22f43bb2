/** The coordination store that a configuration names, opened: who is given it knows nothing of which one it is. */
import { join } from 'node:path';
import type { Logger } from 'pino';
import type { StoreConfig } from '../base/coordination-section.js';
import { formatEndpoint } from '../base/endpoint.js';
import type { Config } from '../config.js';
import type { Driver } from '../coord/driver.js';
import { EtcdDriver } from '../coord/etcd-driver.js';
import { FileDriver } from '../coord/file-driver.js';
import { RedisDriver } from '../coord/redis-driver.js';
import { Store } from '../coord/store.js';
import { ZooKeeperDriver } from '../coord/zookeeper-driver.js';
import { NameLookup } from './name-lookup.js';
import { PoolRegisters } from './pool-registers.js';
import { poolNodes, storePool } from './replicated-pools.js';

/** What it stands on besides the section. */
export interface CoordinationMeans {
  /** The folder that this process alone has, made already; null: none outlives it. */
  dataDir: string | null;
  log: Logger;
}

export interface Coordination {
  readonly store: Store;
  /** Where it is, in words for the log: no password is in them. */
  readonly place: string;
  /** What of it is not as it has to be, each in a sentence. Rejects with a StoreError while it cannot be asked. */
  doubts(): Promise<string[]>;
}

/** Of asking for doubts. */
const DOUBTS_MS = 5_000;
/** In a store, and in the folder of one process. */
const FOLDER = 'coordination';
/** Before the names of fleets. */
const PREFIX = 'ringleader';

/**
 * Asks nothing yet. Who is given the store closes it. Throws the system's error where the folder cannot be made. A store on Redis is there when
 * somebody cares for its pool (Caretakers).
 */
export function openCoordination(config: Config, means: CoordinationMeans): Coordination {
  const { driver, place, doubts } = openDriver(config, means);
  return { store: new Store(driver), place, doubts: async () => doubts?.(DOUBTS_MS) ?? [] };
}

interface Opened {
  driver: Driver;
  place: string;
  doubts?: (timeoutMs: number) => Promise<string[]>;
}

function openDriver(config: Config, { dataDir, log }: CoordinationMeans): Opened {
  const store: StoreConfig = config.coordination;
  const { cluster } = config.coordination;
  const prefix = `${PREFIX}/${cluster}`;
  switch (store.store) {
    case 'file': {
      const path = dataDir === null ? null : join(dataDir, FOLDER);
      return { driver: new FileDriver(path), place: path ?? 'memory' };
    }
    case 'etcd': {
      const { endpoints, login, tls } = store;
      const scheme = tls === null ? 'http' : 'https';
      const urls = endpoints.map((endpoint) => `${scheme}://${formatEndpoint(endpoint)}`);
      const driver = new EtcdDriver({ endpoints: urls, login, tls }, prefix);
      return { driver, place: `etcd at ${urls.join(', ')}`, doubts: (timeoutMs) => driver.doubts(timeoutMs) };
    }
    case 'zookeeper': {
      const { endpoints, login, tls } = store;
      const place = `zookeeper at ${endpoints.map(formatEndpoint).join(', ')}${tls === null ? '' : ' (TLS)'}`;
      const driver = new ZooKeeperDriver({ endpoints, login, tls }, prefix);
      return { driver, place, doubts: (timeoutMs) => driver.doubts(timeoutMs) };
    }
    case 'redis': {
      const pool = storePool(config);
      if (pool === null) throw new Error(`the configuration has no pool ${store.pool}`);
      const registers = new PoolRegisters({ nodes: poolNodes(pool), cluster, names: new NameLookup(), log });
      const addresses = pool.nodes.map(({ address }) => formatEndpoint(address));
      return { driver: new RedisDriver(registers), place: `redis, pool ${pool.name} at ${addresses.join(', ')}` };
    }
  }
}
