/** All channels of one worker, by lane and node, and the private connections. */
import type { NodeSnapshot, TopologySnapshot } from '../messages.js';
import type { Channel, ChannelContext } from './channel.js';
import { Identity, identityKey } from './identity.js';
import { type Lane, SharedLane } from './lane.js';
import { NodeChannels } from './node-channels.js';
import { type Pace, PacedQueue } from './paced-queue.js';
import type { Holder, PrivateConnection } from './private-connection.js';
import type { PrivateConnections } from './private-connections.js';

/** Milliseconds between looks at the clock while commands are in flight, and otherwise. */
const SWEEP_BUSY_MS = 50;
const SWEEP_IDLE_MS = 500;
/** Nodes whose shared channels are told of a change in one turn, and how many more if that is soon done: it takes no system call. */
const NEWS_PER_TURN = 32;
const MORE_NEWS = { max: 1_000, ms: 0.5 };
/** Nodes whose private connections are told, or that are given up, in one turn, and how many more. */
const NODES_PER_TURN = 8;
const MORE_NODES = { max: 32, ms: 0.5 };
/** Connections that are opened, or closed, in one turn. */
const CONNECTIONS_PER_TURN = 4;
/**
 * Of connections that are opened though nobody waits for them, or closed since nobody needs them: a thousand take a second. Where many nodes have
 * moved, all workers of all proxies are to know of it first: a connection costs as much as what they have to do for several nodes.
 */
const UNHURRIED: Pace = { intervalMs: 4, rest: { after: 32, ms: 100 } };
/** Connections of a client's user are closed when no session has been it for so long, milliseconds. */
const UNUSED_MS_MAX = 60_000;
/** How many databases a node has that does not say: Redis's default. */
const DATABASES_DEFAULT = 16;

export class BackendPool {
  /** The lane that is always open. */
  readonly common = new SharedLane(2, 0);
  private readonly context: ChannelContext;
  /** Those that were asked for, by whom nodes take them for. */
  private readonly lanes = new Map<Identity | null, SharedLane[]>([[null, [this.common]]]);
  /** Clients' users, by their keys: those that sessions are, and were a while ago. */
  private readonly identities = new Map<string, Identity>();
  private strangerIdentity: Identity | null = null;
  /** The ways to each node of the topology, by its index. */
  indexed: readonly NodeChannels[] = [];
  /** The same by pool and name: a node is the same while these are. */
  private readonly named = new Map<string, NodeChannels>();
  /** Nodes that are to come, made before the topology that has them. */
  private readonly prepared = new Map<NodeSnapshot, NodeChannels>();
  /** Nodes that are no more, until what is in flight there has been answered. */
  private readonly leaving = new Set<NodeChannels>();
  private readonly news: PacedQueue;
  private readonly chores: PacedQueue;
  private updates = 0;
  private isOpen = false;
  private isClosed = false;

  constructor(context: Omit<ChannelContext, 'dials' | 'openings' | 'closings'>, topology: TopologySnapshot) {
    const { transport } = context;
    this.context = {
      ...context,
      // A node that one channel reaches is up, whatever becomes of the others (a Redis before 6.0 does not speak RESP3).
      onNodeState: (node, isUp, reason) => {
        if (isUp || !this.isReached(node)) context.onNodeState(node, isUp, reason);
      },
      dials: new PacedQueue(transport, CONNECTIONS_PER_TURN),
      openings: new PacedQueue(transport, CONNECTIONS_PER_TURN, undefined, UNHURRIED),
      closings: new PacedQueue(transport, CONNECTIONS_PER_TURN, undefined, UNHURRIED),
    };
    this.news = new PacedQueue(transport, NEWS_PER_TURN, MORE_NEWS);
    this.chores = new PacedQueue(transport, NODES_PER_TURN, MORE_NODES);
    this.update(topology);
  }

  /** Makes ready what takes time, for nodes that the next topology may have. */
  prepare(nodes: readonly NodeSnapshot[]): void {
    for (const node of nodes) {
      if (!this.named.has(nodeKey(node))) this.prepared.set(node, new NodeChannels(this.context, node, this.common));
    }
  }

  /**
   * Calls `done` when nothing goes any more to where a node was before the updates until now, but for what is in flight there, and what
   * sessions send that await replies from there.
   */
  whenSettled(done: () => void): void {
    // Behind the nodes that wait for their turn, and then behind their private connections.
    this.news.request(() => this.chores.request(done));
  }

  /** The nodes are those of `topology` from now on; that one is elsewhere holds when its turn comes (`whenSettled`). */
  update({ nodes }: TopologySnapshot): void {
    const before = this.indexed;
    const indexed: NodeChannels[] = [];
    const update = ++this.updates;
    for (const node of nodes) {
      // Most stand where they were in the topology before, if they are not the very same objects.
      const same = before[node.index];
      const isSame = same !== undefined && same.wanted.name === node.name && same.wanted.pool === node.pool;
      const channels = isSame ? same : (this.named.get(nodeKey(node)) ?? this.add(node));
      channels.update = update;
      indexed.push(channels);
      channels.wanted = node;
      this.settleLater(channels);
    }
    this.indexed = indexed;
    const isIndexed =
      before.length === indexed.length && indexed.every((channels, index) => channels === before[index]);
    for (const lanes of isIndexed ? [] : this.lanes.values()) {
      for (const lane of lanes) lane.channels = indexed.map((channels) => channels.of(lane));
    }
    this.prepared.clear();
    for (const channels of isIndexed ? [] : before) {
      if (channels.update === update) continue;
      this.named.delete(nodeKey(channels.wanted));
      this.leaving.add(channels);
      channels.leave();
    }
  }

  /** The lane of that protocol and database, and of the client's user where it is not the proxy's. */
  lane(protocol: 2 | 3, database: number, identity: Identity | null = null, isUrgent = false): SharedLane {
    const lanes = this.lanesOf(identity);
    for (const lane of lanes) {
      if (lane.protocol === protocol && lane.database === database && lane.isUrgent === isUrgent) return lane;
    }
    const lane = new SharedLane(protocol, database, identity, isUrgent);
    lane.channels = this.indexed.map((channels) => channels.of(lane));
    if (lanes.length === 0) this.lanes.set(identity, [lane]);
    else lanes.push(lane);
    return lane;
  }

  /** A connection to node `index` of the lane's kind, for `holder` alone; or the error reply why there is none. */
  lend(index: number, { protocol, database, identity }: Lane, holder: Holder): PrivateConnection | Uint8Array {
    return this.at(index).privates.lend(this.lane(protocol, database, identity), holder);
  }

  /** The same; null where there is none: see PrivateConnections. */
  lendIfAny(index: number, { protocol, database, identity }: Lane, holder: Holder): PrivateConnection | null {
    return this.at(index).privates.lendIfAny(this.lane(protocol, database, identity), holder);
  }

  /** The shared channel to that node, as it is now; null when it is no more. */
  commonOf(node: NodeSnapshot): Channel | null {
    return this.named.get(nodeKey(node))?.common ?? null;
  }

  /** The private connections to node `index`. */
  privates(index: number): PrivateConnections {
    return this.at(index).privates;
  }

  /** See NodeChannels.urgent. A client's user has a lane of its own for that. */
  urgent(node: NodeSnapshot, identity: Identity | null = null): Channel {
    if (identity === null) return this.at(node.index).urgent;
    return this.lane(2, 0, identity, true).channels[node.index] as Channel;
  }

  /** A client that has said nothing. There is always a place for it. */
  get stranger(): Identity {
    this.strangerIdentity ??= new Identity(null, null, this.context.transport.now);
    return this.strangerIdentity;
  }

  /** Whoever says that name and password; null where too many are somebody by now. */
  identify(username: Uint8Array | null, password: Uint8Array): Identity | null {
    const { transport, limits } = this.context;
    const known = this.identities.get(identityKey(username, password));
    if (known !== undefined) {
      known.unusedSinceMs = transport.now;
      return known;
    }
    if (this.identities.size >= limits.passthroughUsersMax && !this.forgetOne()) return null;
    const identity = new Identity(username, password, transport.now);
    this.identities.set(identity.key, identity);
    return identity;
  }

  /** Gives up the one that nobody has been for the longest time. False: all are somebody. */
  private forgetOne(): boolean {
    let oldest: Identity | null = null;
    for (const identity of this.identities.values()) {
      if (identity.sessions > 0 || this.isBusy(identity)) continue;
      if (oldest === null || identity.unusedSinceMs < oldest.unusedSinceMs) oldest = identity;
    }
    if (oldest !== null) this.forget(oldest);
    return oldest !== null;
  }

  /** Closes the connections of those that nobody has been for a while. */
  private sweepIdentities(): void {
    const { now } = this.context.transport;
    for (const identity of this.identities.values()) {
      const isUnused = identity.sessions === 0 && now - identity.unusedSinceMs > UNUSED_MS_MAX;
      if (isUnused && !this.isBusy(identity)) this.forget(identity);
    }
  }

  private forget(identity: Identity): void {
    this.identities.delete(identity.key);
    for (const lane of this.lanesOf(identity)) {
      for (const channels of [...this.indexed, ...this.leaving]) channels.drop(lane);
    }
    this.lanes.delete(identity);
  }

  /** Whether anything of it is in flight: its client may have gone, and what it wrote is to arrive. */
  private isBusy(identity: Identity): boolean {
    return this.lanesOf(identity).some((lane) => lane.channels.some((channel) => channel.isBusy));
  }

  private lanesOf(identity: Identity | null): SharedLane[] {
    return this.lanes.get(identity) ?? [];
  }

  /** Connects to every node. */
  open(): void {
    this.isOpen = true;
    for (const channels of this.indexed) this.settleLater(channels);
    this.sweepLater();
  }

  /** See Channel.dropAbandoned. */
  dropAbandoned(): boolean {
    let hasDropped = false;
    for (const channels of [...this.indexed, ...this.leaving]) if (channels.dropAbandoned()) hasDropped = true;
    return hasDropped;
  }

  /** Gives up every connection; what is in flight is answered with `reason`. */
  close(reason: string): void {
    this.isClosed = true;
    for (const channels of [...this.indexed, ...this.leaving]) channels.close(reason);
  }

  /** The lowest version of `nodes` that said one: what all of them can do. '': none did. */
  version(nodes: readonly NodeSnapshot[]): string {
    let lowest = '';
    for (const { index } of nodes) {
      const { version } = this.at(index);
      if (version === '' || version === lowest) continue;
      if (lowest === '' || isLower(version, lowest)) lowest = version;
    }
    return lowest;
  }

  /** How many databases all of `nodes` have. */
  databases(nodes: readonly NodeSnapshot[]): number {
    let least = Number.POSITIVE_INFINITY;
    for (const { index } of nodes) least = Math.min(least, this.at(index).databases || Number.POSITIVE_INFINITY);
    return least === Number.POSITIVE_INFINITY ? DATABASES_DEFAULT : least;
  }

  /** Commands that wait for each node, by its index: for a reply, or to be sent. */
  queued(): number[] {
    return this.indexed.map((channels) => channels.queued);
  }

  /** The ways to node `index`. */
  at(index: number): NodeChannels {
    const channels = this.indexed[index];
    if (channels === undefined) throw new Error(`there is no node ${index}`);
    return channels;
  }

  private add(node: NodeSnapshot): NodeChannels {
    const channels = this.prepared.get(node) ?? new NodeChannels(this.context, node, this.common);
    this.named.set(nodeKey(node), channels);
    return channels;
  }

  /** Has one task wait for the node at the most: when its turn comes, what is wanted then is done. */
  private settleLater(channels: NodeChannels): void {
    if (channels.isWaiting || channels.isSettled) return;
    channels.isWaiting = true;
    this.news.request(() => {
      channels.isWaiting = false;
      channels.settle(this.isOpen && !this.leaving.has(channels));
      if (channels.privates.isEmpty) channels.settlePrivates();
      else this.chores.request(() => channels.settlePrivates());
    });
  }

  private isReached(node: NodeSnapshot): boolean {
    return this.named.get(nodeKey(node))?.isReached === true;
  }

  private sweepLater(): void {
    const { transport } = this.context;
    let isBusy = false;
    for (const channels of this.indexed) isBusy ||= channels.isBusy || channels.isConnecting;
    transport.timers.set(transport.now + (isBusy ? SWEEP_BUSY_MS : SWEEP_IDLE_MS), () => {
      if (this.isClosed) return;
      for (const channels of this.indexed) channels.sweep();
      for (const channels of this.leaving) this.sweepLeaving(channels);
      this.sweepIdentities();
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

/** What a node is known by over all topologies. */
export function nodeKey(node: NodeSnapshot): string {
  return `${node.pool}/${node.name}`;
}

/** Of versions such as `7.0.15`. */
function isLower(version: string, other: string): boolean {
  const [ours, theirs] = [version, other].map((text) => text.split('.').map(Number)) as [number[], number[]];
  const at = ours.findIndex((number, index) => number !== theirs[index]);
  return at >= 0 && (ours[at] as number) < (theirs[at] ?? 0);
}
