/**
 * How much may wait for a client that does not take it: replies by sessionOutputHardBytes; of one with subscriptions, to whom others
 * send, less by subscriberOutputHardBytes, and for a while only by subscriberOutputSoftBytes.
 */
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { Output } from '../transport/output.js';
import type { ReplyQueue } from './reply-queue.js';
import type { Subscriptions } from './subscriptions.js';

export class OutputBounds {
  private readonly limits: Limits;
  private readonly counts: Counts;
  private readonly output: Output;
  private readonly replies: ReplyQueue;

  constructor(limits: Limits, counts: Counts, output: Output, replies: ReplyQueue) {
    this.limits = limits;
    this.counts = counts;
    this.output = output;
    this.replies = replies;
  }

  /** Why its client is to be cut off, which is counted; or null. */
  excess(subscriptions: Subscriptions | null): string | null {
    const { limits, counts } = this;
    const bytes = this.output.unsentBytes + this.replies.parkedBytes;
    if (subscriptions !== null && bytes + subscriptions.parkedBytes > limits.subscriberOutputHardBytes)
      return this.tooManyMessages('subscriberOutputHardBytes');
    if (bytes <= limits.sessionOutputHardBytes) return null;
    counts.sessionOutputCloses++;
    return `its unread replies exceed what may wait (sessionOutputHardBytes ${limits.sessionOutputHardBytes})`;
  }

  /** The same of a client that is behind by more than the soft bound for too long. Called about once a second. */
  slowness(subscriptions: Subscriptions, nowMs: number): string | null {
    const { limits } = this;
    if (this.output.unsentBytes <= limits.subscriberOutputSoftBytes) subscriptions.slowSinceMs = -1;
    else if (subscriptions.slowSinceMs < 0) subscriptions.slowSinceMs = nowMs;
    else if (nowMs - subscriptions.slowSinceMs > limits.subscriberOutputSoftMs)
      return this.tooManyMessages('subscriberOutputSoftBytes');
    return null;
  }

  private tooManyMessages(limit: 'subscriberOutputHardBytes' | 'subscriberOutputSoftBytes'): string {
    this.counts.subscriberOutputCloses++;
    return `its unread messages exceed what may wait (${limit} ${this.limits[limit]})`;
  }
}
