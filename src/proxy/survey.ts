/** Asks several nodes the same, by the connections that are always there, and collects what they answer. */
import type { Pending, PendingPool, ReplyOwner, Sender } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Arena } from '../transport/arena.js';

export interface SurveyContext {
  arena: Arena;
  pendings: PendingPool;
  now: () => number;
}

/** Nothing was asked. */
export const NO_ROOM_TO_ASK = errorBytes(
  'OVERLOADED',
  'no buffer memory is left for what nodes are asked; the command had no effect',
);

/** Sends `frame` by each of `ways`. Calls `done` once, with a reply for each in that order, or the proxy's error. */
export function survey(
  context: SurveyContext,
  ways: readonly Sender[],
  frame: Uint8Array,
  done: (replies: readonly Uint8Array[]) => void,
): void {
  new Survey(context, ways.length, done).ask(ways, frame);
}

class Survey implements ReplyOwner {
  readonly isGone = false;
  private readonly context: SurveyContext;
  private readonly replies: Uint8Array[];
  private awaited: number;
  private readonly done: (replies: readonly Uint8Array[]) => void;

  constructor(context: SurveyContext, count: number, done: (replies: readonly Uint8Array[]) => void) {
    this.context = context;
    this.replies = new Array<Uint8Array>(count);
    this.awaited = count;
    this.done = done;
  }

  ask(ways: readonly Sender[], frame: Uint8Array): void {
    const { arena, pendings, now } = this.context;
    const block = arena.allocate(frame.length);
    if (block >= 0) arena.bytes.set(frame, block);
    for (const [part, way] of ways.entries()) {
      const pending = pendings.take(this, now(), false);
      pending.part = part;
      const refusal = block < 0 ? NO_ROOM_TO_ASK : way.send(pending, block, block + frame.length);
      if (refusal !== null) this.onFailure(pending, refusal);
    }
    arena.settle();
    if (block >= 0) arena.release(block, frame.length);
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.onFailure(pending, this.context.arena.bytes.slice(start, end));
  }

  onPrelude(): void {}

  onFailure(pending: Pending, reply: Uint8Array): void {
    this.replies[pending.part] = reply;
    this.context.pendings.release(pending);
    if (--this.awaited === 0) this.done(this.replies);
  }

  awaits(): boolean {
    return false;
  }

  askers(): readonly object[] {
    return [];
  }
}
