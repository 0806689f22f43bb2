/**
 * Calls by SHA1 that a node has answered with NOSCRIPT, though it was sent the script before. They are sent again, whole, where the order of what
 * the session has asked of that node stays as it was. What it has asked behind the call for that node decides:
 *
 *   nothing                                    it is sent again
 *   such calls alone                           it waits for what becomes of them; with the last that is lost, too, all are sent again
 *   something else, or one that was not lost   the client is told NOSCRIPT
 *
 * While some wait the session reads nothing more.
 */
import type { Carrier, Pending } from '../backend/pending.js';
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

export class LostCalls {
  private readonly bytes: Uint8Array;
  private readonly sendAgain: (call: LostCall) => void;
  /** Those that wait, by session and node, in their order. */
  private readonly waiting = new WeakMap<Session, Map<number, LostCall[]>>();

  constructor(bytes: Uint8Array, sendAgain: (call: LostCall) => void) {
    this.bytes = bytes;
    this.sendAgain = sendAgain;
  }

  /** The node has said to `pending` that it lacks the script, in arena bytes [start, end). False: the client is to be told. */
  add(owner: CallBySha, pending: Pending, start: number, end: number): boolean {
    const { route } = owner;
    const fate = fateOf(route, pending);
    if (fate === 'told') {
      this.tell(route);
      return false;
    }
    const { frameStart, frameBytes } = pending;
    const frame = this.bytes.slice(frameStart, frameStart + frameBytes);
    const call = { owner, pending, frame, reply: this.bytes.slice(start, end) };
    // It stands in its session's queue alone.
    pending.connection = null;
    const before = this.take(route);
    if (fate === 'waits') this.hold(route, [...before, call]);
    else for (const lost of [...before, call]) this.sendAgain(lost);
    return true;
  }

  /** Something behind those that wait was carried out, or nobody knows: their client is told. */
  tell(route: CallRoute): void {
    // Asked of every call that is answered.
    if (!this.waiting.has(route.session)) return;
    for (const { pending, reply } of this.take(route)) route.session.answer(pending, reply);
  }

  private hold({ session, node }: CallRoute, calls: LostCall[]): void {
    const nodes = this.waiting.get(session) ?? new Map<number, LostCall[]>();
    this.waiting.set(session, nodes.set(node, calls));
    session.waitForReplies();
  }

  private take({ session, node }: CallRoute): LostCall[] {
    const nodes = this.waiting.get(session);
    const calls = nodes?.get(node) ?? [];
    nodes?.delete(node);
    if (nodes?.size === 0) this.waiting.delete(session);
    return calls;
  }
}

/** What is to become of the call that is lost. Its connection answers in order: nothing behind it there is done. */
function fateOf(route: CallRoute, pending: Pending): 'again' | 'waits' | 'told' {
  const connection = pending.connection as Carrier;
  let [hasCalls, hasSteps] = [false, false];
  for (const later of route.session.behind(pending)) {
    if (later.isDone) continue;
    const { owner, source } = later;
    if (owner instanceof CallBySha && owner.route.node === route.node) hasCalls = true;
    // What has several steps may come to that node yet.
    else if (source !== null && !source.awaitsPart(connection)) hasSteps = true;
    else if (source !== null || later.connection === null || later.connection === connection) return 'told';
  }
  if (!hasCalls) return 'again';
  return hasSteps ? 'told' : 'waits';
}
