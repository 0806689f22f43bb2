/**
 * The whole proxy, under one roof: what it listens on, the topology that it goes by, the workers that do so, and how all of it changes
 * at a reload and ends.
 */
import { setImmediate as nextTurn } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Logger } from 'pino';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import type { Limits } from '../base/limits.js';
import type { Config } from '../config.js';
import { StoreLocks } from '../coord/store-locks.js';
import type { TopologySnapshot, TransportKind } from '../messages.js';
import { planTopology } from '../routing/topology.js';
import { chooseTransport } from '../transport/choose.js';
import { BulkPool } from './bulk-pool.js';
import type { PoolCare } from './caretaker.js';
import { Caretakers } from './caretakers.js';
import { type Coordination, openCoordination } from './coordination.js';
import { DataDir } from './data-dir.js';
import { Doors, type PreparedDoors } from './doors.js';
import { Fleet, type FleetFacts } from './fleet.js';
import { CannotFollowError, followLayout } from './follow-layout.js';
import { NodeHealth, type NodeState } from './health.js';
import { Hints } from './hints.js';
import { layoutOf } from './layout.js';
import { describeDifferences } from './layout-differences.js';
import { NameLookup } from './name-lookup.js';
import { planRestarts, planStoreLocks, REMAP_ADVICE, STORE_LOCKS_ADVICE } from './remaps.js';
import { storePool } from './replicated-pools.js';
import { findRoom, fittingLimits, type Room } from './room.js';
import { RemapError } from './topology-plan.js';
import { type Orders, Workers } from './workers.js';

/** A running proxy. */
export interface Ringleader {
  /** The addresses it listens on, ports filled in. */
  readonly endpoints: readonly Endpoint[];
  readonly transport: TransportKind;
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
  /** Of the fleet's topologies, the one that all workers go by. */
  topologyVersion: number;
  fleet: FleetFacts;
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
 * Starts the proxy. Rejects with a plain-worded error when it cannot listen, a worker cannot start, its data cannot be kept, the
 * coordination store refuses it, or keys would be looked for elsewhere than the fleet does (alone: than the last time) and `acceptRemap` is not
 * given. While the store is away it waits, until `stopped` says otherwise: then it rejects with the reason of that.
 */
export async function startRingleader(options: {
  config: Config;
  acceptRemap: boolean;
  log: Logger;
  stopped: AbortSignal;
}): Promise<Ringleader> {
  const { config, acceptRemap, log, stopped } = options;
  const dataDir = config.dataDir === null ? null : DataDir.open(config.dataDir);
  try {
    const coordination = openCoordination(config, { dataDir: dataDir?.path ?? null, log });
    log.info({ store: coordination.place }, 'coordination');
    let supervisor: Supervisor;
    try {
      supervisor = new Supervisor(config, dataDir, coordination, log);
    } catch (error) {
      // It has connections, maybe, that would keep the process.
      await coordination.store.close();
      throw error;
    }
    await supervisor.start(acceptRemap, stopped);
    return supervisor;
  } catch (error) {
    dataDir?.close();
    throw error;
  }
}

/** Until what could not be followed for a reason that may pass is tried again. */
const RETRY_MS = 1_000;

/** Before the first is planned. */
const NO_TOPOLOGY: TopologySnapshot = { version: 0, nodes: [], services: [] };

const NOT_RUNNING: ReloadResult = { outcome: 'failed', reasons: ['the proxy is not running'] };

/** What is ready to be gone by. */
interface Prepared {
  config: Config;
  topology: TopologySnapshot;
}

class Supervisor implements Ringleader {
  readonly transport: TransportKind;
  readonly workerCount: number;

  /** What it was started with: some of it holds until it is started again. */
  private readonly startConfig: Config;
  /** The configuration that was applied last, as it was read. */
  private ownConfig: Config;
  /** What it comes to in the topology of the fleet: what is gone by. */
  private config: Config;
  private readonly dataDir: DataDir | null;
  private readonly log: Logger;
  private topology = NO_TOPOLOGY;
  private readonly health: NodeHealth;
  private readonly bulk = new BulkPool();
  private readonly doors: Doors;
  private readonly names = new NameLookup();
  private readonly hints: Hints;
  private readonly caretakers: Caretakers;
  /** Those that the coordination store keeps. */
  private readonly locks: StoreLocks;
  private readonly workers: Workers;
  private readonly fleet: Fleet;
  /** As of the start, or of the last reload. */
  private room: Room;
  /** The version of the fleet's topology that is gone by. */
  private sharedVersion = 0;
  /** One change after another; the last of them. */
  private changing: Promise<unknown> = Promise.resolve();
  private retrying: NodeJS.Timeout | null = null;
  private readonly startedAtMs = Date.now();
  private state: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(config: Config, dataDir: DataDir | null, coordination: Coordination, log: Logger) {
    this.startConfig = config;
    this.ownConfig = config;
    this.config = config;
    this.dataDir = dataDir;
    this.log = log;
    this.hints = new Hints(dataDir?.path ?? null, log);
    this.caretakers = new Caretakers(this.names, log, {
      isLeader: () => this.fleet.isLeader,
      bulk: this.bulk,
      hints: this.hints,
    });
    const {
      kind: transport,
      workers: count,
      reason,
    } = chooseTransport(config.transport, config.workers, config.listen);
    this.transport = transport;
    this.workerCount = count;
    this.room = findRoom(count);
    log.info({ transport, workers: count, reason }, 'transport');
    this.doors = new Doors(transport, count);
    this.health = new NodeHealth(log, this.topology);
    const { health, names, doors, startedAtMs } = this;
    let trouble = '';
    this.locks = new StoreLocks(coordination.store, Math.random, (reason) => {
      // Watches that fail for one reason say it once.
      if (reason !== trouble) log.warn({ reason }, 'lock-store-trouble');
      trouble = reason;
    });
    const { locks, hints } = this;
    const onVersion = (least: number) => doors.closeGone(least);
    this.workers = new Workers({ transport, count, health, names, locks, hints, log, onVersion }, startedAtMs);
    this.fleet = new Fleet(coordination, config, log, {
      onTopology: () => void this.inTurn(() => this.follow()),
    });
  }

  async start(acceptRemap: boolean, stopped: AbortSignal): Promise<void> {
    try {
      await this.hints.open();
      const doors = await this.doors.prepare(this.config.listen);
      // What cannot be placed is not written down.
      const planned = await this.plan(this.config, doors);
      const store = storePool(this.config);
      if (store !== null) this.caretakers.admit(store);
      const { version, layout, remaps } = await this.fleet.settle(this.config, acceptRemap, stopped);
      if (remaps.length > 0) this.log.warn({ remaps }, 'start-remaps');
      // Before it goes by it: what is written from now on waits for it.
      this.fleet.start();
      const differences = describeDifferences(layout, layoutOf(this.config));
      if (differences.length > 0) this.log.warn({ topology: version, differences }, 'topology-differs');
      const config = followLayout(this.config, layout);
      // Mostly the fleet's nodes are those of the configuration: a thousand take a third of a second to be placed.
      const isPlanned = config.pools.every((pool, index) => pool === this.config.pools[index]);
      const topology = isPlanned ? planned : await this.plan(config, doors);
      const orders = this.adopt({ config, topology }, doors);
      this.tend();
      await this.workers.start(orders);
      this.goesBy(version);
    } catch (error) {
      await this.cleanUp();
      throw error;
    }
    this.state = 'running';
    this.log.info({ listen: this.endpoints.map(formatEndpoint), nodes: this.topology.nodes.length }, 'listening');
    // What came meanwhile.
    void this.inTurn(() => this.follow());
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
    const { startedAtMs, workers, health, caretakers, fleet } = this;
    return {
      startedAtMs,
      topologyVersion: this.sharedVersion,
      fleet: fleet.facts(),
      workersAlive: workers.alive,
      workerDeaths: workers.deaths,
      nodes: health.nodes(),
      commandsQueued: workers.queued,
      replicatedPools: caretakers.care(),
    };
  }

  reload(config: Config, acceptRemap: boolean): Promise<ReloadResult> {
    return this.inTurn(() => this.goOnBy(config, acceptRemap));
  }

  /** After the changes that are under way. Whoever drops what is returned has the process end by an error in it. */
  private async inTurn<A>(change: () => Promise<A>): Promise<A> {
    const own = this.changing.then(change);
    // Who comes next does not mind how it ended.
    this.changing = own.catch(() => {});
    return await own;
  }

  private async goOnBy(own: Config, acceptRemap: boolean): Promise<ReloadResult> {
    if (this.state !== 'running') return NOT_RUNNING;
    const { fleet, log } = this;
    const before = this.ownConfig;
    const storeLocks = planStoreLocks(this.startConfig, own);
    if (storeLocks.length > 0) {
      log.error({ reasons: storeLocks, advice: STORE_LOCKS_ADVICE }, 'reload-refused');
      return { outcome: 'refused', reasons: storeLocks };
    }
    const restarts = planRestarts(this.startConfig, own);
    this.room = findRoom(this.workerCount);
    let doors: PreparedDoors = new Map();
    let [remaps, version, prepared]: [readonly string[], number, Prepared | null] = [[], 0, null];
    try {
      const plan = fleet.planner(before, own, acceptRemap);
      const planned = plan(fleet.topology);
      ({ remaps } = planned);
      doors = await this.doors.prepare(own.listen);
      prepared = await this.prepare(planned.config, doors);
      const shared = await fleet.change(plan);
      ({ version } = shared);
      // Somebody else has changed it meanwhile.
      if (!isDeepStrictEqual(shared.layout, planned.layout))
        prepared = await this.prepare(followLayout(own, shared.layout), doors);
    } catch (error) {
      this.doors.abandon(doors);
      // What plans for us ends with us.
      if (!this.isRunning()) return NOT_RUNNING;
      if (error instanceof RemapError) {
        log.error({ remaps: error.remaps, advice: REMAP_ADVICE }, 'reload-refused');
        return { outcome: 'refused', reasons: error.remaps };
      }
      const reason = error instanceof Error ? error.message : String(error);
      log.error({ reason }, 'reload-failed');
      return { outcome: 'failed', reasons: [reason] };
    }
    if (!this.isRunning()) {
      this.doors.abandon(doors);
      return NOT_RUNNING;
    }
    // The new level is for what is said of the reload itself, too.
    log.level = own.log.level;
    if (restarts.length > 0) log.warn({ restarts }, 'reload-needs-restart');
    if (remaps.length > 0) log.warn({ remaps }, 'reload-remaps');
    this.ownConfig = own;
    await this.goBy(prepared, doors);
    // Workers that end need not have got there.
    if (!this.isRunning()) return NOT_RUNNING;
    this.goesBy(version);
    const listen = this.endpoints.map(formatEndpoint);
    log.info({ topology: version, nodes: this.topology.nodes.length, listen }, 'reloaded');
    return { outcome: 'applied', reasons: restarts };
  }

  /** Goes on to the newest topology of the fleet. */
  private async follow(): Promise<void> {
    const shared = this.fleet.topology;
    if (!this.isRunning() || shared === null || shared.version <= this.sharedVersion) return;
    const { version, layout, writer } = shared;
    let doors: PreparedDoors = new Map();
    let prepared: Prepared;
    try {
      doors = await this.doors.prepare(this.ownConfig.listen);
      prepared = await this.prepare(followLayout(this.ownConfig, layout), doors);
    } catch (error) {
      this.doors.abandon(doors);
      if (!this.isRunning()) return;
      this.fleet.cannotFollow(version, error instanceof Error ? error.message : String(error));
      // A reload may help, or the next version. All else may pass.
      if (!(error instanceof CannotFollowError)) this.followLater();
      return;
    }
    if (!this.isRunning()) return;
    await this.goBy(prepared, doors);
    // Workers that end need not have got there.
    if (!this.isRunning()) return;
    this.goesBy(version);
    this.log.info({ topology: version, writer, nodes: this.topology.nodes.length }, 'topology-followed');
  }

  private followLater(): void {
    if (this.retrying !== null) clearTimeout(this.retrying);
    this.retrying = setTimeout(() => void this.inTurn(() => this.follow()), RETRY_MS);
  }

  /** What is gone by then, where that is `config`. Rejects with what keys cannot be placed on. */
  private async prepare(config: Config, doors: PreparedDoors): Promise<Prepared> {
    return { config, topology: await this.plan(config, doors) };
  }

  /** All workers go by that version of the fleet's topology. */
  private goesBy(version: number): void {
    this.sharedVersion = version;
    this.fleet.goesBy(version);
  }

  /** The topology of `config`, which listens at these doors. */
  private plan(config: Config, doors: PreparedDoors): Promise<TopologySnapshot> {
    const services = config.services.map(({ name, listen, announced, keyspaces }) => {
      const endpoints = listen.map((endpoint) => doors.get(formatEndpoint(endpoint))?.endpoint);
      const port = endpoints.flatMap((endpoint) => (endpoint?.kind === 'tcp' ? [endpoint.port] : []))[0] ?? 0;
      return { name, port, announced, keyspaces };
    });
    const before = this.topology === NO_TOPOLOGY ? null : this.topology;
    return planTopology(before, config.pools, services, this.bulk);
  }

  /** Goes by these from now on. Resolves when all workers do. */
  private async goBy(prepared: Prepared, doors: PreparedDoors): Promise<void> {
    const followed = this.workers.follow(this.adopt(prepared, doors));
    // They are told at the end of this turn, and each is a thread of its own: it goes on meanwhile.
    await nextTurn();
    if (this.isRunning()) this.tend();
    await followed;
  }

  /** What is returned is for the workers. */
  private adopt({ config, topology }: Prepared, doors: PreparedDoors): Orders {
    this.config = config;
    this.topology = topology;
    this.doors.adopt(doors, topology.version);
    const listeners = this.doors.snapshots(doors, (asked) => {
      const service = config.services.find(({ listen }) => listen.some((own) => formatEndpoint(own) === asked));
      return topology.services.findIndex((snapshot) => snapshot?.name === service?.name);
    });
    const { auth, pubsub, enableDebugCommand } = config;
    const rules = { auth, pubsub, enableDebugCommand };
    return { topology, limits: this.boundedLimits(config), rules, listeners };
  }

  /** Looks after the nodes of the topology that is gone by. */
  private tend(): void {
    const { topology, config, startConfig } = this;
    this.health.setTopology(topology);
    this.hints.configure(topology.nodes);
    this.caretakers.setTopology(topology, config.pools, storePool(startConfig));
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

  private boundedLimits({ limits }: Config): Limits {
    const { room } = this;
    const fitting = fittingLimits(limits, room, this.topology.nodes.length);
    if (fitting.clientsMax < limits.clientsMax) {
      const reason = 'each client takes a descriptor (ulimit -n), and nodes and workers need some';
      const { clientsMax } = fitting;
      this.log.warn(
        { asked: limits.clientsMax, clientsMax, descriptors: room.descriptors, reason },
        'clients-max-reduced',
      );
    }
    return fitting;
  }

  private async cleanUp(): Promise<void> {
    if (this.retrying !== null) clearTimeout(this.retrying);
    // Caretakers have the threads compare what nodes have.
    await Promise.all([this.workers.end(), this.caretakers.stop()]);
    await this.bulk.destroy();
    // It may have doors of its own, or write to the store.
    await this.changing;
    // Workers have told all that they had.
    await this.hints.close();
    this.locks.close();
    await this.fleet.stop();
    this.doors.close();
    this.dataDir?.close();
  }
}
