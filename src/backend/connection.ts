/**
 * One pipelined connection to a node: a queue of who asked, answered in order.
 *
 *   enqueue(pending, frame) -> [output, kept until answered] -> node
 *   node -> frames -> the oldest pending's owner
 *
 *   connecting --onOpen--> greeting --replies--> ready --retire()--> retired --queue empty--> closed
 *        any state --error, garbage, stall--> closed (events.onLost with what was in flight)
 *
 * Invariant: a reply belongs to the oldest entry. An entry that timed out stays in the queue as a tombstone, since its
 * reply may still come; `expired` counts the tombstones, all at the front.
 *
 * A large value is handed on in parts as it comes, where its owner takes it so; then it is never held as a whole.
 */
import { showBytes, withoutSecret } from '../base/errors.js';
import { Fifo } from '../base/fifo.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { Timer } from '../base/timers.js';
import type { NodeSnapshot } from '../messages.js';
import { INVALID, ReplyProgress, scanReply, skipValue, TYPE } from '../resp/frame.js';
import { encodeCommand, parseInteger } from '../resp/reply.js';
import type { Connection, ConnectionOwner, ConnectOptions, Transport } from '../transport/transport.js';
import type { Identity } from './identity.js';
import { FOR_NOBODY, type PartSource, type Pending, type PendingPool, type ReplyOwner } from './pending.js';

/** What the node said of itself when it was greeted. */
export interface Greeting {
  /** `7.0.15`, or '' where the node did not say. */
  version: string;
  /**
   * Largest argument that it takes, bytes; Infinity where it does not say. It closes a connection by which a larger one comes, with all
   * that others have sent behind it.
   */
  bulkBytesMax: number;
  /** How many databases it has; 0 where it does not say. */
  databases: number;
  /** How many modules it has loaded; 0 where it does not say. */
  modules: number;
  /** Its number for this connection (CLIENT ID); 0 where it does not say. */
  clientId: number;
}

/** What a connection is for: what it is greeted with. */
export interface ConnectionKind {
  protocol: 2 | 3;
  /** What else makes it what it is to be: commands that the node must take, one of which SELECT may be. */
  setUp: readonly Uint8Array[];
  /** As whom it is made; null: with the name and the password of the node. */
  identity: Identity | null;
}

export interface ConnectionEvents {
  /** Greeted: commands may be enqueued. */
  onReady(connection: BackendConnection, greeting: Greeting): void;
  /** The reply now coming in, or the request just enqueued, is larger than `largeValueBytes`. */
  onLarge(connection: BackendConnection, pending: Pending): void;
  /** What was sent of a request in parts (`begin`) has gone out, after `sendPart` had said that there is no room. */
  onRoom?(): void;
  /** A retired connection has answered all and closes. */
  onDrained(connection: BackendConnection): void;
  /** The connection is gone. `queue` holds what it leaves unanswered, and `output` still holds their frames. */
  onLost(connection: BackendConnection, error: Error): void;
  /** What the node sent unasked (RESP3): arena bytes [start, end), valid during the call. */
  onPush(connection: BackendConnection, start: number, end: number): void;
  /** The same, of what is no push and comes while no reply is awaited. False: nobody wants it, and the connection is given up. */
  onStray?(start: number, end: number): boolean;
}

/** The node, as far as a connection to it goes. */
export type ConnectionNode = Pick<NodeSnapshot, 'username' | 'password' | 'limits'>;

/** Why a connection was given up by us, or refused in the greeting. */
export class BackendError extends Error {
  override name = 'BackendError';
}

/** What the node said to the greeting. */
export class GreetingRefused extends BackendError {
  /** Its error, without the leading minus. */
  readonly reply: string;

  constructor(reply: string) {
    super(`it refused the greeting: ${reply}`);
    this.reply = reply;
  }
}

const CR = 0x0d;
const LF = 0x0a;
const MINUS = 0x2d;
const GREATER = 0x3e;
/** While others wait for what comes behind a large reply, so much of it is taken in for a client that is slower than the node. */
const OVERTAKEN_BYTES_MAX = 32 * 1024 * 1024;
/** Beyond, the node is held back for so long in all, milliseconds; then the others have waited enough for that client. */
const OVERTAKEN_MS_MAX = 2_000;
/** A large reply whose client is still owed others waits; after so many bytes more it is seen whether it may be handed on. */
const PARTS_RETRY_BYTES = 256 * 1024;
/** A reply so many times as large as `largeValueBytes` has the reads behind it asked anew; for less they would be done twice to save them a few milliseconds. */
const ASKED_ANEW_FACTOR = 16;
/** The memory of so many commands is asked for at once. */
const NEAR_MAX = 8;
const PING = encodeCommand(['PING']);
const BULK_LIMIT = 'proto-max-bulk-len';
const ASK_BULK_LIMIT = encodeCommand(['CONFIG', 'GET', BULK_LIMIT]);
const DATABASES = 'databases';
const ASK_DATABASES = encodeCommand(['CONFIG', 'GET', DATABASES]);

/** How Redis goes on after `unknown command`, with the arguments, of which the password is one. */
const ECHO = /, with args beginning with/i;
/** Looked through for the password, of which fewer are shown. */
const QUOTED_BYTES_MAX = 4096;

type State = 'connecting' | 'greeting' | 'ready' | 'retired' | 'closed';

export class BackendConnection implements ConnectionOwner, ReplyOwner, PartSource {
  state: State = 'connecting';
  readonly queue = new Fifo<Pending>();
  /** Tombstones at the front of the queue. */
  expired = 0;
  /** It was greeted. */
  wasReady = false;
  /** When the node last showed a sign of life, and when the last command was enqueued, in the transport's milliseconds. */
  lastBytesMs: number;
  lastSendMs: number;
  readonly connection: Connection;

  private readonly transport: Transport;
  private readonly events: ConnectionEvents;
  private readonly pendings: PendingPool;
  private readonly limits: Pick<Limits, 'largeValueBytes'>;
  private readonly kind: ConnectionKind;
  private readonly node: ConnectionNode;
  private readonly progress = new ReplyProgress();
  /** The greeting in its plain form, for nodes without HELLO. */
  private plainGreeting = false;
  /** While greeting: what the replies to come are to, and what the node has said. */
  private readonly questions: ('hello' | 'bulkLimit' | 'databases' | 'setUp')[] = [];
  private greeted = false;
  private readonly greeting: Greeting = {
    version: '',
    bulkBytesMax: Number.POSITIVE_INFINITY,
    databases: 0,
    modules: 0,
    clientId: 0,
  };
  private mayComeBack = false;
  /** Where the request ends whose large value was counted as shared last; -1: none was. */
  private sharedPosition = -1;
  /** The same of the one behind which reads were given up last, -1 for none. */
  private gaveUpPosition = -1;
  /** Of the oldest entry, how many of its preludes have come. */
  private preludesSeen = 0;
  /** What `bringNear` has read. It means nothing; but what nobody keeps is not read. */
  nearBytes = 0;
  /** Bytes of the oldest entry's reply that are yet to be handed on, while that is done in parts. */
  private partsLeft = 0;
  private isHeldBack = false;
  /** The last in the queue, while its request comes in parts. */
  private unfinished: Pending | null = null;
  private waitsForRoom = false;
  private isHurried = false;
  /** While it is held back though others wait. */
  private hurryTimer: Timer | null = null;
  private heldSinceMs = 0;
  /** For how long it was, so far. */
  private heldMs = 0;
  private failure: Error | null = null;
  /** As `noteProgress` saw them last. */
  private seenUnreadBytes = 0;
  private seenSent = 0;
  private hadUnsent = false;

  constructor(
    transport: Transport,
    endpoint: ConnectOptions['endpoint'],
    kind: ConnectionKind,
    node: ConnectionNode,
    limits: Pick<Limits, 'largeValueBytes'>,
    pendings: PendingPool,
    events: ConnectionEvents,
  ) {
    this.transport = transport;
    this.events = events;
    this.pendings = pendings;
    this.limits = limits;
    this.kind = kind;
    this.node = node;
    this.lastBytesMs = transport.now;
    this.lastSendMs = transport.now;
    const timeoutMs = node.limits.connectTimeoutMs;
    this.connection = transport.connect({ endpoint, timeoutMs, retaining: true }, this);
  }

  /** Sends arena bytes [start, end), the frame of `pending`, at the end of this turn; they must stay until settled. */
  enqueue(pending: Pending, start: number, end: number): void {
    const output = this.connection.output;
    output.append(start, end);
    pending.frameStart = output.lastStart;
    pending.frameBytes = end - start;
    pending.endPosition = output.appended;
    pending.connection = this;
    this.queue.push(pending);
    this.lastSendMs = this.transport.now;
    if (output.overflowed) this.lose(pending);
    else if (end - start > this.limits.largeValueBytes) this.events.onLarge(this, pending);
    this.connection.flush();
  }

  /** The frame of `pending` comes in parts from now on, and nothing else before the last of them: nobody shares the connection. */
  begin(pending: Pending): void {
    // Until the last part is there its end is beyond what has been sent.
    pending.frameBytes = 1;
    pending.endPosition = (this.connection.output.appended + 1) | 0;
    pending.connection = this;
    this.unfinished = pending;
    this.queue.push(pending);
  }

  /** Sends the next part, as `enqueue`. False: the node is to take some before the next one, and `onRoom` follows. */
  sendPart(start: number, end: number, isLast: boolean): boolean {
    const { output } = this.connection;
    const pending = this.unfinished as Pending;
    const bytes = isLast ? end - start - 1 : end - start;
    // It cannot be sent again.
    output.releaseTo(output.appended);
    output.append(start, end);
    pending.frameBytes += bytes;
    pending.endPosition = (pending.endPosition + bytes) | 0;
    if (isLast) this.unfinished = null;
    this.lastSendMs = this.transport.now;
    if (output.overflowed) this.lose(pending);
    this.connection.flush();
    if (isLast || output.unsentBytes < this.limits.largeValueBytes) return true;
    this.waitsForRoom = true;
    // Who is not read from is told of each drain.
    this.connection.pause();
    return false;
  }

  /** Whether the whole frame of `pending` was handed to the kernel: only then may the node have carried it out. */
  wasSent(pending: Pending): boolean {
    return ((this.connection.output.sent - pending.endPosition) | 0) >= 0;
  }

  heldFor(pending: Pending): number {
    return this.queue.peek() === pending ? this.connection.unreadHeldBytes : 0;
  }

  /** Whether it only receives what nobody waits for. What may be written is not given up on: its client sent it, and then went. */
  get isAbandoned(): boolean {
    if (this.state !== 'retired') return false;
    for (let index = 0; index < this.queue.length; index++) {
      const { isWrite, owner } = this.queue.at(index);
      if (isWrite || !(owner as ReplyOwner).isGone) return false;
    }
    return true;
  }

  /** Closes a connection that is abandoned, and gives back what it holds. */
  abandon(): void {
    for (let pending = this.queue.shift(); pending !== undefined; pending = this.queue.shift()) {
      pending.connection = null;
      (pending.owner as ReplyOwner).onFailure(pending, FOR_NOBODY);
    }
    this.finish();
  }

  /** Says so if a reply larger than `largeValueBytes` is coming in. */
  tellLarge(): void {
    const pending = this.queue.peek();
    const isLarge = this.partsLeft > 0 || this.progress.announced > this.limits.largeValueBytes;
    if (pending !== undefined && isLarge) this.events.onLarge(this, pending);
  }

  /** The large value of `pending` stays among all others: counted once, however often that is found. */
  share(pending: Pending, counts: Counts): void {
    if (this.sharedPosition === pending.endPosition) return;
    this.sharedPosition = pending.endPosition;
    counts.largeValuesShared++;
  }

  /** Takes commands only of sessions that await others here, and closes when what is in flight has been answered. */
  retire(mayComeBack: boolean): void {
    if (this.state === 'closed') return;
    // It was taken back, and is retired anew for another reply: its client has the time that the first one had.
    if (this.state !== 'retired' && this.partsLeft === 0) {
      this.isHurried = false;
      this.heldMs = 0;
    }
    this.state = 'retired';
    this.mayComeBack = mayComeBack;
    if (this.queue.length === 0) this.finish();
  }

  /** Takes commands of all again. False when it cannot: it is gone, or was not to. */
  comeBack(): boolean {
    if (this.state !== 'retired' || !this.mayComeBack) return false;
    this.state = 'ready';
    this.goOn();
    return true;
  }

  destroy(error: Error): void {
    this.failure ??= error;
    this.connection.destroy(error);
  }

  /** Tries a silent connection: what comes of it is for the time-outs to see. */
  ping(): void {
    this.enqueueOwn(PING);
  }

  /** Sends a command of ours, whose reply nobody is told of: `SELECT 1`, `UNWATCH`. */
  tell(frame: Uint8Array): void {
    this.enqueueOwn(frame);
  }

  /**
   * Looks for signs of life that nobody is told of: bytes of a reply that is not whole yet, or bytes of a request that the node
   * takes. The kernel takes some for a node that reads nothing; but once it is full, only a node that reads makes room.
   */
  noteProgress(): void {
    const { unreadBytes, output } = this.connection;
    const isTaking = this.hadUnsent && output.sent !== this.seenSent;
    // Who is owed the rest of a request waits for its client.
    const waitsForClient = this.unfinished !== null && output.unsentBytes === 0;
    // Who is not read from cannot show any.
    if (this.isHeldBack || waitsForClient || unreadBytes > this.seenUnreadBytes || isTaking)
      this.lastBytesMs = this.transport.now;
    this.seenUnreadBytes = unreadBytes;
    this.seenSent = output.sent;
    this.hadUnsent = output.unsentBytes > 0;
  }

  onOpen(): void {
    this.state = 'greeting';
    const { username, password } = this.credentials;
    const hello: (string | Uint8Array)[] = ['HELLO', String(this.kind.protocol)];
    if (password !== null) hello.push('AUTH', username ?? 'default', password);
    this.ask(encodeCommand(hello));
  }

  onBytes(start: number, end: number): number {
    const bytes = this.transport.arena.bytes;
    const progress = this.progress;
    this.lastBytesMs = this.transport.now;
    let at = start;
    let answered: number | null = null;
    /** How many of the commands that come next were brought near. */
    let near = 0;
    if (this.partsLeft > 0) {
      at = this.handOn(at, end);
      if (this.partsLeft > 0) return at;
    }
    while (at < end) {
      const frameEnd = scanReply(bytes, at, end, progress);
      if (frameEnd < 0) {
        if (frameEnd === INVALID) {
          this.destroy(new BackendError(`it answered what is not RESP: ${this.quote(at, end)}`));
          return at;
        }
        this.tellLarge();
        if (this.mayBeHandedOn()) at = this.beginParts(at, end);
        else this.connection.expect(progress.need);
        break;
      }
      // A push belongs to no request.
      if (bytes[at] === GREATER) {
        this.events.onPush(this, at, frameEnd);
        at = frameEnd;
        continue;
      }
      const pending = this.queue.peek();
      if (pending === undefined || !this.wasBegun(pending)) {
        if (pending === undefined && this.events.onStray?.(at, frameEnd) === true) {
          at = frameEnd;
          continue;
        }
        this.destroy(new BackendError(`it sent what nobody asked for: ${this.quote(at, frameEnd)}`));
        return at;
      }
      if (this.preludesSeen < pending.preludes) {
        (pending.owner as ReplyOwner).onPrelude(pending, this.preludesSeen++, at, frameEnd);
        at = frameEnd;
        continue;
      }
      this.preludesSeen = 0;
      if (near > 0) near--;
      if (near === 0 && frameEnd < end) near = this.bringNear();
      this.queue.shift();
      if (this.expired > 0) this.expired--;
      answered = pending.endPosition;
      (pending.owner as ReplyOwner).onReply(pending, at, frameEnd);
      at = frameEnd;
    }
    if (answered !== null) {
      this.connection.output.releaseTo(answered);
      this.finishIfDone();
    }
    return at;
  }

  /**
   * Reads something of each of the commands whose replies come next. With thousands in flight their memory is far from the processor, which waits
   * for one after the other where it meets them one by one, and for all at once here. Returns how many they are.
   */
  private bringNear(): number {
    const { queue } = this;
    const count = Math.min(queue.length - 1, NEAR_MAX);
    let bytes = 0;
    for (let place = 1; place <= count; place++) bytes = (bytes + queue.at(place).requestBytes) | 0;
    this.nearBytes = bytes;
    return count;
  }

  holdBack(waitingBytes: number): boolean {
    // A connection that is the common one again has to take from the node what others wait for.
    if (this.state !== 'retired' || this.isHurried) return false;
    if (this.isAwaitedByOthers()) {
      if (waitingBytes < OVERTAKEN_BYTES_MAX) return false;
      const { timers, now } = this.transport;
      this.heldSinceMs = now;
      this.hurryTimer = timers.set(now + OVERTAKEN_MS_MAX - this.heldMs, () => this.hurry());
    }
    this.isHeldBack = true;
    this.connection.pause();
    return true;
  }

  /** Whether others than who is being answered wait for what comes behind. */
  private isAwaitedByOthers(): boolean {
    const { queue } = this;
    const asker = queue.peek()?.owner;
    for (let index = 1; index < queue.length; index++) {
      const { owner } = queue.at(index);
      if (owner !== asker && owner !== this) return true;
    }
    return false;
  }

  /** Takes from the node what comes, however slowly its client reads: others wait for the place of this connection. */
  hurry(): void {
    this.isHurried = true;
    this.goOn();
  }

  goOn(): void {
    if (!this.isHeldBack) return;
    this.isHeldBack = false;
    if (this.hurryTimer !== null) {
      this.transport.timers.cancel(this.hurryTimer);
      this.hurryTimer = null;
      this.heldMs = Math.min(this.heldMs + this.transport.now - this.heldSinceMs, OVERTAKEN_MS_MAX);
    }
    this.lastBytesMs = this.transport.now;
    this.connection.resume();
  }

  /** Of a command whose client was told a time-out: nothing of the reply is kept. */
  takesParts(): boolean {
    return true;
  }

  /** Of a command whose client was told a time-out, or went, before its reply or while its reply came in parts. */
  onPart(pending: Pending, _start: number, _end: number, isLast: boolean): void {
    if (isLast) this.pendings.release(pending);
  }

  onEnd(): void {
    this.destroy(new BackendError('it closed the connection'));
  }

  onDrain(): void {
    if (!this.waitsForRoom) return;
    this.waitsForRoom = false;
    this.connection.resume();
    this.events.onRoom?.();
  }

  /** What the kernel has of its last words is some megabytes at the most: whoever waits gets it now. */
  onBroken(): void {
    if (this.waitsForRoom) {
      this.waitsForRoom = false;
      this.connection.resume();
    }
    this.hurry();
  }

  onClose(error: Error | null): void {
    const ordered = this.state === 'closed';
    this.transport.timers.cancel(this.hurryTimer);
    this.state = 'closed';
    if (!ordered) this.events.onLost(this, this.failure ?? error ?? new BackendError('it closed the connection'));
  }

  /** A reply to the greeting, to PING, or to a command whose client was told a time-out. */
  onReply(pending: Pending, start: number, end: number): void {
    this.pendings.release(pending);
    if (this.state !== 'greeting') return;
    switch (this.questions.shift()) {
      case 'bulkLimit':
        this.greeting.bulkBytesMax = this.readNumber(start, BULK_LIMIT) || Number.POSITIVE_INFINITY;
        break;
      case 'databases':
        this.greeting.databases = this.readNumber(start, DATABASES);
        break;
      case 'setUp':
        if (this.transport.arena.bytes[start] === MINUS) this.refuseGreeting(start, end);
        break;
      default:
        this.onGreeting(start, end);
    }
    if (!this.greeted || this.questions.length > 0) return;
    this.state = 'ready';
    this.wasReady = true;
    this.events.onReady(this, this.greeting);
  }

  onPrelude(): void {}

  onFailure(pending: Pending): void {
    this.pendings.release(pending);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }

  get isGone(): boolean {
    return true;
  }

  /**
   * Gives up on the commands that came before `oldestMs`: their owners get `error`, tombstones take their places. Stops at
   * the first that was not wholly sent and returns true: the node does not even read, and only a closed connection keeps
   * such a command from being carried out after its client was told that it was not.
   */
  expire(oldestMs: number, error: (pending: Pending) => Uint8Array): boolean {
    while (this.expired < this.queue.length) {
      const pending = this.queue.at(this.expired);
      if (pending.arrivedMs > oldestMs) return false;
      if (!this.wasSent(pending)) return true;
      if (pending.owner === this) {
        this.expired++;
        continue;
      }
      this.bury(this.expired++, pending);
      pending.connection = null;
      (pending.owner as ReplyOwner).onFailure(pending, error(pending));
    }
    return false;
  }

  /** A tombstone takes its place in the queue, and its reply. */
  private bury(place: number, pending: Pending): void {
    const tombstone = this.pendings.take(this, pending.arrivedMs, false);
    tombstone.endPosition = pending.endPosition;
    tombstone.preludes = pending.preludes;
    tombstone.connection = this;
    this.queue.set(place, tombstone);
  }

  /**
   * Gives up the reads that stand behind the oldest, to be asked by another connection, if a reply is coming in for that which is so large that waiting for it would cost more than
   * asking anew: those of sessions that have nothing else here, since what a session asks keeps its order. The oldest come first.
   */
  giveUpReads(take: (read: Pending) => void): void {
    const { queue } = this;
    const oldest = queue.peek();
    if (oldest === undefined || this.gaveUpPosition === oldest.endPosition) return;
    if (Math.max(this.partsLeft, this.progress.announced) <= ASKED_ANEW_FACTOR * this.limits.largeValueBytes) return;
    this.gaveUpPosition = oldest.endPosition;
    const bound = this.askersBound();
    for (let place = 1; place < queue.length; place++) {
      const pending = queue.at(place);
      if (pending.owner === this || !isRepeatable(pending) || isOf(pending, bound)) continue;
      this.bury(place, pending);
      take(pending);
    }
  }

  /** Who has asked here what stays, and who has asked something together with one of them. */
  private askersBound(): ReadonlySet<object> {
    const { queue } = this;
    const bound = new Set<object>();
    for (let before = -1; before < bound.size; ) {
      before = bound.size;
      for (let place = 0; place < queue.length; place++) {
        const pending = queue.at(place);
        if (place > 0 && isRepeatable(pending) && !isOf(pending, bound)) continue;
        for (const asker of (pending.owner as ReplyOwner).askers()) bound.add(asker);
      }
    }
    return bound;
  }

  /**
   * Whether anything of the frame of `pending` was sent, so that a reply may be its: a node refuses what is too long for it
   * before it has all. Of the connection's own, the greeting may be refused before it was sent.
   */
  private wasBegun(pending: Pending): boolean {
    const begin = (pending.endPosition - pending.frameBytes) | 0;
    return ((this.connection.output.sent - begin) | 0) > 0 || pending.owner === this;
  }

  /**
   * Whether the reply now coming in is one large value, on a connection that nobody shares any more: then it need not be held until it is
   * whole. Of others it is not known who waits for what comes behind.
   */
  private mayBeHandedOn(): boolean {
    const { progress, state } = this;
    if (state !== 'retired' || progress.announced <= this.limits.largeValueBytes) return false;
    const pending = this.queue.peek();
    if (pending === undefined || this.preludesSeen < pending.preludes || !this.wasBegun(pending)) return false;
    // It is the reply itself, and none of its elements.
    return progress.scanned === 0 && progress.remaining === 1 && pending.owner?.takesParts !== undefined;
  }

  /** Hands on what has come of it, if its owner's turn has come. Returns up to where. */
  private beginParts(start: number, end: number): number {
    const { progress } = this;
    const pending = this.queue.peek() as Pending;
    if (pending.owner?.takesParts?.(pending) !== true) {
      this.connection.expect(Math.min(progress.need, end - start + PARTS_RETRY_BYTES));
      return start;
    }
    this.partsLeft = progress.need;
    progress.reset();
    // Its client has part of the reply: it cannot have another.
    pending.wasRetried = true;
    return this.handOn(start, end);
  }

  /** Hands on what has come of a reply in parts. Returns up to where. */
  private handOn(start: number, end: number): number {
    const whole = start + this.partsLeft;
    // CR and LF stay together, to be looked at.
    const upTo = end >= whole ? whole : Math.min(end, whole - 2);
    if (upTo <= start) return start;
    const pending = this.queue.peek() as Pending;
    const isLast = upTo === whole;
    if (isLast) {
      const { bytes } = this.transport.arena;
      if (bytes[upTo - 2] !== CR || bytes[upTo - 1] !== LF) {
        this.destroy(new BackendError('it answered what is not RESP: no line end behind a large value'));
        return start;
      }
      this.queue.shift();
      if (this.expired > 0) this.expired--;
    }
    this.partsLeft -= upTo - start;
    const { endPosition } = pending;
    pending.owner?.onPart?.(pending, start, upTo, isLast, this);
    if (isLast) {
      this.connection.output.releaseTo(endPosition);
      this.finishIfDone();
    }
    return upTo;
  }

  /** The arena had no room for the frame of `pending`: it counts as not sent, and there is nothing to send again. */
  private lose(pending: Pending): void {
    pending.frameBytes = 0;
    pending.endPosition = (this.connection.output.appended + 1) | 0;
    this.destroy(new BackendError('no buffer memory is left for its requests'));
  }

  private enqueueOwn(frame: Uint8Array): void {
    const pending = this.pendings.take(this, this.transport.now, false);
    const output = this.connection.output;
    output.appendBytes(frame);
    pending.frameStart = output.lastStart;
    pending.frameBytes = frame.length;
    pending.endPosition = output.appended;
    pending.connection = this;
    // A read that was lost is sent again; this is nothing to send again.
    pending.wasRetried = true;
    this.queue.push(pending);
    this.lastSendMs = this.transport.now;
    this.connection.flush();
  }

  /** A retired connection has nothing left to answer, or only what was asked anew elsewhere. */
  private finishIfDone(): void {
    if (this.state !== 'retired') return;
    if (this.queue.length === 0) this.finish();
    else if (this.gaveUpPosition !== -1 && this.isAbandoned) this.abandon();
  }

  private finish(): void {
    this.state = 'closed';
    this.events.onDrained(this);
    this.connection.destroy(null);
  }

  /** Greets: `hello` is what it must take first. */
  private ask(hello: Uint8Array): void {
    this.questions.push('hello');
    this.enqueueOwn(hello);
    // A client's user may not be allowed to, and its node would note that it was tried.
    if (this.kind.identity === null) {
      this.questions.push('bulkLimit', 'databases');
      this.enqueueOwn(ASK_BULK_LIMIT);
      this.enqueueOwn(ASK_DATABASES);
    }
    for (const command of this.kind.setUp) {
      this.questions.push('setUp');
      this.enqueueOwn(command);
    }
  }

  private onGreeting(start: number, end: number): void {
    const bytes = this.transport.arena.bytes;
    if (bytes[start] !== MINUS) {
      this.greeted = true;
      if (this.plainGreeting) return;
      this.greeting.version = readField(bytes, start, 'version');
      this.greeting.clientId = readInteger(bytes, start, 'id');
      this.greeting.modules = readCount(bytes, start, 'modules');
      return;
    }
    const text = new TextDecoder().decode(bytes.subarray(start + 1, end - 2));
    // Redis before 6.0 has no HELLO: RESP2 needs none.
    if (/^ERR unknown command/i.test(text) && this.kind.protocol === 2 && !this.plainGreeting) {
      const { username, password } = this.credentials;
      this.plainGreeting = true;
      const auth = username === null ? ['AUTH', password ?? ''] : ['AUTH', username, password ?? ''];
      this.ask(password === null ? PING : encodeCommand(auth));
      return;
    }
    this.refuseGreeting(start, end);
  }

  /** The node did not take what it was greeted with, and said arena bytes [start, end). */
  private refuseGreeting(start: number, end: number): void {
    const text = new TextDecoder().decode(this.transport.arena.bytes.subarray(start + 1, end - 2));
    const [reason = ''] = text.split(ECHO);
    this.greeted = false;
    this.destroy(new GreetingRefused(withoutSecret(reason, this.secret)));
  }

  private get credentials(): { username: string | Uint8Array | null; password: string | Uint8Array | null } {
    return this.kind.identity ?? this.node;
  }

  /** The password, as a text that the node writes would have it. */
  private get secret(): string | null {
    const { password } = this.credentials;
    return password === null ? null : Buffer.from(password).toString();
  }

  /** The answer to `CONFIG GET name`, a number above 0; 0 where there is none: a node may refuse to say. */
  private readNumber(start: number, name: string): number {
    const value = Number(readField(this.transport.arena.bytes, start, name));
    return value > 0 ? value : 0;
  }

  /** Arena bytes [start, end) for an error, without the password: what takes HELLO for something else may say it back. */
  private quote(start: number, end: number): string {
    const bytes = this.transport.arena.bytes.subarray(start, Math.min(end, start + QUOTED_BYTES_MAX));
    const secret = Buffer.from(this.credentials.password ?? '').toString('latin1');
    const shown = Buffer.from(withoutSecret(Buffer.from(bytes).toString('latin1'), secret), 'latin1');
    return showBytes(shown, 0, shown.length);
  }
}

/** Whether it is a read that may be asked once more, by another connection. */
function isRepeatable({ isWrite, isBound, wasRetried, preludes, frameBytes }: Pending): boolean {
  return !isWrite && !isBound && !wasRetried && preludes === 0 && frameBytes > 0;
}

function isOf({ owner }: Pending, askers: ReadonlySet<object>): boolean {
  return (owner as ReplyOwner).askers().some((asker) => askers.has(asker));
}

/** The text of field `name` of a map (RESP3) or a flat array (RESP2) of bulk strings and others; '' where it has none. */
function readField(bytes: Uint8Array, start: number, name: string): string {
  const at = fieldAt(bytes, start, name);
  return at < 0 ? '' : bulkText(bytes, at, skipValue(bytes, at));
}

/** Where the value of field `name` of such a map begins; -1 where it has none. */
function fieldAt(bytes: Uint8Array, start: number, name: string): number {
  const end = skipValue(bytes, start);
  let at = lineEnd(bytes, start, end);
  while (at < end) {
    const valueAt = skipValue(bytes, at);
    if (valueAt >= end) return -1;
    if (bulkText(bytes, at, valueAt) === name) return valueAt;
    at = skipValue(bytes, valueAt);
  }
  return -1;
}

/** The integer of field `name` of such a map; 0 where it has none. */
function readInteger(bytes: Uint8Array, start: number, name: string): number {
  const at = fieldAt(bytes, start, name);
  return at < 0 || bytes[at] !== TYPE.integer ? 0 : parseInteger(bytes, at, skipValue(bytes, at));
}

/** How many elements the array has that is field `name` of such a map; 0 where it has none. */
function readCount(bytes: Uint8Array, start: number, name: string): number {
  const at = fieldAt(bytes, start, name);
  if (at < 0 || bytes[at] !== TYPE.array) return 0;
  return Math.max(parseInteger(bytes, at, lineEnd(bytes, at, skipValue(bytes, at))), 0);
}

function bulkText(bytes: Uint8Array, start: number, end: number): string {
  return new TextDecoder().decode(bytes.subarray(lineEnd(bytes, start, end), end - 2));
}

function lineEnd(bytes: Uint8Array, start: number, end: number): number {
  const newline = bytes.indexOf(0x0a, start);
  return newline < 0 || newline >= end ? end : newline + 1;
}
