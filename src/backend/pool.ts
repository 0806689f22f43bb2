/** All channels of one worker: one for each node and protocol. RESP3 ones open with the first session that needs them. */
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import { Channel, type ChannelContext } from './channel.js';
import { PacedQueue } from './paced-queue.js';

/** Milliseconds between looks at the clock while commands are in flight, and otherwise. */
const SWEEP_BUSY_MS = 50;
const SWEEP_IDLE_MS = 500;
/** Nodes that are opened, told of a change, or given up in one turn, and connections that are opened. */
const NODES_PER_TURN = 8;
const DIALS_PER_TURN = 4;

export class BackendPool {
  /** By node index. The hot path reads these arrays. */
  resp2: readonly Channel[] = [];
  resp3: readonly Channel[] = [];
  private readonly context: ChannelContext;
  /** The nodes of the topology: most are the very objects that they were in the one before. */
  private nodes = new Map<NodeSnapshot, NodeChannels>();
  /** The same by pool and name: a node is the same while these are. */
  private readonly named = new Map<string, NodeChannels>();
  /** Nodes that are to come, made before the topology that has them. */
  private readonly prepared = new Map<NodeSnapshot, NodeChannels>();
  /** Nodes that are no more, until what is in flight there has been answered. */
  private readonly leaving = new Set<NodeChannels>();
  private readonly chores: PacedQueue;
  private isOpen = false;
  private isClosed = false;

  constructor(context: Omit<ChannelContext, 'dials'>, topology: TopologySnapshot) {
    const { transport } = context;
    this.context = {
      ...context,
      // A node that one channel reaches is up, whatever becomes of the others (a Redis before 6.0 does not speak RESP3).
      onNodeState: (node, isUp, reason) => {
        if (isUp || !this.isReached(node)) context.onNodeState(node, isUp, reason);
      },
      dials: new PacedQueue(transport, DIALS_PER_TURN),
    };
    this.chores = new PacedQueue(transport, NODES_PER_TURN);
    this.update(topology);
  }

  /** Makes ready what takes time, for nodes that the next topology may have. */
  prepare(nodes: readonly NodeSnapshot[]): void {
    for (const node of nodes) {
      if (!this.named.has(nodeKey(node))) this.prepared.set(node, new NodeChannels(this.context, node));
    }
  }

  /** The nodes are those of `topology` from now on. */
  update({ nodes }: TopologySnapshot): void {
    const before = this.nodes;
    const after = new Map<NodeSnapshot, NodeChannels>();
    const resp2: Channel[] = [];
    const resp3: Channel[] = [];
    const kept = new Set<NodeChannels>();
    for (const node of nodes) {
      const channels = before.get(node) ?? this.named.get(nodeKey(node)) ?? this.add(node);
      kept.add(channels);
      after.set(node, channels);
      resp2.push(channels.resp2);
      resp3.push(channels.resp3);
      channels.wanted = node;
      this.settleLater(channels);
    }
    this.nodes = after;
    this.resp2 = resp2;
    this.resp3 = resp3;
    this.prepared.clear();
    for (const channels of before.values()) {
      if (kept.has(channels)) continue;
      this.named.delete(nodeKey(channels.wanted));
      this.leaving.add(channels);
    }
  }

  /**
   * Another way to that node, for what must not wait behind a script: a node reads nothing more from the connection that a
   * long script came by.
   */
  urgent(node: NodeSnapshot): Channel {
    const channels = this.named.get(nodeKey(node));
    if (channels === undefined) throw new Error(`there is no node ${node.label}`);
    channels.urgent ??= new Channel(this.context, channels.wanted, 2);
    return channels.urgent;
  }

  /** Connects to every node. */
  open(): void {
    this.isOpen = true;
    for (const channels of this.nodes.values()) this.settleLater(channels);
    this.sweepLater();
  }

  /** See Channel.dropAbandoned. */
  dropAbandoned(): void {
    for (const channels of [...this.nodes.values(), ...this.leaving]) channels.dropAbandoned();
  }

  /** Gives up every connection; what is in flight is answered with `reason`. */
  close(reason: string): void {
    this.isClosed = true;
    for (const channels of [...this.nodes.values(), ...this.leaving]) channels.close(reason);
  }

  /** The version of the first of `nodes` that said one, or ''. */
  version(nodes: readonly NodeSnapshot[]): string {
    for (const { index } of nodes) {
      const version = this.resp2[index]?.version || this.resp3[index]?.version || '';
      if (version !== '') return version;
    }
    return '';
  }

  /** Commands that wait for each node, by its index: for a reply, or to be sent. */
  queued(): number[] {
    return this.resp2.map((channel, index) => channel.queued + (this.resp3[index]?.queued ?? 0));
  }

  private add(node: NodeSnapshot): NodeChannels {
    const channels = this.prepared.get(node) ?? new NodeChannels(this.context, node);
    this.named.set(nodeKey(node), channels);
    return channels;
  }

  /** Has one task wait for the node at the most: when its turn comes, what is wanted then is done. */
  private settleLater(channels: NodeChannels): void {
    if (channels.isWaiting || channels.isSettled) return;
    channels.isWaiting = true;
    this.chores.request(() => {
      channels.isWaiting = false;
      channels.settle(this.isOpen && !this.leaving.has(channels));
    });
  }

  private isReached(node: NodeSnapshot): boolean {
    return this.named.get(nodeKey(node))?.isReached === true;
  }

  private sweepLater(): void {
    const { transport } = this.context;
    let isBusy = false;
    for (const channels of this.nodes.values()) isBusy ||= channels.isBusy || channels.isConnecting;
    transport.timers.set(transport.now + (isBusy ? SWEEP_BUSY_MS : SWEEP_IDLE_MS), () => {
      if (this.isClosed) return;
      for (const channels of this.nodes.values()) channels.sweep();
      for (const channels of this.leaving) this.sweepLeaving(channels);
      this.sweepLater();
    });
  }

  private sweepLeaving(channels: NodeChannels): void {
    if (channels.isBusy) {
      channels.sweep();
      return;
    }
    this.leaving.delete(channels);
    this.chores.request(() => channels.close('the node is no longer in the configuration'));
  }
}

/** The ways to one node. */
class NodeChannels {
  readonly resp2: Channel;
  readonly resp3: Channel;
  urgent: Channel | null = null;
  /** The node as it is to be. */
  wanted: NodeSnapshot;
  /** For its turn to be settled. */
  isWaiting = false;

  constructor(context: ChannelContext, node: NodeSnapshot) {
    this.wanted = node;
    this.resp2 = new Channel(context, node, 2);
    this.resp3 = new Channel(context, node, 3);
  }

  /** Tells the channels what is wanted; opens the one that is always open. */
  settle(isOpen: boolean): void {
    this.resp2.reconfigure(this.wanted);
    this.resp3.reconfigure(this.wanted);
    this.urgent?.reconfigure(this.wanted);
    if (isOpen) this.resp2.open();
  }

  /** Whether the channels know what is wanted, and the one that is always open was opened. */
  get isSettled(): boolean {
    return this.resp2.node === this.wanted && this.resp2.state !== 'idle';
  }

  /** Whether anything is in flight or waits. */
  get isBusy(): boolean {
    return this.resp2.isBusy || this.resp3.isBusy || this.urgent?.isBusy === true;
  }

  get isReached(): boolean {
    return this.resp2.isReady || this.resp3.isReady || this.urgent?.isReady === true;
  }

  get isConnecting(): boolean {
    return [this.resp2, this.resp3, this.urgent].some((channel) => channel?.state === 'connecting');
  }

  sweep(): void {
    this.resp2.sweep();
    this.resp3.sweep();
    this.urgent?.sweep();
  }

  dropAbandoned(): void {
    this.resp2.dropAbandoned();
    this.resp3.dropAbandoned();
  }

  close(reason: string): void {
    this.resp2.close(reason);
    this.resp3.close(reason);
    this.urgent?.close(reason);
  }
}

function nodeKey(node: NodeSnapshot): string {
  return `${node.pool}/${node.name}`;
}
