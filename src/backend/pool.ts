/** All channels of one worker: one for each node and protocol. RESP3 ones open with the first session that needs them. */
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import { Channel, type ChannelContext } from './channel.js';

/** Milliseconds between looks at the clock while commands are in flight, and otherwise. */
const SWEEP_BUSY_MS = 50;
const SWEEP_IDLE_MS = 500;

export class BackendPool {
  /** By node index. The hot path reads these arrays. */
  resp2: readonly Channel[];
  resp3: readonly Channel[];
  /** By pool and name, those that were needed: see `urgent`. */
  private urgents = new Map<string, Channel>();
  /** Channels of nodes that are no more, until what is in flight there has been answered. */
  private leaving: Channel[] = [];
  private readonly context: ChannelContext;
  private isClosed = false;

  constructor(context: ChannelContext, topology: TopologySnapshot) {
    // A node that one channel reaches is up, whatever becomes of the others (a Redis before 6.0 does not speak RESP3).
    this.context = {
      ...context,
      onNodeState: (node, isUp, reason) => {
        if (isUp || !this.isReached(node)) context.onNodeState(node, isUp, reason);
      },
    };
    this.resp2 = topology.nodes.map((node) => new Channel(this.context, node, 2));
    this.resp3 = topology.nodes.map((node) => new Channel(this.context, node, 3));
  }

  /** The nodes are those of `topology` from now on. A node is the same while its pool and its name are. */
  update(topology: TopologySnapshot): void {
    this.resp2 = this.successors(this.resp2, topology.nodes, 2);
    this.resp3 = this.successors(this.resp3, topology.nodes, 3);
    for (const channel of this.resp2) channel.open();
    this.updateUrgents(topology.nodes);
  }

  /**
   * Another way to that node, for what must not wait behind a script: a node reads nothing more from the connection that a
   * long script came by.
   */
  urgent(node: NodeSnapshot): Channel {
    let channel = this.urgents.get(nodeKey(node));
    if (channel === undefined) {
      channel = new Channel(this.context, node, 2);
      this.urgents.set(nodeKey(node), channel);
    }
    return channel;
  }

  /** Connects to every node. */
  open(): void {
    for (const channel of this.resp2) channel.open();
    this.sweepLater();
  }

  /** Gives up every connection; what is in flight is answered with `reason`. */
  close(reason: string): void {
    this.isClosed = true;
    for (const channel of [...this.all(), ...this.leaving]) channel.close(reason);
  }

  /** The version of the first of `nodes` that said one, or ''. */
  version(nodes: readonly NodeSnapshot[]): string {
    for (const { index } of nodes) {
      const version = this.resp2[index]?.version || this.resp3[index]?.version || '';
      if (version !== '') return version;
    }
    return '';
  }

  private isReached(node: NodeSnapshot): boolean {
    const key = nodeKey(node);
    return this.all().some((channel) => channel.isReady && nodeKey(channel.node) === key);
  }

  private sweepLater(): void {
    const { transport } = this.context;
    const isBusy = this.all().some((channel) => channel.isBusy || channel.state === 'connecting');
    transport.timers.set(transport.now + (isBusy ? SWEEP_BUSY_MS : SWEEP_IDLE_MS), () => {
      if (this.isClosed) return;
      for (const channel of this.all()) channel.sweep();
      this.sweepLeaving();
      this.sweepLater();
    });
  }

  private successors(before: readonly Channel[], nodes: readonly NodeSnapshot[], protocol: 2 | 3): Channel[] {
    const known = new Map(before.map((channel) => [nodeKey(channel.node), channel]));
    const channels = nodes.map((node) => {
      const channel = known.get(nodeKey(node));
      if (channel === undefined) return new Channel(this.context, node, protocol);
      known.delete(nodeKey(node));
      channel.reconfigure(node);
      return channel;
    });
    this.leaving.push(...known.values());
    return channels;
  }

  private updateUrgents(nodes: readonly NodeSnapshot[]): void {
    const before = this.urgents;
    this.urgents = new Map();
    for (const node of nodes) {
      const channel = before.get(nodeKey(node));
      if (channel === undefined) continue;
      channel.reconfigure(node);
      this.urgents.set(nodeKey(node), channel);
      before.delete(nodeKey(node));
    }
    this.leaving.push(...before.values());
  }

  private sweepLeaving(): void {
    for (const channel of this.leaving) {
      if (channel.isBusy) channel.sweep();
      else channel.close('the node is no longer in the configuration');
    }
    this.leaving = this.leaving.filter((channel) => channel.state !== 'closed');
  }

  private all(): Channel[] {
    return [...this.resp2, ...this.resp3, ...this.urgents.values()];
  }
}

function nodeKey(node: NodeSnapshot): string {
  return `${node.pool}/${node.name}`;
}
