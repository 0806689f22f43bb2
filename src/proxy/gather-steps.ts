/**
 * How a gather is carried out, decided purely: what nodes answer in, what to ask them out.
 *
 *   1  how much memory do the keys take?      each node that has some        -> the target: who has most of it, or has the written key
 *   2  their values, each node's at one moment   all but the target          bounded by the nodes themselves; small ones came in step 1
 *   3  place them, carry the command out, take them away      the target     in one piece (gather-scripts.ts)
 *
 * Where step 1 has brought all values, and the reply can be made of them here, that is all (member-joins.ts). Streams are read where they are
 * (stream-shares.ts). SORT whose patterns name keys has steps of its own (sort-steps.ts).
 */
import { bulkOf, elementsOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import { encodeCommand, isError, type Protocol, parseInteger } from '../resp/reply.js';
import { SCRIPT_WORDS_MAX } from '../resp/script-words.js';
import { MOVED, notPlacedBy, notRemovedBy, refusedBy } from './gather-errors.js';
import { bytesOfAll, Ended, GatherRoom, type RoomContext } from './gather-room.js';
import {
  type Brought,
  bytesOf,
  CARRY_OUT_SCRIPT,
  DUMP_SCRIPT,
  evaluation,
  MARKER,
  PLACE_SCRIPT,
  REMOVE_SCRIPT,
  SIZE_SCRIPT,
} from './gather-scripts.js';
import { joinedCommand } from './member-joins.js';
import type { NodeAsk, NodeSteps, Wait } from './node-steps.js';
import type { PlaceOf } from './sort-lookups.js';
import { notPlaced, sortSteps, storing } from './sort-steps.js';
import { readStreams, sharesOf } from './stream-shares.js';

export interface GatherContext extends RoomContext {
  /** That of the client. */
  protocol: Protocol;
  /** Whether nodes know the client's own user: they are to see the command, since they may not let that user run it. */
  isUserOfNodes: boolean;
  placeOf: PlaceOf;
  /** Another service with keys on some of the nodes, or null. */
  sharedWith: string | null;
  /** What the write has to wait for before it is sent; null: nothing. */
  writeWait: () => Wait | null;
  /** Whether the key that it writes has another place by now than when it was begun. */
  hasMoved: () => boolean;
}

/** A command whose keys lie on several nodes, or may. */
export interface Gathered {
  words: readonly Uint8Array[];
  /** Where each of its keys lies; names have a character a byte. */
  keys: ReadonlyMap<string, number>;
  /** The node of the key that it writes, or -1. */
  writtenOn: number;
  /** Those of SORT that name more keys. */
  patterns: readonly Uint8Array[];
  /** Whether it runs a client's script. */
  isScript: boolean;
}

/** What a node has of the keys. */
interface Seen {
  bytes: number;
  /** Their values, where they are small: as DUMP_SCRIPT answers. */
  values: Uint8Array | null;
}

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
/** MULTI, and what is queued before EXEC: PLACE, the command, REMOVE. */
const PRELUDES = 4;

export function* gatherSteps(context: GatherContext, gathered: Gathered): NodeSteps<Uint8Array> {
  const gather = new Gather(context);
  try {
    return yield* gather.carryOut(gathered);
  } catch (error) {
    if (error instanceof Ended) return error.reply;
    throw error;
  } finally {
    gather.room.release();
  }
}

class Gather {
  private readonly context: GatherContext;
  readonly room: GatherRoom;
  private isScript = false;

  constructor(context: GatherContext) {
    this.context = context;
    this.room = new GatherRoom(context);
  }

  *carryOut(gathered: Gathered): NodeSteps<Uint8Array> {
    const { words, keys, writtenOn, patterns, isScript } = gathered;
    this.isScript = isScript;
    if (patterns.length > 0) return yield* this.sort(gathered);
    const isRead = writtenOn < 0;
    const shares = isRead ? sharesOf(words, keys) : null;
    if (shares !== null) return yield* readStreams(this.room, this.context.limits, shares, this.context.protocol);
    const byNode = grouped(keys);
    const seen = yield* this.look([...byNode].filter(([node]) => node !== writtenOn));
    const joined = isRead && !this.context.isUserOfNodes ? this.join(words, byNode, seen) : null;
    if (joined !== null) return joined;
    const target = writtenOn >= 0 ? writtenOn : nodeOfMost(seen);
    const brought = yield* this.fetch(byNode, seen, target);
    return yield* this.finish(words, target, writtenOn >= 0, brought);
  }

  private *sort({ words, keys, writtenOn }: Gathered): NodeSteps<Uint8Array> {
    const home = keys.get(textOf(words[1] as Uint8Array)) as number;
    const sorted = yield* sortSteps(this.room, this.context, words, home);
    if (sorted instanceof Uint8Array) return sorted;
    const refusal = yield* this.waitForWrite();
    if (refusal !== null) return refusal;
    const frame = storing(sorted);
    const [reply] = (yield [{ node: writtenOn, frame, isWrite: true }]) as [Uint8Array];
    return reply[0] === TYPE.array ? notPlaced(this.context, writtenOn, reply) : reply;
  }

  /** The reply, where the values of all keys have come, and can be put together here; else null. */
  private join(
    words: readonly Uint8Array[],
    byNode: ReadonlyMap<number, string[]>,
    seen: ReadonlyMap<number, Seen>,
  ): Uint8Array | null {
    const command = joinedCommand(words, this.context.protocol);
    if (command === null) return null;
    const found = new Map<string, Uint8Array>();
    for (const [node, names] of byNode) {
      const values = seen.get(node)?.values ?? null;
      if (values === null) return null;
      const elements = elementsOf(values);
      for (const [place, name] of names.entries()) found.set(name, bulkOf(elements[place * 2] as Uint8Array));
    }
    const values = command.keys.map((key) => found.get(Buffer.from(key).toString('latin1')) as Uint8Array);
    const reply = command.join(values);
    if (reply !== null) this.room.count(bytesOfAll(values));
    return reply;
  }

  /** What nodes have of the keys, by node. */
  private *look(byNode: readonly [number, string[]][]): NodeSteps<Map<number, Seen>> {
    const few = this.room.holdSmall(byNode.length);
    const replies = yield byNode.map(([node, names]) => ({
      node,
      frame: evaluation(SIZE_SCRIPT, names, [String(few)]),
    }));
    this.room.giveBack(few * byNode.length);
    const seen = new Map<number, Seen>();
    for (const [at, [node]] of byNode.entries()) {
      const reply = replies[at] as Uint8Array;
      if (isError(reply, 0)) throw this.room.refused(reply, node);
      const isWhole = reply[0] === TYPE.array;
      if (isWhole) this.room.hold(reply.length);
      const bytes = isWhole ? reply.length : parseInteger(reply, 0, reply.length);
      seen.set(node, { bytes, values: isWhole ? reply : null });
    }
    return seen;
  }

  /** The values of all keys that are not on the target. */
  private *fetch(
    byNode: ReadonlyMap<number, string[]>,
    seen: ReadonlyMap<number, Seen>,
    target: number,
  ): NodeSteps<Brought[]> {
    this.room.giveBack(seen.get(target)?.values?.length ?? 0);
    const foreign = [...byNode].filter(([node]) => node !== target);
    const seenOf = (node: number) => seen.get(node) as Seen;
    const asked = foreign.filter(([node]) => seenOf(node).values === null);
    const expected = asked.reduce((sum, [node]) => sum + seenOf(node).bytes, 0);
    this.room.hold(expected);
    // What they may have beyond that is divided among them.
    const slack = asked.length === 0 ? 0 : Math.floor(this.room.left / asked.length);
    const values = new Map(foreign.map(([node]) => [node, seenOf(node).values]));
    if (asked.length > 0) {
      const replies = yield asked.map(([node, names]) => {
        const room = seenOf(node).bytes + slack;
        return { node, frame: evaluation(DUMP_SCRIPT, names, [String(room)]) };
      });
      for (const [at, [node]] of asked.entries()) values.set(node, replies[at] as Uint8Array);
      this.room.giveBack(expected);
      const bytes = bytesOfAll(replies);
      this.room.hold(bytes);
    }
    const brought: Brought[] = [];
    for (const [node, names] of foreign) {
      const elements = elementsOf(this.room.whole(values.get(node) as Uint8Array, node)).map(bulkOf);
      for (const [place, name] of names.entries()) {
        const [value, expiry] = [elements[place * 2] as Uint8Array, elements[place * 2 + 1] as Uint8Array];
        brought.push({ name, value, expiry });
      }
    }
    return brought;
  }

  /** Has the target carry the command out, with what was brought. */
  private *finish(
    words: readonly Uint8Array[],
    target: number,
    isWrite: boolean,
    brought: readonly Brought[],
  ): NodeSteps<Uint8Array> {
    const { labelOf, sharedWith } = this.context;
    const label = labelOf(target);
    const refusal = isWrite ? yield* this.waitForWrite() : null;
    if (refusal !== null) return refusal;
    this.room.count(bytesOfAll(brought.map(({ value }) => value)));
    const names = brought.map(({ name }) => name);
    const values = brought.flatMap(({ value, expiry }) => [value, expiry]);
    if (isWrite || isCount(words)) {
      const options = [String(names.length), ...names.map(bytesOf), ...values, ...words];
      const frame = evaluation(CARRY_OUT_SCRIPT, [], options);
      const [reply] = (yield [{ node: target, frame, isWrite, isUntracked: !isWrite }]) as [Uint8Array];
      return reply[0] === TYPE.array ? notPlacedBy(label, reply, names, sharedWith) : reply;
    }
    const frame = Buffer.concat([
      MULTI,
      evaluation(PLACE_SCRIPT, [MARKER, ...names], values),
      encodeCommand(words),
      evaluation(REMOVE_SCRIPT, [MARKER, ...names], []),
      EXEC,
    ]);
    // A client that tracks has been remembered where the keys are: of copies that come and go it is not to hear.
    const ask: NodeAsk = { node: target, frame, preludes: PRELUDES, isUntracked: true, isScript: this.isScript };
    const [reply] = (yield [ask]) as [Uint8Array];
    if (isError(reply, 0)) return refusedBy(label, reply);
    const [placed, answer, removed] = elementsOf(reply) as [Uint8Array, Uint8Array, Uint8Array];
    if (isError(placed, 0)) return refusedBy(label, placed);
    if (isError(removed, 0)) return notRemovedBy(label, removed);
    return placed[0] === TYPE.array ? notPlacedBy(label, placed, names, sharedWith) : answer;
  }

  /** Until the write may be sent. Not null: it must not be any more. */
  private *waitForWrite(): NodeSteps<Uint8Array | null> {
    const { writeWait, hasMoved } = this.context;
    for (let wait = writeWait(); wait !== null; wait = writeWait()) yield wait;
    return hasMoved() ? MOVED : null;
  }
}

/** Whether a read answers with a number, as a script can. */
function isCount(words: readonly Uint8Array[]): boolean {
  return words.length <= SCRIPT_WORDS_MAX && textOf(words[0] as Uint8Array).toUpperCase() === 'PFCOUNT';
}

function textOf(word: Uint8Array): string {
  return Buffer.from(word).toString('latin1');
}

function grouped(keys: ReadonlyMap<string, number>): Map<number, string[]> {
  const byNode = new Map<number, string[]>();
  for (const [name, node] of keys) {
    const names = byNode.get(node);
    if (names === undefined) byNode.set(node, [name]);
    else names.push(name);
  }
  return byNode;
}

function nodeOfMost(seen: ReadonlyMap<number, Seen>): number {
  return [...seen].reduce((most, entry) => (entry[1].bytes > most[1].bytes ? entry : most))[0];
}
