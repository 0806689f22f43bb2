/**
 * Calls by SHA1 that a node has answered with NOSCRIPT, though it was sent the script before. They are sent again, whole, where the order of what
 * the session has asked of that node stays as it was. What it has asked behind the call for that node decides:
 *
 *   nothing                                    it is sent again
 *   such calls alone                           it waits for what becomes of them; with the last that is lost, too, all are sent again
 *   something else, or one that was not lost   the client is told NOSCRIPT
 *
 * While some wait the session reads nothing more. Nor does it while what is to be sent again waits for the end of a pause (CLIENT PAUSE) that has begun
 * since. Where the service has been laid out anew meanwhile the key may lie elsewhere: the client is told NOSCRIPT.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { Carrier, Pending, ReplySource } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { Arena } from '../transport/arena.js';
import type { EndableWait } from './node-steps.js';
import { CallBySha, type CallRoute } from './script-replies.js';
import type { Session } from './session.js';

export interface LostCallsContext {
  arena: Arena;
  counts: Counts;
  /** What a write of that service has to wait for now; null: nothing. */
  writeWait: (service: number) => EndableWait | null;
  /** Whether the session's service is laid out as it was when the call was sent. */
  isAsBefore: (route: CallRoute) => boolean;
  /** Arena bytes [start, end) are the frame of `pending`, to be sent again. */
  sendAgain: (owner: CallBySha, pending: Pending, start: number, end: number) => void;
}

const NO_ROOM = errorBytes('OVERLOADED', 'no buffer memory is left for this command; it had no effect');

/** A call whose frame is held, in an own block. While it waits it is its pending's source, which hears when nobody waits for the reply any more. */
class LostCall implements ReplySource {
  /** The frame is counted as the request that it is. */
  readonly heldBytes = 0;
  readonly hasParts = false;
  readonly owner: CallBySha;
  readonly pending: Pending;
  /** What the node said. */
  readonly reply: Uint8Array;
  readonly start: number;
  readonly end: number;
  private readonly arena: Arena;
  private onAbandoned: (() => void) | null = null;

  /** `block`: that of the frame. */
  constructor(owner: CallBySha, pending: Pending, reply: Uint8Array, arena: Arena, block: number) {
    this.owner = owner;
    this.pending = pending;
    this.reply = reply;
    this.arena = arena;
    this.start = block;
    this.end = block + pending.frameBytes;
  }

  /** `onAbandoned`: its client has gone, and it is given up. */
  wait(onAbandoned: () => void): void {
    this.pending.source = this;
    this.onAbandoned = onAbandoned;
  }

  /** Waits no more. */
  endWait(): void {
    this.pending.source = null;
  }

  /** Gives back the frame. */
  release(): void {
    this.arena.release(this.start, this.end - this.start);
  }

  abandon(): void {
    this.release();
    this.onAbandoned?.();
  }

  writeReply(): void {
    throw new Error('a call that waits has no reply');
  }

  awaitsPart(): boolean {
    return false;
  }
}

export class LostCalls {
  private readonly context: LostCallsContext;
  /** Those that wait for what stands behind them, by session and way, in their order. */
  private readonly waiting = new WeakMap<Session, Map<LaneChannel, LostCall[]>>();

  constructor(context: LostCallsContext) {
    this.context = context;
  }

  /** The node has said to `pending` that it lacks the script, in arena bytes [start, end). False: the client is to be told. */
  add(owner: CallBySha, pending: Pending, start: number, end: number): boolean {
    const { route } = owner;
    const fate = this.context.isAsBefore(route) ? fateOf(route, pending) : 'told';
    if (fate === 'told') {
      this.tell(route);
      return false;
    }
    const { arena, counts } = this.context;
    const { frameStart, frameBytes } = pending;
    // It stands in its session's queue alone.
    pending.connection = null;
    const block = arena.allocate(frameBytes);
    if (block < 0) {
      counts.commandsOverloaded++;
      this.tell(route);
      route.session.onFailure(pending, NO_ROOM);
      return true;
    }
    arena.copyNow(frameStart, frameStart + frameBytes, block);
    const call = new LostCall(owner, pending, arena.bytes.slice(start, end), arena, block);
    const calls = [...this.take(route), call];
    if (fate === 'waits') this.hold(route, calls);
    else this.goOn(route, calls);
    return true;
  }

  /** Something behind those that wait was carried out, or nobody knows: their client is told. */
  tell(route: CallRoute): void {
    // Asked of every call that is answered.
    if (this.waiting.has(route.session)) tellAll(this.take(route));
  }

  /** Sends them again, in their order: now, or at the end of a pause. */
  private goOn(route: CallRoute, calls: readonly LostCall[]): void {
    const { session } = route;
    const { writeWait, isAsBefore, sendAgain, arena } = this.context;
    const wait = calls.some(({ owner }) => owner.route.isWrite) ? writeWait(session.service) : null;
    if (wait === null) {
      for (const call of calls) {
        call.endWait();
        sendAgain(call.owner, call.pending, call.start, call.end);
        arena.settle();
        call.release();
      }
      return;
    }
    session.waitForReplies();
    const leave = wait(() => {
      if (isAsBefore(route)) this.goOn(route, calls);
      else tellAll(calls);
    });
    for (const call of calls) call.wait(leave);
  }

  private hold({ session, channel }: CallRoute, calls: LostCall[]): void {
    const ways = this.waiting.get(session) ?? new Map<LaneChannel, LostCall[]>();
    this.waiting.set(session, ways.set(channel, calls));
    for (const call of calls) call.wait(() => this.waiting.delete(session));
    session.waitForReplies();
  }

  private take({ session, channel }: CallRoute): LostCall[] {
    const ways = this.waiting.get(session);
    const calls = ways?.get(channel) ?? [];
    ways?.delete(channel);
    if (ways?.size === 0) this.waiting.delete(session);
    return calls;
  }
}

function tellAll(calls: readonly LostCall[]): void {
  for (const call of calls) {
    call.endWait();
    call.release();
    call.owner.route.session.answer(call.pending, call.reply);
  }
}

/** What is to become of the call that is lost. Its connection answers in order: nothing behind it there is done. */
function fateOf(route: CallRoute, pending: Pending): 'again' | 'waits' | 'told' {
  const connection = pending.connection as Carrier;
  let hasCalls = false;
  for (const { isDone, owner, source, connection: way } of route.session.behind(pending)) {
    if (isDone) continue;
    if (owner instanceof CallBySha) hasCalls ||= owner.route.channel === route.channel;
    // What has a source is for several nodes, or has several steps: it may be on its way to that node, or come to it yet.
    else if (source !== null || way === null || way === connection) return 'told';
  }
  return hasCalls ? 'waits' : 'again';
}
