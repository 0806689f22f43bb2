/** What SORT's patterns name of its elements: which keys, on which nodes, and what lies in them. Each node is asked once for all of them. */
import { TYPE } from '../resp/frame.js';
import { arrayHeader, encodeCommand, headerLength, isError, parseInteger, writeHeader } from '../resp/reply.js';
import type { SortPattern } from '../resp/sort-patterns.js';
import { Bulks, copy } from './bulks.js';
import { tooManyKeys } from './gather-errors.js';
import { Ended, type GatherLimits, type GatherRoom } from './gather-room.js';
import { bytesOf } from './gather-scripts.js';
import type { NodeSteps } from './node-steps.js';
import { LOOKUP_SCRIPT } from './sort-scripts.js';

/** Where the key lies that a pattern names; or the error why it cannot be read. */
export type PlaceOf = (key: Uint8Array) => number | Uint8Array;

export type KeyPattern = Extract<SortPattern, { kind: 'key' }>;

/** What lies in the keys of a pattern, at the place of each element: bulk strings, or nulls. */
export type Column = Bulks;

/** Keys of the same names that are of the same type. */
interface Group {
  prefix: Uint8Array;
  suffix: Uint8Array;
  /** Of hashes; none: the keys are strings. */
  fields: Uint8Array[];
  columns: Column[];
}

/** Of a group, the keys on one node: the places of their elements. */
interface Part {
  group: Group;
  places: number[];
}

/** What a node is asked for. */
class Share {
  readonly parts: Part[] = [];
  private keys: Uint8Array;
  private keysEnd = 0;
  private count = 0;

  constructor(bytes: number) {
    this.keys = Buffer.allocUnsafe(bytes);
  }

  add(key: Uint8Array): void {
    const { length } = key;
    const bytes = headerLength(length) + length + 2;
    if (this.keysEnd + bytes > this.keys.length) {
      const more = Buffer.allocUnsafe((this.keysEnd + bytes) * 2);
      more.set(this.keys.subarray(0, this.keysEnd));
      this.keys = more;
    }
    const at = copy(key, 0, length, this.keys, writeHeader(this.keys, this.keysEnd, TYPE.bulk, length));
    this.keys[at] = 0x0d;
    this.keys[at + 1] = 0x0a;
    this.keysEnd = at + 2;
    this.count++;
  }

  /** As LOOKUP_SCRIPT takes it. */
  frame(few: number, enough: number): Uint8Array {
    const groups = this.parts.flatMap(({ group, places }) => [
      ...[String(places.length), String(group.fields.length)],
      ...group.fields,
    ]);
    const head = ['EVAL', LOOKUP_SCRIPT, String(this.count)];
    const options = [String(few), String(enough), ...groups];
    // Words behind the keys have no header of their own.
    const [before, after] = [encodeCommand(head), encodeCommand(options)];
    return Buffer.concat([
      arrayHeader(head.length + this.count + options.length),
      before.subarray(before.indexOf(0x0a) + 1),
      this.keys.subarray(0, this.keysEnd),
      after.subarray(after.indexOf(0x0a) + 1),
    ]);
  }

  /** Puts what the node has answered into the columns. */
  fill(reply: Uint8Array): void {
    let at = reply.indexOf(0x0a) + 1;
    for (const { group, places } of this.parts) {
      for (const place of places) {
        for (const column of group.columns) at = column.put(place, reply, at);
      }
    }
  }
}

export class Lookups {
  private readonly elements: Bulks;
  private readonly groups = new Map<string, Group>();

  constructor(elements: Bulks) {
    this.elements = elements;
  }

  /** Has it looked up with the others. What is found is in the column, once they are read. */
  add({ prefix, suffix, field }: KeyPattern): Column {
    const name = JSON.stringify([prefix, suffix, field === null]);
    const group = this.groups.get(name) ?? {
      prefix: bytesOf(prefix),
      suffix: bytesOf(suffix),
      fields: [],
      columns: [],
    };
    this.groups.set(name, group);
    const known = field === null ? 0 : group.fields.findIndex((own) => Buffer.compare(own, field) === 0);
    const found = known < 0 ? undefined : group.columns[known];
    if (found !== undefined) return found;
    if (field !== null) group.fields.push(field);
    const column = new Bulks(this.elements.length);
    group.columns.push(column);
    return column;
  }

  *read(room: GatherRoom, { gatherBytesMax, gatherKeysMax }: GatherLimits, placeOf: PlaceOf): NodeSteps<void> {
    if (this.groups.size * this.elements.length > gatherKeysMax) throw room.tooMuch(tooManyKeys(gatherKeysMax));
    const shares = [...this.shares(placeOf)];
    const few = room.holdSmall(shares.length);
    const replies = yield shares.map(([node, share]) => ({ node, frame: share.frame(few, gatherBytesMax) }));
    room.giveBack(few * shares.length);
    const large: { node: number; share: Share; bytes: number }[] = [];
    for (const [at, [node, share]] of shares.entries()) {
      const reply = replies[at] as Uint8Array;
      if (isError(reply, 0)) throw room.refused(reply, node);
      if (reply[0] === TYPE.integer) large.push({ node, share, bytes: parseInteger(reply, 0, reply.length) });
      else {
        room.hold(reply.length);
        share.fill(reply);
      }
    }
    if (large.length === 0) return;
    const expected = large.reduce((sum, { bytes }) => sum + bytes, 0);
    room.hold(expected);
    // What they may have beyond that is divided among them.
    const slack = Math.floor(room.left / large.length);
    const all = yield large.map(({ node, share, bytes }) => ({
      node,
      frame: share.frame(bytes + slack, bytes + slack),
    }));
    room.giveBack(expected);
    for (const [at, { node, share }] of large.entries()) {
      const reply = room.whole(all[at] as Uint8Array, node);
      room.hold(reply.length);
      share.fill(reply);
    }
  }

  /** What each node has of the keys. */
  private shares(placeOf: PlaceOf): Map<number, Share> {
    const { elements } = this;
    const shares = new Map<number, Share>();
    for (const group of this.groups.values()) {
      const { prefix, suffix } = group;
      const parts = new Map<number, Part>();
      let scratch: Uint8Array = Buffer.allocUnsafe(256);
      for (let place = 0; place < elements.length; place++) {
        const [from, to] = [elements.contentStart(place), elements.contentEnd(place)];
        const length = prefix.length + to - from + suffix.length;
        if (length > scratch.length) scratch = Buffer.allocUnsafe(length * 2);
        const middle = copy(prefix, 0, prefix.length, scratch, 0);
        copy(suffix, 0, suffix.length, scratch, copy(elements.sourceOf(place), from, to, scratch, middle));
        const key = scratch.subarray(0, length);
        const node = placeOf(key);
        if (node instanceof Uint8Array) throw new Ended(node);
        let share = shares.get(node);
        if (share === undefined) {
          share = new Share(elements.length * 16);
          shares.set(node, share);
        }
        let part = parts.get(node);
        if (part === undefined) {
          part = { group, places: [] };
          parts.set(node, part);
          share.parts.push(part);
        }
        share.add(key);
        part.places.push(place);
      }
    }
    return shares;
  }
}
