/**
 * One command that waits for its reply.
 *
 * It stands in two queues at once: in its session's (replies go out in that order) and in its node connection's (replies
 * come in in that order). A session's command that was split has one Pending in the session's queue and one a shard,
 * each of which stands in its connection's queue only.
 */
import type { Output } from '../transport/output.js';

/** A node's connection, as far as its pending commands know it: which one it is, and whether they went out. */
export interface Carrier {
  wasSent(pending: Pending): boolean;
  /** Bytes of the arena that hold what has come of the reply of `pending`, which is not whole yet. */
  heldFor(pending: Pending): number;
}

/** Where the parts of a large reply come from. */
export interface PartSource {
  /**
   * Stops reading: so many bytes wait for the client. Not so where others wait for what comes behind the reply, unless it is very much, and then not
   * for long. Returns whether it did.
   */
  holdBack(waitingBytes: number): boolean;
  /** Ends that. */
  goOn(): void;
}

/** A way to a node. */
export interface Sender {
  /**
   * Sends arena bytes [start, end), the frame of `pending`. Returns null when it is taken; otherwise the error reply, and `pending`
   * stays the caller's.
   */
  send(pending: Pending, start: number, end: number): Uint8Array | null;
}

/** Who is told of a reply: a session, a merge of several shards, or the connection itself (greeting, PING). */
export interface ReplyOwner {
  /** The reply is arena bytes [start, end), valid during the call. The owner releases `pending`. */
  onReply(pending: Pending, start: number, end: number): void;
  /** Whether it takes the reply of `pending`, a large one that is coming in, in parts from now on (`onPart`). Without it: never. */
  takesParts?(pending: Pending): boolean;
  /**
   * Arena bytes [start, end) are the next part of the reply, valid until the arena is settled. With the last one the owner releases
   * `pending`. A reply that breaks off ends with `onFailure`. `source` may be held back until the parts have gone on.
   */
  onPart?(pending: Pending, start: number, end: number, isLast: boolean, source: PartSource): void;
  /** Prelude number `place` (from 0) of `pending` is arena bytes [start, end). They come again if it is sent again. */
  onPrelude(pending: Pending, place: number, start: number, end: number): void;
  /** No reply will come; `error` is what the client is told. The owner releases `pending`. */
  onFailure(pending: Pending, error: Uint8Array): void;
  /** Whether replies of that connection are still awaited: then later commands for its node may go nowhere else. */
  awaits(connection: Carrier): boolean;
  /** The sessions that asked: what one of them has asked is carried out in that order. */
  askers(): readonly object[];
  /** Nobody waits for its replies any more. */
  readonly isGone: boolean;
}

/** Makes one reply of those of several shards, and writes it when the session's turn has come. */
export interface ReplySource {
  /** Appends the whole reply to `output`, then gives up what it holds for this session. */
  writeReply(output: Output): void;
  /** The session is gone: gives up what it holds for it, once nothing is in flight any more. */
  abandon(): void;
  /** Whether the reply of one of its parts is awaited from that connection. */
  awaitsPart(connection: Carrier): boolean;
  /** Bytes of the arena that hold the replies it has so far. */
  readonly heldBytes: number;
  /** Whether part of its reply has come: what the client did not ask for is said behind it. */
  readonly hasParts: boolean;
}

/** What `onFailure` is told where nobody is there to read it. */
export const FOR_NOBODY = new Uint8Array();

export class Pending {
  owner: ReplyOwner | null = null;
  /** The connection whose queue it stands in; null while it waits to be sent, and for what is not sent. */
  connection: Carrier | null = null;
  /** The request's frame in the arena: in the connection's retaining output, or an own block while it waits in a backlog. */
  frameStart = 0;
  frameBytes = 0;
  /** Position of the frame's end in the connection's stream: it was sent when `(output.sent - endPosition) | 0 >= 0`. */
  endPosition = 0;
  /** Bytes of the client's request, in the session's queue: what its in-flight limit counts. */
  requestBytes = 0;
  /** When it came, in the transport's milliseconds. */
  arrivedMs = 0;
  isWrite = false;
  /** A read that was sent once and lost; it is not sent a third time. */
  wasRetried = false;
  /** It is for whom it was sent to, and for no other connection. */
  isBound = false;
  /** Its reply is there and waits for the replies before it, in exactly one of the three forms below. */
  isDone = false;
  /** The reply's bytes in the arena, where they were parked (proxy/parked-replies.ts). */
  replyStart = 0;
  replyBytes = 0;
  /** The reply's bytes, outside the arena. */
  replyConstant: Uint8Array | null = null;
  /** The reply's maker: set from the start for commands that go to several shards. */
  source: ReplySource | null = null;
  /** Its client does not want the reply (CLIENT REPLY): it is dropped. Of what stands in a session's queue. */
  isMuted = false;
  /** Which part of its owner's merge this is. */
  part = 0;
  /** Replies that come before the one that answers it: to MULTI, and to each command that EXEC is to carry out. */
  preludes = 0;
}

const SPARES_MAX = 65_536;

/** Spare objects of one worker, so that a command in flight costs no allocation. */
export class PendingPool {
  private spares: Pending[] = [];

  take(owner: ReplyOwner, arrivedMs: number, isWrite: boolean): Pending {
    const pending = this.spares.pop() ?? new Pending();
    pending.owner = owner;
    pending.arrivedMs = arrivedMs;
    pending.isWrite = isWrite;
    return pending;
  }

  /** Those that are not in use are made anew when they are needed. */
  dropSpares(): void {
    this.spares = [];
  }

  /** `pending` stands in no queue any more and holds nothing of the arena. */
  release(pending: Pending): void {
    pending.owner = null;
    pending.connection = null;
    pending.wasRetried = false;
    pending.isBound = false;
    pending.isDone = false;
    pending.replyBytes = 0;
    pending.replyConstant = null;
    pending.source = null;
    pending.frameBytes = 0;
    pending.requestBytes = 0;
    pending.preludes = 0;
    if (this.spares.length < SPARES_MAX) this.spares.push(pending);
  }
}
