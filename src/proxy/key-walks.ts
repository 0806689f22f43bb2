/**
 * Carries out walks over nodes (key-walk.ts) for sessions: the reply comes in its place in line, whatever else the session asks
 * meanwhile.
 */
import type { Carrier, Pending, PendingPool, ReplyOwner, Sender } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Arena } from '../transport/arena.js';
import type { NodeAsk, Walk } from './key-walk.js';
import type { Session } from './session.js';

export interface WalksContext {
  arena: Arena;
  pendings: PendingPool;
  now: () => number;
}

const NO_ROOM = errorBytes(
  'OVERLOADED',
  'no buffer memory is left for what nodes are asked; the command had no effect',
);

/** Begins a walk for the command just read, of that many bytes. */
export function beginWalk(context: WalksContext, session: Session, walk: Walk, requestBytes: number): void {
  const head = context.pendings.take(session, context.now(), false);
  session.track(head, requestBytes);
  new RunningWalk(context, session, head, walk).go();
}

class RunningWalk implements ReplyOwner {
  private readonly context: WalksContext;
  private readonly session: Session;
  private readonly head: Pending;
  private readonly walk: Walk;
  /** As they were when it began: the nodes of the walk are numbered so. */
  private readonly channels: readonly Sender[];
  private replies: Uint8Array[] = [];
  private awaited = 0;

  constructor(context: WalksContext, session: Session, head: Pending, walk: Walk) {
    this.context = context;
    this.session = session;
    this.head = head;
    this.walk = walk;
    this.channels = session.lane.channels;
  }

  /** Until something has to be waited for. */
  go(): void {
    while (this.awaited === 0) {
      const { done, value } = this.session.isClosed ? this.walk.return(NO_ROOM) : this.walk.next(this.replies);
      if (done === true) {
        this.session.answer(this.head, value);
        return;
      }
      this.ask(value);
    }
  }

  onReply(pending: Pending, start: number, end: number): void {
    this.take(pending, this.context.arena.bytes.slice(start, end));
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    this.take(pending, error);
  }

  /** Nothing of it is a transaction. */
  onPrelude(): void {}

  awaits(connection: Carrier): boolean {
    return this.session.awaits(connection);
  }

  askers(): readonly object[] {
    return [this.session];
  }

  get isGone(): boolean {
    return this.session.isClosed;
  }

  private ask(asks: readonly NodeAsk[]): void {
    const { arena, pendings, now } = this.context;
    this.replies = new Array<Uint8Array>(asks.length);
    this.awaited = asks.length + 1;
    for (const [part, { node, frame }] of asks.entries()) {
      const pending = pendings.take(this, now(), false);
      pending.part = part;
      const block = arena.allocate(frame.length);
      if (block < 0) {
        this.keep(pending, NO_ROOM);
        continue;
      }
      arena.bytes.set(frame, block);
      const refusal = (this.channels[node] as Sender).send(pending, block, block + frame.length);
      if (refusal !== null) this.keep(pending, refusal);
      arena.settle();
      arena.release(block, frame.length);
    }
    this.awaited--;
  }

  private take(pending: Pending, reply: Uint8Array): void {
    this.keep(pending, reply);
    this.go();
  }

  private keep(pending: Pending, reply: Uint8Array): void {
    this.replies[pending.part] = reply;
    this.awaited--;
    this.context.pendings.release(pending);
  }
}
