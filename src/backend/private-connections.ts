/**
 * The private connections to one node: a bounded pool. A connection is lent, comes back in a clean state or not at all, and is
 * kept for the next one who needs one. Whenever one is lent and none is left, another is opened, so that the next one need not wait
 * for it: who waits for data wants to do so before the data come.
 */
import type { NodeSnapshot } from '../messages.js';
import { type ChannelContext, isSameServer } from './channel.js';
import { BackendError } from './connection.js';
import type { SharedLane } from './lane.js';
import { type Holder, PrivateConnection, type PrivateKind, type PrivateOwner } from './private-connection.js';
import { Refusals } from './refusals.js';

/** A spare connection that nobody has needed for so long is closed, milliseconds. */
const SPARE_MS_MAX = 60_000;
const MOVED = 'the node has another address or other credentials now';

export class PrivateConnections implements PrivateOwner {
  private readonly context: ChannelContext;
  private readonly refusals: Refusals;
  private readonly common: { readonly isReady: boolean };
  node: NodeSnapshot;
  private readonly lent = new Set<PrivateConnection>();
  /** Oldest first. */
  private spare: PrivateConnection[] = [];
  /** Given up, and not yet gone: some have something to finish. */
  private readonly closing = new Set<PrivateConnection>();
  /** When one could not be made last. */
  private failedMs = Number.NEGATIVE_INFINITY;
  /** Why there are no more of them, ever; null while there may be. */
  private closedReason: string | null = null;
  /** Places kept for connections that will be lent anew. */
  private reserved = 0;

  /** `common`: the shared connection to the node. */
  constructor(context: ChannelContext, node: NodeSnapshot, common: { readonly isReady: boolean }) {
    this.context = context;
    this.common = common;
    this.refusals = new Refusals(context.counts);
    this.node = node;
  }

  /** A connection of that lane's protocol and database for `holder` alone, or the error reply why there is none. */
  lend(lane: SharedLane, holder: Holder): PrivateConnection | Uint8Array {
    return this.lendIfAny(lane, holder) ?? this.refusal();
  }

  /** As `lend`, for who goes another way where there is none: null. */
  lendIfAny(lane: SharedLane, holder: Holder): PrivateConnection | null {
    const { context } = this;
    if (this.closedReason !== null) return null;
    const kept = lane.identity === null ? this.takeSpare(lane) : null;
    if (kept === null && !this.hasRoom()) return null;
    context.counts.privateConnectionsLent++;
    const connection = kept ?? this.open(lane);
    connection.lendTo(holder);
    this.lent.add(connection);
    if (connection.isReady) this.openSpare(lane);
    return connection;
  }

  /**
   * A connection to `node`, which this is the pool of, that `owner` keeps for good and tells when to connect; or the error reply why
   * there is none. What it hears of the loss it hands on to `onLost`.
   */
  keep(node: NodeSnapshot, owner: PrivateOwner): PrivateConnection | Uint8Array {
    if (this.closedReason !== null || !this.hasRoom()) return this.refusal();
    this.context.counts.privateConnectionsLent++;
    const connection = this.make(node, owner);
    this.lent.add(connection);
    return connection;
  }

  /** Takes a place for a connection that is to be lent later. Returns null, or the error reply why there is none. */
  reserve(): Uint8Array | null {
    if (!this.hasRoom()) return this.refusals.noPrivateConnection(this.node);
    this.reserved++;
    this.context.counts.privateConnectionsOpen++;
    return null;
  }

  /** Gives such a place back. */
  free(): void {
    this.reserved--;
    this.context.counts.privateConnectionsOpen--;
  }

  /**
   * The same node by another description. Where it is elsewhere, what waits for data or for messages would wait in vain, and what is
   * spare goes; what else is in flight is finished where it is.
   */
  reconfigure(node: NodeSnapshot): void {
    const isSame = isSameServer(this.node, node);
    this.node = node;
    if (isSame) return;
    this.closeSpare(MOVED);
    for (const connection of [...this.lent]) connection.tellMoved(new BackendError(MOVED));
  }

  /** Whether no connection has to be told where the node is. */
  get isEmpty(): boolean {
    return this.lent.size === 0 && this.spare.length === 0;
  }

  /** Calls `action` when it is its turn to open a connection. */
  inTurn(action: () => void): void {
    this.context.dials.request(action);
  }

  /** Whether the node seems to be there: many may want to connect again at the same time, and one is enough to find that it is not. */
  get isReached(): boolean {
    return this.common.isReady && this.context.transport.now - this.failedMs > this.node.limits.reconnectMinMs;
  }

  /** Whether the shared connection to the node stands. */
  get isNodeThere(): boolean {
    return this.common.isReady;
  }

  /** The error reply to a command that cannot be sent, and why. */
  nodeDown(reason: string): Uint8Array {
    return this.refusals.nodeDown(this.node, reason);
  }

  /** Looks at the clock. `nodeTrouble`: why the node is not well, or null. */
  sweep(nodeTrouble: string | null): void {
    const now = this.context.transport.now;
    for (const connection of [...this.lent]) connection.sweep(nodeTrouble);
    for (const connection of [...this.spare]) {
      if (now - connection.sinceMs > SPARE_MS_MAX) this.giveUp(connection, 'nobody needs it');
      else connection.sweep(nodeTrouble);
    }
    for (const connection of [...this.closing]) if (!connection.isGivenUp) connection.sweep(nodeTrouble);
  }

  close(reason: string): void {
    this.closedReason = reason;
    this.closeSpare(reason);
    for (const connection of [...this.lent, ...this.closing]) {
      if (!connection.isGivenUp) connection.breakOff(new BackendError(reason));
    }
  }

  /** Whether anything is in flight that does not wait for data. */
  get isBusy(): boolean {
    for (const connection of this.lent) if (connection.isBusy && !connection.mayBlock) return true;
    for (const connection of this.closing) if (connection.isBusy && !connection.isGivenUp) return true;
    return this.spare.some((connection) => connection.isBusy);
  }

  get isConnecting(): boolean {
    for (const connection of this.lent) if (connection.isConnecting) return true;
    return false;
  }

  onReady(connection: PrivateConnection): void {
    if (this.lent.has(connection)) this.openSpare(connection.kind as PrivateKind);
  }

  onMoved(connection: PrivateConnection, error: Error): void {
    const { holder } = connection;
    const hears = connection.listens || holder?.onStray !== undefined;
    if (connection.mayBlock || hears || holder?.mustMove === true) connection.breakOff(error);
  }

  onPush({ holder }: PrivateConnection, start: number, end: number): void {
    holder?.onPush?.(start, end);
  }

  onGivenBack(connection: PrivateConnection): void {
    this.lent.delete(connection);
    this.spare.push(connection);
    // What its user may not do was not undone, either.
    if (connection.kind?.identity != null) this.giveUp(connection, "it was one client's");
    else if (!isSameServer(connection.node, this.node)) this.giveUp(connection, MOVED);
    const [oldest] = this.spare;
    const isOneTooMany = this.spare.length > this.node.limits.privateConnectionsSpareMax;
    if (oldest !== undefined && isOneTooMany) this.giveUp(oldest, 'nobody needs it');
  }

  onLost(connection: PrivateConnection): void {
    if (!connection.isReady && !connection.isGivenUp) this.failedMs = this.context.transport.now;
    this.context.counts.privateConnectionsOpen--;
    this.forget(connection);
    this.closing.delete(connection);
  }

  /** The spare connection of that kind that came back last. */
  private takeSpare({ protocol, database }: SharedLane): PrivateConnection | null {
    const fits = (connection: PrivateConnection) =>
      connection.protocol === protocol && connection.database === database && !connection.isBusy;
    const index = this.spare.findLastIndex(fits);
    return index < 0 ? null : (this.spare.splice(index, 1)[0] as PrivateConnection);
  }

  private open(kind: PrivateKind): PrivateConnection {
    const connection = this.make(this.node, this);
    connection.connect(kind);
    return connection;
  }

  private make(node: NodeSnapshot, owner: PrivateOwner): PrivateConnection {
    this.context.counts.privateConnectionsOpen++;
    return new PrivateConnection(this.context, this.refusals, node, owner);
  }

  /** Opens one for the next who needs one of that kind, where none is left. */
  private openSpare(kind: PrivateKind): void {
    const { privateConnectionsMax, privateConnectionsSpareMax } = this.node.limits;
    if (
      kind.identity !== null ||
      this.spare.length > 0 ||
      privateConnectionsSpareMax === 0 ||
      this.openCount >= privateConnectionsMax
    )
      return;
    this.spare.push(this.open(kind));
  }

  private get openCount(): number {
    return this.lent.size + this.spare.length + this.closing.size + this.reserved;
  }

  /** Whether one more may be opened, after the oldest spare one was closed if need be. */
  private hasRoom(): boolean {
    if (this.openCount < this.node.limits.privateConnectionsMax) return true;
    const [oldest] = this.spare;
    if (oldest === undefined) return false;
    this.giveUp(oldest, 'another kind of connection is needed');
    return true;
  }

  /** Why there is none for who asks. */
  private refusal(): Uint8Array {
    if (this.closedReason !== null) return this.nodeDown(this.closedReason);
    return this.refusals.noPrivateConnection(this.node);
  }

  private closeSpare(reason: string): void {
    for (const connection of [...this.spare]) this.giveUp(connection, reason);
  }

  private giveUp(connection: PrivateConnection, reason: string): void {
    this.forget(connection);
    this.closing.add(connection);
    connection.close(reason);
  }

  private forget(connection: PrivateConnection): void {
    this.lent.delete(connection);
    this.spare = this.spare.filter((other) => other !== connection);
  }
}
