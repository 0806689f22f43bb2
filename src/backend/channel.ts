/**
 * The shared way to one node, of one lane (protocol and database): the life of its connections, and what becomes of commands meanwhile.
 *
 *   idle --first command--> connecting --greeted--> ready --lost--> connecting (one try: at once, but for a node that
 *                               |                                      |       accepted a moment ago: then after a wait)
 *                               | failed                               | failed
 *                               v                                      v
 *                              down (commands fail at once; tried again after a wait that doubles) --greeted--> ready
 *
 * While connecting, commands wait in a backlog, each with its frame in an own block. When a connection is lost:
 *   - what was not wholly sent was not carried out: it waits in the backlog for the next connection;
 *   - a read that was sent goes into the backlog once more, in its old place before anything later of its session; if a
 *     later write of its session was sent too, it would see what that write did, and fails instead; what is bound to the connection
 *     fails, sent or not, as another one may lead to somebody else;
 *   - a write that was sent is answered -UNKNOWN: it may have been carried out.
 *
 * A connection that carries a large value is retired, and one that a script came by which the node is busy with: it finishes what it has, a fresh one
 * takes all new commands, which a busy node refuses there. Reads that stand behind a very large reply are asked anew by the fresh one. A
 * session that still awaits replies from a retired connection goes on there, so that its commands keep their order. Where no
 * fresh one can be had, the retired one is taken back.
 *
 * What is urgent (SCRIPT KILL) is for a node that may be busy: it waits for the greeting as long as for a reply, stands in line
 * also where the node has been silent for too long, and where it was down has it connected to anew.
 */
import { isSameEndpoint } from '../base/endpoint.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { Timer } from '../base/timers.js';
import type { NodeSnapshot } from '../messages.js';
import { errorReply } from '../resp/reply.js';
import { largestArgument } from '../resp/request.js';
import type { Transport } from '../transport/transport.js';
import { Backlog } from './backlog.js';
import {
  BackendConnection,
  BackendError,
  type ConnectionEvents,
  type ConnectionKind,
  type Greeting,
  GreetingRefused,
} from './connection.js';
import { findEndpoint, type Resolve } from './find-endpoint.js';
import type { PacedQueue } from './paced-queue.js';
import type { Pending, PendingPool, ReplyOwner } from './pending.js';
import { Refusals } from './refusals.js';

/** What a channel needs of its worker. */
export interface ChannelContext {
  transport: Transport;
  /** Of all nodes alike; the others are the node's own. */
  limits: Pick<Limits, 'largeValueBytes' | 'passthroughUsersMax'>;
  pendings: PendingPool;
  counts: Counts;
  /** A number in [0, 1): jitter. */
  random: () => number;
  /** When connections may be opened that somebody waits for, and others; and when those are closed that nothing new goes to. */
  dials: PacedQueue;
  openings: PacedQueue;
  closings: PacedQueue;
  /** Resolves a host name through the control plane. Calls back once, never from inside the call. */
  resolve: Resolve;
  /** Told when a node becomes reachable or unreachable through a channel. */
  onNodeState: (node: NodeSnapshot, isUp: boolean, reason: string) => void;
}

export interface ChannelKind extends ConnectionKind {
  /** For what must not wait behind a script. */
  readonly isUrgent: boolean;
}

type State = 'idle' | 'connecting' | 'ready' | 'down' | 'closed';

export class Channel implements ConnectionEvents {
  state: State = 'idle';
  node: NodeSnapshot;
  /** The node's version as it said at the last greeting, '' before. */
  version = '';
  /** How many databases it has, as it said then; 0: it did not. */
  databases = 0;
  /** How many modules it had loaded then. */
  modules = 0;
  /** Largest argument that the node takes, bytes, as it said at the last greeting. */
  private bulkBytesMax = Number.POSITIVE_INFINITY;

  private readonly context: ChannelContext;
  private readonly refusals: Refusals;
  private readonly kind: ChannelKind;
  /** Takes new commands when `state` is ready; otherwise the one being made, or null. */
  private current: BackendConnection | null = null;
  private retired: BackendConnection[] = [];
  private readonly backlog: Backlog;
  private downReason = '';
  /** What the node said to the client's own name and password, as a reply; null where that is not why it is down. */
  private refusal: Uint8Array | null = null;
  /** What onNodeState was last told. */
  private reported = '';
  /** An attempt is under way, begun at connectStartedMs. */
  private isConnecting = false;
  private connectStartedMs = 0;
  /** It waits for its turn to dial, in one of the queues or in both. */
  private isDialDue = false;
  private isInDials = false;
  private isInOpenings = false;
  private isLeaving = false;
  private reconnectMs: number;
  /** Until then no fresh connection is made beside the common one, which the node has refused. */
  private aloneUntilMs = 0;
  private reconnectTimer: Timer | null = null;
  /** Numbers the attempts: an answer of the resolver to an older one is dropped. */
  private attempt = 0;

  constructor(context: ChannelContext, node: NodeSnapshot, kind: ChannelKind) {
    this.context = context;
    this.refusals = new Refusals(context.counts);
    this.node = node;
    this.kind = kind;
    this.reconnectMs = node.limits.reconnectMinMs;
    this.backlog = new Backlog(context.transport.arena);
  }

  /** Opens a connection if there is none, so that trouble is known before the first command. */
  open(): void {
    if (this.state === 'idle') this.connect();
  }

  /**
   * Sends arena bytes [start, end), the frame of `pending`, or has it wait for the connection. Returns null when taken;
   * otherwise the error reply, and `pending` stays the caller's.
   */
  send(pending: Pending, start: number, end: number): Uint8Array | null {
    // A frame within the bound has no argument beyond it.
    if (end - start > this.bulkBytesMax && this.isTooLarge(start, end))
      return this.refusals.tooLarge(this.node, this.bulkBytesMax);
    const connection = this.current;
    if (this.state !== 'ready' || connection === null || this.retired.length > 0 || connection.expired > 0) {
      return this.sendAside(pending, start, end);
    }
    if (this.isFull(connection)) return this.refusals.overloaded(this.node);
    connection.enqueue(pending, start, end);
    return null;
  }

  /**
   * The same node by another description, which holds at once. Where its address or its credentials differ, what is in flight is
   * finished where it is, and new commands wait for a connection by the new ones. A thousand nodes may be told in one turn: what takes
   * system calls waits for its own.
   */
  reconfigure(node: NodeSnapshot): void {
    const before = this.node;
    if (node === before) return;
    this.node = node;
    if (this.state === 'idle' || this.state === 'closed') return;
    if (isSameServer(before, node)) {
      this.hasten();
      return;
    }
    const connection = this.current;
    this.current = null;
    this.context.transport.timers.cancel(this.reconnectTimer);
    for (const retired of this.retired) retired.retire(false);
    this.aloneUntilMs = 0;
    if (connection !== null && this.state === 'ready') {
      this.retired.push(connection);
      this.context.closings.request(() => connection.retire(false));
    } else if (connection !== null) {
      const error = new BackendError('the node has another address or other credentials now');
      this.context.closings.request(() => connection.destroy(error));
    }
    this.transition('connecting');
    this.reconnectMs = node.limits.reconnectMinMs;
    this.connect();
  }

  /** The node is no more: it is connected to only for commands that wait for it already. */
  leave(): void {
    this.isLeaving = true;
  }

  /** Whether commands are taken now, other than into the backlog. */
  get isReady(): boolean {
    return this.state === 'ready' && this.current !== null && this.current.expired === 0;
  }

  get isDown(): boolean {
    return this.state === 'down';
  }

  get oldestMs(): number {
    return this.current?.queue.peek()?.arrivedMs ?? Number.POSITIVE_INFINITY;
  }

  get carrier(): BackendConnection | null {
    return this.isReady && this.retired.length === 0 ? this.current : null;
  }

  /** Why the node is not well, as far as its connection here shows; null while it is, or is not known to be otherwise. */
  get trouble(): string | null {
    if (this.state === 'down') return this.downReason;
    const connection = this.current;
    if (connection === null || connection.expired === 0) return null;
    return `it has not answered for ${this.context.transport.now - connection.lastBytesMs} ms`;
  }

  /** Commands that wait for a reply, or to be sent, on the common connection. */
  get queued(): number {
    return this.backlog.length + (this.current?.queue.length ?? 0);
  }

  /** Whether anything is in flight or waits; the greeting of a connection is nothing. */
  get isBusy(): boolean {
    if (this.backlog.length > 0 || this.retired.length > 0) return true;
    return this.state === 'ready' && this.current !== null && this.current.queue.length > 0;
  }

  /** Looks at the clock: gives up on what is too old, tries a silent connection. Called several times a second. */
  sweep(): void {
    const { limits } = this.node;
    const now = this.context.transport.now;
    const connection = this.current;
    // Who waits for its turn to dial has not begun yet.
    const { connectTimeoutMs, stallTimeoutMs } = limits;
    const waitMs = this.isAwaitedPatiently ? Math.max(connectTimeoutMs, stallTimeoutMs) : connectTimeoutMs;
    if (this.isConnecting && !this.isDialDue && now - this.connectStartedMs > waitMs) {
      const error = new BackendError(`no answer to connecting and greeting within ${waitMs} ms`);
      if (connection === null) this.onConnectFailed(error);
      else connection.destroy(error);
    }
    this.expireBacklog(now, this.kind.isUrgent ? limits.requestTimeoutMs : limits.queueTimeoutMs);
    if (connection !== null && this.state === 'ready') {
      this.expireConnection(connection, now);
      connection.tellLarge();
      if (connection.expired === 0) this.report(true, this.version);
      else this.report(false, `it has not answered for ${limits.requestTimeoutMs} ms`);
      if (now - connection.lastSendMs > limits.idlePingMs && connection.queue.length === 0) connection.ping();
    }
    for (const retired of [...this.retired]) this.expireConnection(retired, now);
    this.dropAbandoned();
  }

  /** Closes the connections by which a large value comes that nobody waits for any more. Returns whether there was one. */
  dropAbandoned(): boolean {
    const abandoned = this.retired.filter((retired) => retired.isAbandoned);
    for (const retired of abandoned) retired.abandon();
    return abandoned.length > 0;
  }

  /** Gives up everything; what waits or is in flight is told so. */
  close(reason: string): void {
    const connections = this.current === null ? this.retired : [...this.retired, this.current];
    this.context.transport.timers.cancel(this.reconnectTimer);
    this.downReason = reason;
    this.transition('closed');
    for (const connection of [...connections]) connection.destroy(new BackendError(reason));
    this.failBacklog();
  }

  onReady(connection: BackendConnection, greeting: Greeting): void {
    // The node has moved meanwhile.
    if (connection !== this.current) return;
    this.context.counts.nodeConnects++;
    this.version = greeting.version;
    this.databases = greeting.databases;
    this.modules = greeting.modules;
    this.bulkBytesMax = greeting.bulkBytesMax;
    this.reconnectMs = this.node.limits.reconnectMinMs;
    this.transition('ready');
    this.isConnecting = false;
    this.report(true, greeting.version);
    this.sendBacklog(connection);
  }

  onLarge(connection: BackendConnection, pending: Pending): void {
    if (connection === this.current) {
      if (this.state !== 'ready') return;
      if (!this.setAside(connection)) {
        connection.share(pending, this.context.counts);
        return;
      }
    }
    // While the node is down for new connections, what comes by the old one is all there is.
    if (connection.queue.peek() === pending && this.state !== 'down') this.askAgain(connection);
  }

  /** What was asked behind a large reply of a retired connection does not wait for it: reads are asked by the fresh one. */
  private askAgain(connection: BackendConnection): void {
    const { limits } = this.node;
    const { now } = this.context.transport;
    connection.giveUpReads((read) => {
      const start = read.frameStart;
      read.wasRetried = true;
      if (this.backlog.putBack(read, start, start + read.frameBytes, limits, now)) {
        this.context.counts.readsRetried++;
        return;
      }
      read.connection = null;
      (read.owner as ReplyOwner).onFailure(read, this.refusals.overloaded(this.node));
    });
    this.goOn();
  }

  giveWay(pending: Pending): void {
    const connection = this.current;
    if (connection !== null && this.state === 'ready' && pending.connection === connection) this.setAside(connection);
  }

  /** Has the common connection finish what it has, and a fresh one take all new commands. False: it has to go on. */
  private setAside(connection: BackendConnection): boolean {
    if (this.context.transport.now < this.aloneUntilMs) return false;
    if (this.retired.length >= this.node.limits.largeConnectionsMax) {
      // Clients that read slowly may not keep all the places.
      for (const retired of this.retired) retired.hurry();
      return false;
    }
    this.context.counts.nodeConnectionsRetired++;
    this.retired.push(connection);
    this.current = null;
    connection.retire(true);
    this.connect();
    return true;
  }

  onLost(connection: BackendConnection, error: Error): void {
    const wasCurrent = connection === this.current;
    const wasReady = wasCurrent && this.state === 'ready';
    if (wasCurrent) this.current = null;
    else this.retired = this.retired.filter((retired) => retired !== connection);
    if (connection.wasReady && this.state !== 'closed') this.context.counts.nodeConnectionsLost++;
    this.rescue(connection, error);
    if (this.state === 'closed') return;
    if (!wasCurrent) this.goOn();
    else if (wasReady) this.connectAgain();
    else this.onConnectFailed(error);
  }

  onDrained(connection: BackendConnection): void {
    this.retired = this.retired.filter((retired) => retired !== connection);
  }

  /** No shared connection asks for any. */
  onPush(): void {}

  private transition(state: State): void {
    this.state = state;
  }

  private connect(): void {
    this.attempt++;
    this.isConnecting = true;
    this.connectStartedMs = this.context.transport.now;
    if (this.state !== 'down') this.transition('connecting');
    this.isDialDue = true;
    this.awaitTurn();
  }

  /** Nodes that a command waits for come before all others, and so do those that are down: what is for them is refused meanwhile. */
  private awaitTurn(): void {
    const { dials, openings } = this.context;
    if (this.backlog.length > 0 || this.state === 'down') {
      if (this.isInDials) return;
      this.isInDials = true;
      dials.request(() => {
        this.isInDials = false;
        this.onTurn();
      });
    } else if (!this.isInOpenings) {
      this.isInOpenings = true;
      openings.request(() => {
        this.isInOpenings = false;
        this.onTurn();
      });
    }
  }

  private onTurn(): void {
    if (!this.isDialDue) return;
    this.isDialDue = false;
    if (!this.isConnecting || this.state === 'closed') return;
    if (this.isLeaving && this.backlog.length === 0) this.rest();
    else this.dial();
  }

  /** Nobody needs the connection that was asked for: a command would ask for it anew. */
  private rest(): void {
    this.isConnecting = false;
    this.transition('idle');
  }

  /** Opens the connection of the newest attempt, when it is its turn. */
  private dial(): void {
    const { transport, limits, pendings } = this.context;
    const { attempt, node, kind } = this;
    this.connectStartedMs = transport.now;
    findEndpoint(this.context.resolve, node.address, (endpoint, error) => {
      if (attempt !== this.attempt || this.state === 'closed') return;
      if (endpoint === null) this.onConnectFailed(new BackendError(error));
      else this.current = new BackendConnection(transport, endpoint, kind, node, limits, pendings, this);
    });
  }

  /** After a ready connection was lost. A node that greets and closes must not keep us busy with connecting to it. */
  private connectAgain(): void {
    const { transport } = this.context;
    const dueMs = this.connectStartedMs + this.jittered(this.node.limits.reconnectMinMs);
    if (dueMs <= transport.now) {
      this.connect();
      return;
    }
    this.transition('connecting');
    this.reconnectTimer = transport.timers.set(dueMs, () => this.connect());
  }

  private onConnectFailed(error: Error): void {
    const { transport, counts } = this.context;
    counts.nodeConnectFailures++;
    this.attempt++;
    this.isConnecting = false;
    if (!this.takeBack()) {
      this.downReason = error.message;
      this.refusal = this.kind.identity === null ? null : refusalOf(error, this.node.label);
      this.transition('down');
      this.report(false, error.message);
      this.failBacklog();
      this.connectLater(transport.now);
    }
    this.reconnectMs = Math.min(this.reconnectMs * 2, this.node.limits.reconnectMaxMs);
  }

  /**
   * No fresh connection can be had beside one that finishes a large value (the node may have as many clients as it takes): that one
   * is the common one again, and small commands stand behind the large value. For a while none is tried for.
   */
  private takeBack(): boolean {
    const { transport } = this.context;
    const index = this.retired.findLastIndex((connection) => connection.expired === 0 && connection.comeBack());
    const connection = this.retired[index];
    if (connection === undefined) return false;
    this.retired.splice(index, 1);
    this.current = connection;
    this.aloneUntilMs = transport.now + this.jittered(this.reconnectMs);
    this.transition('ready');
    this.sendBacklog(connection);
    return true;
  }

  /** Tries again when `reconnectMs` have passed since `sinceMs`, or up to half of it earlier. */
  private connectLater(sinceMs: number): void {
    const dueMs = sinceMs + this.jittered(this.reconnectMs);
    this.reconnectTimer = this.context.transport.timers.set(dueMs, () => {
      // What a client's user cannot do is tried again when somebody asks for it.
      if (this.kind.identity === null) this.connect();
      else this.rest();
    });
  }

  /** Between half of `waitMs` and all of it, so that those who lost the node at the same time do not come back at the same time. */
  private jittered(waitMs: number): number {
    return Math.round(waitMs * (0.5 + this.context.random() / 2));
  }

  /** A wait that is under way ends by the limits of now: nobody wants to wait for the end of one that was set too long. */
  private hasten(): void {
    const { transport } = this.context;
    const { reconnectMinMs, reconnectMaxMs } = this.node.limits;
    this.reconnectMs = Math.min(Math.max(this.reconnectMs, reconnectMinMs), reconnectMaxMs);
    const isWaiting = this.state === 'down' || this.state === 'connecting';
    if (!isWaiting || this.isConnecting || this.reconnectTimer === null) return;
    if (this.reconnectTimer.dueMs <= transport.now + this.reconnectMs) return;
    transport.timers.cancel(this.reconnectTimer);
    this.connectLater(transport.now);
  }

  private report(isUp: boolean, reason: string): void {
    // Whether a user is let in says nothing of the node.
    if (this.kind.identity !== null) return;
    const report = `${isUp} ${reason}`;
    if (report === this.reported) return;
    this.reported = report;
    this.context.onNodeState(this.node, isUp, reason);
  }

  /** The slow cases of `send`. */
  private sendAside(pending: Pending, start: number, end: number): Uint8Array | null {
    const owner = pending.owner as ReplyOwner;
    for (const retired of this.retired) {
      if (!owner.awaits(retired)) continue;
      if (this.isFull(retired)) return this.refusals.overloaded(this.node);
      retired.enqueue(pending, start, end);
      return null;
    }
    const connection = this.current;
    if (this.state === 'ready' && connection !== null) {
      if (connection.expired > 0 && !this.kind.isUrgent) {
        const silentMs = this.context.transport.now - connection.lastBytesMs;
        return this.refusals.nodeDown(this.node, `it has not answered for ${silentMs} ms`);
      }
      if (this.isFull(connection)) return this.refusals.overloaded(this.node);
      connection.enqueue(pending, start, end);
      return null;
    }
    if (this.state === 'down' && this.kind.isUrgent) this.tryAnew();
    if (this.state !== 'idle' && this.state !== 'connecting')
      return this.refusal ?? this.refusals.nodeDown(this.node, this.downReason);
    if (!this.backlog.add(pending, start, end, this.node.limits)) return this.refusals.overloaded(this.node);
    this.hurry();
    return null;
  }

  /** What was found before is no word on a node that may be busy by now; unless it was found a moment ago. */
  private tryAnew(): void {
    const { transport } = this.context;
    if (!this.isConnecting) {
      if (transport.now - this.connectStartedMs < this.node.limits.reconnectMinMs) return;
      transport.timers.cancel(this.reconnectTimer);
    }
    this.transition('connecting');
    if (!this.isConnecting) this.connect();
  }

  /** Takes over what a lost connection leaves, oldest first. What waits already is younger and stays behind it. */
  private rescue(connection: BackendConnection, error: Error): void {
    const { now } = this.context.transport;
    const { limits } = this.node;
    const queue = connection.queue;
    const overtaken = overtakenReads(connection);
    for (let pending = queue.shift(); pending !== undefined; pending = queue.shift()) {
      const wasSent = connection.wasSent(pending);
      pending.connection = null;
      if (pending.owner === connection) connection.onFailure(pending);
      else if (wasSent && pending.isWrite) this.failUnknown(pending, error);
      else if (pending.isBound) this.fail(pending, `the connection was lost: ${error.message}`);
      else if (wasSent && pending.wasRetried) this.fail(pending, `the connection was lost twice: ${error.message}`);
      else if (overtaken.has(pending)) this.fail(pending, `the connection was lost: ${error.message}`);
      else if (this.state === 'closed') this.fail(pending, error.message);
      else {
        const start = pending.frameStart;
        if (pending.frameBytes === 0) {
          this.fail(pending, error.message);
          continue;
        }
        if (wasSent) {
          pending.wasRetried = true;
          this.context.counts.readsRetried++;
        }
        const end = start + pending.frameBytes;
        if (!this.backlog.putBack(pending, start, end, limits, now)) this.fail(pending, error.message);
      }
    }
  }

  /** What a retired connection left does not wait for a connection where there is one, or where there will be none soon. */
  private goOn(): void {
    if (this.state === 'ready' && this.current !== null) this.sendBacklog(this.current);
    else if (this.state === 'down') this.failBacklog();
    else if (this.backlog.length > 0) this.hurry();
  }

  /** What waits is to have a connection soon. */
  private hurry(): void {
    if (this.state === 'idle') this.connect();
    else if (this.isDialDue) this.awaitTurn();
  }

  private sendBacklog(connection: BackendConnection): void {
    const { backlog } = this;
    for (let pending = backlog.take(); pending !== undefined; pending = backlog.take()) {
      const start = pending.frameStart;
      const bytes = pending.frameBytes;
      if (bytes > this.bulkBytesMax && this.isTooLarge(start, start + bytes)) {
        backlog.release(start, bytes);
        (pending.owner as ReplyOwner).onFailure(pending, this.refusals.tooLarge(this.node, this.bulkBytesMax));
        continue;
      }
      connection.enqueue(pending, start, start + bytes);
      this.context.transport.arena.settle();
      backlog.release(start, bytes);
    }
  }

  private failBacklog(): void {
    const { backlog } = this;
    for (let pending = backlog.take(); pending !== undefined; pending = backlog.take())
      this.failWaiting(pending, this.downReason);
  }

  /**
   * A node that sends nothing while replies are awaited is given up on. One that sends is only busy: a command behind a
   * gigabyte of other replies waits for them, as it would at the node itself.
   */
  private expireConnection(connection: BackendConnection, now: number): void {
    const { counts } = this.context;
    const { limits } = this.node;
    connection.noteProgress();
    if (now - connection.lastBytesMs <= limits.requestTimeoutMs) return;
    const mustClose = connection.expire(now - limits.requestTimeoutMs, (pending) => {
      counts.commandsTimedOut++;
      const reason = `it did not answer within ${limits.requestTimeoutMs} ms`;
      return pending.isWrite ? this.refusals.unknown(this.node, reason) : this.refusals.nodeDown(this.node, reason);
    });
    const oldest = connection.queue.peek();
    const isStalled = oldest !== undefined && now - oldest.arrivedMs > limits.stallTimeoutMs;
    if (mustClose || isStalled) {
      connection.destroy(new BackendError(`it has not answered for ${now - connection.lastBytesMs} ms`));
    }
  }

  private expireBacklog(now: number, waitMs: number): void {
    const { backlog } = this;
    const oldestMs = now - waitMs;
    const reason = `no connection to it within ${waitMs} ms`;
    for (let late = backlog.takeExpired(oldestMs); late !== undefined; late = backlog.takeExpired(oldestMs)) {
      this.context.counts.commandsTimedOut++;
      this.failWaiting(late, reason);
    }
  }

  /**
   * Whether something urgent waits for a node that has accepted the connection and greets nobody. It may be busy with a script, and then
   * listens to what is urgent when that has taken so long.
   */
  private get isAwaitedPatiently(): boolean {
    return this.kind.isUrgent && this.backlog.length > 0 && this.current?.state === 'greeting';
  }

  private isFull(connection: BackendConnection): boolean {
    const { nodeQueueBytesMax, nodeQueueCommandsMax } = this.node.limits;
    const output = connection.connection.output;
    return output.heldBytes > nodeQueueBytesMax || connection.queue.length >= nodeQueueCommandsMax;
  }

  /** Tells of a command that was taken out of the backlog. */
  private failWaiting(pending: Pending, reason: string): void {
    this.backlog.release(pending.frameStart, pending.frameBytes);
    this.fail(pending, reason);
  }

  private failUnknown(pending: Pending, error: Error): void {
    (pending.owner as ReplyOwner).onFailure(
      pending,
      this.refusals.unknown(this.node, `the connection was lost: ${error.message}`),
    );
  }

  private fail(pending: Pending, reason: string): void {
    const isRefused = this.state === 'down' && this.refusal !== null;
    const error = isRefused ? (this.refusal as Uint8Array) : this.refusals.nodeDown(this.node, reason);
    (pending.owner as ReplyOwner).onFailure(pending, error);
  }

  /** Whether the node would refuse the command whose frame is arena bytes [start, end), and close the connection. */
  private isTooLarge(start: number, end: number): boolean {
    return largestArgument(this.context.transport.arena.bytes, start, end) > this.bulkBytesMax;
  }
}

/** The reads that were sent on the lost `connection` before a write of the same session, which may have been carried out. */
function overtakenReads(connection: BackendConnection): Set<Pending> {
  const reads = new Set<Pending>();
  const writers = new Set<object>();
  const { queue } = connection;
  for (let index = queue.length - 1; index >= 0; index--) {
    const pending = queue.at(index);
    if (!connection.wasSent(pending)) continue;
    const askers = (pending.owner as ReplyOwner).askers();
    if (pending.isWrite) for (const asker of askers) writers.add(asker);
    else if (writers.size > 0 && askers.some((asker) => writers.has(asker))) reads.add(pending);
  }
  return reads;
}

/** What the client is told where the node refused its name and password, or null. */
function refusalOf(error: Error, node: string): Uint8Array | null {
  if (!(error instanceof GreetingRefused)) return null;
  if (error.reply.startsWith('NOAUTH')) return errorReply('NOAUTH Authentication required.');
  return errorReply(`${error.reply} (node ${node} said so)`);
}

export function isSameServer(one: NodeSnapshot, other: NodeSnapshot): boolean {
  return (
    isSameEndpoint(one.address, other.address) && one.username === other.username && one.password === other.password
  );
}
