/**
 * The whole proxy, under one roof: what it listens on, the topology that it goes by, the workers that do so, and how all of it changes
 * at a reload and ends.
 */
import type { Logger } from 'pino';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { Limits } from '../base/limits.js';
import type { Config } from '../config.js';
import type { TopologySnapshot } from '../messages.js';
import { planTopology } from '../routing/topology.js';
import { chooseTransport } from '../transport/choose.js';
import { BulkPool } from './bulk-pool.js';
import type { PoolCare } from './caretaker.js';
import { Caretakers } from './caretakers.js';
import { clientRoom, descriptorsMax } from './client-room.js';
import type { DataDir } from './data-dir.js';
import { Doors, type PreparedDoors } from './doors.js';
import { NodeHealth, type NodeState } from './health.js';
import { openDataDir } from './last-layout.js';
import { layoutOf } from './layout.js';
import { workerMemoryShare } from './memory.js';
import { NameLookup } from './name-lookup.js';
import { planRemaps, planRestarts, REMAP_ADVICE } from './remaps.js';
import { storePool } from './replicated-pools.js';
import { type Orders, Workers } from './workers.js';

/** A running proxy. */
export interface Ringleader {
  /** The addresses it listens on, ports filled in. */
  readonly endpoints: readonly Endpoint[];
  readonly transport: 'epoll' | 'node';
  /** Data-plane threads: one where the transport cannot share a port among several. */
  readonly workerCount: number;
  /** Whether it takes connections and holds a topology. */
  ready(): boolean;
  /** Takes no new connections, lets what is in flight finish, ends. Resolves with the exit code. */
  stop(): Promise<number>;
  /**
   * Goes on by a new, valid configuration, without dropping a connection. Nothing is changed when keys would be looked for
   * elsewhere and `acceptRemap` is not given (refused), or when an address cannot be listened on (failed); the log says what
   * and why. Resolves when all workers go by it. One at a time: the next is for when this one has resolved.
   */
  reload(config: Config, acceptRemap: boolean): Promise<ReloadResult>;
  /** What it knows of itself now. */
  facts(): ProxyFacts;
  /** Test hook: an uncaught error, or an endless loop, in that worker. */
  breakWorker(index: number, how: 'crash' | 'hang'): void;
  /** The workers' counters, added up. */
  readonly metrics: SharedArrayBuffer;
}

export interface ReloadResult {
  outcome: 'applied' | 'refused' | 'failed';
  /** Why nothing was changed, or what still takes a restart; each a sentence. */
  reasons: readonly string[];
}

export interface ProxyFacts {
  startedAtMs: number;
  topologyVersion: number;
  /** By index: whether that worker runs. */
  workersAlive: readonly boolean[];
  /** Workers that died since the start. */
  workerDeaths: number;
  nodes: readonly NodeState[];
  /** Of each of `nodes`: commands that wait for it in all workers, as last told (twice a second). */
  commandsQueued: readonly number[];
  /** Of pools with replicated keys: who counts there, and what is done for those who do not. */
  replicatedPools: readonly PoolCare[];
}

/**
 * Starts the proxy. Rejects with a plain-worded error when it cannot listen, a worker cannot start, its data cannot be kept,
 * or keys would be looked for elsewhere than the last time and `acceptRemap` is not given.
 */
export async function startRingleader(options: {
  config: Config;
  acceptRemap: boolean;
  log: Logger;
}): Promise<Ringleader> {
  const { config, acceptRemap, log } = options;
  const dataDir = openDataDir(config, acceptRemap, log);
  try {
    const supervisor = new Supervisor(config, dataDir, log);
    await supervisor.start();
    return supervisor;
  } catch (error) {
    dataDir?.close();
    throw error;
  }
}

/** Before the first is planned. */
const NO_TOPOLOGY: TopologySnapshot = { version: 0, nodes: [], services: [] };

const NOT_RUNNING: ReloadResult = { outcome: 'failed', reasons: ['the proxy is not running'] };

class Supervisor implements Ringleader {
  readonly transport: 'epoll' | 'node';
  readonly workerCount: number;

  /** What it was started with: some of it holds until it is started again. */
  private readonly startConfig: Config;
  /** What was applied last. */
  private config: Config;
  private readonly dataDir: DataDir | null;
  private readonly log: Logger;
  private topology = NO_TOPOLOGY;
  private readonly health: NodeHealth;
  private readonly bulk = new BulkPool();
  private readonly doors: Doors;
  private readonly names = new NameLookup();
  private readonly caretakers: Caretakers;
  private readonly workers: Workers;
  /** The last one; it may be under way. */
  private reloading: Promise<ReloadResult> | null = null;
  private readonly startedAtMs = Date.now();
  private state: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(config: Config, dataDir: DataDir | null, log: Logger) {
    this.startConfig = config;
    this.config = config;
    this.dataDir = dataDir;
    this.log = log;
    this.caretakers = new Caretakers(this.names, log);
    const {
      kind: transport,
      workers: count,
      reason,
    } = chooseTransport(config.transport, config.workers, config.listen);
    this.transport = transport;
    this.workerCount = count;
    log.info({ transport, workers: count, reason }, 'transport');
    this.doors = new Doors(transport, count);
    this.health = new NodeHealth(log, this.topology);
    const { health, names, doors, startedAtMs } = this;
    const context = { transport, count, health, names, log, onVersion: (least: number) => doors.closeGone(least) };
    this.workers = new Workers(context, startedAtMs);
  }

  async start(): Promise<void> {
    try {
      const doors = await this.doors.prepare(this.config.listen);
      const topology = await this.plan(this.config, doors);
      await this.dataDir?.writeLayout(layoutOf(this.config));
      await this.workers.start(this.adopt(this.config, doors, topology));
    } catch (error) {
      await this.cleanUp();
      throw error;
    }
    this.state = 'running';
    this.log.info({ listen: this.endpoints.map(formatEndpoint), nodes: this.topology.nodes.length }, 'listening');
  }

  get endpoints(): readonly Endpoint[] {
    return this.doors.endpoints;
  }

  get metrics(): SharedArrayBuffer {
    return this.workers.metrics;
  }

  ready(): boolean {
    return this.state === 'running' && this.workers.alive.includes(true);
  }

  breakWorker(index: number, how: 'crash' | 'hang'): void {
    this.workers.break(index, how);
  }

  facts(): ProxyFacts {
    const { startedAtMs, topology, workers, health, caretakers } = this;
    return {
      startedAtMs,
      topologyVersion: topology.version,
      workersAlive: workers.alive,
      workerDeaths: workers.deaths,
      nodes: health.nodes(),
      commandsQueued: workers.queued,
      replicatedPools: caretakers.care(),
    };
  }

  reload(config: Config, acceptRemap: boolean): Promise<ReloadResult> {
    const reloading = this.goOnBy(config, acceptRemap);
    this.reloading = reloading;
    return reloading;
  }

  private async goOnBy(config: Config, acceptRemap: boolean): Promise<ReloadResult> {
    if (this.state !== 'running') return NOT_RUNNING;
    const remaps = planRemaps(layoutOf(this.config), layoutOf(config));
    const restarts = planRestarts(this.startConfig, config);
    if (remaps.length > 0 && !acceptRemap) {
      this.log.error({ remaps, advice: REMAP_ADVICE }, 'reload-refused');
      return { outcome: 'refused', reasons: remaps };
    }
    let doors: PreparedDoors = new Map();
    let topology: TopologySnapshot;
    try {
      doors = await this.doors.prepare(config.listen);
      topology = await this.plan(config, doors);
      await this.dataDir?.writeLayout(layoutOf(config));
    } catch (error) {
      this.doors.abandon(doors);
      // What plans for us ends with us.
      if (!this.isRunning()) return NOT_RUNNING;
      const reason = error instanceof Error ? error.message : String(error);
      this.log.error({ reason }, 'reload-failed');
      return { outcome: 'failed', reasons: [reason] };
    }
    if (!this.isRunning()) {
      this.doors.abandon(doors);
      return NOT_RUNNING;
    }
    // The new level is for what is said of the reload itself, too.
    this.log.level = config.log.level;
    if (restarts.length > 0) this.log.warn({ restarts }, 'reload-needs-restart');
    if (remaps.length > 0) this.log.warn({ remaps }, 'reload-remaps');
    await this.workers.follow(this.adopt(config, doors, topology));
    const listen = this.endpoints.map(formatEndpoint);
    this.log.info({ topology: topology.version, nodes: topology.nodes.length, listen }, 'reloaded');
    return { outcome: 'applied', reasons: restarts };
  }

  /** The topology of `config`, which listens at these doors. */
  private plan(config: Config, doors: PreparedDoors): Promise<TopologySnapshot> {
    const services = config.services.map(({ name, listen, keyspaces }) => {
      const endpoints = listen.map((endpoint) => doors.get(formatEndpoint(endpoint))?.endpoint);
      const port = endpoints.flatMap((endpoint) => (endpoint?.kind === 'tcp' ? [endpoint.port] : []))[0] ?? 0;
      return { name, port, keyspaces };
    });
    const before = this.topology === NO_TOPOLOGY ? null : this.topology;
    return planTopology(before, config.pools, services, this.bulk);
  }

  /** Goes by these from now on; what is returned is for the workers. */
  private adopt(config: Config, doors: PreparedDoors, topology: TopologySnapshot): Orders {
    this.config = config;
    this.topology = topology;
    this.health.setTopology(topology);
    this.caretakers.setTopology(topology, config.pools, storePool(this.startConfig));
    this.doors.adopt(doors, topology.version);
    const listeners = this.doors.snapshots(doors, (asked) => {
      const service = config.services.find(({ listen }) => listen.some((own) => formatEndpoint(own) === asked));
      return topology.services.findIndex((snapshot) => snapshot?.name === service?.name);
    });
    const { auth, pubsub } = config;
    return { topology, limits: this.boundedLimits(config), rules: { auth, pubsub }, listeners };
  }

  private isRunning(): boolean {
    return this.state === 'running';
  }

  async stop(): Promise<number> {
    if (this.state === 'stopping') return 0;
    this.state = 'stopping';
    const { drainTimeoutMs } = this.config;
    this.log.info({ drainTimeoutMs }, 'stopping');
    // Who connects while the others finish is refused, and need not wait for the end to learn it.
    this.doors.end();
    const outcome = await this.workers.drain(drainTimeoutMs);
    if (outcome === 'late') this.log.error({ drainTimeoutMs }, 'drain-late');
    await this.cleanUp();
    this.log.info('stopped');
    return outcome === 'late' ? 1 : 0;
  }

  private boundedLimits(config: Config): Limits {
    const { limits } = config;
    const workerMemoryMax = Math.min(limits.workerMemoryMax, workerMemoryShare(this.workerCount));
    const descriptors = descriptorsMax();
    const clientsMax = Math.min(
      limits.clientsMax,
      clientRoom(descriptors, this.workerCount, this.topology.nodes.length),
    );
    if (clientsMax < limits.clientsMax) {
      const reason = 'each client takes a descriptor (ulimit -n), and nodes and workers need some';
      this.log.warn({ asked: limits.clientsMax, clientsMax, descriptors, reason }, 'clients-max-reduced');
    }
    return { ...limits, workerMemoryMax, clientsMax };
  }

  private async cleanUp(): Promise<void> {
    await Promise.all([this.workers.end(), this.bulk.destroy(), this.caretakers.stop()]);
    // It may have doors of its own, and the data folder's file half written.
    await this.reloading;
    this.doors.close();
    this.dataDir?.close();
  }
}
