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
import type { Carrier, Pending } from '../backend/pending.js';
import type { Wait } from './node-steps.js';
import { CallBySha, type CallRoute } from './script-replies.js';
import type { Session } from './session.js';

export interface LostCall {
  readonly owner: CallBySha;
  readonly pending: Pending;
  /** What was sent. */
  readonly frame: Uint8Array;
  /** What the node said. */
  readonly reply: Uint8Array;
}

export interface LostCallsContext {
  bytes: Uint8Array;
  /** What a write of that service has to wait for now; null: nothing. */
  writeWait: (service: number) => Wait | null;
  /** Whether the session's service is laid out as it was when the call was sent. */
  isAsBefore: (route: CallRoute) => boolean;
  sendAgain: (call: LostCall) => void;
}

export class LostCalls {
  private readonly context: LostCallsContext;
  /** Those that wait, by session and way, in their order. */
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
    const { frameStart, frameBytes } = pending;
    const { bytes } = this.context;
    const frame = bytes.slice(frameStart, frameStart + frameBytes);
    const call = { owner, pending, frame, reply: bytes.slice(start, end) };
    // It stands in its session's queue alone.
    pending.connection = null;
    const before = this.take(route);
    if (fate === 'waits') this.hold(route, [...before, call]);
    else this.goOn(route, [...before, call]);
    return true;
  }

  /** Something behind those that wait was carried out, or nobody knows: their client is told. */
  tell(route: CallRoute): void {
    // Asked of every call that is answered.
    if (!this.waiting.has(route.session)) return;
    for (const { pending, reply } of this.take(route)) route.session.answer(pending, reply);
  }

  /** Sends them again, in their order: now, or at the end of a pause. */
  private goOn(route: CallRoute, calls: readonly LostCall[]): void {
    const { session } = route;
    const { writeWait, isAsBefore, sendAgain } = this.context;
    const wait = calls.some(({ owner }) => owner.route.isWrite) ? writeWait(session.service) : null;
    if (wait === null) {
      for (const lost of calls) sendAgain(lost);
      return;
    }
    session.waitForReplies();
    wait(() => {
      if (session.isClosed) return;
      if (isAsBefore(route)) this.goOn(route, calls);
      else for (const { pending, reply } of calls) session.answer(pending, reply);
    });
  }

  private hold({ session, channel }: CallRoute, calls: LostCall[]): void {
    const ways = this.waiting.get(session) ?? new Map<LaneChannel, LostCall[]>();
    this.waiting.set(session, ways.set(channel, calls));
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
