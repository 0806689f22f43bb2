/** Which nodes are up, as the workers see them: a line in the log for each change, and for each new reason. */
import type { Logger } from 'pino';
import { formatEndpoint } from '../base/endpoint.js';
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';

/** What is known of a node now. Times are milliseconds since 1970. */
export interface NodeState {
  node: NodeSnapshot;
  /** Unknown before a worker has tried to reach it. */
  state: 'up' | 'down' | 'unknown';
  /** When it came to be so. */
  sinceMs: number;
  /** Of the server, as last heard. */
  version: string | null;
  /** Why it was last found down, and when. */
  lastError: { reason: string; atMs: number } | null;
}

interface Health extends NodeState {
  /** By worker; undefined before the first report. */
  states: Map<number, boolean>;
  reason: string;
}

const TABLE_VERSION = '7.0';

export class NodeHealth {
  private readonly log: Logger;
  /** By pool and name. */
  private healths = new Map<string, Health>();

  constructor(log: Logger, topology: TopologySnapshot) {
    this.log = log;
    this.setTopology(topology);
  }

  /** The nodes are those of `topology` from now on; what is known of one that stays is kept. */
  setTopology(topology: TopologySnapshot): void {
    const before = this.healths;
    this.healths = new Map();
    for (const node of topology.nodes) {
      const key = `${node.pool}/${node.name}`;
      const health = before.get(key) ?? unknownHealth(node);
      health.node = node;
      this.healths.set(key, health);
    }
  }

  /** A worker reached a node, or failed to. A node is down when no worker reaches it. */
  report(worker: number, pool: string, name: string, isUp: boolean, reason: string): void {
    const health = this.healths.get(`${pool}/${name}`);
    // A node that was taken out of the configuration meanwhile.
    if (health === undefined) return;
    health.states.set(worker, isUp);
    const anyUp = [...health.states.values()].includes(true);
    const state = anyUp ? 'up' : 'down';
    if (state === health.state && (anyUp || reason === health.reason)) return;
    const nowMs = Date.now();
    if (state !== health.state) health.sinceMs = nowMs;
    health.state = state;
    health.reason = reason;
    const isOtherVersion = anyUp && health.version !== reason;
    if (anyUp) health.version = reason;
    else health.lastError = { reason, atMs: nowMs };
    const fields = { pool, node: name, address: formatEndpoint(health.node.address) };
    if (anyUp) {
      this.log.info({ ...fields, version: reason }, 'node-up');
      if (isOtherVersion) this.compareVersion(fields, reason);
    }
    if (!anyUp) this.log.error({ ...fields, reason }, 'node-down');
  }

  /** The command table is that of Redis 7.0: what an older node lacks, or a newer one adds, should surprise nobody. Said once of a version. */
  private compareVersion(fields: Record<string, string>, version: string): void {
    if (version.startsWith(`${TABLE_VERSION}.`)) return;
    const effect = `the command table is that of Redis ${TABLE_VERSION}: commands that only this node's version has are looked up at the nodes, and it refuses those that it lacks`;
    this.log.warn({ ...fields, version, effect }, 'node-version');
  }

  /** Of all nodes, in the order of the topology. */
  nodes(): readonly NodeState[] {
    return [...this.healths.values()];
  }

  /** What a worker that ended had seen counts no more. */
  forget(worker: number): void {
    for (const health of this.healths.values()) health.states.delete(worker);
  }
}

function unknownHealth(node: NodeSnapshot): Health {
  return {
    node,
    state: 'unknown',
    sinceMs: Date.now(),
    version: null,
    lastError: null,
    states: new Map(),
    reason: '',
  };
}
