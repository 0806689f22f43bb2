/**
 * A connection to a node that serves one session alone, for what must not be shared: WATCH, commands that block, subscriptions.
 *
 *   connecting --greeted--> lent --giveBack()--> spare --lend()--> lent ...
 *        any of them --destroy(), error, silence--> lost
 *
 * While it connects, commands wait. It is never made anew: what it knew (watched keys, a place in a list's queue) went with
 * it, and its holder is told.
 */
import type { NodeSnapshot } from '../messages.js';
import { encodeCommand } from '../resp/reply.js';
import { largestArgument } from '../resp/request.js';
import { Backlog } from './backlog.js';
import type { ChannelContext } from './channel.js';
import {
  BackendConnection,
  BackendError,
  type ConnectionEvents,
  type ConnectionKind,
  type Greeting,
} from './connection.js';
import { findEndpoint } from './find-endpoint.js';
import { selectCommand } from './lane.js';
import { FOR_NOBODY, type Pending, type ReplyOwner } from './pending.js';
import type { Refusals } from './refusals.js';

/** Who has it. */
export interface Holder {
  /** It is gone, and what was in flight has been told. */
  onLost(connection: PrivateConnection, error: Error): void;
  /** What it does there is in vain when the node has another address. */
  readonly mustMove?: boolean;
  /** It was greeted. What is sent now goes before what waits. */
  onReady?(): void;
  /** See ConnectionEvents. */
  onRoom?(): void;
  /** What the node sent unasked: arena bytes [start, end), to be kept until the arena is settled. */
  onPush?(start: number, end: number): void;
  /** As `onPush`, of what is no push and comes while no reply is awaited (MONITOR). */
  onStray?(start: number, end: number): void;
}

export interface PrivateKind extends ConnectionKind {
  database: number;
}

/** Whom it belongs to. */
export interface PrivateOwner {
  /** It was greeted, and has sent what waited for that. */
  onReady(connection: PrivateConnection): void;
  onGivenBack(connection: PrivateConnection): void;
  /** Its node has another address or other credentials now, as `error` says. */
  onMoved(connection: PrivateConnection, error: Error): void;
  /** It is gone; what is in flight has not been told yet. */
  onLost(connection: PrivateConnection, error: Error): void;
  /** What the node sent unasked (RESP3): arena bytes [start, end), valid during the call. */
  onPush(connection: PrivateConnection, start: number, end: number): void;
}

export class PrivateConnection implements ConnectionEvents {
  readonly node: NodeSnapshot;
  /** What it is greeted as; null before `connect`. */
  kind: PrivateKind | null = null;
  protocol: 2 | 3 = 2;
  database = 0;
  /** The node's number for it; 0 before it was greeted. */
  clientId = 0;
  /** What it carries may take as long as it likes, while the node is well otherwise. */
  mayBlock = false;
  /** Its holder waits for what the node sends unasked: while nothing comes it is tried, and the node has time to answer. */
  listens = false;
  holder: Holder | null = null;
  /** Since when it has been spare, or in use. */
  sinceMs: number;
  /** It was greeted. */
  isReady = false;
  isLost = false;
  /** It is closed by us, in order: nobody may have it any more. */
  isGivenUp = false;
  private readonly context: ChannelContext;
  private readonly owner: PrivateOwner;
  private readonly refusals: Refusals;
  private readonly backlog: Backlog;
  private connection: BackendConnection | null = null;
  /** Its turn to be opened has come. */
  private isDialed = false;
  private bulkBytesMax = Number.POSITIVE_INFINITY;

  constructor(context: ChannelContext, refusals: Refusals, node: NodeSnapshot, owner: PrivateOwner) {
    const { transport } = context;
    this.context = context;
    this.refusals = refusals;
    this.node = node;
    this.owner = owner;
    this.sinceMs = transport.now;
    this.backlog = new Backlog(transport.arena);
  }

  /** Connects, and greets with what makes it of that kind. */
  connect(kind: PrivateKind): void {
    this.kind = kind;
    this.protocol = kind.protocol;
    this.database = kind.database;
    const { transport, limits, pendings, resolve, dials } = this.context;
    const { node } = this;
    dials.request(() => {
      if (this.isLost) return;
      this.isDialed = true;
      this.sinceMs = transport.now;
      findEndpoint(resolve, node.address, (endpoint, error) => {
        if (this.isLost) return;
        if (endpoint === null) this.fail(new BackendError(error));
        else this.connection = new BackendConnection(transport, endpoint, kind, node, limits, pendings, this);
      });
    });
  }

  /** As Channel.send. */
  send(pending: Pending, start: number, end: number): Uint8Array | null {
    if (this.isLost) return this.refusals.nodeDown(this.node, 'the connection was lost');
    const { bulkBytesMax } = this;
    if (end - start > bulkBytesMax && largestArgument(this.context.transport.arena.bytes, start, end) > bulkBytesMax)
      return this.refusals.tooLarge(this.node, bulkBytesMax);
    if (this.isReady && this.connection !== null) {
      this.connection.enqueue(pending, start, end);
      return null;
    }
    return this.backlog.add(pending, start, end, this.node.limits) ? null : this.refusals.overloaded(this.node);
  }

  /**
   * Has `pending` wait for its reply, whose frame follows in parts: the connection is ready, and its holder's alone. `largestBytes`: the
   * largest argument that is known of. As Channel.send.
   */
  begin(pending: Pending, largestBytes: number): Uint8Array | null {
    if (this.isLost || this.connection === null) return this.refusals.nodeDown(this.node, 'the connection was lost');
    if (largestBytes > this.bulkBytesMax) return this.refusals.tooLarge(this.node, this.bulkBytesMax);
    this.connection.begin(pending);
    return null;
  }

  /** See BackendConnection. */
  sendPart(start: number, end: number, isLast: boolean): boolean {
    return (this.connection as BackendConnection).sendPart(start, end, isLast);
  }

  /** Bytes of the arena that hold what waits to be sent. */
  get heldBytes(): number {
    return this.connection?.connection.output.heldBytes ?? 0;
  }

  /** Works in another database from now on. */
  select(database: number): void {
    this.database = database;
    this.tell(selectCommand(database));
  }

  /** Speaks the other protocol from now on. */
  speak(protocol: 2 | 3): void {
    this.protocol = protocol;
    this.tell(encodeCommand(['HELLO', String(protocol)]));
  }

  /** Another may have it, once the node has carried out what is in flight, and `cleanUp` after it. */
  giveBack(cleanUp: Uint8Array | null): void {
    if (this.isLost) return;
    if (!this.isReady) {
      this.destroy('nobody needs it');
      return;
    }
    if (cleanUp !== null) this.tell(cleanUp);
    this.holder = null;
    this.mayBlock = false;
    this.listens = false;
    this.sinceMs = this.context.transport.now;
    this.owner.onGivenBack(this);
  }

  /** It is lent. */
  lendTo(holder: Holder): void {
    this.holder = holder;
    if (this.isReady) this.sinceMs = this.context.transport.now;
  }

  /**
   * It was given back, and nobody may have it any more: closes it, but first what is in flight is finished. Who gave it back with EXEC
   * still waits for the answer.
   */
  close(reason: string): void {
    if (this.isReady && this.isBusy) this.connection?.retire(false);
    else this.destroy(reason);
  }

  /** Where the node is, as it was asked for, is elsewhere now. */
  tellMoved(error: Error): void {
    this.owner.onMoved(this, error);
  }

  /** Closes it; its holder hears nothing more. */
  destroy(reason: string): void {
    this.holder = null;
    this.isGivenUp = true;
    this.breakOff(new BackendError(reason));
  }

  /** Looks at the clock. `nodeTrouble`: why its node is not well, or null. */
  sweep(nodeTrouble: string | null): void {
    const { limits } = this.node;
    const { now } = this.context.transport;
    const { connection } = this;
    if (!this.isReady || connection === null) {
      if (this.isDialed && now - this.sinceMs > limits.connectTimeoutMs)
        this.breakOff(new BackendError(`no answer to connecting and greeting within ${limits.connectTimeoutMs} ms`));
      return;
    }
    const oldest = connection.queue.peek();
    if (oldest === undefined) {
      const quietSinceMs = Math.max(connection.lastSendMs, connection.lastBytesMs);
      if (this.listens && now - quietSinceMs > limits.idlePingMs) connection.ping();
      return;
    }
    if (this.mayBlock) {
      if (nodeTrouble !== null) this.breakOff(new BackendError(nodeTrouble));
      return;
    }
    connection.noteProgress();
    // Nobody waits for the answer to a PING; and what a paused node has for a subscriber comes when it goes on.
    const timeoutMs = oldest.owner === connection ? limits.stallTimeoutMs : limits.requestTimeoutMs;
    if (now - Math.max(connection.lastBytesMs, oldest.arrivedMs) > timeoutMs)
      this.breakOff(new BackendError(`it did not answer within ${timeoutMs} ms`));
  }

  /** Whether anything is in flight. */
  get isBusy(): boolean {
    return this.backlog.length > 0 || (this.connection?.queue.length ?? 0) > 0;
  }

  get isConnecting(): boolean {
    return !this.isReady && !this.isLost;
  }

  onReady(connection: BackendConnection, greeting: Greeting): void {
    const { backlog, context } = this;
    context.counts.nodeConnects++;
    this.isReady = true;
    this.clientId = greeting.clientId;
    this.bulkBytesMax = greeting.bulkBytesMax;
    this.holder?.onReady?.();
    for (let pending = backlog.take(); pending !== undefined; pending = backlog.take()) {
      const { frameStart, frameBytes } = pending;
      connection.enqueue(pending, frameStart, frameStart + frameBytes);
      context.transport.arena.settle();
      backlog.release(frameStart, frameBytes);
    }
    this.owner.onReady(this);
  }

  /** It is alone anyway. */
  onLarge(): void {}

  onRoom(): void {
    this.holder?.onRoom?.();
  }

  onPush(_connection: BackendConnection, start: number, end: number): void {
    this.owner.onPush(this, start, end);
  }

  onStray(start: number, end: number): boolean {
    if (this.holder?.onStray === undefined) return false;
    this.holder.onStray(start, end);
    return true;
  }

  /** It has answered all before its end. */
  onDrained(): void {
    this.isLost = true;
    this.owner.onLost(this, new BackendError('nobody needs it'));
  }

  onLost(_connection: BackendConnection, error: Error): void {
    this.fail(error);
  }

  /** Sends a command of its owner's, whose reply nobody is told of. */
  tell(frame: Uint8Array): void {
    if (!this.isLost) this.connection?.tell(frame);
  }

  /** Closes it, and tells its holder. */
  breakOff(error: Error): void {
    if (this.connection === null) this.fail(error);
    else this.connection.destroy(error);
  }

  private fail(error: Error): void {
    if (this.isLost) return;
    this.isLost = true;
    const { connection, backlog, context } = this;
    if (connection?.wasReady !== true) context.counts.nodeConnectFailures += this.isGivenUp ? 0 : 1;
    else if (!this.isGivenUp) context.counts.nodeConnectionsLost++;
    this.owner.onLost(this, error);
    if (connection !== null) this.failSent(connection, error);
    for (let pending = backlog.take(); pending !== undefined; pending = backlog.take()) {
      backlog.release(pending.frameStart, pending.frameBytes);
      this.tellFailure(pending, this.isGivenUp ? FOR_NOBODY : this.refusals.nodeDown(this.node, error.message));
    }
    const { holder } = this;
    this.holder = null;
    holder?.onLost(this, error);
  }

  private failSent(connection: BackendConnection, error: Error): void {
    const { queue } = connection;
    const reason = `the connection was lost: ${error.message}`;
    for (let pending = queue.shift(); pending !== undefined; pending = queue.shift()) {
      const isUnknown = pending.isWrite && connection.wasSent(pending);
      pending.connection = null;
      if (pending.owner === connection) connection.onFailure(pending);
      else if (this.isGivenUp) this.tellFailure(pending, FOR_NOBODY);
      else if (isUnknown) this.tellFailure(pending, this.refusals.unknown(this.node, reason));
      else this.tellFailure(pending, this.refusals.nodeDown(this.node, reason));
    }
  }

  private tellFailure(pending: Pending, error: Uint8Array): void {
    (pending.owner as ReplyOwner).onFailure(pending, error);
  }
}
