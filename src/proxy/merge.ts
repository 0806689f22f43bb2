/**
 * One reply of several shards' replies: each part's reply is parked until the last has come, then they become one.
 *
 *   keyed  MGET: the values in the order of the keys          sum  DEL, EXISTS, DBSIZE: the numbers added up
 *   ok     MSET, FLUSHALL: OK when all said OK                text INFO: made by a function from all texts
 *
 * A part that failed makes the whole an error that names its shard. Several sessions may wait for one merge (INFO).
 */
import type { BackendConnection } from '../backend/connection.js';
import type { Pending, PendingPool, ReplyOwner, ReplySource } from '../backend/pending.js';
import { skipValue } from '../resp/frame.js';
import { arrayHeader, errorReply, integerReply, parseInteger, REPLY_OK } from '../resp/reply.js';
import type { Arena } from '../transport/arena.js';
import type { Output } from '../transport/output.js';
import type { Session } from './session.js';

const MINUS = 0x2d;
const STAR = 0x2a;

export type MergeKind = 'keyed' | 'sum' | 'ok' | 'text';
/** Makes the whole reply of the parts' replies (frames as they came), in the order of the parts. */
export type MergeText = (replies: Uint8Array[]) => Uint8Array;

export class Merge implements ReplyOwner, ReplySource {
  private readonly arena: Arena;
  private readonly pendings: PendingPool;
  private readonly kind: MergeKind;
  private readonly makeText: MergeText | null;
  /** Sessions that wait and their entries there, in step. */
  private sessions: Session[] = [];
  private heads: Pending[] = [];
  /** Sessions that neither got the reply nor went away. */
  private claims = 0;
  /** By part: the node's name, the pending while it waits, and its reply: an own block, or bytes of an error. */
  private names: string[] = [];
  private waiting: (Pending | null)[] = [];
  private starts: number[] = [];
  private lengths: number[] = [];
  private failures: (Uint8Array | null)[] = [];
  private awaited = 0;
  /** keyed: which part holds the value of each key. */
  private partOfKey = new Uint16Array(64);
  private keyCount = 0;
  /** text: made once for all sessions. */
  private text: Uint8Array | null = null;

  /** `makeText` is for kind `text` only. */
  constructor(arena: Arena, pendings: PendingPool, kind: MergeKind, makeText: MergeText | null) {
    this.arena = arena;
    this.pendings = pendings;
    this.kind = kind;
    this.makeText = makeText;
  }

  /** `session` gets the reply in the place of `head`, which is in its queue. */
  addSession(session: Session, head: Pending): void {
    head.source = this;
    this.sessions.push(session);
    this.heads.push(head);
    this.claims++;
  }

  /** A part to be sent to the node of that name; its pending, to be handed to a channel. */
  addPart(nodeName: string, arrivedMs: number, isWrite: boolean): Pending {
    const pending = this.pendings.take(this, arrivedMs, isWrite);
    pending.part = this.names.length;
    this.names.push(nodeName);
    this.waiting.push(pending);
    this.starts.push(0);
    this.lengths.push(0);
    this.failures.push(null);
    this.awaited++;
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
  }

  /** Whether nothing of it has been sent to any node: another session that asks the same may share it. */
  get isUnsent(): boolean {
    return (
      this.awaited === this.names.length &&
      this.waiting.every((part) => part !== null && (part.connection === null || !part.connection.wasSent(part)))
    );
  }

  onReply(pending: Pending, start: number, end: number): void {
    const part = pending.part;
    const block = this.arena.allocate(end - start);
    if (block < 0) {
      this.onFailure(pending, errorReply('OVERLOADED no buffer memory is left for the replies of this command'));
      return;
    }
    this.arena.bytes.copyWithin(block, start, end);
    this.starts[part] = block;
    this.lengths[part] = end - start;
    this.onPartDone(pending);
  }

  onFailure(pending: Pending, error: Uint8Array): void {
    this.failures[pending.part] = error;
    this.onPartDone(pending);
  }

  awaits(connection: BackendConnection): boolean {
    return this.waiting.some((part) => part !== null && part.connection === connection);
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
    this.releaseWhenDone();
  }

  private onPartDone(pending: Pending): void {
    this.waiting[pending.part] = null;
    this.pendings.release(pending);
    this.awaited--;
    if (this.awaited > 0) return;
    // A session that goes away meanwhile abandons its claim; completing writes the reply or leaves it for later.
    for (let index = 0; index < this.sessions.length; index++) {
      const session = this.sessions[index] as Session;
      if (!session.isClosed) session.complete(this.heads[index] as Pending);
    }
    this.releaseWhenDone();
  }

  private releaseWhenDone(): void {
    if (this.claims > 0 || this.awaited > 0) return;
    for (let part = 0; part < this.names.length; part++) {
      const length = this.lengths[part] as number;
      if (length > 0) this.arena.release(this.starts[part] as number, length);
      this.lengths[part] = 0;
    }
  }

  /** The first part's error reply, with its shard's name, or null. */
  private error(): Uint8Array | null {
    for (let part = 0; part < this.names.length; part++) {
      const failure = this.failures[part];
      // Failures of our own name the node already.
      if (failure !== null && failure !== undefined) return failure;
      const start = this.starts[part] as number;
      if (this.arena.bytes[start] !== MINUS) continue;
      const text = new TextDecoder().decode(
        this.arena.bytes.subarray(start + 1, start + (this.lengths[part] as number) - 2),
      );
      const others = this.names.length - 1;
      return errorReply(`${text} (from node ${this.names[part]}; ${others} other shards were asked too)`);
    }
    return null;
  }

  private writeKeyed(output: Output): void {
    const bytes = this.arena.bytes;
    const cursors = this.starts.slice();
    for (let part = 0; part < cursors.length; part++) {
      const start = cursors[part] as number;
      if (bytes[start] !== STAR) throw new Error('a node answered MGET with something else than an array');
      cursors[part] = bytes.indexOf(0x0a, start) + 1;
    }
    output.appendBytes(arrayHeader(this.keyCount));
    for (let key = 0; key < this.keyCount; key++) {
      const part = this.partOfKey[key] as number;
      const start = cursors[part] as number;
      const end = skipValue(bytes, start);
      output.appendNow(start, end);
      cursors[part] = end;
    }
  }

  private sum(): number {
    let sum = 0;
    for (let part = 0; part < this.names.length; part++) {
      const start = this.starts[part] as number;
      sum += parseInteger(this.arena.bytes, start, start + (this.lengths[part] as number));
    }
    return sum;
  }

  private makeOnce(): Uint8Array {
    if (this.text !== null) return this.text;
    const replies = this.names.map((_, part) => {
      const start = this.starts[part] as number;
      return this.arena.bytes.slice(start, start + (this.lengths[part] as number));
    });
    this.text = (this.makeText as MergeText)(replies);
    return this.text;
  }
}
