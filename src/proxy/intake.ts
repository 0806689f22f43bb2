/**
 * Whether a session's commands are read on. They are not (it is held)
 *
 *   while too much is in flight, or its output is too full;
 *   while a command that changes the session itself (HELLO) waits for the replies before it;
 *   while one is carried out by a connection of its own (WATCH, BLPOP), or is put off (CLIENT PAUSE).
 */
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { Output } from '../transport/output.js';
import type { Connection } from '../transport/transport.js';
import type { ReplyQueue } from './reply-queue.js';

/** What a session waits for by connections of its own. */
export interface BlockedBy {
  /** It lasts no longer than a node has for an answer. */
  readonly isQuestion?: boolean;
  /** It has been answered. */
  end(): void;
  /** Nobody waits for the answer any more. */
  cancel(): void;
  /** Ends the wait at the nodes, as at its time-out or with an error. `done` is told once whether it did wait. */
  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void;
}

/** As sessionOutputSoftBytes, for one that owes its password: whom nobody knows may not have us hold much for him. */
const UNAUTHENTICATED_OUTPUT_BYTES_MAX = 16 * 1024;
/** Of what comes while its command blocks. Beyond, it is not read, and that the client has gone is seen late. */
export const BLOCKED_BYTES_MAX = 64 * 1024;

export class Intake {
  /** While its command may wait at the node. */
  blocked: BlockedBy | null = null;
  isHeld = false;
  /** Reads no further command until the queue is empty. */
  private waitsForReplies = false;
  /** The command that comes next may not be carried out now. */
  private isPutOff = false;
  private outputSoftBytes: number;
  private readonly limits: Limits;
  private readonly counts: Counts;
  private readonly connection: Connection;
  private readonly output: Output;
  private readonly replies: ReplyQueue;

  constructor(limits: Limits, counts: Counts, connection: Connection, replies: ReplyQueue) {
    this.limits = limits;
    this.counts = counts;
    this.connection = connection;
    this.output = connection.output;
    this.replies = replies;
    this.outputSoftBytes = limits.sessionOutputSoftBytes;
  }

  /** The session is authenticated, or owes a password. */
  trust(isAuthenticated: boolean): void {
    const { sessionOutputSoftBytes } = this.limits;
    this.outputSoftBytes = isAuthenticated
      ? sessionOutputSoftBytes
      : Math.min(sessionOutputSoftBytes, UNAUTHENTICATED_OUTPUT_BYTES_MAX);
  }

  /** So much waits for the client that it is to take some first. */
  get isOutputFull(): boolean {
    return this.output.unsentBytes >= this.outputSoftBytes;
  }

  /** Whether the next command is to be left unread for now: then comes `hold`. */
  mustHold(): boolean {
    const { limits, replies } = this;
    return (
      (this.waitsForReplies && this.mustWait()) ||
      replies.length >= limits.sessionCommandsMax ||
      replies.requestBytes >= limits.sessionRequestBytesMax ||
      this.isOutputFull
    );
  }

  /** Reads no further command before those that were read have been answered. */
  waitForReplies(): void {
    this.waitsForReplies = true;
  }

  /** The command just tracked waits by connections of its own: nothing is read until it has been answered. */
  block(blocked: BlockedBy): void {
    this.blocked = blocked;
    this.waitsForReplies = true;
  }

  /** The command that comes next waits for `goOn`; all before it has been answered. */
  putOff(blocked: BlockedBy): void {
    this.isPutOff = true;
    this.block(blocked);
  }

  goOn(): void {
    this.isPutOff = false;
    this.endWait();
  }

  /** Replies have gone out: perhaps all. */
  onReplies(): void {
    if (this.waitsForReplies && !this.mustWait()) this.endWait();
  }

  /** The client is gone. */
  cancel(): void {
    this.blocked?.cancel();
    this.blocked = null;
  }

  /**
   * So many bytes are left unread. That the client goes is noticed while its command blocks; but what it sent before its end is carried out
   * where that is not long to wait for.
   */
  hold(unreadBytes: number): void {
    const { blocked } = this;
    const isWatched = blocked !== null && blocked.isQuestion !== true && unreadBytes <= BLOCKED_BYTES_MAX;
    if (!isWatched) {
      if (!this.isHeld) this.counts.sessionPauses++;
      this.connection.pause();
    }
    this.isHeld = true;
  }

  /** Reads no more until the output has gone out, of which the driver tells whom it does not read from. */
  holdForOutput(): void {
    this.isHeld = true;
    this.connection.pause();
  }

  /** Reads on once half of every limit is free again: not one command at a time. */
  release(): void {
    const { limits, replies, connection, output } = this;
    if (!this.isHeld || (this.waitsForReplies && this.mustWait())) return;
    // One that blocked was held without a pause, to hear of its client's going. While it is not read for another reason it must be
    // paused, or nobody tells it of a drain.
    connection.pause();
    if (replies.length > limits.sessionCommandsMax >> 1) return;
    if (replies.requestBytes > limits.sessionRequestBytesMax >> 1) return;
    if (output.unsentBytes > this.outputSoftBytes >> 1) return;
    this.isHeld = false;
    connection.resume();
  }

  private mustWait(): boolean {
    return this.replies.length > 0 || this.isPutOff;
  }

  private endWait(): void {
    this.waitsForReplies = false;
    this.blocked?.end();
    this.blocked = null;
  }
}
