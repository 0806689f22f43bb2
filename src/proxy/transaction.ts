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
import type { KeyOperation } from '../replica/key-operation.js';
import type { CommandSpec } from '../resp/commands.js';
import { encodeCommand } from '../resp/reply.js';
import type { Arena } from '../transport/arena.js';
import type { ReplicatedBlock } from './replicated-block.js';

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
const BLOCK_BYTES_MIN = 1024;
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
  private block = -1;
  private capacity = 0;
  private length = 0;
  private ownBytes = 0;
  /** By `noteNodeCommand`. */
  readonly nodeCommands = new Map<string, CommandSpec>();
  /** Operations on a replicated key: then there is nothing else. */
  replicated: ReplicatedBlock | null = null;

  constructor(arena: Arena, user: User) {
    this.arena = arena;
    this.user = user;
  }

  /** Bytes that it holds. */
  get heldBytes(): number {
    return this.capacity + this.ownBytes;
  }

  /** Queues arena bytes [start, end), the frame of a command for the node. False when there is no room. */
  queue(start: number, end: number): boolean {
    return this.queueBehind(null, start, end);
  }

  /** As `queue`, of a command for all shards. */
  queueSpread(before: Uint8Array | null, start: number, end: number): boolean {
    const frame = this.arena.bytes.slice(start, end);
    if (!this.queueBehind(before, start, end)) return false;
    this.spread.push({ place: this.commandCount - 1, frame, before });
    this.ownBytes += frame.length;
    return true;
  }

  private queueBehind(before: Uint8Array | null, start: number, end: number): boolean {
    const { arena } = this;
    const isFirst = this.length === 0;
    const bytes = (isFirst ? MULTI.length : 0) + (before?.length ?? 0) + (end - start) + EXEC.length;
    if (!this.reserve(bytes)) return false;
    if (isFirst) this.append(MULTI);
    if (before !== null) {
      this.append(before);
      this.nodeCommandCount++;
    }
    arena.bytes.copyWithin(this.block + this.length, start, end);
    this.length += end - start;
    this.commandCount++;
    this.nodeCommandCount++;
    return true;
  }

  /** Keeps the row of a queued command that is not in the table. `text`: of the command from its name on. */
  noteNodeCommand(text: string, spec: CommandSpec): void {
    this.ownBytes += text.length;
    this.nodeCommands.set(text, spec);
  }

  /** Queues a command that the proxy answers itself, or all its workers do (`isAsked`). */
  queueOwn(frame: Uint8Array, isAsked: boolean): void {
    if (isAsked) this.askedPlaces.push(this.commandCount);
    this.own.push({ place: this.commandCount, frame, refusal: null });
    this.ownBytes += frame.length;
    this.commandCount++;
  }

  /**
   * Each command of the node that `refusal` has a reply for is left out of the block: that is its reply. It is called with the frames as
   * they lie in the arena, one after the other, and says where the next one begins.
   */
  withhold(refusal: (at: number, end: number) => { next: number; reply: Uint8Array | null }): void {
    if (this.length === 0) return;
    const places = new Set(this.own.map(({ place }) => place));
    const befores = new Map(this.spread.map(({ place, before }) => [place, before?.length ?? 0]));
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
        this.spread = this.spread.filter((command) => command.place !== place);
      }
      at = next;
    }
    this.length = kept - this.block;
    this.own.sort((one, other) => one.place - other.place);
  }

  /** Queues an operation on the replicated key; `bytes` are those of its command. */
  queueReplicated(operation: KeyOperation, bytes: number): void {
    this.replicated?.operations.push(operation);
    this.ownBytes += bytes;
    this.commandCount++;
  }

  get replicatedCount(): number {
    return this.replicated?.operations.length ?? 0;
  }

  /** Ends the block with EXEC, and returns where it lies in the arena until `release`. Null when there is no room. */
  finish(): { start: number; end: number } | null {
    if (this.length === 0) {
      if (!this.reserve(MULTI.length + EXEC.length)) return null;
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
    this.ownBytes = 0;
  }

  private append(bytes: Uint8Array): void {
    this.arena.bytes.set(bytes, this.block + this.length);
    this.length += bytes.length;
  }

  private reserve(bytes: number): boolean {
    const needed = this.length + bytes;
    if (needed <= this.capacity) return true;
    const capacity = Math.max(BLOCK_BYTES_MIN, 2 ** Math.ceil(Math.log2(needed)));
    const block = this.arena.allocate(capacity);
    if (block < 0) return false;
    if (this.capacity > 0) {
      this.arena.bytes.copyWithin(block, this.block, this.block + this.length);
      this.arena.release(this.block, this.capacity);
    }
    this.block = block;
    this.capacity = capacity;
    return true;
  }
}
