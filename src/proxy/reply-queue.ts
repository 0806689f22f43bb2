/**
 * The commands of a session that were read and are not answered yet, and the replies that wait for those before them.
 *
 *   output <- [done] [waits] [done] [waits]     flushed from the head only
 *
 * Reply order is the client's contract, whatever order shards answer in. A reply that comes before its turn is parked
 * (parked-replies.ts).
 */
import type { Carrier, Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import { Fifo } from '../base/fifo.js';
import type { Output } from '../transport/output.js';
import type { Transport } from '../transport/transport.js';
import { ParkedReplies } from './parked-replies.js';

export class ReplyQueue {
  /** Bytes of the requests in it. */
  requestBytes = 0;
  /** How many have come into it, and how many had with the last one that was marked; both run over. */
  private pushed = 0;
  private marked = 0;
  private readonly owner: ReplyOwner;
  private readonly transport: Transport;
  private readonly pendings: PendingPool;
  private readonly output: Output;
  private readonly queue = new Fifo<Pending>();
  private readonly parked: ParkedReplies;
  /** What `pushOnce` sent last, and where in the output that ended. */
  private lastPush: Uint8Array | null = null;
  private lastPushPosition = 0;
  /** What of its reply went out in parts; the rest is to come. */
  private parted: Pending | null = null;

  /** Replies go to `output`; `owner` is told of those that the nodes give. */
  constructor(owner: ReplyOwner, transport: Transport, pendings: PendingPool, output: Output) {
    this.owner = owner;
    this.transport = transport;
    this.pendings = pendings;
    this.output = output;
    this.parked = new ParkedReplies(transport.arena);
  }

  /** Gives back what it has grown by, if it is empty. */
  trim(): void {
    this.queue.trim();
    this.parked.trim();
  }

  /** The last one is remembered until it has left. */
  markLast(): void {
    this.marked = this.pushed;
  }

  /** Whether one that was marked has not left. */
  get holdsMarked(): boolean {
    return this.queue.length > 0 && ((this.pushed - this.queue.length - this.marked) | 0) < 0;
  }

  get length(): number {
    return this.queue.length;
  }

  /** Bytes of the replies parked in it. */
  get parkedBytes(): number {
    return this.parked.bytes;
  }

  /** Bytes of the arena that hold what has come of its replies. */
  get heldBytes(): number {
    let bytes = this.parked.heldBytes;
    for (let index = 0; index < this.queue.length; index++) {
      const pending = this.queue.at(index);
      bytes += (pending.source?.heldBytes ?? 0) + (pending.connection?.heldFor(pending) ?? 0);
    }
    return bytes;
  }

  /** Whether there are replies, or parts of some, that wait for those before them. */
  get hasReplies(): boolean {
    if (this.parked.bytes > 0 || this.parted !== null) return true;
    for (let index = 0; index < this.queue.length; index++) {
      const { isDone, source } = this.queue.at(index);
      if (isDone || source?.hasParts === true) return true;
    }
    return false;
  }

  /** Whether the turn of `pending` has come. */
  isFirst(pending: Pending): boolean {
    return this.queue.peek() === pending;
  }

  /** Those that stand behind `pending`, which is in it. */
  behind(pending: Pending): readonly Pending[] {
    const { queue } = this;
    const found: Pending[] = [];
    for (let index = queue.length - 1; index >= 0 && queue.at(index) !== pending; index--) found.push(queue.at(index));
    return found.reverse();
  }

  push(pending: Pending): void {
    this.requestBytes += pending.requestBytes;
    this.pushed = (this.pushed + 1) | 0;
    this.queue.push(pending);
  }

  /** The first one's reply is arena bytes [start, end), valid during the call: it goes out, and what waited for it. */
  answerFirst(pending: Pending, start: number, end: number): void {
    this.queue.shift();
    this.requestBytes -= pending.requestBytes;
    if (!pending.isMuted) this.output.append(start, end);
    this.pendings.release(pending);
    if (this.queue.peek()?.isDone === true) this.flush();
  }

  /** As `answerFirst`, of a part of the reply, valid until the arena is settled. */
  answerPart(pending: Pending, start: number, end: number, isLast: boolean): void {
    if (isLast) {
      this.parted = null;
      this.answerFirst(pending, start, end);
      return;
    }
    this.parted = pending;
    if (!pending.isMuted) this.output.append(start, end);
  }

  /** Whether part of the reply has gone out, so that nothing but its rest can follow. */
  isParted(pending: Pending): boolean {
    return this.parted === pending;
  }

  /** Keeps the reply until its turn comes. Returns false, and `pending` is without a reply, when there is no room. */
  park(pending: Pending, start: number, end: number): boolean {
    this.drop(pending);
    if (pending.isMuted) return true;
    const at = this.parked.keep(start, end);
    if (at < 0) return false;
    pending.replyStart = at;
    pending.replyBytes = end - start;
    return true;
  }

  /** `pending` was done before its turn, without a reply: it stands there until `abandon`. */
  drop(pending: Pending): void {
    pending.connection = null;
    pending.isDone = true;
  }

  /** Appends to the output all that stands ready at the head. */
  flush(): void {
    const { queue, output } = this;
    for (let head = queue.peek(); head?.isDone === true; head = queue.peek()) {
      queue.shift();
      this.requestBytes -= head.requestBytes;
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

  /**
   * What the client did not ask for goes out behind the replies that have come and wait for their turn. What waits counts as a parked
   * reply. False: there is no room for it.
   */
  pushInOrder(frame: Uint8Array): boolean {
    if (!this.hasReplies) {
      this.output.appendBytes(frame);
      return true;
    }
    const at = this.parked.keepBytes(frame);
    if (at < 0) return false;
    const pending = this.pushReady();
    pending.replyStart = at;
    pending.replyBytes = frame.length;
    return true;
  }

  /** As `pushInOrder`, of a constant that says nothing new where it was the last that was sent. Returns whether it went out. */
  pushOnce(frame: Uint8Array): boolean {
    const { queue, output } = this;
    if (this.hasReplies) {
      if (queue.at(queue.length - 1).replyConstant === frame) return false;
      this.pushReady().replyConstant = frame;
      this.lastPush = frame;
      return false;
    }
    if (this.lastPush === frame && this.lastPushPosition === output.appended) return false;
    output.appendBytes(frame);
    this.lastPush = frame;
    this.lastPushPosition = output.appended;
    return true;
  }

  /** Calls `then` when all that is in it has been answered, unless it is abandoned before. */
  whenAnswered(then: () => void): void {
    if (this.queue.length === 0) then();
    else {
      const source = { writeReply: then, abandon: () => {}, awaitsPart: () => false, heldBytes: 0, hasParts: false };
      this.pushReady().source = source;
    }
  }

  /** See ReplyOwner.awaits. */
  awaits(connection: Carrier): boolean {
    for (let index = 0; index < this.queue.length; index++) {
      const pending = this.queue.at(index);
      if (pending.connection === connection || pending.source?.awaitsPart(connection) === true) return true;
    }
    return false;
  }

  /** Nobody waits for the replies any more. */
  abandon(): void {
    this.parted = null;
    for (let pending = this.queue.shift(); pending !== undefined; pending = this.queue.shift()) {
      if (pending.source !== null) pending.source.abandon();
      // What is in flight stands in its connection's queue still, which gives it back with the reply.
      if (pending.isDone || pending.source !== null) this.discard(pending);
    }
  }

  /** What goes out in its turn, and is no reply. */
  private pushReady(): Pending {
    const pending = this.pendings.take(this.owner, this.transport.now, false);
    pending.isDone = true;
    pending.isMuted = false;
    this.pushed = (this.pushed + 1) | 0;
    this.queue.push(pending);
    return pending;
  }

  /** Gives back a pending that stands in no queue any more. */
  private discard(pending: Pending): void {
    if (pending.replyBytes > 0) this.parked.release(pending.replyStart, pending.replyBytes);
    this.pendings.release(pending);
  }
}
