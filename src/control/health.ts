/** Which nodes are up, as the workers see them: a line in the log for each change, and for each new reason. */
import type { Logger } from 'pino';
import { formatEndpoint } from '../base/endpoint.js';
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';

interface Health {
  node: NodeSnapshot;
  /** By worker; undefined before the first report. */
  states: Map<number, boolean>;
  reported: 'up' | 'down' | null;
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
      const { states, reported, reason } = before.get(key) ?? { states: new Map(), reported: null, reason: '' };
      this.healths.set(key, { node, states, reported, reason });
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
    if (state === health.reported && (anyUp || reason === health.reason)) return;
    health.reported = state;
    health.reason = reason;
    const fields = { node: name, address: formatEndpoint(health.node.address) };
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
    for (const health of this.healths.values()) health.states.delete(worker);
  }
}
