/**
 * The data plane, as the control plane has it: one never-ending task per thread of a pinned piscina pool. Makes what all workers
 * share, starts them, tells them what to go by, answers their questions, buries and replaces those that die, and ends them in order.
 *
 *   starting --started--> running --error--> buried: thread's exit awaited, its descriptors closed, its memory unmapped
 *                            |                          |
 *                            | drain()                  +--> starting (same index)
 *                            v
 *                        draining --task resolves--> ended
 */
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads';
import type { Logger } from 'pino';
import { Piscina } from 'piscina';
import { BusyNodes, busyNodesMemory } from '../base/busy-nodes.js';
import { ClientCount, clientCountMemory } from '../base/client-count.js';
import type { ClientRules, ConfiguredRules } from '../base/client-rules.js';
import { commandTimesMemory } from '../base/command-times.js';
import { beatsOf, heartbeatMemory } from '../base/heartbeat.js';
import { IdleHeap } from '../base/idle-heap.js';
import type { Limits } from '../base/limits.js';
import { LockTurns, lockTurnsMemory } from '../base/lock-turns.js';
import { clientIdMemory, Metrics, metricsMemory } from '../base/metrics.js';
import { MonitorFeed, monitorFeedMemory } from '../base/monitor-feed.js';
import { PauseTable } from '../base/pause-table.js';
import { shownScriptsMemory } from '../base/shown-scripts.js';
import { packageVersion } from '../base/version.js';
import type { StoreLocks } from '../coord/store-locks.js';
import type {
  ListenerSnapshot,
  ProcessFacts,
  Question,
  ToControl,
  TopologySnapshot,
  ToWorker,
  TransportKind,
  WorkerStart,
} from '../messages.js';
import { COMMANDS } from '../resp/commands.js';
import { createDescriptors, Descriptors } from '../transport/descriptors.js';
import { buryWorker, createHandover, Handover } from '../transport/handover.js';
import { openWake, system } from '../transport/system.js';
import { RING_FAILED } from '../transport/transport.js';
import type { NodeHealth } from './health.js';
import type { Hints } from './hints.js';
import { LockDesk } from './lock-desk.js';
import { LogRelay } from './log-relay.js';
import type { NameLookup } from './name-lookup.js';
import { type Member, RollCall } from './roll-call.js';
import { PartNumbers, TopologyFeed } from './topology-feed.js';
import { UserDesk } from './user-desk.js';
import { Watchdog } from './watchdog.js';

/** A worker that died is replaced at once, but not more often than this (milliseconds). */
const RESTART_INTERVAL_MS = 500;
/** Where its successors die before they take connections, each waits twice as long as the one before, up to this. */
const RESTART_INTERVAL_MAX_MS = 10_000;
/** Milliseconds between looks at whether workers still take turns. */
const LOOK_MS = 500;
/** How long the news that a worker was born may take after the news of its death, milliseconds. */
const BIRTH_NEWS_MS = 2_000;
/** How long after the drain limit a worker may take to end before its thread is terminated, milliseconds. */
const DRAIN_GRACE_MS = 2_000;

/** What all workers go by. */
export interface Orders {
  readonly topology: TopologySnapshot;
  readonly limits: Limits;
  readonly rules: ConfiguredRules;
  readonly listeners: readonly ListenerSnapshot[];
}

export interface WorkersContext {
  readonly transport: TransportKind;
  readonly count: number;
  readonly health: NodeHealth;
  readonly names: NameLookup;
  /** On the coordination store. */
  readonly locks: StoreLocks;
  readonly hints: Hints;
  readonly log: Logger;
  /** All that live go by the topology of that version, or a later one. */
  onVersion(least: number): void;
}

interface RunningWorker {
  index: number;
  port: MessagePort;
  member: Member;
  thread: Worker | null;
  /** Resolves when `thread` is known; to be called when it is. */
  born: Promise<void>;
  onBorn: () => void;
  startedMs: number;
  /** It has taken connections. */
  hasStarted: boolean;
  /** It took no turns for too long, and was told to end. */
  isStalled: boolean;
  /** The version of the topology that it goes by. */
  version: number;
  feed: TopologyFeed;
  lockDesk: LockDesk;
  /** Commands that wait for each node in this worker, by the nodes of the topology of that version. */
  queued: { version: number; commands: readonly number[] };
  /** Resolves when the worker takes connections, rejects when it ends before. */
  started: Promise<void>;
  /** Resolves when its task has ended in order or it has been buried. */
  ended: Promise<void>;
}

export class Workers {
  /** Their counters, added up. */
  readonly metrics: SharedArrayBuffer;
  /** What the main thread does for them: behind theirs. */
  private readonly own: Metrics;
  /** Those that died since the start. */
  deaths = 0;
  private readonly context: WorkersContext;
  private readonly facts: ProcessFacts;
  private readonly relay: LogRelay;
  private readonly pool: Piscina;
  private readonly partNumbers = new PartNumbers();
  private readonly descriptorMemory: SharedArrayBuffer;
  private readonly handoverMemory: SharedArrayBuffer;
  private readonly clients: SharedArrayBuffer;
  private readonly lockTurns: SharedArrayBuffer;
  private readonly clientIds = clientIdMemory();
  private readonly commandTimes: SharedArrayBuffer;
  private readonly monitorFeed: SharedArrayBuffer;
  private readonly busyNodes: SharedArrayBuffer;
  private readonly shownScripts = shownScriptsMemory();
  private readonly heartbeats: SharedArrayBuffer;
  private readonly watchdog = new Watchdog();
  /** This thread's: starting takes much that is not needed afterwards. */
  private readonly heap = new IdleHeap(() => {}, 0);
  private readonly rollCall = new RollCall();
  /** For workers that are yet to start. */
  private readonly pauses = new PauseTable();
  private watching: NodeJS.Timeout | null = null;
  private readonly wakes: number[] = [];
  private readonly descriptors: Descriptors;
  private readonly handover: Handover;
  private readonly running: (RunningWorker | null)[];
  /** By index: workers that died before they took connections, since one did take some. */
  private readonly failedStarts: number[];
  private users: UserDesk | null = null;
  private orders: Orders | null = null;
  /** What `follow` waits for. */
  private versionAwaited: { version: number; resolve: () => void } | null = null;
  private state: 'starting' | 'running' | 'ending' = 'starting';

  /** `startedAtMs`: when the process was, since 1970. */
  constructor(context: WorkersContext, startedAtMs: number) {
    const { count, transport, log } = context;
    this.context = context;
    this.facts = {
      version: packageVersion(),
      id: process.pid,
      runId: randomBytes(20).toString('hex'),
      startedAtMs,
      workers: count,
      transport,
    };
    this.relay = new LogRelay(log);
    this.metrics = metricsMemory(count + 1);
    this.own = new Metrics(this.metrics, count);
    this.clients = clientCountMemory(count);
    this.lockTurns = lockTurnsMemory(count);
    this.commandTimes = commandTimesMemory(count, COMMANDS.length);
    this.monitorFeed = monitorFeedMemory(count);
    this.busyNodes = busyNodesMemory(count);
    this.heartbeats = heartbeatMemory(count);
    this.descriptorMemory = createDescriptors(count);
    this.handoverMemory = createHandover(count);
    if (transport !== 'node') for (let index = 0; index < count; index++) this.wakes.push(openWake());
    this.descriptors = new Descriptors(this.descriptorMemory);
    this.handover = new Handover(this.handoverMemory, this.descriptors, this.wakes);
    this.running = new Array<RunningWorker | null>(count).fill(null);
    this.failedStarts = new Array<number>(count).fill(0);
    this.pool = new Piscina({
      filename: new URL('../worker.js', import.meta.url).href,
      minThreads: count,
      maxThreads: count,
      idleTimeout: Number.POSITIVE_INFINITY,
      concurrentTasksPerWorker: 1,
      atomics: 'disabled',
    });
    // Deaths are seen by the promise of the task; without a listener the pool's own event would end the process.
    this.pool.on('error', () => {});
  }

  /** Resolves when all of them take connections; rejects when one ends before. */
  async start(orders: Orders): Promise<void> {
    this.orders = orders;
    this.users = new UserDesk(orders.rules.auth);
    const starting = this.running.map((_, index) => this.startWorker(index, orders));
    await Promise.all(starting.map((worker) => worker.started));
    this.state = 'running';
    this.watching = setInterval(() => {
      this.watch();
      this.heap.look(performance.now(), performance.eventLoopUtilization().active);
    }, LOOK_MS);
  }

  /** By index: whether that worker runs. */
  get alive(): boolean[] {
    return this.running.map((worker) => worker !== null);
  }

  /** Of each node of the topology: commands that wait for it in all workers, as last told (twice a second). */
  get queued(): number[] {
    if (this.orders === null) return [];
    const { version, nodes } = this.orders.topology;
    const told = this.running.flatMap((worker) => (worker === null ? [] : [worker.queued]));
    const current = told.filter((queued) => queued.version === version);
    return nodes.map((_, index) => current.reduce((sum, { commands }) => sum + (commands[index] ?? 0), 0));
  }

  /** Tells all what to go by. Resolves when each that lives does, or they are being ended. One at a time. */
  async follow(orders: Orders): Promise<void> {
    this.orders = orders;
    const { topology, limits, listeners } = orders;
    this.users?.configure(orders.rules.auth);
    for (const service of this.pauses.services()) {
      // Another may have its number one day.
      if ((topology.services[service] ?? null) === null) this.pauses.end(service);
    }
    for (const worker of this.running) {
      // One that dies meanwhile never gets there; its successor starts with the new topology.
      void worker?.feed.prepare(topology).then((parts) => {
        // Users may have been changed meanwhile.
        const rules = this.rules(orders);
        worker.port.postMessage({ kind: 'configure', topology: parts, limits, rules, listeners } satisfies ToWorker);
      });
    }
    await new Promise<void>((resolve) => {
      this.versionAwaited = { version: topology.version, resolve };
      this.onVersions();
    });
  }

  /** They take no new connections, and let what is in flight finish. Resolves when all have ended, or it took them too long. */
  async drain(drainTimeoutMs: number): Promise<'ended' | 'late'> {
    this.state = 'ending';
    this.onVersions();
    const ended = this.running.flatMap((worker) => (worker === null ? [] : [worker.ended]));
    for (const worker of this.running) worker?.port.postMessage({ kind: 'drain', deadlineMs: drainTimeoutMs });
    let timer: NodeJS.Timeout | undefined;
    const limit = new Promise<'late'>((resolve) => {
      timer = setTimeout(() => resolve('late'), drainTimeoutMs + DRAIN_GRACE_MS);
    });
    const outcome = await Promise.race([Promise.all(ended), limit]);
    clearTimeout(timer);
    return outcome === 'late' ? 'late' : 'ended';
  }

  /** Ends those that still run, and closes what they have open. */
  async end(): Promise<void> {
    this.state = 'ending';
    this.onVersions();
    await this.pool.destroy();
    for (let index = 0; index < this.running.length; index++) {
      this.handover.leave(index);
      if (this.context.transport === 'node') continue;
      this.handover.closeWaiting(index);
      this.descriptors.closeAll(index);
    }
    for (const wake of this.wakes) system().close(wake);
    for (const worker of this.running) worker?.port.close();
    if (this.watching !== null) clearInterval(this.watching);
    this.relay.stop();
  }

  /** Test hook: an uncaught error, or an endless loop, in that worker. */
  break(index: number, how: 'crash' | 'hang'): void {
    this.running[index]?.port.postMessage({ kind: how } satisfies ToWorker);
  }

  private startWorker(index: number, orders: Orders, transport = this.context.transport): RunningWorker {
    const { port1, port2 } = new MessageChannel();
    const { topology } = orders;
    const start: WorkerStart = {
      index,
      port: port2,
      transport,
      ...orders,
      rules: this.rules(orders),
      parts: this.partNumbers.partsOf(topology),
      process: this.facts,
      descriptors: this.descriptorMemory,
      handover: this.handoverMemory,
      wakeDescriptors: this.wakes,
      clients: this.clients,
      lockTurns: this.lockTurns,
      heartbeats: this.heartbeats,
      metrics: this.metrics,
      clientIds: this.clientIds,
      commandTimes: this.commandTimes,
      monitorFeed: this.monitorFeed,
      busyNodes: this.busyNodes,
      shownScripts: this.shownScripts,
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
      hasStarted: false,
      isStalled: false,
      version: topology.version,
      queued: { version: 0, commands: [] },
      feed: new TopologyFeed(this.partNumbers, topology, (message) => port1.postMessage(message)),
      lockDesk: new LockDesk(this.context.locks, (id, told) => {
        port1.postMessage({ kind: 'lock-told', id, told } satisfies ToWorker);
      }),
      started: Promise.resolve(),
      ended: Promise.resolve(),
    };
    const task = this.pool.run(start, { transferList: [port2] }) as Promise<void>;
    const greeted = new Promise<void>((resolve) => {
      port1.on('message', (message: ToControl) => this.onMessage(worker, message, resolve));
    });
    // The worker closes its side last, so that nothing it said before is lost.
    const fellSilent = once(port1, 'close');
    port1.once('close', () => {
      this.rollCall.leave(worker.member);
      worker.lockDesk.leave();
    });
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
    this.running[index] = worker;
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
        worker.hasStarted = true;
        this.failedStarts[worker.index] = 0;
        greeted();
        return;
      case 'learned':
        worker.feed.learned();
        return;
      case 'configured':
        worker.version = message.version;
        this.context.log.debug({ worker: worker.index, tookMs: message.tookMs }, 'worker-configured');
        this.onVersions();
        return;
      case 'resolve':
        void this.resolve(worker, message.id, message.host, message.port);
        return;
      case 'ask':
        this.rollCall.ask(worker.member, message.id, this.note(message.question));
        return;
      case 'answer':
        this.rollCall.answer(worker.member, message.call, message.answer);
        return;
      case 'ask-lock':
        void worker.lockDesk.onAsk(message.id, message.ask);
        return;
      case 'hints': {
        void this.keepHints(worker, message);
        return;
      }
      case 'end-lock':
        worker.lockDesk.onEnd(message.id);
        return;
      case 'log':
        this.relay.write(message.level, message.event, message.fields);
        return;
      case 'queued':
        worker.queued = { version: message.version, commands: message.commands };
        return;
      case 'node-state':
        this.context.health.report(worker.index, message.pool, message.node, message.isUp, message.reason);
        return;
    }
  }

  private publishOwn(): void {
    Object.assign(this.own.counts, this.context.hints.counts);
    this.own.publish();
  }

  private async keepHints({ port }: RunningWorker, message: Extract<ToControl, { kind: 'hints' }>): Promise<void> {
    const { pool, node, hints, count } = message;
    const bytes = hints.length;
    await this.context.hints.take(pool, node, hints, count);
    port.postMessage({ kind: 'hints-taken', bytes } satisfies ToWorker);
  }

  /** What all workers are about to be asked, workers to come are to know as well. Returns what they are asked. */
  private note(question: Question): Question {
    switch (question.kind) {
      case 'pause-clients':
        this.pauses.start(question, performance.now());
        return question;
      case 'unpause-clients':
        this.pauses.end(question.service);
        return question;
      case 'change-users':
        return { ...question, changed: (this.users as UserDesk).change(question.change) };
      default:
        return question;
    }
  }

  private rules({ rules }: Orders): ClientRules {
    const { auth, pubsub, enableDebugCommand } = rules;
    const isPassthrough = auth.mode === 'passthrough';
    return { users: (this.users as UserDesk).snapshot, isPassthrough, pubsub, enableDebugCommand };
  }

  private async resolve(worker: RunningWorker, id: number, host: string, port: number): Promise<void> {
    let reply: ToWorker;
    try {
      const address = await this.context.names.lookUp(host);
      reply = { kind: 'resolved', id, endpoint: { kind: 'tcp', host: address, port }, error: null };
    } catch (error) {
      reply = { kind: 'resolved', id, endpoint: null, error: error instanceof Error ? error.message : String(error) };
    }
    worker.port.postMessage(reply);
  }

  /** The versions that workers go by have changed. */
  private onVersions(): void {
    const least = Math.min(...this.running.map((worker) => worker?.version ?? Number.POSITIVE_INFINITY));
    this.context.onVersion(least);
    const { versionAwaited } = this;
    if (versionAwaited === null || (versionAwaited.version > least && this.state === 'running')) return;
    this.versionAwaited = null;
    versionAwaited.resolve();
  }

  /** Ends the workers that no longer take turns: their clients wait for nothing. What comes of it is for `bury`. */
  private watch(): void {
    this.publishOwn();
    if (this.state !== 'running' || this.orders === null) return;
    const { workerStallTimeoutMs } = this.orders.limits;
    const looksMax = Math.ceil(workerStallTimeoutMs / LOOK_MS);
    for (const worker of this.running) {
      if (worker === null || worker.isStalled || worker.thread === null) continue;
      const { index } = worker;
      if (!this.watchdog.isStalled(index, beatsOf(this.heartbeats, index), looksMax)) continue;
      worker.isStalled = true;
      // Nobody hands it a client any more.
      this.handover.leave(index);
      this.context.log.error(
        { worker: index, limit: `workerStallTimeoutMs ${workerStallTimeoutMs}` },
        'worker-stalled',
      );
      void worker.thread.terminate();
    }
  }

  /** Closes what a dead worker left open, and starts another in its place. */
  private async bury(worker: RunningWorker, error: Error): Promise<void> {
    const { index } = worker;
    const { log, health } = this.context;
    this.running[index] = null;
    this.handover.leave(index);
    // It was born before it died, but the news of its death may be here first; unless not even its code could be loaded.
    await Promise.race([worker.born, sleep(BIRTH_NEWS_MS)]);
    const { thread } = worker;
    // A thread that still runs could use memory that is unmapped below.
    if (thread !== null && thread.threadId !== -1) await once(thread, 'exit');
    worker.port.close();
    const { sessions, descriptors } = buryWorker(index, this.descriptors, this.handover);
    new ClientCount(this.clients, index).forget();
    new LockTurns(this.lockTurns, index).forget();
    new MonitorFeed(this.monitorFeed, index).want(0);
    new BusyNodes(this.busyNodes, index).show(0);
    health.forget(index);
    this.onVersions();
    this.deaths++;
    log.error({ worker: index, sessions, descriptors, deaths: this.deaths, err: error }, 'worker-died');
    if (this.state !== 'running') return;
    const failedStarts = worker.hasStarted ? 0 : (this.failedStarts[index] as number) + 1;
    this.failedStarts[index] = failedStarts;
    const intervalMs = Math.min(RESTART_INTERVAL_MS * 2 ** failedStarts, RESTART_INTERVAL_MAX_MS);
    await sleep(Math.max(0, intervalMs - (performance.now() - worker.startedMs)));
    if (this.state !== 'running' || this.orders === null) return;
    const { code, message: reason } = error as NodeJS.ErrnoException;
    const isRingsFault = code === RING_FAILED;
    if (isRingsFault) log.warn({ worker: index, reason }, 'worker-on-epoll');
    const next = this.startWorker(index, this.orders, isRingsFault ? 'epoll' : this.context.transport);
    next.started.then(
      () => log.info({ worker: index }, 'worker-restarted'),
      () => {},
    );
  }
}
