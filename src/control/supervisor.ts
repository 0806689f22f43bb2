/**
 * Runs the data plane: one never-ending task per thread of a pinned piscina pool. Makes what all workers share, starts
 * them, answers their questions, buries and replaces those that die, and ends them in order.
 *
 *   starting --started--> running --error--> buried: thread's exit awaited, its descriptors closed, its memory unmapped
 *                            |                          |
 *                            | stop()                   +--> starting (same index)
 *                            v
 *                        draining --task resolves--> ended
 */

import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { Piscina } from 'piscina';
import { ClientCount, clientCountMemory } from '../base/client-count.js';
import type { ClientRules } from '../base/client-rules.js';
import { type Endpoint, formatEndpoint } from '../base/endpoint.js';
import { beatsOf, heartbeatMemory } from '../base/heartbeat.js';
import type { Limits } from '../base/limits.js';
import { clientIdMemory, metricsMemory } from '../base/metrics.js';
import { PauseTable } from '../base/pause-table.js';
import { packageVersion } from '../base/version.js';
import type { Config } from '../config.js';
import type {
  ListenerSnapshot,
  ProcessFacts,
  Question,
  ToControl,
  TopologySnapshot,
  ToWorker,
  WorkerStart,
} from '../messages.js';
import { planTopology } from '../routing/topology.js';
import { chooseTransport } from '../transport/choose.js';
import { createDescriptors, Descriptors } from '../transport/descriptors.js';
import { buryWorker, createHandover, Handover } from '../transport/handover.js';
import { openWake, system } from '../transport/system.js';
import { BulkPool } from './bulk-pool.js';
import type { PoolCare } from './caretaker.js';
import { Caretakers } from './caretakers.js';
import { clientRoom, descriptorsMax } from './client-room.js';
import type { DataDir } from './data-dir.js';
import { Doors, type PreparedDoors } from './doors.js';
import { NodeHealth, type NodeState } from './health.js';
import { planRemaps, planRestarts, REMAP_ADVICE } from './keeper.js';
import { openDataDir } from './last-layout.js';
import { layoutOf } from './layout.js';
import { LogRelay } from './log-relay.js';
import { workerMemoryShare } from './memory.js';
import { NameLookup } from './name-lookup.js';
import { type Member, RollCall } from './roll-call.js';
import { PartNumbers, TopologyFeed } from './topology-feed.js';
import { Watchdog } from './watchdog.js';

/** A worker that died is replaced at once, but not more often than this (milliseconds). */
const RESTART_INTERVAL_MS = 500;
/** Milliseconds between looks at whether workers still take turns. */
const LOOK_MS = 500;
/** How long the news that a worker was born may take after the news of its death, milliseconds. */
const BIRTH_NEWS_MS = 2_000;
/** How long after the drain limit a worker may take to end before its thread is terminated, milliseconds. */
const DRAIN_GRACE_MS = 2_000;

interface RunningWorker {
  index: number;
  port: MessagePort;
  member: Member;
  thread: Worker | null;
  /** Resolves when `thread` is known; to be called when it is. */
  born: Promise<void>;
  onBorn: () => void;
  startedMs: number;
  /** It took no turns for too long, and was told to end. */
  isStalled: boolean;
  /** The version of the topology that it goes by. */
  version: number;
  feed: TopologyFeed;
  /** Commands that wait for each node in this worker, by the nodes of the topology of that version. */
  queued: { version: number; commands: readonly number[] };
  /** Resolves when the worker takes connections, rejects when it ends before. */
  started: Promise<void>;
  /** Resolves when its task has ended in order or it has been buried. */
  ended: Promise<void>;
}

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
  readonly metrics: SharedArrayBuffer;
  readonly transport: 'epoll' | 'node';
  readonly workerCount: number;

  /** What it was started with: some of it holds until it is started again. */
  private readonly startConfig: Config;
  /** What was applied last. */
  private config: Config;
  private readonly dataDir: DataDir | null;
  private readonly log: Logger;
  private readonly relay: LogRelay;
  private topology = NO_TOPOLOGY;
  private readonly health: NodeHealth;
  private limits: Limits;
  private readonly pool: Piscina;
  private readonly bulk = new BulkPool();
  private readonly doors: Doors;
  private listeners: readonly ListenerSnapshot[] = [];
  private readonly partNumbers = new PartNumbers();
  private readonly descriptorMemory: SharedArrayBuffer;
  private readonly handoverMemory: SharedArrayBuffer;
  private readonly clients: SharedArrayBuffer;
  private readonly clientIds = clientIdMemory();
  private readonly heartbeats: SharedArrayBuffer;
  private readonly watchdog = new Watchdog();
  private readonly names = new NameLookup();
  private readonly caretakers: Caretakers;
  private readonly rollCall = new RollCall();
  /** For workers that are yet to start. */
  private readonly pauses = new PauseTable();
  private watching: NodeJS.Timeout | null = null;
  private readonly wakes: number[] = [];
  private readonly descriptors: Descriptors;
  private readonly handover: Handover;
  private workers: (RunningWorker | null)[];
  /** The last one; it may be under way. */
  private reloading: Promise<ReloadResult> | null = null;
  /** What a reload waits for. */
  private versionAwaited: { version: number; resolve: () => void } | null = null;
  /** Workers that died since the start. */
  private deaths = 0;
  private readonly runId = randomBytes(20).toString('hex');
  private readonly startedAtMs = Date.now();
  private state: 'starting' | 'running' | 'stopping' = 'starting';

  constructor(config: Config, dataDir: DataDir | null, log: Logger) {
    this.startConfig = config;
    this.config = config;
    this.dataDir = dataDir;
    this.log = log;
    this.relay = new LogRelay(log);
    this.caretakers = new Caretakers(this.names, log);
    const choice = chooseTransport(config.transport, config.workers, config.listen);
    this.transport = choice.kind;
    this.workerCount = choice.workers;
    log.info({ transport: choice.kind, workers: this.workerCount, reason: choice.reason }, 'transport');
    this.limits = config.limits;
    this.doors = new Doors(this.transport, this.workerCount);
    this.health = new NodeHealth(log, this.topology);
    this.metrics = metricsMemory(this.workerCount);
    this.clients = clientCountMemory(this.workerCount);
    this.heartbeats = heartbeatMemory(this.workerCount);
    this.descriptorMemory = createDescriptors(this.workerCount);
    this.handoverMemory = createHandover(this.workerCount);
    if (this.transport === 'epoll') for (let index = 0; index < this.workerCount; index++) this.wakes.push(openWake());
    this.descriptors = new Descriptors(this.descriptorMemory);
    this.handover = new Handover(this.handoverMemory, this.descriptors, this.wakes);
    this.workers = new Array<RunningWorker | null>(this.workerCount).fill(null);
    this.pool = new Piscina({
      filename: new URL('../worker.js', import.meta.url).href,
      minThreads: this.workerCount,
      maxThreads: this.workerCount,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
    });
    // Deaths are seen by the promise of the task; without a listener the pool's own event would end the process.
    this.pool.on('error', () => {});
  }

  async start(): Promise<void> {
    try {
      const doors = await this.doors.prepare(this.config.listen);
      const topology = await this.plan(this.config, doors);
      await this.dataDir?.writeLayout(layoutOf(this.config));
      this.adopt(this.config, doors, topology);
      const starting = this.workers.map((_, index) => this.startWorker(index));
      await Promise.all(starting.map((worker) => worker.started));
    } catch (error) {
      await this.cleanUp();
      throw error;
    }
    this.state = 'running';
    this.watching = setInterval(() => this.watch(), LOOK_MS);
    this.log.info({ listen: this.endpoints.map(formatEndpoint), nodes: this.topology.nodes.length }, 'listening');
  }

  get endpoints(): readonly Endpoint[] {
    return this.doors.endpoints;
  }

  ready(): boolean {
    return this.state === 'running' && this.workers.some((worker) => worker !== null);
  }

  breakWorker(index: number, how: 'crash' | 'hang'): void {
    this.tell(index, { kind: how });
  }

  facts(): ProxyFacts {
    return {
      startedAtMs: this.startedAtMs,
      topologyVersion: this.topology.version,
      workersAlive: this.workers.map((worker) => worker !== null),
      workerDeaths: this.deaths,
      nodes: this.health.nodes(),
      commandsQueued: this.commandsQueued(),
      replicatedPools: this.caretakers.care(),
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
    this.adopt(config, doors, topology);
    const { limits, listeners } = this;
    const rules = rulesOf(config);
    for (const worker of this.workers) {
      // One that dies meanwhile never gets there; its successor starts with the new topology.
      void worker?.feed.prepare(topology).then((parts) => {
        worker.port.postMessage({ kind: 'configure', topology: parts, limits, rules, listeners } satisfies ToWorker);
      });
    }
    await this.everyWorkerAt(topology.version);
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

  /** Goes by these from now on; workers that run are still to be told. */
  private adopt(config: Config, doors: PreparedDoors, topology: TopologySnapshot): void {
    this.config = config;
    this.topology = topology;
    this.limits = this.boundedLimits(config);
    this.health.setTopology(topology);
    this.caretakers.setTopology(topology, config.pools);
    this.doors.adopt(doors, topology.version);
    for (const service of this.pauses.services()) {
      // Another may have its number one day.
      if ((topology.services[service] ?? null) === null) this.pauses.end(service);
    }
    this.listeners = this.doors.snapshots(doors, (asked) => {
      const service = config.services.find(({ listen }) => listen.some((own) => formatEndpoint(own) === asked));
      return topology.services.findIndex((snapshot) => snapshot?.name === service?.name);
    });
  }

  /** Resolves when every worker that lives goes by the topology of that version, or the proxy stops. */
  private async everyWorkerAt(version: number): Promise<void> {
    await new Promise<void>((resolve) => {
      this.versionAwaited = { version, resolve };
      this.onVersions();
    });
  }

  /** The versions that workers go by have changed: closes the doors that none accepts from any more. */
  private onVersions(): void {
    const least = Math.min(...this.workers.map((worker) => worker?.version ?? Number.POSITIVE_INFINITY));
    this.doors.closeGone(least);
    const { versionAwaited } = this;
    if (versionAwaited === null || (versionAwaited.version > least && this.isRunning())) return;
    this.versionAwaited = null;
    versionAwaited.resolve();
  }

  private commandsQueued(): number[] {
    const told = this.workers.flatMap((worker) => (worker === null ? [] : [worker.queued]));
    const current = told.filter(({ version }) => version === this.topology.version);
    return this.topology.nodes.map((_, index) => {
      return current.reduce((sum, { commands }) => sum + (commands[index] ?? 0), 0);
    });
  }

  private isRunning(): boolean {
    return this.state === 'running';
  }

  async stop(): Promise<number> {
    if (this.state === 'stopping') return 0;
    this.state = 'stopping';
    this.onVersions();
    const { drainTimeoutMs } = this.config;
    this.log.info({ drainTimeoutMs }, 'stopping');
    // Who connects while the others finish is refused, and need not wait for the end to learn it.
    this.doors.end();
    const ended = this.workers.flatMap((worker) => (worker === null ? [] : [worker.ended]));
    for (let index = 0; index < this.workerCount; index++)
      this.tell(index, { kind: 'drain', deadlineMs: drainTimeoutMs });
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), drainTimeoutMs + DRAIN_GRACE_MS);
    });
    const outcome = await Promise.race([Promise.all(ended), limit]);
    clearTimeout(timer);
    if (outcome === 'late') this.log.error({ drainTimeoutMs }, 'drain-late');
    await this.cleanUp();
    this.log.info('stopped');
    return outcome === 'late' ? 1 : 0;
  }

  private processFacts(): ProcessFacts {
    return {
      version: packageVersion(),
      id: process.pid,
      runId: this.runId,
      startedAtMs: this.startedAtMs,
      workers: this.workerCount,
      transport: this.transport,
    };
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

  private startWorker(index: number): RunningWorker {
    const { port1, port2 } = new MessageChannel();
    const start: WorkerStart = {
      index,
      port: port2,
      transport: this.transport,
      topology: this.topology,
      parts: this.partNumbers.partsOf(this.topology),
      limits: this.limits,
      rules: rulesOf(this.config),
      process: this.processFacts(),
      listeners: this.listeners,
      descriptors: this.descriptorMemory,
      handover: this.handoverMemory,
      wakeDescriptors: this.wakes,
      clients: this.clients,
      heartbeats: this.heartbeats,
      metrics: this.metrics,
      clientIds: this.clientIds,
      pauses: this.pauses.snapshots(performance.now()),
    };
    let onBorn = () => {};
    const born = new Promise<void>((resolve) => {
      onBorn = resolve;
    });
    const worker: RunningWorker = {
      index,
      port: port1,
      member: this.rollCall.join(index, (message) => port1.postMessage(message)),
      thread: null,
      born,
      onBorn,
      startedMs: performance.now(),
      isStalled: false,
      version: this.topology.version,
      queued: { version: 0, commands: [] },
      feed: new TopologyFeed(this.partNumbers, this.topology, (message) => port1.postMessage(message)),
      started: Promise.resolve(),
      ended: Promise.resolve(),
    };
    const task = this.pool.run(start, { transferList: [port2] }) as Promise<void>;
    const greeted = new Promise<void>((resolve) => {
      port1.on('message', (message: ToControl) => this.onMessage(worker, message, resolve));
    });
    // The worker closes its side last, so that nothing it said before is lost.
    const fellSilent = once(port1, 'close');
    port1.once('close', () => this.rollCall.leave(worker.member));
    worker.ended = task.then(
      async () => {
        await fellSilent;
      },
      (error: Error) => this.bury(worker, error),
    );
    worker.started = Promise.race([
      greeted,
      task.then(() => {
        throw new Error(`worker ${index} ended before it took connections`);
      }),
    ]);
    worker.started.catch(() => {});
    this.workers[index] = worker;
    this.watchdog.reset(index);
    return worker;
  }

  private onMessage(worker: RunningWorker, message: ToControl, greeted: () => void): void {
    switch (message.kind) {
      case 'born':
        worker.thread = this.pool.threads.find((thread) => thread.threadId === message.threadId) ?? null;
        worker.onBorn();
        return;
      case 'started':
        greeted();
        return;
      case 'learned':
        worker.feed.learned();
        return;
      case 'configured':
        worker.version = message.version;
        this.log.debug({ worker: worker.index, tookMs: message.tookMs }, 'worker-configured');
        this.onVersions();
        return;
      case 'resolve':
        void this.resolve(worker, message.id, message.host, message.port);
        return;
      case 'ask':
        this.note(message.question);
        this.rollCall.ask(worker.member, message.id, message.question);
        return;
      case 'answer':
        this.rollCall.answer(worker.member, message.call, message.answer);
        return;
      case 'log':
        this.relay.write(message.level, message.event, message.fields);
        return;
      case 'queued':
        worker.queued = { version: message.version, commands: message.commands };
        return;
      case 'node-state':
        this.health.report(worker.index, message.pool, message.node, message.isUp, message.reason);
        return;
    }
  }

  /** What all workers are about to be asked, workers to come are to know as well. */
  private note(question: Question): void {
    if (question.kind === 'pause-clients') this.pauses.start(question, performance.now());
    else if (question.kind === 'unpause-clients') this.pauses.end(question.service);
  }

  private async resolve(worker: RunningWorker, id: number, host: string, port: number): Promise<void> {
    let reply: ToWorker;
    try {
      const address = await this.names.lookUp(host);
      reply = { kind: 'resolved', id, endpoint: { kind: 'tcp', host: address, port }, error: null };
    } catch (error) {
      reply = { kind: 'resolved', id, endpoint: null, error: error instanceof Error ? error.message : String(error) };
    }
    worker.port.postMessage(reply);
  }

  /** Ends the workers that no longer take turns: their clients wait for nothing. What comes of it is for `bury`. */
  private watch(): void {
    if (!this.isRunning()) return;
    const { workerStallTimeoutMs } = this.limits;
    const looksMax = Math.ceil(workerStallTimeoutMs / LOOK_MS);
    for (const worker of this.workers) {
      if (worker === null || worker.isStalled || worker.thread === null) continue;
      const { index } = worker;
      if (!this.watchdog.isStalled(index, beatsOf(this.heartbeats, index), looksMax)) continue;
      worker.isStalled = true;
      // Nobody hands it a client any more.
      this.handover.leave(index);
      this.log.error({ worker: index, limit: `workerStallTimeoutMs ${workerStallTimeoutMs}` }, 'worker-stalled');
      void worker.thread.terminate();
    }
  }

  private tell(index: number, message: ToWorker): void {
    this.workers[index]?.port.postMessage(message);
  }

  /** Closes what a dead worker left open, and starts another in its place. */
  private async bury(worker: RunningWorker, error: Error): Promise<void> {
    const { index } = worker;
    this.workers[index] = null;
    this.handover.leave(index);
    // It was born before it died, but the news of its death may be here first; unless not even its code could be loaded.
    await Promise.race([worker.born, sleep(BIRTH_NEWS_MS)]);
    const { thread } = worker;
    // A thread that still runs could use memory that is unmapped below.
    if (thread !== null && thread.threadId !== -1) await once(thread, 'exit');
    worker.port.close();
    const { sessions, descriptors } = buryWorker(index, this.descriptors, this.handover);
    new ClientCount(this.clients, index).forget();
    this.health.forget(index);
    this.onVersions();
    this.deaths++;
    this.log.error({ worker: index, sessions, descriptors, deaths: this.deaths, err: error }, 'worker-died');
    if (this.state !== 'running') return;
    const waitMs = Math.max(0, RESTART_INTERVAL_MS - (performance.now() - worker.startedMs));
    await sleep(waitMs);
    if (this.state !== 'running') return;
    const next = this.startWorker(index);
    next.started.then(
      () => this.log.info({ worker: index }, 'worker-restarted'),
      () => {},
    );
  }

  private async cleanUp(): Promise<void> {
    await Promise.all([this.pool.destroy(), this.bulk.destroy(), this.caretakers.stop()]);
    // It may have doors of its own, and the data folder's file half written.
    await this.reloading;
    for (let index = 0; index < this.workerCount; index++) {
      this.handover.leave(index);
      if (this.transport !== 'epoll') continue;
      this.handover.closeWaiting(index);
      this.descriptors.closeAll(index);
    }
    this.doors.close();
    for (const wake of this.wakes) system().close(wake);
    for (const worker of this.workers) worker?.port.close();
    if (this.watching !== null) clearInterval(this.watching);
    this.relay.stop();
    this.dataDir?.close();
  }
}

function rulesOf({ auth, pubsub }: Config): ClientRules {
  return { auth, pubsub };
}
