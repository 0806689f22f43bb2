/**
 * The ways to all nodes of a session that tracks: connections of its own, opened with the first command to their node, or, where it
 * is to hear of keys that others read, at once.
 */
import type { NodeSnapshot } from '../messages.js';
import { encodeCommand } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import type { Identity } from './identity.js';
import type { Lane } from './lane.js';
import type { NodeChannels } from './node-channels.js';
import type { PendingPool } from './pending.js';
import type { Holder, PrivateConnection } from './private-connection.js';
import { TrackedNode, type TrackedNodeContext } from './tracked-node.js';

/** What nodes are told with CLIENT TRACKING ON. */
export interface TrackingMode {
  /** Of all keys with one of the prefixes, also of those that it has not read. */
  isBroadcast: boolean;
  isOptIn: boolean;
  isOptOut: boolean;
  isNoLoop: boolean;
  /** Whether messages are for another client. */
  isRedirected: boolean;
  /** In that mode, at least one; the empty one, which can only come last, stands for all keys. */
  prefixes: readonly Uint8Array[];
}

export interface TrackingLaneContext {
  transport: Transport;
  pendings: PendingPool;
  /** By node index. */
  nodes: () => readonly NodeChannels[];
  /** Those of them that the session's service has. */
  served: () => readonly NodeSnapshot[];
  onSettled: () => void;
  onForgotten: () => void;
  onPush: (start: number, end: number) => void;
}

export class TrackingLane implements Lane, TrackedNodeContext {
  protocol: 2 | 3;
  database: number;
  readonly identity: Identity | null;
  channels: readonly TrackedNode[] = [];
  /** Sent before each command to a node, see TrackedNodeContext. */
  caching: Uint8Array | null = null;
  readonly transport: Transport;
  readonly pendings: PendingPool;
  private readonly context: TrackingLaneContext;
  private mode: TrackingMode;
  /** Those of its prefixes that came with the last change. */
  private addedPrefixes: readonly Uint8Array[] = [];
  private isWaiting = false;

  constructor(context: TrackingLaneContext, { protocol, database, identity }: Lane, mode: TrackingMode) {
    this.identity = identity;
    this.context = context;
    this.transport = context.transport;
    this.pendings = context.pendings;
    this.protocol = protocol;
    this.database = database;
    this.mode = mode;
    this.takeNodes();
  }

  get isRedirected(): boolean {
    return this.mode.isRedirected;
  }

  /** Opens what is to be open at once. Returns the error reply when it cannot be. */
  open(): Uint8Array | null {
    for (const node of this.channels) {
      const refusal = node.isAlwaysOpen ? node.open() : null;
      if (refusal !== null && !node.isDown) return refusal;
    }
    return null;
  }

  /** Tracks in that mode, which has these new prefixes; nothing is in flight. Returns the error reply when it cannot be. */
  track(mode: TrackingMode, addedPrefixes: readonly Uint8Array[]): Uint8Array | null {
    this.mode = mode;
    this.addedPrefixes = addedPrefixes;
    for (const node of this.channels) {
      const refusal = node.change();
      if (refusal !== null && !node.isDown) return refusal;
    }
    return null;
  }

  /** Speaks that protocol, and works in that database, from now on; nothing is in flight. What was read is still remembered. */
  enter(protocol: 2 | 3, database: number): void {
    this.protocol = protocol;
    this.database = database;
    for (const node of this.channels) node.enter();
  }

  /** Calls `onSettled` once, when every node has what is wanted, or cannot have it for now. False: it is so already. */
  waits(): boolean {
    this.isWaiting = this.channels.some((node) => !node.isSettled);
    return this.isWaiting;
  }

  /** See TrackedNode.lend. */
  lend(node: number, holder: Holder): PrivateConnection | Uint8Array {
    return (this.channels[node] as TrackedNode).lend(holder);
  }

  /** The nodes may be others now. */
  onTopologyChanged(): void {
    const before = this.channels;
    this.takeNodes();
    for (const node of before) if (!this.channels.includes(node)) node.leave();
    this.open();
  }

  close(): void {
    this.isWaiting = false;
    for (const node of this.channels) node.close();
  }

  begin(receiver: number): readonly Uint8Array[] {
    const prefixes = this.mode.prefixes.filter(({ length }) => length > 0);
    const hasAll = prefixes.length < this.mode.prefixes.length;
    const commands = [this.command(receiver, prefixes)];
    // Redis takes the empty prefix beside others where it is not named.
    if (hasAll && prefixes.length > 0) commands.push(this.command(receiver, []));
    return commands;
  }

  change(receiver: number): Uint8Array {
    return this.command(
      receiver,
      this.addedPrefixes.filter(({ length }) => length > 0),
    );
  }

  onSettled(): void {
    if (!this.isWaiting || this.waits()) return;
    this.context.onSettled();
  }

  onForgotten(): void {
    this.context.onForgotten();
  }

  onPush(start: number, end: number): void {
    this.context.onPush(start, end);
  }

  private command(receiver: number, prefixes: readonly Uint8Array[]): Uint8Array {
    const { isBroadcast, isOptIn, isOptOut, isNoLoop } = this.mode;
    const words: (string | Uint8Array)[] = ['CLIENT', 'TRACKING', 'ON'];
    if (receiver !== 0) words.push('REDIRECT', String(receiver));
    if (isBroadcast) words.push('BCAST');
    if (isOptIn) words.push('OPTIN');
    if (isOptOut) words.push('OPTOUT');
    if (isNoLoop) words.push('NOLOOP');
    for (const prefix of prefixes) words.push('PREFIX', prefix);
    return encodeCommand(words);
  }

  private takeNodes(): void {
    const before = new Map(this.channels.map((node) => [node.channels, node]));
    this.channels = this.context.nodes().map((channels) => before.get(channels) ?? new TrackedNode(this, channels));
    const served = new Set(this.context.served().map(({ index }) => index));
    for (const [index, node] of this.channels.entries()) node.isAlwaysOpen = this.mode.isBroadcast && served.has(index);
  }
}
