/**
 * How a gather is carried out, decided purely: what nodes answer in, what to ask them out.
 *
 *   1  how much memory do the keys take?      each node that has some        -> the target: who has most of it, or has the written key
 *   2  their values, each node's at one moment   all but the target          bounded by the nodes themselves; small ones came in step 1
 *   3  place them, carry the command out, take them away      the target     in one piece (gather-scripts.ts)
 *
 * Where step 1 has brought all values, and the reply can be made of them here, that is all (member-joins.ts). Streams are read where they are, in
 * one step (gather-shares.ts).
 *
 * SORT whose patterns name keys has a step before: what it sorts, with its elements, which say the names. That copy is what is sorted.
 */
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import { bulkOf, elementsOf } from '../replica/reply-shape.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { encodeCommand, isError, type Protocol, parseInteger } from '../resp/reply.js';
import { keyOfPattern, rangeOfUnsorted } from '../resp/sort-patterns.js';
import {
  errorOfOne,
  isAboutCommand,
  MOVED,
  notPlacedBy,
  notRemovedBy,
  overloaded,
  refusedBy,
  tooManyBytes,
  tooManyElements,
  tooManyKeys,
  tooMuchAtOnce,
} from './gather-errors.js';
import {
  CARRY_OUT_SCRIPT,
  DUMP_SCRIPT,
  MARKER,
  PLACE_SCRIPT,
  REMOVE_SCRIPT,
  SIZE_SCRIPT,
  SORT_SCRIPT,
  SORTED,
} from './gather-scripts.js';
import { joinStreams, type Shares, sharesOf } from './gather-shares.js';
import { joinedCommand } from './member-joins.js';
import type { NodeAsk, NodeSteps, Wait } from './node-steps.js';

export type GatherLimits = Pick<Limits, 'gatherBytesMax' | 'gatherKeysMax' | 'gatherWorkerBytesMax'>;

export interface GatherContext {
  limits: GatherLimits;
  counts: Counts;
  /** That of the client. */
  protocol: Protocol;
  /** Whether nodes know the client's own user: they are to see the command, since they may not let that user run it. */
  isUserOfNodes: boolean;
  /** Bytes of what all gathers of the worker hold, or are about to get. */
  held: { bytes: number };
  /** Where the key lies that a pattern names, a character a byte; or the error why it cannot be read. */
  placeOf: (key: string) => number | Uint8Array;
  /** The name of a node, as errors show it. */
  labelOf: (node: number) => string;
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

/** What is to be placed beside the target's own keys. */
interface Brought {
  name: string;
  /** As DUMP gives it; empty where there is none. */
  value: Uint8Array;
  /** Milliseconds since 1970, in digits; 0: never. */
  expiry: Uint8Array;
}

/** What a node has of the keys. */
interface Seen {
  bytes: number;
  /** Their values, where they are small: as DUMP_SCRIPT answers. */
  values: Uint8Array | null;
}

/** Ends a gather with that reply. */
class Ended {
  readonly reply: Uint8Array;

  constructor(reply: Uint8Array) {
    this.reply = reply;
  }
}

const MULTI = encodeCommand(['MULTI']);
const EXEC = encodeCommand(['EXEC']);
/** What a node's keys may take at the most that come without having been asked for: a round trip less. */
const SMALL_BYTES_MAX = 128 * 1024;
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
    gather.release();
  }
}

class Gather {
  private readonly context: GatherContext;
  private isScript = false;
  /** Its part of `context.held`. */
  private heldBytes = 0;

  constructor(context: GatherContext) {
    this.context = context;
  }

  *carryOut({ words, keys, writtenOn, patterns, isScript }: Gathered): NodeSteps<Uint8Array> {
    this.isScript = isScript;
    if (patterns.length > 0) return yield* this.sort(words, keys, writtenOn, patterns);
    const isRead = writtenOn < 0;
    const shares = isRead ? sharesOf(words, keys) : null;
    if (shares !== null) return yield* this.share(shares);
    const byNode = grouped(keys);
    const seen = yield* this.look([...byNode].filter(([node]) => node !== writtenOn));
    const joined = isRead && !this.context.isUserOfNodes ? this.join(words, byNode, seen) : null;
    if (joined !== null) return joined;
    const target = writtenOn >= 0 ? writtenOn : nodeOfMost(seen);
    const brought = yield* this.fetch(byNode, seen, target);
    return yield* this.finish(words, target, writtenOn >= 0, brought);
  }

  release(): void {
    this.context.held.bytes -= this.heldBytes;
    this.heldBytes = 0;
  }

  /** SORT: its first word is the name of what is sorted. */
  private *sort(
    words: readonly Uint8Array[],
    keys: ReadonlyMap<string, number>,
    writtenOn: number,
    patterns: readonly Uint8Array[],
  ): NodeSteps<Uint8Array> {
    const { limits } = this.context;
    const [name, ...rest] = words as [Uint8Array, Uint8Array, ...Uint8Array[]];
    const source = Buffer.from(rest.shift() as Uint8Array);
    const home = keys.get(source.toString('latin1')) as number;
    const frame = evaluation(
      SORT_SCRIPT,
      [source],
      [String(limits.gatherBytesMax), String(limits.gatherKeysMax), ...rangeOfUnsorted(words)],
    );
    const [reply] = (yield [{ node: home, frame }]) as [Uint8Array];
    const [value, expiry, elements] = this.valuesOf(reply, home) as [Uint8Array, Uint8Array, Uint8Array];
    const sorted: Brought = { name: SORTED, value: bulkOf(value), expiry: bulkOf(expiry) };
    this.hold(sorted.value.length + elements.length);
    const named = this.keysNamed(patterns, elements);
    const byNode = grouped(named);
    const seen = yield* this.look([...byNode].filter(([node]) => node !== writtenOn));
    const target = writtenOn >= 0 ? writtenOn : named.size > 0 ? nodeOfMost(seen) : home;
    const brought = yield* this.fetch(byNode, seen, target);
    const command = [name, Buffer.from(SORTED), ...rest];
    return yield* this.finish(command, target, writtenOn >= 0, [sorted, ...brought]);
  }

  /** The keys that patterns name for the elements of that array, and where each lies. */
  private keysNamed(patterns: readonly Uint8Array[], elements: Uint8Array): Map<string, number> {
    const { limits, placeOf } = this.context;
    const named = new Map<string, number>();
    for (const pattern of patterns) {
      for (const element of bulksIn(elements)) {
        const key = Buffer.from(keyOfPattern(pattern, element)).toString('latin1');
        if (named.has(key)) continue;
        const place = placeOf(key);
        if (place instanceof Uint8Array) throw new Ended(place);
        named.set(key, place);
        if (named.size > limits.gatherKeysMax) throw this.tooMuch(tooManyKeys(limits.gatherKeysMax));
      }
    }
    return named;
  }

  /** Each node does its share, and the reply is made of what they answer. */
  private *share({ shares, names }: Shares): NodeSteps<Uint8Array> {
    const replies = yield shares.map(({ node, words }) => ({ node, frame: encodeCommand(words) }));
    const bytes = bytesOfAll(replies);
    this.hold(bytes);
    const errors: Uint8Array[] = [];
    for (const [at, { node }] of shares.entries()) {
      const reply = replies[at] as Uint8Array;
      if (!isError(reply, 0)) continue;
      if (!isAboutCommand(reply)) throw this.refused(reply, node);
      errors.push(reply);
    }
    if (errors.length > 0) return errorOfOne(errors);
    this.count(bytes);
    return joinStreams(replies, names);
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
    if (reply !== null) this.count(bytesOfAll(values));
    return reply;
  }

  private count(bytes: number): void {
    this.context.counts.gathers++;
    this.context.counts.gatheredBytes += bytes;
  }

  /** What nodes have of the keys, by node. */
  private *look(byNode: readonly [number, string[]][]): NodeSteps<Map<number, Seen>> {
    const { gatherBytesMax, gatherWorkerBytesMax } = this.context.limits;
    const room = SMALL_BYTES_MAX * byNode.length;
    // What may come unasked keeps nobody else out: there is enough left, or only sizes are asked for.
    const isRoom =
      this.heldBytes + room <= gatherBytesMax && this.context.held.bytes + room <= Math.floor(gatherWorkerBytesMax / 2);
    const few = isRoom ? SMALL_BYTES_MAX : 0;
    if (isRoom) this.hold(room);
    const replies = yield byNode.map(([node, names]) => ({
      node,
      frame: evaluation(SIZE_SCRIPT, names, [String(few)]),
    }));
    if (isRoom) this.giveBack(room);
    const seen = new Map<number, Seen>();
    for (const [at, [node]] of byNode.entries()) {
      const reply = replies[at] as Uint8Array;
      if (isError(reply, 0)) throw this.refused(reply, node);
      const isWhole = reply[0] === TYPE.array;
      if (isWhole) this.hold(reply.length);
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
    const { gatherBytesMax } = this.context.limits;
    this.giveBack(seen.get(target)?.values?.length ?? 0);
    const foreign = [...byNode].filter(([node]) => node !== target);
    const seenOf = (node: number) => seen.get(node) as Seen;
    const asked = foreign.filter(([node]) => seenOf(node).values === null);
    const expected = asked.reduce((sum, [node]) => sum + seenOf(node).bytes, 0);
    const before = this.heldBytes;
    this.hold(expected);
    // What they may have beyond that is divided among them.
    const slack = asked.length === 0 ? 0 : Math.floor((gatherBytesMax - before - expected) / asked.length);
    const values = new Map(foreign.map(([node]) => [node, seenOf(node).values]));
    if (asked.length > 0) {
      const replies = yield asked.map(([node, names]) => {
        const room = seenOf(node).bytes + slack;
        return { node, frame: evaluation(DUMP_SCRIPT, names, [String(room)]) };
      });
      for (const [at, [node]] of asked.entries()) values.set(node, replies[at] as Uint8Array);
      this.giveBack(expected);
      const bytes = bytesOfAll(replies);
      this.hold(bytes);
    }
    const brought: Brought[] = [];
    for (const [node, names] of foreign) {
      const elements = this.valuesOf(values.get(node) as Uint8Array, node).map(bulkOf);
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
    const { labelOf, sharedWith, writeWait, hasMoved } = this.context;
    const label = labelOf(target);
    if (isWrite) {
      for (let wait = writeWait(); wait !== null; wait = writeWait()) yield wait;
      if (hasMoved()) return MOVED;
    }
    this.count(bytesOfAll(brought.map(({ value }) => value)));
    const names = brought.map(({ name }) => name);
    const values = brought.flatMap(({ value, expiry }) => [value, expiry]);
    if (isWrite) {
      const options = [String(names.length), ...names.map(bytesOf), ...values, ...words];
      const frame = evaluation(CARRY_OUT_SCRIPT, [], options);
      const [reply] = (yield [{ node: target, frame, isWrite }]) as [Uint8Array];
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

  /** What a node answered instead of the number of bytes: values. */
  private valuesOf(reply: Uint8Array, node: number): Uint8Array[] {
    if (isError(reply, 0)) throw this.refused(reply, node);
    if (reply[0] === TYPE.simple) throw this.tooMuch(tooManyElements(this.context.limits.gatherKeysMax));
    if (reply[0] === TYPE.integer) {
      const bytes = parseInteger(reply, 0, reply.length);
      throw this.tooMuch(tooManyBytes(bytes, this.context.limits.gatherBytesMax));
    }
    return elementsOf(reply);
  }

  /** Holds so many bytes more; below 0: fewer. */
  private hold(bytes: number): void {
    const { held, limits } = this.context;
    const { gatherBytesMax, gatherWorkerBytesMax } = limits;
    const own = this.heldBytes + bytes;
    if (own > gatherBytesMax) throw this.tooMuch(tooManyBytes(own, gatherBytesMax));
    const others = held.bytes - this.heldBytes;
    // A gather alone has room, whatever the worker's limit.
    if (others > 0 && others + own > gatherWorkerBytesMax) {
      throw this.tooMuch(tooMuchAtOnce(others, own, gatherWorkerBytesMax));
    }
    held.bytes += bytes;
    this.heldBytes += bytes;
  }

  private giveBack(bytes: number): void {
    this.context.held.bytes -= bytes;
    this.heldBytes -= bytes;
  }

  private tooMuch(text: string): Ended {
    return new Ended(overloaded(this.context.counts, text));
  }

  private refused(error: Uint8Array, node: number): Ended {
    return new Ended(refusedBy(this.context.labelOf(node), error));
  }
}

/** The bulk strings of an array, which is whole and valid, one after the other: views of it. */
function* bulksIn(array: Uint8Array): Generator<Uint8Array> {
  for (let at = array.indexOf(0x0a) + 1; at < array.length; ) {
    const end = skipValue(array, at);
    yield bulkOf(array.subarray(at, end));
    at = end;
  }
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

function bytesOfAll(pieces: readonly Uint8Array[]): number {
  return pieces.reduce((sum, { length }) => sum + length, 0);
}

function nodeOfMost(seen: ReadonlyMap<number, Seen>): number {
  return [...seen].reduce((most, entry) => (entry[1].bytes > most[1].bytes ? entry : most))[0];
}

/** EVAL; keys that are text have a character a byte. */
function evaluation(
  script: string,
  keys: readonly (string | Uint8Array)[],
  options: readonly (string | Uint8Array)[],
): Uint8Array {
  const names = keys.map((key) => (typeof key === 'string' ? bytesOf(key) : key));
  return encodeCommand(['EVAL', script, String(names.length), ...names, ...options]);
}

function bytesOf(name: string): Uint8Array {
  return Buffer.from(name, 'latin1');
}
