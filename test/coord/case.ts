/** What a case of the contract has: clients of one fleet, each as a member would have it, and the servers of the store. */
import type { Driver } from '../../src/coord/driver.js';
import type { Key } from '../../src/coord/key.js';
import { Store, type StoreTimes, type Written } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import { within } from '../help/wait-for.js';
import { Candidate } from './candidate.js';
import { LEASE_KEY, SeenBy } from './seen-by.js';

/** The servers of a store, by their index. */
export interface Servers {
  readonly size: number;
  /** SIGKILL. */
  kill(index: number): Promise<void>;
  /** With what it had on its disk. */
  restart(index: number): Promise<void>;
  /** SIGSTOP. */
  pause(index: number): void;
  resume(index: number): void;
  /** -1: none. */
  leader(): Promise<number>;
  /** Resolves when it can be written to. */
  settled(): Promise<void>;
}

export interface Deployment {
  /** A client of the store, which asks that server first, and fills no folder beyond that. What one `cluster` has, others do not see. */
  connect(cluster: string, server?: number, entriesMax?: number): Driver;
  /** The same as the configuration of a process has it, in YAML; missing: no other process can reach it. */
  configuration?(cluster: string): string;
  /** Null: there are none that could fail. */
  servers: Servers | null;
  stop(): Promise<void>;
}

export class Case {
  private readonly deployment: Deployment;
  private readonly cluster: string;
  private readonly stores: Store[] = [];
  private readonly ends: (() => void | Promise<void>)[] = [];

  constructor(deployment: Deployment, cluster: string) {
    this.deployment = deployment;
    this.cluster = cluster;
  }

  store(options: { cluster?: string; server?: number; entriesMax?: number; times?: StoreTimes } = {}): Store {
    const { cluster = this.cluster, server, entriesMax, times } = options;
    const store = new Store(this.deployment.connect(cluster, server, entriesMax), times);
    this.stores.push(store);
    return store;
  }

  get servers(): Servers {
    if (this.deployment.servers === null) throw new Error('this store has no servers');
    return this.deployment.servers;
  }

  /** A process of the fleet, until the case ends. */
  async candidate(name: string, leaseMs: number): Promise<Candidate> {
    const configuration = this.deployment.configuration?.(this.cluster);
    if (configuration === undefined) throw new Error('no other process can reach this store');
    const candidate = await Candidate.start(configuration, name, leaseMs);
    this.ends.push(() => candidate.kill());
    return candidate;
  }

  /** Sees a lease until the case ends. */
  seenBy(store: Store, key: Key = LEASE_KEY): SeenBy {
    const seen = new SeenBy(store, key);
    this.ends.push(() => seen.close());
    return seen;
  }

  async end(): Promise<void> {
    for (const end of this.ends) await end();
    for (const store of this.stores) await within('the end of a client', store.close());
  }
}

export const KEY = { folder: 'things', name: 'one' };
export const OTHER = { folder: 'things', name: 'other' };

export function versionOf(written: Written): number {
  if (written.kind === 'done') return written.version;
  throw new Error(`a conflict: found ${JSON.stringify(written.found)}`);
}

/** Writes what has to be there. Returns its version. */
export async function write(store: Store, key: typeof KEY, value: string | null): Promise<number> {
  const { version } = await store.get(key);
  return versionOf(await store.compareAndSet(key, version, value));
}

export async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof StoreError ? error.fault : `${error}`;
  }
}
