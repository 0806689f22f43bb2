/**
 * A session's own way to one node, which remembers what the session reads there and says when that changes (CLIENT TRACKING).
 *
 *   main       carries the commands; greeted with CLIENT TRACKING ON. In RESP3 the node's messages come by it,
 *   receiver   or, where they are for another client, by a connection in RESP3 that main redirects them to
 *
 *   none --first command--> receiver connects --> main connects --> ready --lost--> none
 *
 * What was in flight when main was lost fails: a read that is sent again elsewhere would not be remembered there. While a node cannot
 * be reached, commands fail at once, and it is tried again after a wait that doubles.
 */
import type { Timer } from '../base/timers.js';
import type { Transport } from '../transport/transport.js';
import { BackendError } from './connection.js';
import type { Identity } from './identity.js';
import { type LaneChannel, selectCommand } from './lane.js';
import type { NodeChannels } from './node-channels.js';
import type { Pending, PendingPool, ReplyOwner, Sender } from './pending.js';
import type { Holder, PrivateConnection, PrivateOwner } from './private-connection.js';

/** What it needs of its lane. */
export interface TrackedNodeContext {
  readonly transport: Transport;
  readonly pendings: PendingPool;
  readonly protocol: 2 | 3;
  readonly database: number;
  /** As whom its connections are made; null: as the proxy itself. */
  readonly identity: Identity | null;
  /** Whether messages are for another client than the session's own. */
  readonly isRedirected: boolean;
  /** To be sent before each command: CLIENT CACHING; or null. */
  readonly caching: Uint8Array | null;
  /** CLIENT TRACKING ON for a connection that does not track yet, redirected to that connection of the node unless 0. */
  begin(receiver: number): readonly Uint8Array[];
  /** The same for one that tracked as was wanted before. */
  change(receiver: number): Uint8Array;
  /** It has what is wanted, or cannot have it for now. */
  onSettled(node: TrackedNode): void;
  /** Messages may have been missed. */
  onForgotten(): void;
  /** The node sent arena bytes [start, end), valid during the call. */
  onPush(start: number, end: number): void;
}

const MINUS = 0x2d;
const NOT_NEEDED = 'its client does not need it';

export class TrackedNode implements LaneChannel, PrivateOwner, ReplyOwner {
  readonly channels: NodeChannels;
  readonly isGone = true;
  /** Kept open, also without commands. */
  isAlwaysOpen = false;
  private readonly context: TrackedNodeContext;
  private main: PrivateConnection | null = null;
  private receiver: PrivateConnection | null = null;
  /** Former ones, which finish what is in flight. */
  private readonly retired = new Set<PrivateConnection>();
  /** Of the commands of ours on `main`, how many have no reply yet. */
  private toldCount = 0;
  /** The node could not be reached: until then commands fail, for that reason. */
  private downUntilMs = 0;
  private downReason = '';
  private waitMs = 0;
  private retry: Timer | null = null;
  /** There was a time without a connection since it was to be always open. */
  private hasMissed = false;
  private isClosed = false;

  constructor(context: TrackedNodeContext, channels: NodeChannels) {
    this.context = context;
    this.channels = channels;
  }

  get isReady(): boolean {
    return this.main?.isReady === true;
  }

  /** The connection by which the node's messages come: what it answers there comes behind those that it has sent. Null: none comes. */
  get teller(): Sender | null {
    const teller = this.context.isRedirected ? this.receiver : this.main;
    return teller?.isReady === true ? teller : null;
  }

  /** Connections of a session's own are not asked for scripts by their SHA1. */
  readonly carrier = null;

  get isDown(): boolean {
    return this.main === null && this.context.transport.now < this.downUntilMs;
  }

  /** What is late on it is not known here. */
  readonly oldestMs = Number.POSITIVE_INFINITY;

  /** Whether all is as it is wanted, or cannot be for now. */
  get isSettled(): boolean {
    const { main, receiver } = this;
    if (main === null) return true;
    return main.isReady && this.toldCount === 0 && receiver?.isReady !== false;
  }

  send(pending: Pending, start: number, end: number): Uint8Array | null {
    const main = this.use();
    return main instanceof Uint8Array ? main : main.send(pending, start, end);
  }

  /** The connection, for what must go by one; `holder` is told when it is lost. Or the error reply why there is none. */
  lend(holder: Holder): PrivateConnection | Uint8Array {
    const main = this.use();
    if (!(main instanceof Uint8Array)) main.lendTo(holder);
    return main;
  }

  /** Connects if need be. Returns the error reply when that cannot be. */
  open(): Uint8Array | null {
    const main = this.connected();
    return main instanceof Uint8Array ? main : null;
  }

  /** It is to track in another way; nothing is in flight. Returns the error reply when that cannot be had. */
  change(): Uint8Array | null {
    const { context } = this;
    if (!this.isReady) return this.openAnew();
    if (context.isRedirected && this.receiver === null) return this.openReceiver();
    if (!context.isRedirected) this.closeReceiver();
    return this.tell(context.change(this.receiver?.clientId ?? 0));
  }

  /** It is to speak another protocol, or to work in another database; nothing is in flight. */
  enter(): void {
    const { main } = this;
    const { protocol, database } = this.context;
    if (main?.isReady !== true) {
      this.openAnew();
      return;
    }
    if (main.protocol !== protocol) main.speak(protocol);
    if (main.database !== database) main.select(database);
  }

  /** The node is not used any more. What is in flight is finished. */
  leave(): void {
    this.isAlwaysOpen = false;
    this.retire();
  }

  close(): void {
    this.isClosed = true;
    this.context.transport.timers.cancel(this.retry);
    this.drop();
  }

  onReady(connection: PrivateConnection): void {
    const { main } = this;
    if (connection === this.receiver) {
      if (main?.isReady === true) this.tell(this.context.change(connection.clientId));
      else this.connectMain();
      return;
    }
    this.waitMs = 0;
    this.downUntilMs = 0;
    if (this.hasMissed) this.context.onForgotten();
    this.hasMissed = false;
    this.context.onSettled(this);
  }

  /** Who has borrowed it needs it no longer. */
  onGivenBack(connection: PrivateConnection): void {
    connection.listens = true;
  }

  /** The next command goes where the node is now; what is in flight is finished where it is, but for what waits for data. */
  onMoved(connection: PrivateConnection, error: Error): void {
    if (connection !== this.main) return;
    if (connection.mayBlock) {
      connection.breakOff(error);
      return;
    }
    this.retire();
    if (this.isAlwaysOpen) this.open();
  }

  onLost(connection: PrivateConnection, error: Error): void {
    this.channels.privates.onLost(connection);
    if (this.isClosed) return;
    if (connection === this.receiver) {
      this.receiver = null;
      this.main?.breakOff(error);
      return;
    }
    const wasRetired = this.retired.delete(connection);
    if (connection === this.main) {
      this.main = null;
      this.closeReceiver();
    } else if (!wasRetired) {
      // Given up before: it remembered nothing.
      return;
    }
    if (connection.isReady) this.context.onForgotten();
    if (wasRetired) return;
    if (!connection.isReady) this.onUnreachable(error);
    if (this.isAlwaysOpen) this.openLater();
    this.context.onSettled(this);
  }

  onPush(_connection: PrivateConnection, start: number, end: number): void {
    if (!this.isClosed) this.context.onPush(start, end);
  }

  /** The reply to a command of ours. */
  onReply(pending: Pending, start: number, end: number): void {
    const { bytes } = this.context.transport.arena;
    this.release(pending);
    if (bytes[start] === MINUS) {
      const text = new TextDecoder().decode(bytes.subarray(start + 1, end - 2));
      this.main?.breakOff(new BackendError(`it refused to track: ${text}`));
    }
    if (!this.isClosed) this.context.onSettled(this);
  }

  onPrelude(): void {}

  onFailure(pending: Pending): void {
    this.release(pending);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }

  /** `main`, for the command that comes next. */
  private use(): PrivateConnection | Uint8Array {
    const main = this.connected();
    const { caching } = this.context;
    if (caching !== null && !(main instanceof Uint8Array)) return this.tell(caching) ?? main;
    return main;
  }

  private connected(): PrivateConnection | Uint8Array {
    if (this.main !== null) return this.main;
    const { privates, wanted } = this.channels;
    if (this.isDown) return privates.nodeDown(this.downReason);
    const main = privates.keep(wanted, this);
    if (main instanceof Uint8Array) return main;
    main.listens = true;
    this.main = main;
    if (!this.context.isRedirected) {
      this.connectMain();
      return main;
    }
    const refusal = this.openReceiver();
    if (refusal !== null) this.drop();
    return refusal ?? main;
  }

  private connectMain(): void {
    const { protocol, database, identity } = this.context;
    const tracking = this.context.begin(this.receiver?.clientId ?? 0);
    const setUp = database === 0 ? tracking : [selectCommand(database), ...tracking];
    this.main?.connect({ protocol, database, setUp, identity });
  }

  private openReceiver(): Uint8Array | null {
    const { privates, wanted } = this.channels;
    const receiver = privates.keep(wanted, this);
    if (receiver instanceof Uint8Array) return receiver;
    receiver.listens = true;
    this.receiver = receiver;
    receiver.connect({ protocol: 3, database: 0, setUp: [], identity: this.context.identity });
    return null;
  }

  /** What it was to be is not wanted any more. */
  private openAnew(): Uint8Array | null {
    this.drop();
    return this.isAlwaysOpen ? this.open() : null;
  }

  /** Sends a command of ours on `main`. Returns the error reply when it cannot be. */
  private tell(frame: Uint8Array): Uint8Array | null {
    const { transport, pendings } = this.context;
    const { arena } = transport;
    const main = this.main as PrivateConnection;
    const block = arena.allocate(frame.length);
    if (block < 0) return this.channels.privates.nodeDown('no buffer memory is left for this command');
    arena.bytes.set(frame, block);
    const pending = pendings.take(this, transport.now, false);
    this.toldCount++;
    const refusal = main.send(pending, block, block + frame.length);
    if (refusal !== null) this.release(pending);
    arena.settle();
    arena.release(block, frame.length);
    return refusal;
  }

  private release(pending: Pending): void {
    this.toldCount--;
    this.context.pendings.release(pending);
  }

  private retire(): void {
    const { main } = this;
    this.main = null;
    this.closeReceiver();
    if (main === null) return;
    this.retired.add(main);
    if (main.isReady) main.close(NOT_NEEDED);
    else main.breakOff(new BackendError(NOT_NEEDED));
  }

  /** Closes both connections; nobody is told of anything. */
  private drop(): void {
    const { main } = this;
    this.main = null;
    this.closeReceiver();
    main?.destroy(NOT_NEEDED);
  }

  private closeReceiver(): void {
    const { receiver } = this;
    this.receiver = null;
    receiver?.destroy(NOT_NEEDED);
  }

  private onUnreachable(error: Error): void {
    this.waitLonger();
    this.downUntilMs = this.context.transport.now + this.waitMs;
    this.downReason = error.message;
  }

  private waitLonger(): void {
    const { reconnectMinMs, reconnectMaxMs } = this.channels.wanted.limits;
    this.waitMs = Math.min(Math.max(this.waitMs * 2, reconnectMinMs), reconnectMaxMs);
  }

  /** Opens it again, until it is open: it is to be open without any command. */
  private openLater(): void {
    const { transport } = this.context;
    this.hasMissed = true;
    transport.timers.cancel(this.retry);
    const { privates, wanted } = this.channels;
    const dueMs = transport.now + Math.max(this.waitMs, wanted.limits.reconnectMinMs);
    this.retry = transport.timers.set(dueMs, () => {
      if (!this.isAlwaysOpen || (privates.isReached && this.open() === null)) return;
      this.waitLonger();
      this.openLater();
    });
  }
}
