/**
 * Carries out for a session what asks nodes step after step: a walk over keys (key-walk.ts), a gather (gather.ts). What is asked is
 * decided purely, by a generator; its reply comes in its place in line, whatever else the session asks meanwhile.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { Carrier, Pending, PendingPool, ReplyOwner, ReplySource } from '../backend/pending.js';
import { isError } from '../resp/reply.js';
import type { Arena } from '../transport/arena.js';
import type { BusyScripts } from './busy-scripts.js';
import type { Session } from './session.js';
import { NO_ROOM_TO_ASK } from './survey.js';

/** Asked of the node of that index; what comes back is a reply, or an error of the proxy's. */
export interface NodeAsk {
  node: number;
  frame: Uint8Array;
  /** If no answer comes, it may have been carried out, and is not sent again. */
  isWrite?: boolean;
  /** Replies to what stands in the frame before EXEC, which answers it. The first error among them is the answer where EXEC's is one. */
  preludes?: number;
  /** By the connections that sessions share, also for a session that tracks keys. */
  isUntracked?: boolean;
  /** It may run a client's script, for long: see BusyScripts. */
  isScript?: boolean;
}

/** Something that has to come to pass: calls `then` once it has, later and not at once. */
export type Wait = (then: () => void) => void;

/** As `Wait`. What it returns ends it: `then` is not called any more. */
export type EndableWait = (then: () => void) => () => void;

/**
 * Yields what is to be asked, and is resumed with the replies in that order; or what is to be waited for. It ends early, by `return`, when
 * the session is gone, but for a write: what was read of a client is carried out, also where it has gone since.
 */
export type NodeSteps<T> = Generator<readonly NodeAsk[] | Wait, T, readonly Uint8Array[]>;

export interface StepsContext {
  arena: Arena;
  pendings: PendingPool;
  now: () => number;
}

/** What the command is whose steps these are. */
export interface StepsKind {
  /** It does not end with its session. */
  isWrite?: boolean;
  /** Its reply is made of values that nodes give one after the other: that one is invalid (CLIENT TRACKING) is told behind it, not before. */
  readsValues?: boolean;
  /** Counts the bytes of the heap that all its like take: what was asked, and what came, until the reply is there. */
  heap?: { bytes: number };
  /** Hears of what may run scripts. */
  busyScripts?: BusyScripts;
}

/** Begins `steps`, whose outcome is the reply to the command just read, of that many bytes. */
export function runSteps(
  context: StepsContext,
  session: Session,
  steps: NodeSteps<Uint8Array>,
  requestBytes: number,
  kind: StepsKind = {},
): void {
  const head = context.pendings.take(session, context.now(), false);
  const running = new RunningSteps(context, session, head, steps, kind);
  head.source = running;
  session.track(head, requestBytes);
  running.go();
}

class RunningSteps implements ReplyOwner, ReplySource {
  hasParts = false;
  private readonly context: StepsContext;
  private readonly session: Session;
  private readonly head: Pending;
  private readonly steps: NodeSteps<Uint8Array>;
  /** As they were when it began: the nodes that it names are numbered so. */
  private readonly channels: readonly LaneChannel[];
  private readonly sharedChannels: readonly LaneChannel[];
  private readonly kind: StepsKind;
  private replies: Uint8Array[] = [];
  /** By what was asked, until it is answered. */
  private asked: (Pending | null)[] = [];
  /** By what was asked, the first error among its preludes. */
  private refusals: (Uint8Array | null)[] = [];
  private awaited = 0;
  /** Its part of `kind.heap`. */
  private heapBytes = 0;

  constructor(context: StepsContext, session: Session, head: Pending, steps: NodeSteps<Uint8Array>, kind: StepsKind) {
    this.context = context;
    this.kind = kind;
    this.session = session;
    this.head = head;
    this.steps = steps;
    this.channels = session.lane.channels;
    this.sharedChannels = session.sharedLane.channels;
  }

  /** Until something has to be waited for. */
  go(): void {
    while (this.awaited === 0) {
      const isOver = this.session.isClosed && this.kind.isWrite !== true;
      const { done, value } = isOver ? this.steps.return(NO_ROOM_TO_ASK) : this.steps.next(this.replies);
      if (done === true) {
        this.useHeap(-this.heapBytes);
        // That of a session which is closed was given up by its queue.
        if (!this.session.isClosed) this.session.answer(this.head, value);
        return;
      }
      if (typeof value === 'function') this.wait(value);
      else this.ask(value);
    }
  }

  /** Its reply stands in `head`. */
  writeReply(): void {
    throw new Error('steps are answered by a constant');
  }

  abandon(): void {}

  /** Of what is coming in, and of what the steps hold: that is copied out of the arena. */
  get heldBytes(): number {
    let bytes = this.heapBytes;
    for (const pending of this.asked) bytes += pending?.connection?.heldFor(pending) ?? 0;
    return bytes;
  }

  awaitsPart(): boolean {
    return false;
  }

  onReply(pending: Pending, start: number, end: number): void {
    const { bytes } = this.context.arena;
    const refusal = this.refusals[pending.part] ?? null;
    this.useHeap(end - start);
    this.take(pending, refusal !== null && isError(bytes, start) ? refusal : bytes.slice(start, end));
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    this.take(pending, error);
  }

  onPrelude({ part }: Pending, place: number, start: number, end: number): void {
    if (place === 0) this.refusals[part] = null;
    const { bytes } = this.context.arena;
    if (isError(bytes, start)) this.refusals[part] ??= bytes.slice(start, end);
  }

  awaits(connection: Carrier): boolean {
    return this.session.awaits(connection);
  }

  askers(): readonly object[] {
    return [this.session];
  }

  get isGone(): boolean {
    return this.session.isClosed && this.kind.isWrite !== true;
  }

  private wait(wait: Wait): void {
    this.awaited = 1;
    wait(() => {
      this.awaited = 0;
      this.go();
    });
  }

  private ask(asks: readonly NodeAsk[]): void {
    const { arena, pendings, now } = this.context;
    this.replies = new Array<Uint8Array>(asks.length);
    this.asked = new Array<Pending | null>(asks.length).fill(null);
    this.refusals = [];
    this.awaited = asks.length + 1;
    // What tracks has no connections any more when its session is closed.
    const channels = this.session.isClosed ? this.sharedChannels : this.channels;
    for (const [
      part,
      { node, frame, isWrite = false, preludes = 0, isUntracked = false, isScript },
    ] of asks.entries()) {
      this.useHeap(frame.length);
      const pending = pendings.take(this, now(), isWrite);
      pending.part = part;
      pending.preludes = preludes;
      this.asked[part] = pending;
      const block = arena.allocate(frame.length);
      if (block < 0) {
        this.keep(pending, NO_ROOM_TO_ASK);
        continue;
      }
      arena.bytes.set(frame, block);
      const channel = (isUntracked ? this.sharedChannels : channels)[node] as LaneChannel;
      const refusal = channel.send(pending, block, block + frame.length);
      if (refusal !== null) this.keep(pending, refusal);
      else if (isScript === true) this.kind.busyScripts?.note(channel, node, pending);
      arena.settle();
      arena.release(block, frame.length);
    }
    this.awaited--;
  }

  private useHeap(bytes: number): void {
    const { heap } = this.kind;
    if (heap === undefined) return;
    heap.bytes += bytes;
    this.heapBytes += bytes;
  }

  private take(pending: Pending, reply: Uint8Array): void {
    this.keep(pending, reply);
    this.go();
  }

  private keep(pending: Pending, reply: Uint8Array): void {
    this.replies[pending.part] = reply;
    this.asked[pending.part] = null;
    this.hasParts = this.kind.readsValues === true;
    this.awaited--;
    this.context.pendings.release(pending);
  }
}
