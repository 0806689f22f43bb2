/**
 * One client's connection: reads its commands, keeps their replies in order, holds it back when it is too fast.
 *
 *   client -> onBytes -> Intake: may it be read? -> dispatch -> ... nodes ...
 *   client <- output <- ReplyQueue: in order
 */

import type { User } from '../acl/user.js';
import type { Users } from '../acl/users.js';
import type { Identity } from '../backend/identity.js';
import type { Lane } from '../backend/lane.js';
import type { Carrier, PartSource, Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import type { TrackingLane } from '../backend/tracking-lane.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { SessionLocks } from '../lock/session-locks.js';
import { INVALID } from '../resp/frame.js';
import { encodeCommand, errorReply } from '../resp/reply.js';
import {
  ARGUMENTS_MAX,
  RequestProgress,
  type RequestReader,
  UNAUTHENTICATED_ARGUMENTS_MAX,
  UNAUTHENTICATED_BULK_BYTES_MAX,
} from '../resp/request.js';
import type { Consistency } from '../routing/levels.js';
import type { Connection, ConnectionOwner, Transport } from '../transport/transport.js';
import { Activity } from './activity.js';
import type { Authentication } from './authentication.js';
import { type BlockedBy, Intake } from './intake.js';
import { LargeRequest } from './large-request.js';
import type { Monitoring } from './monitoring.js';
import { Muting } from './muting.js';
import { OutputBounds } from './output-bounds.js';
import type { ReplicatedWatch } from './replicated-block.js';
import { ReplyQueue } from './reply-queue.js';
import type { Subscriptions } from './subscriptions.js';
import type { TrackingState } from './tracking-state.js';
import type { Transaction } from './transaction.js';
import type { Upload } from './upload.js';
import type { Verdict } from './verdict.js';
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
  lane: (protocol: 2 | 3, database: number, identity: Identity | null) => Lane;
  /** Whom nodes take a client for that has said nothing; null: for the proxy, which answers for it. */
  stranger: () => Identity | null;
  /**
   * Carries out the command last read by `reader`, whose frame is arena bytes [start, end). False: not now, the replies
   * before it must have gone out; nothing was done.
   */
  dispatch: (session: Session, start: number, end: number) => boolean;
  /** See Uploads.begin. */
  beginUpload: (session: Session, start: number, progress: RequestProgress) => Upload | 'whole' | 'later';
  onSessionClosed: (session: Session, error: Error | null) => void;
}

/** Why the proxy closed a client's connection. */
export class SessionError extends Error {
  override name = 'SessionError';
}

/** What a push begins with in RESP2. */
const ARRAY = Buffer.from('*');

export class Session implements ConnectionOwner, ReplyOwner {
  readonly id: number;
  readonly connection: Connection;
  /** The number of the service that it came in for. */
  readonly service: number;
  /** The connections that its commands go by, which speak its protocol and work in its database. */
  lane: Lane;
  /** Whom the nodes take it for; null: for the proxy. */
  private identity: Identity | null = null;
  /** What became of the question that the command which comes next had to wait for (Admission). */
  verdict: Verdict | null = null;
  name = '';
  /** False while it owes a password: then next to nothing is carried out. */
  isAuthenticated = true;
  user: User;
  /** It may do whatever it asks for: it is authenticated, and its user has all rights. */
  isFree = true;
  /** Which replies its client does not want (CLIENT REPLY). */
  readonly muting = new Muting();
  /** It asked not to be closed when memory runs out (CLIENT NO-EVICT). */
  isProtected = false;
  /** Since when it owes a password (-1: it does not). */
  unauthenticatedSinceMs = -1;
  readonly createdMs: number;
  readonly activity: Activity;
  /** Since when it only waits for its last replies to go out (-1: it does not). */
  endingSinceMs = -1;
  lastCommand = '';
  /** Between MULTI and EXEC. */
  transaction: Transaction | null = null;
  /** Between WATCH and EXEC. */
  watch: Watch | null = null;
  replicatedWatch: ReplicatedWatch | null = null;
  /** From its first SUBSCRIBE until nothing is left of it. */
  subscriptions: Subscriptions | null = null;
  /** While it tracks keys (CLIENT TRACKING): `lane` is that of the tracking then. */
  tracking: TrackingState | null = null;
  /** See Listening. */
  redirectedLanes: Set<TrackingLane> | null = null;
  /** How often one of another worker was about to have its messages sent to it; and up to which of these none does any more. */
  redirectionsBegun = 0;
  redirectionsOver = 0;
  /** From MONITOR on. */
  monitoring: Monitoring | null = null;
  /** From its first lock that it is to have until it goes (SESSION). */
  locks: SessionLocks | null = null;
  /** The level that it has asked for (RL.CONSISTENCY); null: that of each keyspace. */
  consistency: Consistency | null = null;
  /** Of its commands on replicated keys, those that proposers are at work on. */
  operations = 0;
  isClosed = false;
  /** What still comes for it is dropped; soon it is closed. */
  isCutOff = false;

  private readonly context: SessionContext;
  private readonly replies: ReplyQueue;
  private readonly intake: Intake;
  private readonly bounds: OutputBounds;
  private readonly progress = new RequestProgress();
  /** A bit for each 32nd node: those whose bit is not set it has not written to. */
  private writtenNodes = 0;
  /** While a large request of its goes to its node as it comes. */
  private largeRequest: LargeRequest | null = null;
  /** Where a large reply comes from that is taken no faster than the client takes it. */
  private heldBack: PartSource | null = null;
  /** Reads no more, and closes when the last reply has been sent. */
  private isEnding = false;

  constructor(context: SessionContext, connection: Connection, service: number, id: number) {
    this.context = context;
    this.connection = connection;
    this.service = service;
    this.id = id;
    this.createdMs = context.transport.now;
    this.activity = new Activity(context.transport, connection);
    this.user = context.authentication.users.default;
    this.lane = context.lane(2, 0, null);
    this.replies = new ReplyQueue(this, context.transport, context.pendings, connection.output);
    this.intake = new Intake(context.limits, context.counts, connection, this.replies);
    this.bounds = new OutputBounds(context.limits, context.counts, connection.output, this.replies);
    this.reset();
  }

  /** As `lane`, also while it tracks keys. */
  get sharedLane(): Lane {
    return this.context.lane(this.protocol, this.database, this.identity);
  }

  /** The protocol the client speaks, set by HELLO. */
  get protocol(): 2 | 3 {
    return this.lane.protocol;
  }

  /** The database it works in, set by SELECT. */
  get database(): number {
    return this.lane.database;
  }

  /** Bytes of the requests that are not answered yet. */
  get requestBytes(): number {
    return this.replies.requestBytes;
  }

  /** While its command may wait at the node, or is put off. */
  get blocked(): BlockedBy | null {
    return this.intake.blocked;
  }

  /** Bytes of the arena, and of the heap for what it gathers, that this session causes to be held, for choosing whom to close when memory runs out. */
  get bufferedBytes(): number {
    const { output, unreadHeldBytes } = this.connection;
    const { requestBytes, heldBytes } = this.replies;
    return (
      output.heldBytes +
      unreadHeldBytes +
      requestBytes +
      heldBytes +
      (this.transaction?.heldBytes ?? 0) +
      (this.largeRequest?.heldBytes ?? 0)
    );
  }

  onOpen(): void {}

  onBytes(start: number, end: number): number {
    const { context, progress, activity } = this;
    const { reader, transport } = context;
    const bytes = transport.arena.bytes;
    activity.lastBytesMs = transport.now;
    let at = start;
    if (this.largeRequest !== null) {
      at = this.passOn(this.largeRequest, at, end);
      if (this.largeRequest !== null) return at;
    }
    while (at < end) {
      if (this.isEnding) return end;
      if (this.intake.mustHold()) {
        this.holdBack(end - at);
        break;
      }
      const frameEnd = reader.read(bytes, at, end, progress);
      if (frameEnd < 0) {
        if (frameEnd === INVALID) {
          this.onProtocolError(reader.error);
          return end;
        }
        if (progress.need > context.limits.largeValueBytes && !progress.isReadWhole) return this.onLarge(at, end);
        this.connection.expect(progress.need);
        activity.onUnfinished(end - at);
        break;
      }
      activity.unfinishedSinceMs = -1;
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
    this.endHoldBack();
    this.release();
  }

  onClose(error: Error | null): void {
    this.isClosed = true;
    this.letGo();
    this.intake.cancel();
    this.largeRequest?.cancel();
    this.largeRequest = null;
    this.endHoldBack();
    this.replies.abandon();
    this.be(null);
    this.context.onSessionClosed(this, error);
  }

  /**
   * Puts a command that has been read into the queue. Every command read is tracked, or replied to by `reply`, once; but for
   * CLIENT REPLY OFF and SKIP, which have no reply.
   */
  track(pending: Pending, requestBytes: number): void {
    pending.requestBytes = requestBytes;
    pending.isMuted = this.muting.takes();
    this.replies.push(pending);
  }

  /** As `track`, of a plain read. */
  trackPlainRead(pending: Pending, requestBytes: number): void {
    this.track(pending, requestBytes);
    this.replies.markLast();
  }

  /** Whether plain reads are not answered yet. */
  get hasPlainReads(): boolean {
    return this.replies.holdsMarked;
  }

  /** Answers the command just read with bytes from outside the arena. */
  reply(bytes: Uint8Array): void {
    if (this.isIdle) {
      if (this.muting.takes()) return;
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

  endMonitoring(): void {
    this.monitoring?.end();
    this.monitoring = null;
  }

  /** Whether clients of other workers may have their messages sent to it. */
  get isToldByWorkers(): boolean {
    return this.redirectionsOver < this.redirectionsBegun;
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
    this.lane = this.sharedLane;
  }

  /**
   * Sends what the client did not ask for: not before replies that have come and wait for their turn. That which waits counts as
   * a parked reply. CLIENT REPLY says nothing of it.
   */
  pushInOrder(frame: Uint8Array): void {
    if (this.isLeaving) return;
    if (this.replies.pushInOrder(frame)) this.afterReplies();
    else this.cutOffForMemory();
  }

  /** As `pushInOrder`, of a constant that says nothing new where it was the last that was sent. */
  pushOnce(frame: Uint8Array): void {
    if (!this.isLeaving && this.replies.pushOnce(frame)) this.afterReplies();
  }

  /** Where its output ends; null while replies wait for those before them. */
  get quietPosition(): number | null {
    return this.replies.hasReplies ? null : this.connection.output.appended;
  }

  /** Calls `then` when all that was read has been answered, unless the session is closed before. */
  whenAnswered(then: () => void): void {
    this.replies.whenAnswered(then);
  }

  /** Speaks that protocol and works in that database from now on. All before has been answered. */
  enter(protocol: 2 | 3, database: number): void {
    this.tracking?.lane.enter(protocol, database);
    const connection = this.watch?.connection;
    if (connection && connection.protocol !== protocol) connection.speak(protocol);
    if (connection && connection.database !== database) connection.select(database);
    if (this.tracking === null) this.lane = this.context.lane(protocol, database, this.identity);
  }

  /** The command just tracked waits by connections of its own: nothing is read until it has been answered. */
  block(blocked: BlockedBy): void {
    this.intake.block(blocked);
  }

  /**
   * The command just read is not carried out now, and all before it has been answered: it is read again after `goOn`. `dispatch` is
   * about to say so.
   */
  putOff(blocked: BlockedBy): void {
    this.intake.putOff(blocked);
  }

  /** Ends `putOff`. */
  goOn(): void {
    this.intake.goOn();
    this.release();
  }

  /** Reads no further command before those that were read have been answered. */
  waitForReplies(): void {
    this.intake.waitForReplies();
  }

  noteWrite(node: number): void {
    this.writtenNodes |= 1 << (node & 31);
  }

  /** Nodes may have other numbers now: it may have written to any. */
  onTopologyChanged(): void {
    if (this.writtenNodes !== 0) this.writtenNodes = -1;
    this.subscriptions?.onTopologyChanged();
    this.tracking?.onTopologyChanged();
    this.largeRequest?.onTopologyChanged();
  }

  mayHaveWritten(node: number): boolean {
    return (this.writtenNodes & (1 << (node & 31))) !== 0;
  }

  /** It has shown that it is `user`. */
  authenticate(user: User): void {
    this.isAuthenticated = true;
    this.isFree = user.isUnrestricted;
    this.unauthenticatedSinceMs = -1;
    this.user = user;
    this.intake.trust(true);
    this.progress.argumentsMax = ARGUMENTS_MAX;
    this.progress.bulkBytesMax = Number.MAX_SAFE_INTEGER;
  }

  /** The nodes take it for `identity` from now on, whom they know as `user`. All before has been answered. */
  become(identity: Identity, user: User): void {
    // What it watches, and what is remembered of what it has read, is another user's.
    if (this.watch !== null) this.watch.isBroken = true;
    this.endTracking();
    this.be(identity);
    this.lane = this.context.lane(this.protocol, this.database, identity);
    this.authenticate(user);
  }

  private be(identity: Identity | null): void {
    const before = this.identity;
    if (before === identity) return;
    if (before !== null) {
      before.sessions--;
      before.unusedSinceMs = this.context.transport.now;
    }
    if (identity !== null) identity.sessions++;
    this.identity = identity;
  }

  /** The users are others now. False: it was one that is no more. */
  goByUsers(users: Users): boolean {
    if (!this.isAuthenticated) {
      this.user = users.default;
      if (users.isOpen) this.authenticate(users.default);
      return true;
    }
    const user = users.get(this.user.name);
    if (user === undefined || user === this.user) return user !== undefined;
    this.user = user;
    this.isFree = user.isUnrestricted;
    // As Redis: who is subscribed to what it may no longer hear is closed.
    const isHeard = this.subscriptions?.all((name, kind) => user.allowsChannel(name, kind === 'pattern')) ?? true;
    if (!isHeard) this.cutOff(new SessionError('its user may no longer hear what it is subscribed to'));
    return true;
  }

  /** As a new connection begins: RESP2, in database 0, without a name, and owing a password where one is asked for. */
  reset(): void {
    this.name = '';
    this.consistency = null;
    this.muting.reset();
    this.letGo();
    this.verdict = null;
    this.be(this.context.stranger());
    this.enter(2, 0);
    const { users } = this.context.authentication;
    this.authenticate(users.default);
    if (users.isOpen && this.identity === null) return;
    this.isAuthenticated = false;
    this.isFree = false;
    // Whether it owes a password its nodes will say, where they have not said so of others.
    if (!this.isLetIn) this.owePassword();
  }

  /** Whether the nodes let in who says nothing, as far as is known. */
  get isLetIn(): boolean {
    return this.identity?.isTaken === true;
  }

  /** It may not stay for long, nor ask for much, until it has shown who it is. */
  owePassword(): void {
    if (this.unauthenticatedSinceMs >= 0) return;
    this.unauthenticatedSinceMs = this.context.transport.now;
    this.intake.trust(false);
    this.progress.argumentsMax = UNAUTHENTICATED_ARGUMENTS_MAX;
    this.progress.bulkBytesMax = UNAUTHENTICATED_BULK_BYTES_MAX;
  }

  /** Reads no more commands; closes when all that were read have been answered. */
  finish(): void {
    if (this.isEnding) return;
    this.isEnding = true;
    this.endingSinceMs = this.context.transport.now;
    // What it waits for may never come.
    if (this.blocked !== null || this.largeRequest?.isOver === false) this.connection.destroy(null);
    this.connection.pause();
    if (this.isIdle) this.leave();
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
    this.endMonitoring();
    this.endTracking();
    this.locks?.end();
    this.locks = null;
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
    const { replies } = this;
    if (replies.isFirst(pending)) {
      replies.answerFirst(pending, start, end);
      this.afterReplies();
    } else if (this.isCutOff) replies.drop(pending);
    else if (!replies.park(pending, start, end)) this.cutOffForMemory();
  }

  onPrelude(): void {}

  /** Pushes to subscribers go out at once: nothing may be half there then. */
  takesParts(pending: Pending): boolean {
    return !this.isClosed && !this.isCutOff && this.subscriptions === null && this.replies.isFirst(pending);
  }

  onPart(pending: Pending, start: number, end: number, isLast: boolean, source: PartSource): void {
    if (this.isClosed) {
      if (isLast) this.context.pendings.release(pending);
      return;
    }
    this.replies.answerPart(pending, start, end, isLast);
    this.afterReplies();
    if (isLast || this.isCutOff || !this.intake.isOutputFull || !source.holdBack(this.connection.output.unsentBytes))
      return;
    this.heldBack = source;
    // What is not read for our sake is not late.
    this.activity.unfinishedSinceMs = -1;
    this.intake.holdForOutput();
  }

  private endHoldBack(): void {
    this.heldBack?.goOn();
    this.heldBack = null;
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    if (this.isClosed || !this.replies.isParted(pending)) {
      this.answer(pending, error);
      return;
    }
    // Nothing but the rest could follow what the client has.
    this.replies.drop(pending);
    this.context.counts.repliesBrokenOff++;
    this.cutOff(new SessionError('a large reply to it broke off: its node was lost, or fell silent'));
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
    if (!this.replies.isFirst(pending)) return;
    this.replies.flush();
    this.afterReplies();
  }

  awaits(connection: Carrier): boolean {
    return this.replies.awaits(connection);
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
    return this.replies.length === 0;
  }

  /** What it has asked after `pending`, and was not told yet. */
  behind(pending: Pending): readonly Pending[] {
    return this.replies.behind(pending);
  }

  /** Gives back what is kept only to be used again. */
  dropSpares(): void {
    this.replies.trim();
  }

  /** Looks at the clock, about once a second. */
  sweep(): void {
    this.activity.look();
    const { subscriptions } = this;
    if (subscriptions === null) return;
    const reason = this.bounds.slowness(subscriptions, this.context.transport.now);
    if (reason !== null) this.cutOff(new SessionError(reason));
  }

  /** After bytes were appended to the output: sends them, and sees what may go on or must end. */
  private afterReplies(): void {
    this.watchOutput();
    if (this.isCutOff) return;
    this.intake.onReplies();
    if (this.isEnding) {
      if (this.isIdle) this.leave();
    } else if (this.intake.isHeld) this.release();
  }

  /** After something was appended to the output, or was parked: sends it, and cuts the client off that lets too much wait. */
  watchOutput(): void {
    if (this.isCutOff) return;
    this.connection.flush();
    if (this.connection.output.overflowed) {
      this.cutOffForMemory();
      return;
    }
    const reason = this.bounds.excess(this.subscriptions);
    if (reason !== null) this.cutOff(new SessionError(reason));
  }

  cutOffForMemory(): void {
    this.context.counts.sessionMemoryCloses++;
    this.cutOff(new SessionError('no buffer memory is left for its replies'));
  }

  private holdBack(unreadBytes: number): void {
    // What is not read for our sake is not late.
    this.activity.unfinishedSinceMs = -1;
    this.intake.hold(unreadBytes);
  }

  private holdForReplies(unreadBytes: number): void {
    this.tracking?.onPutOff();
    this.intake.waitForReplies();
    this.holdBack(unreadBytes);
  }

  private release(): void {
    if (!this.isEnding && !this.isClosed) this.intake.release();
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

  /** A large request has begun to come, of which arena bytes [start, end) are there. Returns up to where they are done with. */
  private onLarge(start: number, end: number): number {
    const { context, progress, activity } = this;
    const upload = progress.announced > 0 ? context.beginUpload(this, start, progress) : 'whole';
    if (upload === 'later') {
      this.holdForReplies(end - start);
      return start;
    }
    if (upload === 'whole') {
      // Where it is only a header that is missing, it may be another time.
      progress.isReadWhole = progress.announced > 0;
      this.connection.expect(progress.need);
      activity.onUnfinished(end - start);
      return start;
    }
    this.largeRequest = new LargeRequest(this, upload, progress, context);
    return this.passOn(this.largeRequest, start, end);
  }

  /** See Uploader. */
  takeBack(): void {
    const { progress } = this;
    this.context.counts.requestsHeldWhole++;
    this.largeRequest = null;
    progress.reset();
    progress.isReadWhole = true;
    this.connection.resume();
  }

  /** Arena bytes [start, end) begin with what comes next of it. Returns up to where they are done with. */
  private passOn(request: LargeRequest, start: number, end: number): number {
    const upTo = request.take(this.context.transport.arena.bytes, start, end);
    if (request.isOver) this.largeRequest = null;
    return upTo;
  }

  onProtocolError(text: string): void {
    this.context.counts.protocolErrors++;
    this.reply(errorReply(`ERR ${text}`));
    this.finish();
  }
}
