/**
 * Asks nodes whether they are busy with a script: by connections that the script does not keep, and within a short time; or by those by
 * which they send a client's messages (CLIENT TRACKING), whose answer comes behind these, or which are lost after requestTimeoutMs.
 */
import type { Pending, PendingPool, ReplyOwner, Sender } from '../backend/pending.js';
import type { TrackingLane } from '../backend/tracking-lane.js';
import type { Timer } from '../base/timers.js';
import { encodeCommand } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import type { Session } from './session.js';

export interface BusyQuestionContext {
  transport: Transport;
  pendings: PendingPool;
}

/** What a node has said that is busy. */
export interface Busy {
  node: number;
  reply: Uint8Array;
}

/** Milliseconds that a node has to say that it is busy. One that is not well says nothing. */
const ANSWER_MS_MAX = 500;
const PING = encodeCommand(['PING']);
const BUSY = Buffer.from('-BUSY ');

export class BusyQuestion implements ReplyOwner {
  private readonly context: BusyQuestionContext;
  private readonly session: Session | null;
  /** Null once it was told. */
  private told: ((busy: Busy | null) => void) | null;
  private awaited = 1;
  private timer: Timer | null = null;

  /** `session`: who wants to know; null: the proxy. `told` is called once: with what a node says that is busy, or null where none is. */
  constructor(context: BusyQuestionContext, session: Session | null, told: (busy: Busy | null) => void) {
    this.context = context;
    this.session = session;
    this.told = told;
  }

  ask(node: number, channel: Sender): void {
    const { transport, pendings } = this.context;
    const { arena } = transport;
    const block = arena.allocate(PING.length);
    if (block < 0) return;
    arena.bytes.set(PING, block);
    const pending = pendings.take(this, transport.now, false);
    pending.part = node;
    this.awaited++;
    const refusal = channel.send(pending, block, block + PING.length);
    arena.settle();
    arena.release(block, PING.length);
    if (refusal !== null) this.onFailure(pending);
  }

  /** By the ways by which nodes tell of keys, but for `except`. */
  askTellers(lane: TrackingLane, except: readonly number[] = []): void {
    for (const [index, { teller }] of lane.channels.entries())
      if (teller !== null && !except.includes(index)) this.ask(index, teller);
  }

  /** It is not told before what is returned has been called, once. */
  await(): () => void {
    this.awaited++;
    return () => this.onAnswered();
  }

  /** All have been asked. If `isBrief`, what has not been answered soon is not waited for. */
  begin(isBrief: boolean): void {
    const { timers, now } = this.context.transport;
    if (isBrief) this.timer = timers.set(now + ANSWER_MS_MAX, () => this.tell(null));
    this.onAnswered();
  }

  onReply(pending: Pending, start: number, end: number): void {
    const { part: node } = pending;
    this.context.pendings.release(pending);
    const { bytes } = this.context.transport.arena;
    const isBusy = BUSY.compare(bytes, start, Math.min(end, start + BUSY.length)) === 0;
    if (isBusy) this.tell({ node, reply: bytes.slice(start, end) });
    this.onAnswered();
  }

  /** A node that is not well does not say that it is busy. */
  onFailure(pending: Pending): void {
    this.context.pendings.release(pending);
    this.onAnswered();
  }

  onPrelude(): void {}

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return this.session === null ? [] : [this.session];
  }

  get isGone(): boolean {
    return this.told === null || this.session?.isClosed === true;
  }

  private onAnswered(): void {
    if (--this.awaited === 0) this.tell(null);
  }

  private tell(busy: Busy | null): void {
    const { told } = this;
    if (told === null) return;
    this.told = null;
    this.context.transport.timers.cancel(this.timer);
    told(busy);
  }
}
