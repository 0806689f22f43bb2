/** The ways to one node: a channel of each lane, one for what is urgent, and the private connections. */
import type { NodeSnapshot } from '../messages.js';
import { Channel, type ChannelContext, type ChannelKind } from './channel.js';
import type { SharedLane } from './lane.js';
import { PrivateConnections } from './private-connections.js';

/** As whom, and how, what is urgent goes: see `NodeChannels.urgent`. */
const URGENT: ChannelKind = { protocol: 2, setUp: [], identity: null, isUrgent: true };

export class NodeChannels {
  /** That of the lane whose connections are always open. */
  readonly common: Channel;
  readonly privates: PrivateConnections;
  /** The node as it is to be. */
  wanted: NodeSnapshot;
  /** Of the pool's updates, the last that had the node. */
  update = 0;
  /** For its turn to be settled. */
  isWaiting = false;
  private readonly context: ChannelContext;
  private readonly byLane = new Map<SharedLane, Channel>();
  /** All of them. */
  private readonly channels: Channel[] = [];
  private urgentChannel: Channel | null = null;

  constructor(context: ChannelContext, node: NodeSnapshot, commonLane: SharedLane) {
    this.context = context;
    this.wanted = node;
    this.common = this.of(commonLane);
    this.privates = new PrivateConnections(context, node, this.common);
  }

  /** The channel of that lane, which opens with the first command. */
  of(lane: SharedLane): Channel {
    let channel = this.byLane.get(lane);
    if (channel === undefined) {
      channel = new Channel(this.context, this.wanted, lane);
      this.byLane.set(lane, channel);
      this.channels.push(channel);
    }
    return channel;
  }

  /**
   * Another way to that node, for what must not wait behind a script: a node reads nothing more from the connection that a
   * long script came by.
   */
  get urgent(): Channel {
    if (this.urgentChannel === null) {
      this.urgentChannel = new Channel(this.context, this.wanted, URGENT);
      this.channels.push(this.urgentChannel);
    }
    return this.urgentChannel;
  }

  /** Nobody uses that lane any more. */
  drop(lane: SharedLane): void {
    const channel = this.byLane.get(lane);
    if (channel === undefined) return;
    this.byLane.delete(lane);
    this.channels.splice(this.channels.indexOf(channel), 1);
    channel.close('nobody uses it');
  }

  /** Tells the channels what is wanted; opens the one that is always open. Private connections are told in `settlePrivates`. */
  settle(isOpen: boolean): void {
    for (const channel of this.channels) channel.reconfigure(this.wanted);
    if (isOpen) this.common.open();
  }

  /** Tells the private connections what is wanted: each that is there is closed, or its holder told. */
  settlePrivates(): void {
    this.privates.reconfigure(this.wanted);
  }

  /** The node is no more. */
  leave(): void {
    for (const channel of this.channels) channel.leave();
  }

  /** Whether the channels know what is wanted, and the one that is always open was opened. */
  get isSettled(): boolean {
    return this.common.node === this.wanted && this.common.state !== 'idle';
  }

  /** The node's version, and how many databases it has, as the last greeting of any connection said; '' and 0 before. */
  get version(): string {
    return this.channels.find(({ version }) => version !== '')?.version ?? '';
  }

  get databases(): number {
    return this.channels.find(({ databases }) => databases > 0)?.databases ?? 0;
  }

  /** Whether anything is in flight or waits. */
  get isBusy(): boolean {
    return this.privates.isBusy || this.channels.some((channel) => channel.isBusy);
  }

  get isReached(): boolean {
    return this.channels.some((channel) => channel.isReady);
  }

  get isConnecting(): boolean {
    return this.privates.isConnecting || this.channels.some((channel) => channel.state === 'connecting');
  }

  /** Commands that wait for a reply, or to be sent, on the shared connections. */
  get queued(): number {
    let queued = 0;
    for (const channel of this.channels) queued += channel.queued;
    return queued;
  }

  sweep(): void {
    for (const channel of this.channels) channel.sweep();
    this.privates.sweep(this.common.trouble);
  }

  dropAbandoned(): boolean {
    let hasDropped = false;
    for (const channel of this.channels) if (channel.dropAbandoned()) hasDropped = true;
    return hasDropped;
  }

  close(reason: string): void {
    for (const channel of this.channels) channel.close(reason);
    this.privates.close(reason);
  }
}
