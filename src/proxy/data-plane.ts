/**
 * One data plane: everything of a worker but its thread. Built on any transport, so that tests and the replay benchmark
 * run the very same deciders without a socket.
 */
import { randomBytes } from 'node:crypto';
import type { Channel, ChannelContext } from '../backend/channel.js';
import type { Identity } from '../backend/identity.js';
import { PendingPool } from '../backend/pending.js';
import { BackendPool } from '../backend/pool.js';
import type { BusyNodes } from '../base/busy-nodes.js';
import type { ClientCount } from '../base/client-count.js';
import type { ClientRules } from '../base/client-rules.js';
import type { CommandTimes } from '../base/command-times.js';
import { formatEndpoint } from '../base/endpoint.js';
import { showBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { LockTurns } from '../base/lock-turns.js';
import type { LogLevel } from '../base/log-event.js';
import type { Counts } from '../base/metrics.js';
import type { MonitorFeed } from '../base/monitor-feed.js';
import type { PauseSnapshot } from '../base/pause-table.js';
import type { ShownScripts } from '../base/shown-scripts.js';
import { LOCK_KEYSPACE_SCRIPTS } from '../lock/lock-keyspace-steps.js';
import { LOCK_SCRIPTS } from '../lock/lock-scripts.js';
import type { StoreProviderContext } from '../lock/store-provider.js';
import type { Answer, NodeSnapshot, ProcessFacts, Question, TopologySnapshot } from '../messages.js';
import { proposerNumber } from '../replica/ballot.js';
import { Replicas, type ReplicasContext } from '../replica/replicas.js';
import { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import type { Transport } from '../transport/transport.js';
import { Authentication } from './authentication.js';
import { Dispatcher } from './dispatch.js';
import type { ProxyFacts } from './introspection.js';
import { Listener } from './listener.js';
import { type Dispatching, MonitoredDispatch } from './monitored-dispatch.js';
import { isOwnScript } from './own-scripts.js';
import { Pauses } from './pauses.js';
import type { QuestionsContext } from './questions.js';
import { RefusalLog } from './refusal-log.js';
import type { Service } from './service.js';

export interface DataPlaneContext {
  transport: Transport;
  topology: TopologySnapshot;
  limits: Limits;
  rules: ClientRules;
  process: ProcessFacts;
  pauses: readonly PauseSnapshot[];
  counts: Counts;
  /** The counts of all workers. */
  totals: () => Counts;
  /** See Metrics. */
  publishClients: () => void;
  random: () => number;
  resolve: ChannelContext['resolve'];
  ask: QuestionsContext['ask'];
  onNodeState: (node: NodeSnapshot, isUp: boolean, reason: string) => void;
  clients: ClientCount;
  lockTurns: LockTurns;
  askLock: StoreProviderContext['askLock'];
  postHints: ReplicasContext['postHints'];
  nextClientId: () => number;
  times: CommandTimes;
  feed: MonitorFeed;
  busyNodes: BusyNodes;
  shownScripts: ShownScripts;
  log: (level: LogLevel, event: string, fields: Record<string, string | number | boolean | null>) => void;
}

export class DataPlane {
  readonly pool: BackendPool;
  readonly listener: Listener;
  private readonly transport: Transport;
  private readonly limits: Limits;
  private readonly pendings: PendingPool;
  private readonly reader: RequestReader;
  private topology: TopologySnapshot;
  private readonly replicas: Replicas;
  private readonly dispatcher: Dispatcher;
  private readonly monitored: MonitoredDispatch;
  /** One of the two: whom commands go to. */
  private entry: Dispatching;
  private isPassthrough: boolean;

  constructor(context: DataPlaneContext) {
    const { transport, topology, rules, counts, random, resolve, onNodeState, log } = context;
    // One object for all, so that `configure` reaches everything that keeps to it.
    const limits = fitted(context.limits, transport.arena);
    const pendings = new PendingPool();
    const reader = new RequestReader(limits);
    const authentication = new Authentication(rules.users);
    const pauses = new Pauses(
      { transport, reader, counts, isReadOnly: (session, spec) => this.dispatcher.isReadOnly(session, spec) },
      context.pauses,
    );
    const refusals = new RefusalLog();
    this.transport = transport;
    this.topology = topology;
    this.limits = limits;
    this.isPassthrough = rules.isPassthrough;
    this.pendings = pendings;
    this.reader = reader;
    const isNews: typeof onNodeState = (node, isUp, reason) => {
      this.dispatcher.onNodeState();
      onNodeState(node, isUp, reason);
    };
    const poolContext = { transport, limits, pendings, counts, random, resolve, onNodeState: isNews };
    this.pool = new BackendPool(poolContext, topology);
    this.replicas = new Replicas({
      transport,
      pendings,
      counts,
      limits,
      random,
      pool: this.pool,
      scripts: [...LOCK_SCRIPTS, ...LOCK_KEYSPACE_SCRIPTS],
      drawProposer,
      clock: () => Date.now(),
      onDifference: (key, nodes) => {
        const names = nodes.map(({ name }) => name).join(', ');
        const versions = nodes.map(({ index }) => this.pool.at(index).version).join(', ');
        const shown = showBytes(Buffer.from(key, 'latin1'), 0, key.length);
        log('error', 'copies-differ', { pool: nodes[0]?.pool ?? '', key: shown, nodes: names, versions });
      },
      postHints: context.postHints,
      onHintDropped: ({ pool, name, limits }) => {
        log('warn', 'hints-dropped', { pool, node: name, limit: `hintBytesMax ${limits.hintBytesMax}` });
      },
      onStanding: (node, isMember, reason) => {
        const { pool, name } = node;
        log(isMember ? 'info' : 'warn', isMember ? 'node-counts' : 'node-does-not-count', { pool, node: name, reason });
      },
    });
    this.dispatcher = new Dispatcher({
      transport,
      replicas: this.replicas,
      drawProposer,
      lockTurns: context.lockTurns,
      askLock: context.askLock,
      arena: transport.arena,
      rules,
      reader,
      pendings,
      pool: this.pool,
      topology,
      authentication,
      pauses,
      refusals,
      limits,
      counts,
      log,
      ask: context.ask,
      sessionOf: (id) => this.listener.session(id),
      workerCount: context.process.workers,
      random,
      now: () => transport.now,
      clock: () => Date.now(),
      facts: (service) => this.facts(context, service),
      times: context.times,
      feed: context.feed,
      busyNodes: context.busyNodes,
      shown: context.shownScripts,
      isOwnScript,
    });
    this.monitored = new MonitoredDispatch({
      feed: context.feed,
      reader,
      bytes: transport.arena.bytes,
      inner: this.dispatcher,
      onUnwanted: () => {
        this.entry = this.dispatcher;
      },
      clock: () => performance.timeOrigin + performance.now(),
    });
    this.entry = this.dispatcher;
    const lookForMonitors = () => {
      this.entry = context.feed.isWanted ? this.monitored : this.dispatcher;
    };
    lookForMonitors();
    this.listener = new Listener({
      transport,
      limits,
      counts,
      pendings,
      reader,
      authentication,
      lane: (protocol, database, identity) => this.pool.lane(protocol, database, identity),
      stranger: () => this.stranger(),
      dispatch: (session, start, end) => this.entry.dispatch(session, start, end),
      // Who monitors is shown whole commands.
      beginUpload: (session, start, progress) =>
        context.feed.isWanted ? 'whole' : this.dispatcher.beginUpload(session, start, progress),
      pauses,
      refusals,
      lookForMonitors,
      scripts: this.dispatcher.scripts,
      redirections: this.dispatcher.redirections,
      clients: context.clients,
      dropAbandoned: () => this.pool.dropAbandoned(),
      gatheredBytes: () => this.dispatcher.gatheredBytes,
      nextClientId: context.nextClientId,
      isOpen: (service) => this.dispatcher.hasService(service),
      log,
    });
    transport.onTurnEnd = () => {
      this.dispatcher.onTurnEnd();
      this.replicas.onTurnEnd();
      this.listener.watchMemory();
      context.publishClients();
    };
  }

  /** Connects to the nodes and takes clients. */
  start(): void {
    this.pool.open();
    this.replicas.configure(this.topology);
    this.transport.startAccepting(this.listener);
  }

  /** These nodes may be in the next topology. */
  prepare(nodes: readonly NodeSnapshot[]): void {
    this.pool.prepare(nodes);
  }

  /**
   * From the next command on these nodes, services, limits and rules hold. Connections stay, but for those of a service that
   * is gone, and so does what is in flight; a new password is for new clients to give. New addresses and passwords of nodes
   * hold a little later, when `done` is called at the latest: a few nodes are told in a turn (backend/pool.ts).
   */
  configure(topology: TopologySnapshot, limits: Limits, rules: ClientRules, done: () => void = () => {}): void {
    Object.assign(this.limits, fitted(limits, this.transport.arena));
    this.reader.configure(limits);
    this.pool.update(topology);
    this.replicas.configure(topology);
    this.topology = topology;
    this.dispatcher.configure(topology, rules);
    if (rules.isPassthrough !== this.isPassthrough) this.listener.cutOffAll('who clients are is asked of others now');
    this.isPassthrough = rules.isPassthrough;
    this.listener.onTopologyChanged();
    if (!rules.isPassthrough) this.listener.goByUsers(rules.users);
    this.pool.whenSettled(done);
  }

  /** Gives back what is kept only to be used again: nobody asks for much now. */
  dropSpares(): void {
    this.pendings.dropSpares();
    this.listener.dropSpares();
  }

  /** Answers for this worker what is asked of all of them. */
  answer(question: Question, isOwn: boolean, done: (answer: Answer) => void): void {
    this.listener.answer(question, isOwn, done);
  }

  /** Whom nodes take a client for that has said nothing; null: for the proxy. */
  private stranger(): Identity | null {
    return this.isPassthrough ? this.pool.stranger : null;
  }

  private facts({ clients, process, totals }: DataPlaneContext, { nodes, port, hasSlots }: Service): ProxyFacts {
    return {
      process,
      port,
      isCluster: hasSlots,
      uptimeSeconds: Math.floor((Date.now() - process.startedAtMs) / 1000),
      connectedClients: clients.total,
      clientsMax: this.limits.clientsMax,
      topologyVersion: this.dispatcher.topologyVersion,
      counts: totals(),
      nodes: nodes
        .map(({ index }) => this.pool.common.channels[index] as Channel)
        .map((channel) => ({
          name: channel.node.label,
          address: formatEndpoint(channel.node.address),
          state: channel.isReady ? 'up' : channel.state === 'connecting' ? 'connecting' : 'down',
          version: channel.version,
          queued: channel.queued,
        })),
    };
  }

  /** Commands that wait for each node of the topology of that version, by its index. */
  queued(): { version: number; commands: number[] } {
    return { version: this.dispatcher.topologyVersion, commands: this.pool.queued() };
  }

  /** See HintOutbox. */
  onHintsTaken(bytes: number): void {
    this.replicas.onHintsTaken(bytes);
  }

  /** Lets what is in flight finish until `deadlineMs` of the transport's clock, then gives up the nodes. */
  drain(deadlineMs: number, done: () => void): void {
    this.listener.drain(deadlineMs, () => {
      this.dispatcher.whenLocksReleased(() => {
        this.replicas.close();
        this.pool.close('the proxy is stopping');
        done();
      });
    });
  }
}

/** Part of the arena that buffers may take before the largest session is closed: the rest is for what comes until it is gone. */
const ARENA_SHARE = 0.75;

/** `limits` for that arena: some systems give less of it than workerMemoryMax. */
function fitted(limits: Limits, { bytes }: Arena): Limits {
  return { ...limits, workerMemoryMax: Math.min(limits.workerMemoryMax, Math.floor(bytes.length * ARENA_SHARE)) };
}

function drawProposer(): string {
  return proposerNumber(...randomWords());
}

/** 64 random bits, that no two workers anywhere have alike. */
function randomWords(): [number, number] {
  const bytes = randomBytes(8);
  return [bytes.readUInt32LE(0), bytes.readUInt32LE(4)];
}
