/**
 * One reply of several shards' replies: each part's reply is parked until the last has come, then a response policy makes
 * one of them (response-policy.ts).
 *
 * A part that failed makes the whole an error that names its shard (partial-failure.ts). Several sessions may wait for one merge (INFO).
 */
import type { Carrier, Pending, PendingPool, ReplyOwner, ReplySource, Sender } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Arena } from '../transport/arena.js';
import type { Output } from '../transport/output.js';
import { writeMerged } from './partial-failure.js';
import { Part, type Parts, type ResponsePolicy } from './response-policy.js';
import type { Session } from './session.js';

export class Merge implements ReplyOwner, ReplySource, Parts {
  readonly bytes: Uint8Array;
  partCount = 0;
  keyCount = 0;
  partOfKey = new Uint16Array(64);
  private readonly arena: Arena;
  private readonly pendings: PendingPool;
  private readonly pool: MergePool;
  private policy: ResponsePolicy;
  /** It is known by its request, so that other sessions may share it: it is not used again. */
  private isShared = false;
  /** Sessions that wait and their entries there, in step. One, unless shared. */
  private readonly sessions: (Session | null)[] = [];
  private readonly heads: (Pending | null)[] = [];
  private sessionCount = 0;
  /** Sessions that neither got the reply nor went away. */
  private claims = 0;
  /** The first `partCount` are in use; `awaited` of them have no reply yet. */
  private readonly parts: Part[] = [];
  private awaited = 0;
  /** All replies have come, and what the policy does with them is not done yet. */
  private isTakingEffect = false;
  /** Some part of it changes something. */
  private isWrite = false;

  constructor(arena: Arena, pendings: PendingPool, pool: MergePool, policy: ResponsePolicy) {
    this.policy = policy;
    this.arena = arena;
    this.bytes = arena.bytes;
    this.pendings = pendings;
    this.pool = pool;
  }

  /** Begins a command. If `isShared`, more sessions may be added while nothing of it has been sent. */
  start(policy: ResponsePolicy, isShared: boolean): void {
    this.policy = policy;
    this.isShared = isShared;
    this.isWrite = false;
  }

  /** `session` gets the reply in the place of `head`, which is in its queue. */
  addSession(session: Session, head: Pending): void {
    head.source = this;
    this.sessions[this.sessionCount] = session;
    this.heads[this.sessionCount] = head;
    this.sessionCount++;
    this.claims++;
  }

  /** A part to be sent to the node of that name; its pending, to be handed to a channel. */
  addPart(nodeName: string, arrivedMs: number, isWrite: boolean): Pending {
    const pending = this.pendings.take(this, arrivedMs, isWrite);
    let part = this.parts[this.partCount];
    if (part === undefined) {
      part = new Part();
      this.parts.push(part);
    }
    pending.part = this.partCount++;
    part.nodeName = nodeName;
    part.pending = pending;
    this.isWrite ||= isWrite;
    this.awaited++;
    return pending;
  }

  /** The pending of part `index`, which was not answered yet. */
  partPending(index: number): Pending {
    const pending = this.parts[index]?.pending;
    if (pending === undefined || pending === null) throw new Error('a merge was asked for a part that does not wait');
    return pending;
  }

  /** Hands the part that `pending` is to a channel or a private connection, its frame being arena bytes [start, end). */
  sendPart(channel: Sender, pending: Pending, start: number, end: number): void {
    const refusal = channel.send(pending, start, end);
    if (refusal !== null) this.onFailure(pending, refusal);
  }

  /** There is no room for the frames of its parts, none of which was sent. */
  failUnsent(): void {
    const refusal = errorBytes('OVERLOADED', 'no buffer memory is left for the parts of this command; it was not sent');
    for (let index = this.partCount - 1; index >= 0; index--) this.onFailure(this.partPending(index), refusal);
  }

  /** The next key's value is in the reply of part `part`, after those said before. */
  addKey(part: number): void {
    if (this.keyCount === this.partOfKey.length) {
      const larger = new Uint16Array(this.keyCount * 2);
      larger.set(this.partOfKey);
      this.partOfKey = larger;
    }
    this.partOfKey[this.keyCount++] = part;
    this.part(part).keyCount++;
  }

  /** Parts that it can take without growing. */
  get partRoom(): number {
    return this.parts.length;
  }

  /** Keys that it can take without growing. */
  get keyRoom(): number {
    return this.partOfKey.length;
  }

  /** Whether nothing of it has been sent to any node: another session that asks the same may share it. */
  get isUnsent(): boolean {
    if (this.awaited === 0 || this.awaited < this.partCount) return false;
    for (let index = 0; index < this.partCount; index++) {
      const pending = this.partPending(index);
      if (pending.connection?.wasSent(pending) === true) return false;
    }
    return true;
  }

  onReply(pending: Pending, start: number, end: number): void {
    const failure = this.keep(pending, start, end);
    if (failure === null) this.onKept(pending);
    else this.onFailure(pending, failure);
  }

  /** The first half of `onReply`: parks the reply. Returns the error where there is no room for it; nothing was done then. */
  keep({ part: index, isWrite }: Pending, start: number, end: number): Uint8Array | null {
    if (this.claims === 0 && !this.hasEffect) return null;
    const part = this.part(index);
    const block = this.arena.allocate(end - start);
    if (block < 0) return noRoom(part, isWrite);
    this.arena.copyNow(start, end, block);
    part.start = block;
    part.bytes = end - start;
    return null;
  }

  /** The second half: the reply was kept. More parts may have been added in between. */
  onKept(pending: Pending): void {
    this.onPartDone(pending, this.part(pending.part));
  }

  onPrelude(_pending: Pending, place: number, start: number, end: number): void {
    this.policy.onPrelude?.(place, this.bytes, start, end);
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    const part = this.part(pending.part);
    part.failure = error;
    this.onPartDone(pending, part);
  }

  /** A part keeps its place among all that its sessions have asked, not only among the parts. */
  awaits(connection: Carrier): boolean {
    for (let index = 0; index < this.sessionCount; index++) {
      if (this.sessions[index]?.awaits(connection) === true) return true;
    }
    return false;
  }

  askers(): readonly object[] {
    return this.sessions.slice(0, this.sessionCount) as Session[];
  }

  get isGone(): boolean {
    return this.claims === 0;
  }

  awaitsPart(connection: Carrier): boolean {
    for (let index = 0; index < this.partCount; index++) {
      if (this.part(index).pending?.connection === connection) return true;
    }
    return false;
  }

  get heldBytes(): number {
    let bytes = 0;
    for (let index = 0; index < this.partCount; index++) {
      const { bytes: own, pending } = this.part(index);
      bytes += own + (pending?.connection?.heldFor(pending) ?? 0);
    }
    return bytes;
  }

  get hasParts(): boolean {
    return this.heldBytes > 0;
  }

  writeReply(output: Output): void {
    writeMerged(this, this.policy, this.isWrite, output);
    this.abandon();
  }

  abandon(): void {
    this.claims--;
    if (this.claims > 0) return;
    // Who takes effect all the same when the last has come sees them all.
    if (this.isTakingEffect || (this.awaited > 0 && this.hasEffect)) return;
    this.releaseReplies();
    if (this.awaited === 0) this.release();
  }

  part(index: number): Part {
    return this.parts[index] as Part;
  }

  private get hasEffect(): boolean {
    return (this.policy.effect ?? null) !== null;
  }

  private onPartDone(pending: Pending, part: Part): void {
    part.pending = null;
    this.pendings.release(pending);
    this.awaited--;
    if (this.awaited > 0) return;
    const wait = this.policy.effect?.(this) ?? null;
    if (wait === null) {
      this.complete();
      return;
    }
    this.isTakingEffect = true;
    wait(() => {
      this.isTakingEffect = false;
      this.complete();
    });
  }

  private complete(): void {
    // A claim of our own, so that the last session's does not end it under our hands.
    this.claims++;
    for (let index = 0; index < this.sessionCount; index++) {
      const session = this.sessions[index] as Session;
      if (!session.isClosed) session.complete(this.heads[index] as Pending);
    }
    this.abandon();
  }

  /** No session waits any more. */
  private releaseReplies(): void {
    for (let index = 0; index < this.partCount; index++) {
      const part = this.part(index);
      if (part.bytes > 0) this.arena.release(part.start, part.bytes);
      part.bytes = 0;
    }
  }

  /** All parts have come, too. */
  private release(): void {
    for (let index = 0; index < this.partCount; index++) {
      const part = this.part(index);
      part.failure = null;
      part.keyCount = 0;
    }
    for (let index = 0; index < this.sessionCount; index++) {
      this.sessions[index] = null;
      this.heads[index] = null;
    }
    // One that is still known by its request is left as it is, done.
    if (this.isShared) return;
    this.sessionCount = 0;
    this.partCount = 0;
    this.keyCount = 0;
    this.policy = NONE;
    this.pool.release(this);
  }
}

/** The reply of `part` has come, and cannot be kept. */
function noRoom(part: Part, isWrite: boolean): Uint8Array {
  const text = `node ${part.nodeName}: no buffer memory is left for its reply`;
  return isWrite
    ? errorBytes('UNKNOWN', `${text}; the write has been carried out or refused`)
    : errorBytes('OVERLOADED', `${text}; the command had no effect`);
}

/** That of a merge that is not in use: what a policy knows of its command is not kept. */
const NONE: ResponsePolicy = {
  needsOne: false,
  fits: () => {
    throw new Error('a spare merge has no policy');
  },
  write: () => {
    throw new Error('a spare merge has no policy');
  },
};

const SPARES_MAX = 1_024;
/** One that has grown beyond these is not kept, so that a few large commands do not take memory for good. */
const KEYS_KEPT_MAX = 4_096;
const PARTS_KEPT_MAX = 256;

/** Spare merges of one worker: a split command makes no garbage. */
export class MergePool {
  private readonly arena: Arena;
  private readonly pendings: PendingPool;
  private readonly spares: Merge[] = [];

  constructor(arena: Arena, pendings: PendingPool) {
    this.arena = arena;
    this.pendings = pendings;
  }

  take(policy: ResponsePolicy, isShared: boolean): Merge {
    const merge = this.spares.pop() ?? new Merge(this.arena, this.pendings, this, policy);
    merge.start(policy, isShared);
    return merge;
  }

  /** A merge whose reply `session` gets in its place among all that it asked; to be given parts. */
  begin(session: Session, policy: ResponsePolicy, isShared: boolean, requestBytes: number, nowMs: number): Merge {
    const merge = this.take(policy, isShared);
    const head = this.pendings.take(session, nowMs, false);
    merge.addSession(session, head);
    session.track(head, requestBytes);
    return merge;
  }

  /** Nobody refers to `merge` any more. */
  release(merge: Merge): void {
    const isSmall = merge.keyRoom <= KEYS_KEPT_MAX && merge.partRoom <= PARTS_KEPT_MAX;
    if (isSmall && this.spares.length < SPARES_MAX) this.spares.push(merge);
  }
}
