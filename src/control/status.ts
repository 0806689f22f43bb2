/** All that an operator asks of a running proxy, in one snapshot: what GET /status answers. */
import { formatEndpoint } from '../base/endpoint.js';
import { type Counts, readMetrics, readWorkerMetrics } from '../base/metrics.js';
import { packageVersion } from '../base/version.js';
import type { TransportKind } from '../messages.js';
import type { PoolCare } from './caretaker.js';
import { CommandRates } from './command-rates.js';
import type { FleetFacts } from './fleet.js';
import type { NodeState } from './health.js';
import type { Ringleader } from './supervisor.js';

/** Times are ISO 8601, in UTC. */
export interface Status {
  version: string;
  pid: number;
  startedAt: string;
  uptimeSeconds: number;
  /** Whether it takes clients and holds a topology; true also while a node is down. */
  ready: boolean;
  transport: TransportKind;
  listen: readonly string[];
  configuration: {
    /** Null where it runs without one. */
    file: string | null;
    topologyVersion: number;
    lastReload: ReloadStatus | null;
  };
  fleet: FleetStatus;
  workers: readonly WorkerStatus[];
  workerDeaths: number;
  nodes: readonly NodeStatus[];
  /** Those with replicated keys. */
  replicatedPools: readonly PoolCare[];
  /** Of all workers together, as base/metrics.ts names them. */
  counters: Counts;
}

export interface ReloadStatus {
  at: string;
  /** `invalid`: the file has mistakes. In all cases but `applied` nothing was changed. */
  outcome: 'applied' | 'refused' | 'failed' | 'invalid';
  /** Why nothing was changed, or what still takes a restart. */
  reasons: readonly string[];
}

export interface FleetStatus {
  store: 'file' | 'redis' | 'etcd' | 'zookeeper';
  cluster: string;
  /** What this process is called. */
  member: string;
  /** Whether it has its lease: what needs agreement waits while it has not. */
  isMember: boolean;
  leader: { name: string; term: number | null } | null;
  /** The newest that was seen in the store. */
  topologyVersion: number | null;
  /** As last seen, this one among them; by name. */
  members: readonly MemberStatus[];
  /** Why the store is of no use now. */
  trouble: string | null;
}

export interface MemberStatus {
  name: string;
  version: string;
  since: string;
  /** That all its workers go by. */
  topologyVersion: number;
  /** Why it cannot go on to the newest. */
  reason: string | null;
}

export interface WorkerStatus {
  index: number;
  /** False while one that died is being replaced. */
  alive: boolean;
  sessions: number;
  commandsPerSecond: number;
  memoryBytes: number;
}

export interface NodeStatus {
  pool: string;
  name: string;
  address: string;
  state: 'up' | 'down' | 'unknown';
  since: string;
  version: string | null;
  lastError: { at: string; reason: string } | null;
  /** That wait for it in all workers: for a reply, or to be sent. */
  commandsQueued: number;
}

export class StatusReport {
  private readonly ringleader: Ringleader;
  private readonly file: string | null;
  private readonly rates: CommandRates;
  private lastReload: ReloadStatus | null = null;

  /** `file`: where the configuration is, null where there is none. */
  constructor(ringleader: Ringleader, file: string | null) {
    this.ringleader = ringleader;
    this.file = file;
    this.rates = new CommandRates(ringleader.metrics, ringleader.workerCount);
  }

  onReload(outcome: ReloadStatus['outcome'], reasons: readonly string[]): void {
    this.lastReload = { at: isoTime(Date.now()), outcome, reasons };
  }

  status(): Status {
    const { metrics, transport, endpoints } = this.ringleader;
    const facts = this.ringleader.facts();
    const { startedAtMs, topologyVersion, fleet, workersAlive, workerDeaths, nodes, commandsQueued } = facts;
    const { replicatedPools } = facts;
    const rates = this.rates.rates();
    return {
      version: packageVersion(),
      pid: process.pid,
      startedAt: isoTime(startedAtMs),
      uptimeSeconds: Math.floor(process.uptime()),
      ready: this.ringleader.ready(),
      transport,
      listen: endpoints.map(formatEndpoint),
      configuration: { file: this.file, topologyVersion, lastReload: this.lastReload },
      fleet: fleetStatus(fleet),
      workers: workersAlive.map((alive, index) => workerStatus(metrics, index, alive, rates[index] ?? 0)),
      workerDeaths,
      nodes: nodes.map((node, index) => nodeStatus(node, commandsQueued[index] ?? 0)),
      replicatedPools,
      counters: readMetrics(metrics),
    };
  }

  stop(): void {
    this.rates.stop();
  }
}

function fleetStatus({ members, ...fleet }: FleetFacts): FleetStatus {
  const shown = members.map(({ name, version, sinceMs, topologyVersion, reason }): MemberStatus => {
    return { name, version, since: isoTime(sinceMs), topologyVersion, reason };
  });
  return { ...fleet, members: shown.sort((one, other) => (one.name < other.name ? -1 : 1)) };
}

/** What a worker that died had published last is no longer so. */
function workerStatus(metrics: SharedArrayBuffer, index: number, alive: boolean, rate: number): WorkerStatus {
  if (!alive) return { index, alive, sessions: 0, commandsPerSecond: 0, memoryBytes: 0 };
  const { sessionsOpen, memoryBytes } = readWorkerMetrics(metrics, index);
  return { index, alive, sessions: sessionsOpen, commandsPerSecond: Math.round(rate), memoryBytes };
}

function nodeStatus({ node, state, sinceMs, version, lastError }: NodeState, commandsQueued: number): NodeStatus {
  return {
    pool: node.pool,
    name: node.name,
    address: formatEndpoint(node.address),
    state,
    since: isoTime(sinceMs),
    version,
    lastError: lastError === null ? null : { at: isoTime(lastError.atMs), reason: lastError.reason },
    commandsQueued,
  };
}

function isoTime(ms: number): string {
  return new Date(ms).toISOString();
}
