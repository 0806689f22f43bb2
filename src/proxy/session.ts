/**
 * One client's connection: reads its commands, keeps their replies in order, holds it back when it is too fast.
 *
 *   client -> onBytes -> dispatch -> ... nodes ...
 *   client <- output <- queue: [done] [waits] [done] [waits]     flushed from the head only
 *
 * Reply order is the client's contract, whatever order shards answer in. A reply that comes before its turn is parked in
 * an own block of the arena.
 *
 * It is not read (held) while too much is in flight, while its output is too full, while a command that changes the session
 * itself (HELLO) waits for the replies before it, while one is carried out by a connection of its own (WATCH, BLPOP), or while
 * one is put off (CLIENT PAUSE).
 */

import type { Lane } from '../backend/lane.js';
import type { Carrier, Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import { Fifo } from '../base/fifo.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import { INVALID } from '../resp/frame.js';
import { encodeCommand, errorReply } from '../resp/reply.js';
import {
  ARGUMENTS_MAX,
  RequestProgress,
  type RequestReader,
  UNAUTHENTICATED_ARGUMENTS_MAX,
  UNAUTHENTICATED_BULK_BYTES_MAX,
} from '../resp/request.js';
import type { Connection, ConnectionOwner, Transport } from '../transport/transport.js';
import { type Authentication, DEFAULT_USER } from './authentication.js';
import type { ReplicatedWatch } from './replicated-block.js';
import type { Subscriptions } from './subscriptions.js';
import type { TrackingState } from './tracking-state.js';
import type { Transaction } from './transaction.js';
import type { Watch } from './watch.js';

/** What a session needs of its worker. */
export interface SessionContext {
  transport: Transport;
  limits: Limits;
  counts: Counts;
  pendings: PendingPool;
  reader: RequestReader;
  authentication: Authentication;
  /** The connections that sessions of that protocol and database share. */
  lane: (protocol: 2 | 3, database: number) => Lane;
  /**
   * Carries out the command last read by `reader`, whose frame is arena bytes [start, end). False: not now, the replies
   * before it must have gone out; nothing was done.
   */
  dispatch: (session: Session, start: number, end: number) => boolean;
  onSessionClosed: (session: Session, error: Error | null) => void;
}

/** What a session waits for by connections of its own. */
export interface BlockedBy {
  /** It has been answered. */
  end(): void;
  /** Nobody waits for the answer any more. */
  cancel(): void;
  /** Ends the wait at the nodes, as at its time-out or with an error. `done` is told once whether it did wait. */
  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void;
}

/** Why the proxy closed a client's connection. */
export class SessionError extends Error {
  override name = 'SessionError';
}

/** What a push begins with in RESP2. */
const ARRAY = Buffer.from('*');
const UNFINISHED_STEP_BYTES = 1024 * 1024;
/** As sessionOutputSoftBytes, for one that owes its password: whom nobody knows may not have us hold much for him. */
const UNAUTHENTICATED_OUTPUT_BYTES_MAX = 16 * 1024;
/** Of what comes while its command blocks. Beyond, it is not read, and that the client has gone is seen late. */
const BLOCKED_BYTES_MAX = 64 * 1024;

export class Session implements ConnectionOwner, ReplyOwner {
  readonly id: number;
  readonly connection: Connection;
  /** The number of the service that it came in for. */
  readonly service: number;
  /** The connections that its commands go by, which speak its protocol and work in its database. */
  lane: Lane;
  name = '';
  /** False while it owes a password: then next to nothing is carried out. */
  isAuthenticated = true;
  user = DEFAULT_USER;
  /** Whether the client does not want the reply to the next command (CLIENT REPLY); and if so, whether only that one. */
  private isMuted = false;
  private isMutedOnce = false;
  /** It asked not to be closed when memory runs out (CLIENT NO-EVICT). */
  isProtected = false;
  /** Since when it owes a password (-1: it does not). */
  unauthenticatedSinceMs = -1;
  readonly createdMs: number;
  /** When bytes last came, or were last taken by the client; since when a command is half there (-1: none is). */
  lastBytesMs: number;
  unfinishedSinceMs = -1;
  private unfinishedBytes = 0;
  /** As `noteProgress` saw them last: the connection's unread bytes, and its output's position. */
  private seenUnreadBytes = 0;
  private seenSent = 0;
  /** Since when it only waits for its last replies to go out (-1: it does not). */
  endingSinceMs = -1;
  lastCommand = '';
  /** Bytes of the requests in its queue. */
  requestBytes = 0;
  /** Between MULTI and EXEC. */
  transaction: Transaction | null = null;
  /** Between WATCH and EXEC. */
  watch: Watch | null = null;
  replicatedWatch: ReplicatedWatch | null = null;
  /** From its first SUBSCRIBE until nothing is left of it. */
  subscriptions: Subscriptions | null = null;
  /** While it tracks keys (CLIENT TRACKING): `lane` is that of the tracking then. */
  tracking: TrackingState | null = null;
  /** While its command may wait at the node. */
  blocked: BlockedBy | null = null;
  isClosed = false;
  /** What still comes for it is dropped; soon it is closed. */
  isCutOff = false;

  private readonly context: SessionContext;
  private readonly limits: Limits;
  private readonly queue = new Fifo<Pending>();
  private readonly progress = new RequestProgress();
  /** Bytes of the replies parked in the queue. */
  private parkedBytes = 0;
  /** What `pushOnce` sent last, and where in the output that ended. */
  private lastPush: Uint8Array | null = null;
  private lastPushPosition = 0;
  private isHeld = false;
  /** Reads no further command until the queue is empty. */
  private waitsForReplies = false;
  /** The command that comes next may not be carried out now. */
  private isPutOff = false;
  /** A bit for each 32nd node: those whose bit is not set it has not written to. */
  private writtenNodes = 0;
  /** Reads no more, and closes when the last reply has been sent. */
  private isEnding = false;

  constructor(context: SessionContext, connection: Connection, service: number, id: number) {
    this.context = context;
    this.limits = context.limits;
    this.connection = connection;
    this.service = service;
    this.id = id;
    this.createdMs = context.transport.now;
    this.lastBytesMs = context.transport.now;
    this.lane = context.lane(2, 0);
    this.reset();
  }

  /** The protocol the client speaks, set by HELLO. */
  get protocol(): 2 | 3 {
    return this.lane.protocol;
  }

  /** The database it works in, set by SELECT. */
  get database(): number {
    return this.lane.database;
  }

  /** Bytes of the arena that this session causes to be held, for choosing whom to close when memory runs out. */
  get bufferedBytes(): number {
    const { output, unreadHeldBytes } = this.connection;
    let bytes = output.heldBytes + unreadHeldBytes + this.requestBytes + this.parkedBytes;
    bytes += this.transaction?.heldBytes ?? 0;
    for (let index = 0; index < this.queue.length; index++) {
      const pending = this.queue.at(index);
      bytes += (pending.source?.heldBytes ?? 0) + (pending.connection?.heldFor(pending) ?? 0);
    }
    return bytes;
  }

  onOpen(): void {}

  onBytes(start: number, end: number): number {
    const { context, progress } = this;
    const { reader, transport } = context;
    const bytes = transport.arena.bytes;
    this.lastBytesMs = transport.now;
    let at = start;
    while (at < end) {
      if (this.isEnding) return end;
      if (this.mustHold()) {
        this.holdBack(end - at);
        break;
      }
      const frameEnd = reader.read(bytes, at, end, progress);
      if (frameEnd < 0) {
        if (frameEnd === INVALID) {
          this.onProtocolError(reader.error);
          return end;
        }
        this.connection.expect(progress.need);
        this.markUnfinished(end - at);
        break;
      }
      this.unfinishedSinceMs = -1;
      if (reader.inlineArguments !== null) {
        if (reader.inlineArguments.length > 0 && !this.dispatchInline(reader.inlineArguments, end - at)) break;
      } else if (reader.argumentCount > 0 && !context.dispatch(this, at, frameEnd)) {
        this.holdForReplies(end - at);
        break;
      }
      at = frameEnd;
    }
    return at;
  }

  onEnd(): void {
    this.finish();
  }

  onDrain(): void {
    this.release();
  }

  onClose(error: Error | null): void {
    this.isClosed = true;
    this.letGo();
    this.blocked?.cancel();
    this.blocked = null;
    for (let pending = this.queue.shift(); pending !== undefined; pending = this.queue.shift()) {
      if (pending.source !== null) pending.source.abandon();
      // What is in flight stands in its connection's queue still, which gives it back with the reply.
      if (pending.isDone || pending.source !== null) this.discard(pending);
    }
    this.context.onSessionClosed(this, error);
  }

  /**
   * Puts a command that has been read into the queue. Every command read is tracked, or replied to by `reply`, once; but for
   * CLIENT REPLY OFF and SKIP, which have no reply.
   */
  track(pending: Pending, requestBytes: number): void {
    pending.requestBytes = requestBytes;
    pending.isMuted = this.isMuted && this.mutesThis();
    this.requestBytes += requestBytes;
    this.queue.push(pending);
  }

  /** Answers the command just read with bytes from outside the arena. */
  reply(bytes: Uint8Array): void {
    if (this.queue.length === 0) {
      if (this.isMuted && this.mutesThis()) return;
      this.connection.output.appendBytes(bytes);
      this.afterReplies();
      return;
    }
    const pending = this.context.pendings.take(this, this.context.transport.now, false);
    pending.replyConstant = bytes;
    pending.isDone = true;
    this.track(pending, 0);
  }

  /** Answers the command just read with the error why it is not carried out; EXEC will then refuse those queued before it. */
  refuse(error: Uint8Array): void {
    if (this.transaction !== null) this.transaction.isDirty = true;
    this.reply(error);
  }

  /** From the next command on the client wants no replies, or not the next one. */
  mute(once: boolean): void {
    if (once && this.isMuted && !this.isMutedOnce) return;
    this.isMuted = true;
    this.isMutedOnce = once;
  }

  unmute(): void {
    this.isMuted = false;
    this.isMutedOnce = false;
  }

  dropTransaction(): void {
    this.transaction?.release();
    this.transaction = null;
  }

  endWatch(): void {
    this.watch?.end();
    this.watch = null;
    this.replicatedWatch = null;
  }

  endSubscriptions(): void {
    this.subscriptions?.close();
    this.subscriptions = null;
  }

  get isSubscribed(): boolean {
    return this.subscriptions !== null && this.subscriptions.total > 0;
  }

  /** Whether the command of that name may be carried out now: in RESP2 a client with subscriptions can do little else. */
  mayCarryOut(name: string): boolean {
    return this.protocol === 3 || !this.isSubscribed || /^(ping|quit|reset|[ps]?(un)?subscribe)$/.test(name);
  }

  /** Arena bytes [start, end) are a push for the client: no reply, so that CLIENT REPLY says nothing of it. */
  push(start: number, end: number): void {
    if (this.isEnding) return;
    const { output } = this.connection;
    if (this.protocol === 3) output.append(start, end);
    else {
      output.appendBytes(ARRAY);
      output.append(start + 1, end);
    }
    this.watchOutput();
  }

  /** Tracks no more. All before has been answered, or is of no interest. */
  endTracking(): void {
    if (this.tracking === null) return;
    // What it watches is known to a connection that goes with it.
    if (this.watch !== null) this.watch.isBroken = true;
    this.tracking.close();
    this.tracking = null;
    this.lane = this.context.lane(this.protocol, this.database);
  }

  /**
   * Sends what the client did not ask for: not before replies that have come and wait for their turn. That which waits counts as
   * a parked reply. CLIENT REPLY says nothing of it.
   */
  pushInOrder(frame: Uint8Array): void {
    if (this.isLeaving) return;
    if (!this.hasReplies()) this.connection.output.appendBytes(frame);
    else {
      const { arena } = this.context.transport;
      const block = arena.allocate(frame.length);
      if (block < 0) {
        this.cutOffForMemory();
        return;
      }
      arena.bytes.set(frame, block);
      const pending = this.trackReady();
      pending.replyStart = block;
      pending.replyBytes = frame.length;
      this.parkedBytes += frame.length;
    }
    this.afterReplies();
  }

  /** As `pushInOrder`, of a constant that says nothing new where it was the last that was sent. */
  pushOnce(frame: Uint8Array): void {
    if (this.isLeaving) return;
    const { queue } = this;
    const { output } = this.connection;
    if (this.hasReplies()) {
      if (queue.at(queue.length - 1).replyConstant === frame) return;
      this.trackReady().replyConstant = frame;
      this.lastPush = frame;
      return;
    }
    if (this.lastPush === frame && this.lastPushPosition === output.appended) return;
    output.appendBytes(frame);
    this.lastPush = frame;
    this.lastPushPosition = output.appended;
    this.afterReplies();
  }

  /** Where its output ends; null while replies wait for those before them. */
  get quietPosition(): number | null {
    return this.hasReplies() ? null : this.connection.output.appended;
  }

  /** Calls `then` when all that was read has been answered, unless the session is closed before. */
  whenAnswered(then: () => void): void {
    if (this.queue.length === 0) then();
    else this.trackReady().source = { writeReply: then, abandon: () => {}, awaitsPart: () => false, heldBytes: 0 };
  }

  /** Speaks that protocol and works in that database from now on. All before has been answered. */
  enter(protocol: 2 | 3, database: number): void {
    this.tracking?.lane.enter(protocol, database);
    const connection = this.watch?.connection;
    if (connection && connection.protocol !== protocol) connection.speak(protocol);
    if (connection && connection.database !== database) connection.select(database);
    if (this.tracking === null) this.lane = this.context.lane(protocol, database);
  }

  /** The command just tracked waits by connections of its own: nothing is read until it has been answered. */
  block(blocked: BlockedBy): void {
    this.blocked = blocked;
    this.waitsForReplies = true;
  }

  /**
   * The command just read is not carried out now, and all before it has been answered: it is read again after `goOn`. `dispatch` is
   * about to say so.
   */
  putOff(blocked: BlockedBy): void {
    this.blocked = blocked;
    this.isPutOff = true;
    this.waitsForReplies = true;
  }

  /** Ends `putOff`. */
  goOn(): void {
    this.blocked?.end();
    this.blocked = null;
    this.isPutOff = false;
    this.waitsForReplies = false;
    this.release();
  }

  /** Reads no further command before those that were read have been answered. */
  waitForReplies(): void {
    this.waitsForReplies = true;
  }

  noteWrite(node: number): void {
    this.writtenNodes |= 1 << (node & 31);
  }

  /** Nodes may have other numbers now: it may have written to any. */
  onTopologyChanged(): void {
    if (this.writtenNodes !== 0) this.writtenNodes = -1;
    this.subscriptions?.onTopologyChanged();
    this.tracking?.onTopologyChanged();
  }

  mayHaveWritten(node: number): boolean {
    return (this.writtenNodes & (1 << (node & 31))) !== 0;
  }

  /** It has shown that it is `user`. */
  authenticate(user: string): void {
    this.isAuthenticated = true;
    this.unauthenticatedSinceMs = -1;
    this.user = user;
    this.progress.argumentsMax = ARGUMENTS_MAX;
    this.progress.bulkBytesMax = Number.MAX_SAFE_INTEGER;
  }

  /** As a new connection begins: RESP2, in database 0, without a name, and owing a password where one is asked for. */
  reset(): void {
    this.name = '';
    // The one reply that SKIP is about may be RESET's own.
    if (!this.isMutedOnce) this.isMuted = false;
    this.letGo();
    this.enter(2, 0);
    this.authenticate(DEFAULT_USER);
    if (!this.context.authentication.isRequired) return;
    this.isAuthenticated = false;
    this.unauthenticatedSinceMs = this.context.transport.now;
    this.progress.argumentsMax = UNAUTHENTICATED_ARGUMENTS_MAX;
    this.progress.bulkBytesMax = UNAUTHENTICATED_BULK_BYTES_MAX;
  }

  /** Reads no more commands; closes when all that were read have been answered. */
  finish(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.endingSinceMs = this.context.transport.now;
    this.isHeld = true;
    // What it waits for may never come.
    if (this.blocked !== null) this.connection.destroy(null);
    this.connection.pause();
    if (this.queue.length === 0) this.leave();
  }

  /** All has been answered. What it had at the nodes ends now: that the client closes, too, may take a while. */
  private leave(): void {
    this.letGo();
    this.connection.close();
  }

  private letGo(): void {
    this.dropTransaction();
    this.endWatch();
    this.endSubscriptions();
    this.endTracking();
  }

  /** Closes now: hears nothing more, answers nothing more. */
  cutOff(error: SessionError): void {
    this.isEnding = true;
    this.isCutOff = true;
    this.connection.destroy(error);
  }

  onReply(pending: Pending, start: number, end: number): void {
    if (this.isClosed) {
      this.context.pendings.release(pending);
      return;
    }
    if (this.queue.peek() === pending) {
      this.queue.shift();
      this.requestBytes -= pending.requestBytes;
      if (!pending.isMuted) this.connection.output.append(start, end);
      this.context.pendings.release(pending);
      if (this.queue.peek()?.isDone === true) this.flushHead();
      this.afterReplies();
      return;
    }
    this.park(pending, start, end);
  }

  onPrelude(): void {}

  onFailure(pending: Pending, error: Uint8Array): void {
    this.answer(pending, error);
  }

  /** The reply to `pending` is `bytes`, which are not in the arena. */
  answer(pending: Pending, bytes: Uint8Array): void {
    if (this.isClosed) {
      this.context.pendings.release(pending);
      return;
    }
    pending.replyConstant = bytes;
    this.complete(pending);
  }

  /** The reply of `pending`, which is in the queue, stands ready in it or in its source. */
  complete(pending: Pending): void {
    pending.isDone = true;
    if (this.queue.peek() !== pending) return;
    this.flushHead();
    this.afterReplies();
  }

  awaits(connection: Carrier): boolean {
    for (let index = 0; index < this.queue.length; index++) {
      const pending = this.queue.at(index);
      if (pending.connection === connection || pending.source?.awaitsPart(connection) === true) return true;
    }
    return false;
  }

  askers(): readonly object[] {
    return [this];
  }

  get isGone(): boolean {
    return this.isClosed;
  }

  /** Whether it takes no more commands: it is closed, or soon will be. */
  get isLeaving(): boolean {
    return this.isClosed || this.isEnding;
  }

  /** Whether all that was read has been answered. */
  get isIdle(): boolean {
    return this.queue.length === 0;
  }

  /**
   * Looks at what came and went: nobody is told of the bytes of a large command before the last has come, nor of those of a
   * large reply that the client takes. Called about once a second.
   */
  noteProgress(): void {
    const { unreadBytes, output } = this.connection;
    if (unreadBytes > this.seenUnreadBytes || output.sent !== this.seenSent)
      this.lastBytesMs = this.context.transport.now;
    this.seenUnreadBytes = unreadBytes;
    this.seenSent = output.sent;
    if (this.unfinishedSinceMs >= 0) this.markUnfinished(unreadBytes);
    this.noteSlowness();
  }

  /** A client with subscriptions may be behind by more than the soft bound for so long, and no longer. */
  private noteSlowness(): void {
    const { subscriptions, limits } = this;
    if (subscriptions === null) return;
    const { now } = this.context.transport;
    if (this.connection.output.unsentBytes <= limits.subscriberOutputSoftBytes) subscriptions.slowSinceMs = -1;
    else if (subscriptions.slowSinceMs < 0) subscriptions.slowSinceMs = now;
    else if (now - subscriptions.slowSinceMs > limits.subscriberOutputSoftMs)
      this.cutOffSubscriber(`subscriberOutputSoftBytes ${limits.subscriberOutputSoftBytes}`);
  }

  /** A command is half there with `bytes` of it. Each MiB gives it new time: who sends a byte a minute has his end, too. */
  private markUnfinished(bytes: number): void {
    if (this.unfinishedSinceMs >= 0 && bytes < this.unfinishedBytes + UNFINISHED_STEP_BYTES) return;
    this.unfinishedSinceMs = this.context.transport.now;
    this.unfinishedBytes = bytes;
  }

  /** Whether the reply to the command just read is dropped, where not all are wanted. */
  private mutesThis(): boolean {
    if (this.isMutedOnce) this.unmute();
    return true;
  }

  /** Whether there are replies, or parts of some, that wait for those before them. */
  private hasReplies(): boolean {
    if (this.parkedBytes > 0) return true;
    for (let index = 0; index < this.queue.length; index++) {
      const { isDone, source } = this.queue.at(index);
      if (isDone || (source !== null && source.heldBytes > 0)) return true;
    }
    return false;
  }

  /** Puts into the queue what goes out in its turn, and is no reply. */
  private trackReady(): Pending {
    const pending = this.context.pendings.take(this, this.context.transport.now, false);
    pending.isDone = true;
    pending.isMuted = false;
    this.queue.push(pending);
    return pending;
  }

  private park(pending: Pending, start: number, end: number): void {
    const { arena } = this.context.transport;
    pending.connection = null;
    // Without a reply it stays in the queue, and is given back when the connection is gone.
    pending.isDone = true;
    if (this.isCutOff || pending.isMuted) return;
    const block = arena.allocate(end - start);
    if (block < 0) {
      this.cutOffForMemory();
      return;
    }
    arena.bytes.copyWithin(block, start, end);
    pending.replyStart = block;
    pending.replyBytes = end - start;
    this.parkedBytes += end - start;
  }

  private flushHead(): void {
    for (let head = this.queue.peek(); head?.isDone === true; head = this.queue.peek()) {
      this.queue.shift();
      this.requestBytes -= head.requestBytes;
      const output = this.connection.output;
      if (head.isMuted) {
        head.source?.abandon();
      } else if (head.replyConstant !== null) {
        output.appendBytes(head.replyConstant);
        if (head.replyConstant === this.lastPush) this.lastPushPosition = output.appended;
      } else if (head.source !== null) head.source.writeReply(output);
      else output.appendNow(head.replyStart, head.replyStart + head.replyBytes);
      this.discard(head);
    }
  }

  /** After bytes were appended to the output: sends them, and sees what may go on or must end. */
  private afterReplies(): void {
    if (this.isCutOff) return;
    const output = this.connection.output;
    this.connection.flush();
    if (output.overflowed) {
      this.cutOffForMemory();
      return;
    }
    if (this.isOverfull()) return;
    if (this.waitsForReplies && !this.mustWait()) {
      this.waitsForReplies = false;
      this.blocked?.end();
      this.blocked = null;
    }
    if (this.isEnding) {
      if (this.queue.length === 0) this.leave();
    } else if (this.isHeld) this.release();
  }

  /** After a message was appended to the output, or was parked. */
  watchOutput(): void {
    if (this.isCutOff) return;
    const { output } = this.connection;
    this.connection.flush();
    if (output.overflowed) this.cutOffForMemory();
    else this.isOverfull();
  }

  /** Closes it if more waits for its client than may. */
  private isOverfull(): boolean {
    const { limits, subscriptions } = this;
    const { unsentBytes } = this.connection.output;
    if (
      subscriptions !== null &&
      unsentBytes + this.parkedBytes + subscriptions.parkedBytes > limits.subscriberOutputHardBytes
    ) {
      this.cutOffSubscriber(`subscriberOutputHardBytes ${limits.subscriberOutputHardBytes}`);
      return true;
    }
    if (unsentBytes + this.parkedBytes <= limits.sessionOutputHardBytes) return false;
    this.context.counts.sessionOutputCloses++;
    const limit = `sessionOutputHardBytes ${limits.sessionOutputHardBytes}`;
    this.cutOff(new SessionError(`its unread replies exceed what may wait (${limit})`));
    return true;
  }

  private cutOffSubscriber(limit: string): void {
    this.context.counts.subscriberOutputCloses++;
    this.cutOff(new SessionError(`its unread messages exceed what may wait (${limit})`));
  }

  cutOffForMemory(): void {
    this.context.counts.sessionMemoryCloses++;
    this.cutOff(new SessionError('no buffer memory is left for its replies'));
  }

  private mustHold(): boolean {
    const { sessionCommandsMax, sessionRequestBytesMax } = this.limits;
    return (
      (this.waitsForReplies && this.mustWait()) ||
      this.queue.length >= sessionCommandsMax ||
      this.requestBytes >= sessionRequestBytesMax ||
      this.connection.output.unsentBytes >= this.outputSoftBytes
    );
  }

  private mustWait(): boolean {
    return this.queue.length > 0 || this.isPutOff;
  }

  private get outputSoftBytes(): number {
    const { sessionOutputSoftBytes } = this.limits;
    return this.isAuthenticated
      ? sessionOutputSoftBytes
      : Math.min(sessionOutputSoftBytes, UNAUTHENTICATED_OUTPUT_BYTES_MAX);
  }

  private hold(): void {
    // What is not read for our sake is not late.
    this.unfinishedSinceMs = -1;
    if (!this.isHeld) this.context.counts.sessionPauses++;
    this.isHeld = true;
    this.connection.pause();
  }

  /** As `hold`, with so many bytes unread; but that the client goes is noticed while its command blocks. */
  private holdBack(unreadBytes: number): void {
    if (this.blocked !== null && unreadBytes <= BLOCKED_BYTES_MAX) this.isHeld = true;
    else this.hold();
  }

  private holdForReplies(unreadBytes: number): void {
    this.tracking?.onPutOff();
    this.waitsForReplies = true;
    this.holdBack(unreadBytes);
  }

  /** Reads on once half of every limit is free again: not one command at a time. */
  private release(): void {
    if (!this.isHeld || this.isEnding || this.isClosed) return;
    const { sessionCommandsMax, sessionRequestBytesMax } = this.limits;
    if (this.waitsForReplies && this.mustWait()) return;
    // One that blocked was held without a pause, to hear of its client's going. While it is not read for another reason it must be
    // paused, or nobody tells it of a drain.
    this.connection.pause();
    if (this.queue.length > sessionCommandsMax >> 1 || this.requestBytes > sessionRequestBytesMax >> 1) return;
    if (this.connection.output.unsentBytes > this.outputSoftBytes >> 1) return;
    this.isHeld = false;
    this.connection.resume();
  }

  /** An inline command goes on as the same command in RESP. */
  private dispatchInline(words: Uint8Array[], unreadBytes: number): boolean {
    const { reader, transport, dispatch } = this.context;
    const { arena } = transport;
    const frame = encodeCommand(words);
    const block = arena.allocate(frame.length);
    if (block < 0) {
      this.cutOff(new SessionError('no buffer memory is left for its commands'));
      return false;
    }
    arena.bytes.set(frame, block);
    reader.read(arena.bytes, block, block + frame.length, new RequestProgress());
    const isDone = dispatch(this, block, block + frame.length);
    arena.settle();
    arena.release(block, frame.length);
    if (!isDone) this.holdForReplies(unreadBytes);
    return isDone;
  }

  private onProtocolError(text: string): void {
    this.context.counts.protocolErrors++;
    this.reply(errorReply(`ERR ${text}`));
    this.finish();
  }

  /** Gives back a pending that stands in no queue any more. */
  private discard(pending: Pending): void {
    if (pending.replyBytes > 0) {
      this.parkedBytes -= pending.replyBytes;
      this.context.transport.arena.release(pending.replyStart, pending.replyBytes);
    }
    this.context.pendings.release(pending);
  }
}
