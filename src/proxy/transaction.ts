/**
 * A session's MULTI: the commands that wait for EXEC, as the block that one node will get in one piece.
 *
 *   MULTI  ->  +OK          | *1 $5 MULTI                the block, in the arena
 *   SET    ->  +QUEUED      | *3 $3 SET …
 *   PING   ->  +QUEUED      |                            what the proxy answers itself is kept aside, with its place
 *   DBSIZE ->  +QUEUED      | *1 $6 DBSIZE               what is for all shards is kept besides, for the others
 *   EXEC   ->               | *1 $4 EXEC   -> node
 *
 * The block goes out on the shared connection: nothing of other sessions comes between, since it is one piece, and the node's
 * connection is as it was when EXEC has been answered.
 */

import type { User } from '../acl/user.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { KeyOperation } from '../replica/key-operation.js';
import type { CommandSpec } from '../resp/commands.js';
import { encodeCommand } from '../resp/reply.js';
import { Arena } from '../transport/arena.js';
import type { OwnKey, ReplicatedBlock } from './replicated-block.js';

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
const BLOCK_BYTES_MIN = 1024;
/** What a command that is kept aside takes beside its bytes: about so many. */
const ENTRY_BYTES = 256;
const NO_ROOM = errorBytes('OVERLOADED', 'no buffer memory is left for the commands after MULTI');
const NO_FRAME = new Uint8Array(0);

/** A command that the proxy answers itself: its frame, and its place among all. */
export interface OwnCommand {
  readonly place: number;
  readonly frame: Uint8Array;
  /** Its reply, where it is not to be carried out any more. */
  refusal: Uint8Array | null;
}

/** A command for all shards: its place among all, its frame, and what goes before it at each of them (ShardPlan.before). */
export interface SpreadCommand {
  readonly place: number;
  readonly frame: Uint8Array;
  readonly before: Uint8Array | null;
}

/** The row of a command that is not in the table; `text`: of the command from its name on. */
export interface NodeCommand {
  readonly text: string;
  readonly spec: CommandSpec;
}

/** Whatever queues a command returns the error reply where it is too much. */
export class Transaction {
  /** A command was refused when it came: EXEC will refuse all. */
  isDirty = false;
  /** Whose rights the commands were within when they came. */
  readonly user: User;
  /** Commands queued; and how many the node is to carry out, with what goes before some. */
  commandCount = 0;
  nodeCommandCount = 0;
  isWrite = false;
  /** One of its commands calls a script or a function, or is about them. */
  hasScript = false;
  /** One of them is SCRIPT FLUSH: what comes behind it finds no script but those that come behind it, too. */
  flushesScripts = false;
  /** Of those, what is to be done with the reply to the one at a place. */
  readonly acts = new Map<number, (start: number) => void>();
  /** Places of those that are CONFIG GET: what the node says is not the client's as it is. */
  readonly configGets: number[] = [];
  /** One of them is DEBUG. */
  hasDebug = false;
  /** Whether CLIENT PAUSE WRITE holds its EXEC. */
  mayReplicate = false;
  /** The first key, as an error shows it, and where it is: -1 while there is none. */
  node = -1;
  firstKey = '';
  /** The version of the topology by which `node` was found. */
  topologyVersion = -1;
  /** What the proxy answers itself; and the places of those of them that all workers are asked for. */
  readonly own: OwnCommand[] = [];
  readonly askedPlaces: number[] = [];
  /** What other shards are to carry out as well. */
  spread: SpreadCommand[] = [];
  private readonly arena: Arena;
  private readonly limits: Pick<Limits, 'sessionTransactionBytesMax' | 'sessionTransactionSpreadMax'>;
  private block = -1;
  private capacity = 0;
  private length = 0;
  /** Bytes beside the block, as far as that is known. */
  private asideBytes = 0;
  /** Rows that are not in the table, by the text of their commands. */
  readonly nodeCommands = new Map<string, CommandSpec>();
  /** Operations on a replicated key: then there is nothing else. */
  replicated: ReplicatedBlock | null = null;

  constructor(arena: Arena, user: User, limits: Transaction['limits']) {
    this.arena = arena;
    this.user = user;
    this.limits = limits;
  }

  /** Bytes that it holds. */
  get heldBytes(): number {
    return this.capacity + this.asideBytes;
  }

  /** Queues arena bytes [start, end), the frame of a command for the node. `known`: its row, where it is not in the table. */
  queue(start: number, end: number, known: NodeCommand | null): Uint8Array | null {
    const aside = known === null ? 0 : known.text.length + ENTRY_BYTES;
    const refusal = this.queueBehind(null, start, end, aside);
    if (refusal === null && known !== null) this.nodeCommands.set(known.text, known.spec);
    return refusal;
  }

  /** As `queue`, of a command for all shards. */
  queueSpread(before: Uint8Array | null, start: number, end: number): Uint8Array | null {
    const frame = this.arena.bytes.slice(start, end);
    const refusal = this.spreadRefusal() ?? this.queueBehind(before, start, end, frame.length + ENTRY_BYTES);
    if (refusal === null) this.spread.push({ place: this.commandCount - 1, frame, before });
    return refusal;
  }

  /** `aside`: bytes that it takes beside the block. */
  private queueBehind(before: Uint8Array | null, start: number, end: number, aside: number): Uint8Array | null {
    const { arena } = this;
    const isFirst = this.length === 0;
    const bytes = (isFirst ? MULTI.length : 0) + (before?.length ?? 0) + (end - start) + EXEC.length;
    const refusal = this.reserve(bytes, aside);
    if (refusal !== null) return refusal;
    if (isFirst) this.append(MULTI);
    if (before !== null) {
      this.append(before);
      this.nodeCommandCount++;
    }
    arena.bytes.copyWithin(this.block + this.length, start, end);
    this.length += end - start;
    this.commandCount++;
    this.nodeCommandCount++;
    return null;
  }

  /** Queues arena bytes [start, end), a command that the proxy answers itself, or all its workers do (`isAsked`). */
  queueOwn(start: number, end: number, isAsked: boolean): Uint8Array | null {
    const refusal = (isAsked ? this.spreadRefusal() : null) ?? this.takeAside(end - start + ENTRY_BYTES);
    if (refusal !== null) return refusal;
    if (isAsked) this.askedPlaces.push(this.commandCount);
    this.own.push({ place: this.commandCount, frame: this.arena.bytes.slice(start, end), refusal: null });
    this.commandCount++;
    return null;
  }

  /** Counts bytes that the command last queued takes besides. */
  noteAct(bytes: number, act: (start: number) => void): Uint8Array | null {
    const refusal = this.takeAside(bytes + ENTRY_BYTES);
    if (refusal === null) this.acts.set(this.commandCount - 1, act);
    return refusal;
  }

  /**
   * Each command of the node that `refusal` has a reply for is left out of the block: that is its reply. It is called with the frames as
   * they lie in the arena, one after the other, and says where the next one begins.
   */
  withhold(refusal: (at: number, end: number) => { next: number; reply: Uint8Array | null }): void {
    if (this.length === 0) return;
    const places = new Set(this.own.map(({ place }) => place));
    const befores = new Map(this.spread.map(({ place, before }) => [place, before?.length ?? 0]));
    const withheld = new Set<number>();
    const { bytes } = this.arena;
    const end = this.block + this.length;
    let kept = this.block + MULTI.length;
    let at = kept;
    for (let place = 0; place < this.commandCount; place++) {
      if (places.has(place)) continue;
      const beforeBytes = befores.get(place) ?? 0;
      const { next, reply } = refusal(at + beforeBytes, end);
      if (reply === null) {
        bytes.copyWithin(kept, at, next);
        kept += next - at;
      } else {
        this.own.push({ place, frame: NO_FRAME, refusal: reply });
        this.nodeCommandCount -= beforeBytes > 0 ? 2 : 1;
        withheld.add(place);
      }
      at = next;
    }
    this.length = kept - this.block;
    this.spread = this.spread.filter(({ place }) => !withheld.has(place));
    this.own.sort((one, other) => one.place - other.place);
  }

  /** Queues an operation on the replicated key; `bytes` are those of its command. */
  queueReplicated(place: OwnKey, operation: KeyOperation, bytes: number): Uint8Array | null {
    const refusal = this.takeAside(bytes + ENTRY_BYTES);
    if (refusal !== null) return refusal;
    this.replicated ??= { ...place, operations: [] };
    this.replicated.operations.push(operation);
    this.commandCount++;
    return null;
  }

  get replicatedCount(): number {
    return this.replicated?.operations.length ?? 0;
  }

  /** Ends the block with EXEC, and returns where it lies in the arena until `release`; or why there is none. */
  finish(): { start: number; end: number } | Uint8Array {
    if (this.length === 0) {
      const refusal = this.reserve(MULTI.length + EXEC.length, 0);
      if (refusal !== null) return refusal;
      this.append(MULTI);
    }
    this.append(EXEC);
    return { start: this.block, end: this.block + this.length };
  }

  /** The frames of the commands for the node: arena bytes [start, end), MULTI left out. */
  frames(): { start: number; end: number } {
    return { start: this.block + MULTI.length, end: this.block + this.length };
  }

  release(): void {
    if (this.capacity > 0) this.arena.release(this.block, this.capacity);
    this.capacity = 0;
    this.length = 0;
    this.asideBytes = 0;
  }

  /** Why there may be no further command that all shards, or all workers, are asked for; or null. */
  private spreadRefusal(): Uint8Array | null {
    const max = this.limits.sessionTransactionSpreadMax;
    if (this.spread.length + this.askedPlaces.length < max) return null;
    const why = 'the commands after MULTI that all shards, or all workers, are to carry out are more than there may be';
    return errorBytes('OVERLOADED', `${why} (sessionTransactionSpreadMax ${max})`);
  }

  /** Counts bytes beside the block. */
  private takeAside(bytes: number): Uint8Array | null {
    if (this.heldBytes + bytes > this.limits.sessionTransactionBytesMax) return this.tooMuch();
    this.asideBytes += bytes;
    return null;
  }

  private tooMuch(): Uint8Array {
    const limit = `sessionTransactionBytesMax ${this.limits.sessionTransactionBytesMax}`;
    return errorBytes('OVERLOADED', `the commands after MULTI are more than may wait (${limit})`);
  }

  private append(bytes: Uint8Array): void {
    this.arena.bytes.set(bytes, this.block + this.length);
    this.length += bytes.length;
  }

  /** Makes room in the block for so many bytes more, and counts those beside it. */
  private reserve(bytes: number, aside: number): Uint8Array | null {
    const needed = this.length + bytes;
    const capacity = this.capacityFor(needed, aside);
    if (capacity + this.asideBytes + aside > this.limits.sessionTransactionBytesMax) return this.tooMuch();
    if (needed > this.capacity) {
      const block = this.arena.allocate(capacity);
      if (block < 0) return NO_ROOM;
      if (this.capacity > 0) {
        this.arena.bytes.copyWithin(block, this.block, this.block + this.length);
        this.arena.release(this.block, this.capacity);
      }
      this.block = block;
      this.capacity = capacity;
    }
    this.asideBytes += aside;
    return null;
  }

  /** Bytes of the block that has room for `needed`: a power of two while there may be so much, so that it does not often move. */
  private capacityFor(needed: number, aside: number): number {
    if (needed <= this.capacity) return this.capacity;
    const doubled = Math.max(BLOCK_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed)));
    const isTooMuch = doubled + this.asideBytes + aside > this.limits.sessionTransactionBytesMax;
    return isTooMuch ? Arena.blockBytes(needed) : doubled;
  }
}
