/**
 * One reply of several shards' replies: each part's reply is parked until the last has come, then they become one.
 *
 *   keyed  MGET: the values in the order of the keys          sum  DEL, EXISTS, DBSIZE: the numbers added up
 *   ok     MSET, FLUSHALL: OK when all said OK                text INFO: made by a function from all texts
 *
 * A part that failed makes the whole an error that names its shard. Of a write that was carried out on another shard
 * nobody says that it had no effect: it is -UNKNOWN. Several sessions may wait for one merge (INFO).
 */
import type { Carrier, Pending, PendingPool, ReplyOwner, ReplySource } from '../backend/pending.js';
import { errorBytes, showBytes } from '../base/errors.js';
import { skipValue } from '../resp/frame.js';
import { arrayHeader, errorReply, integerReply, isError, parseInteger, REPLY_OK } from '../resp/reply.js';
import type { Arena } from '../transport/arena.js';
import type { Output } from '../transport/output.js';
import type { Session } from './session.js';

const LF = 0x0a;
const SIMPLE = 0x2b;
const INTEGER = 0x3a;
const BULK = 0x24;
const VERBATIM = 0x3d;
const ARRAY = 0x2a;
const UNKNOWN = Buffer.from('-UNKNOWN ');

export type MergeKind = 'keyed' | 'sum' | 'ok' | 'text';
/** Makes the whole reply of the parts' replies (frames as they came), in the order of the parts. */
export type MergeText = (replies: Uint8Array[]) => Uint8Array;

/** One shard's part. */
class Part {
  nodeName = '';
  /** Until its reply has come. */
  pending: Pending | null = null;
  /** Its reply: an own block, or an error that names the node. */
  start = 0;
  bytes = 0;
  failure: Uint8Array | null = null;
  /** keyed: how many values it is to have, and where the next begins. */
  keyCount = 0;
  cursor = 0;
}

export class Merge implements ReplyOwner, ReplySource {
  private readonly arena: Arena;
  private readonly pendings: PendingPool;
  private readonly pool: MergePool;
  private kind: MergeKind = 'ok';
  private makeText: MergeText | null = null;
  /** Sessions that wait and their entries there, in step. One, but for `text`. */
  private readonly sessions: (Session | null)[] = [];
  private readonly heads: (Pending | null)[] = [];
  private sessionCount = 0;
  /** Sessions that neither got the reply nor went away. */
  private claims = 0;
  /** The first `partCount` are in use; `awaited` of them have no reply yet. */
  private readonly parts: Part[] = [];
  private partCount = 0;
  private awaited = 0;
  private isWrite = false;
  /** keyed: which part holds the value of each key. */
  private partOfKey = new Uint16Array(64);
  private keyCount = 0;
  /** text: made once for all sessions. */
  private text: Uint8Array | null = null;

  constructor(arena: Arena, pendings: PendingPool, pool: MergePool) {
    this.arena = arena;
    this.pendings = pendings;
    this.pool = pool;
  }

  /** `makeText` is for kind `text` only. */
  start(kind: MergeKind, makeText: MergeText | null): void {
    this.kind = kind;
    this.makeText = makeText;
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
    this.isWrite = isWrite;
    this.awaited++;
    return pending;
  }

  /** The pending of part `index`, which was not answered yet. */
  partPending(index: number): Pending {
    const pending = this.parts[index]?.pending;
    if (pending === undefined || pending === null) throw new Error('a merge was asked for a part that does not wait');
    return pending;
  }

  /** keyed: the next key's value is in the reply of part `part`, after those said before. */
  addKey(part: number): void {
    if (this.keyCount === this.partOfKey.length) {
      const larger = new Uint16Array(this.keyCount * 2);
      larger.set(this.partOfKey);
      this.partOfKey = larger;
    }
    this.partOfKey[this.keyCount++] = part;
    this.part(part).keyCount++;
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
    const part = this.part(pending.part);
    if (this.claims > 0) {
      const block = this.arena.allocate(end - start);
      if (block < 0) {
        this.onFailure(pending, this.noRoom(part));
        return;
      }
      this.arena.bytes.copyWithin(block, start, end);
      part.start = block;
      part.bytes = end - start;
    }
    this.onPartDone(pending, part);
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

  awaitsPart(connection: Carrier): boolean {
    for (let index = 0; index < this.partCount; index++) {
      if (this.part(index).pending?.connection === connection) return true;
    }
    return false;
  }

  get heldBytes(): number {
    let bytes = 0;
    for (let index = 0; index < this.partCount; index++) bytes += this.part(index).bytes;
    return bytes;
  }

  writeReply(output: Output): void {
    const error = this.error();
    if (error !== null) output.appendBytes(error);
    else if (this.kind === 'keyed') this.writeKeyed(output);
    else if (this.kind === 'sum') output.appendBytes(integerReply(this.sum()));
    else if (this.kind === 'ok') output.appendBytes(REPLY_OK);
    else output.appendBytes(this.makeOnce());
    this.abandon();
  }

  abandon(): void {
    this.claims--;
    if (this.claims > 0) return;
    this.releaseReplies();
    if (this.awaited === 0) this.release();
  }

  private part(index: number): Part {
    return this.parts[index] as Part;
  }

  private onPartDone(pending: Pending, part: Part): void {
    part.pending = null;
    this.pendings.release(pending);
    this.awaited--;
    if (this.awaited > 0) return;
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
    // One that may be shared is still known by its request: it is left as it is, done.
    if (this.kind === 'text') return;
    this.sessionCount = 0;
    this.partCount = 0;
    this.keyCount = 0;
    this.pool.release(this);
  }

  /** The first part's error, with its shard's name, or null. */
  private error(): Uint8Array | null {
    for (let index = 0; index < this.partCount; index++) {
      const part = this.part(index);
      // Failures of our own name the node already.
      if (part.failure !== null) return this.isWrite ? this.fateOfWrite(part.failure) : part.failure;
      if (this.isExpected(part)) continue;
      const { bytes } = this.arena;
      const end = part.start + part.bytes;
      if (!isError(bytes, part.start)) {
        return errorReply(`ERR node ${part.nodeName} answered the unexpected: ${showBytes(bytes, part.start, end)}`);
      }
      const text = new TextDecoder().decode(bytes.subarray(part.start + 1, end - 2));
      const others = this.partCount - 1;
      return errorReply(`${text} (from node ${part.nodeName}; ${others} other shards were asked too)`);
    }
    return null;
  }

  /** `failure` says that a part had no effect, or that it is unknown; the command is what all its parts are. */
  private fateOfWrite(failure: Uint8Array): Uint8Array {
    let isDone = false;
    for (let index = 0; index < this.partCount; index++) {
      const part = this.part(index);
      if (part.failure === null) isDone ||= this.isExpected(part);
      else if (UNKNOWN.equals(part.failure.subarray(0, UNKNOWN.length))) return part.failure;
    }
    if (!isDone) return failure;
    const text = new TextDecoder().decode(failure.subarray(failure.indexOf(0x20) + 1, failure.length - 2));
    return errorBytes('UNKNOWN', `${text} there, but other shards have carried out their part of it`);
  }

  /** Whether the reply of `part` is of the kind that the other parts' can be merged with. */
  private isExpected(part: Part): boolean {
    const { bytes } = this.arena;
    const type = bytes[part.start];
    if (this.kind === 'sum') return type === INTEGER;
    if (this.kind === 'ok') return type === SIMPLE;
    if (this.kind === 'text') return type === BULK || type === VERBATIM;
    return type === ARRAY && parseInteger(bytes, part.start, bytes.indexOf(LF, part.start) + 1) === part.keyCount;
  }

  /** The reply of `part` has come, and cannot be kept. */
  private noRoom(part: Part): Uint8Array {
    const text = `node ${part.nodeName}: no buffer memory is left for its reply`;
    return this.isWrite
      ? errorBytes('UNKNOWN', `${text}; the write has been carried out or refused`)
      : errorBytes('OVERLOADED', `${text}; the command had no effect`);
  }

  private writeKeyed(output: Output): void {
    const bytes = this.arena.bytes;
    for (let index = 0; index < this.partCount; index++) {
      const part = this.part(index);
      part.cursor = bytes.indexOf(LF, part.start) + 1;
    }
    output.appendBytes(arrayHeader(this.keyCount));
    for (let key = 0; key < this.keyCount; key++) {
      const part = this.part(this.partOfKey[key] as number);
      const end = skipValue(bytes, part.cursor);
      output.appendNow(part.cursor, end);
      part.cursor = end;
    }
  }

  private sum(): number {
    let sum = 0;
    for (let index = 0; index < this.partCount; index++) {
      const { start, bytes } = this.part(index);
      sum += parseInteger(this.arena.bytes, start, start + bytes);
    }
    return sum;
  }

  private makeOnce(): Uint8Array {
    if (this.text !== null) return this.text;
    const replies = this.parts.slice(0, this.partCount).map(({ start, bytes }) => {
      return this.arena.bytes.slice(start, start + bytes);
    });
    this.text = (this.makeText as MergeText)(replies);
    return this.text;
  }
}

const SPARES_MAX = 1_024;
const KEYS_KEPT_MAX = 4_096;

/** Spare merges of one worker: a split command makes no garbage. */
export class MergePool {
  private readonly arena: Arena;
  private readonly pendings: PendingPool;
  private readonly spares: Merge[] = [];

  constructor(arena: Arena, pendings: PendingPool) {
    this.arena = arena;
    this.pendings = pendings;
  }

  take(kind: MergeKind, makeText: MergeText | null): Merge {
    const merge = this.spares.pop() ?? new Merge(this.arena, this.pendings, this);
    merge.start(kind, makeText);
    return merge;
  }

  /** Nobody refers to `merge` any more. */
  release(merge: Merge): void {
    if (this.spares.length < SPARES_MAX && merge.keyRoom <= KEYS_KEPT_MAX) this.spares.push(merge);
  }
}
