/** Which nodes are up, as the workers see them: a line in the log for each change, and for each new reason. */
import type { Logger } from 'pino';
import { formatEndpoint } from '../base/endpoint.js';
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';

interface Health {
  /** By worker; undefined before the first report. */
  states: Map<number, boolean>;
  reported: 'up' | 'down' | null;
  reason: string;
}

const TABLE_VERSION = '7.0';

export class NodeHealth {
  private readonly log: Logger;
  private readonly nodes: readonly NodeSnapshot[];
  private readonly healths: Health[];

  constructor(log: Logger, topology: TopologySnapshot) {
    this.log = log;
    this.nodes = topology.nodes;
    this.healths = topology.nodes.map(() => ({ states: new Map(), reported: null, reason: '' }));
  }

  /** A worker reached a node, or failed to. A node is down when no worker reaches it. */
  report(worker: number, node: number, isUp: boolean, reason: string): void {
    const health = this.healths[node];
    const snapshot = this.nodes[node];
    if (health === undefined || snapshot === undefined) return;
    health.states.set(worker, isUp);
    const anyUp = [...health.states.values()].includes(true);
    const state = anyUp ? 'up' : 'down';
    if (state === health.reported && (anyUp || reason === health.reason)) return;
    health.reported = state;
    health.reason = reason;
    const fields = { node: snapshot.name, address: formatEndpoint(snapshot.address) };
    if (anyUp) {
      this.log.info({ ...fields, version: reason }, 'node-up');
      this.compareVersion(fields, reason);
    }
    if (!anyUp) this.log.error({ ...fields, reason }, 'node-down');
  }

  /** The command table is that of Redis 7.0: what an older node lacks, or a newer one adds, should surprise nobody. */
  private compareVersion(fields: Record<string, string>, version: string): void {
    if (version.startsWith(`${TABLE_VERSION}.`)) return;
    const effect = `the command table is that of Redis ${TABLE_VERSION}: other commands of this node are refused or unknown to it`;
    this.log.warn({ ...fields, version, effect }, 'node-version');
  }

  /** What a worker that ended had seen counts no more. */
  forget(worker: number): void {
    for (const health of this.healths) health.states.delete(worker);
  }
}
