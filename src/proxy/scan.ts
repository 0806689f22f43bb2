/**
 * SCAN over all shards, one after the other: the cursor that a client sees says where it is on which node.
 *
 *   0 -> node a from 0 ... its last page -> node b from 0 ... its last page -> 0
 *   cursor = (node's own cursor * nodes + node's place) * TAGS + tag
 *
 * So each node is walked as its own SCAN walks it, with Redis's promises, and no proxy remembers anything: the next page may
 * be asked of another proxy of the fleet. For that, nodes are in the order of their names, whatever the configuration's.
 *
 * The tag is made of the nodes' names. A cursor from before a node was added or taken out would silently leave out keys: it
 * has another tag (but for one in 4,095) and is refused, as `-ERR invalid cursor` with the reason.
 *
 * A node's cursor is below the size of its table, rounded up to a power of two: with 2^31 keys a node and 100 nodes the
 * whole is below 2^50, so that it is exact even where a client reads it as a double.
 */
import { createHash } from 'node:crypto';
import { errorBytes } from '../base/errors.js';
import type { NodeSnapshot } from '../messages.js';
import { skipValue, TYPE } from '../resp/frame.js';
import { arrayHeader, bulkReply, errorReply, parseInteger } from '../resp/reply.js';
import type { Output } from '../transport/output.js';
import { appendOwnKeys, countOwnKeys, type KeyTest } from './own-keys.js';
import { type Part, type Parts, type ResponsePolicy, unexpectedReply } from './response-policy.js';

const TAGS = 4096n;
const CURSOR_MAX = 2n ** 64n - 1n;
export const INVALID_CURSOR = errorReply('ERR invalid cursor');
export const STALE_CURSOR = errorReply(
  'ERR invalid cursor: it is of a scan over other nodes than there are; begin again with 0',
);

/** One page to be asked for. */
export interface Page {
  /** The node, and the cursor to ask it with. */
  node: NodeSnapshot;
  cursor: string;
  /** Makes the client's reply of the node's. */
  policy: ResponsePolicy;
}

/** The walk over the nodes of one service. */
export class Scan {
  /** The nodes, in the order of the walk. */
  private readonly order: readonly NodeSnapshot[];
  private readonly policies: readonly ResponsePolicy[];
  private readonly tag: bigint;

  /** `isOwn` says whether a key is to be shown that the node of that index has; null where all are. */
  constructor(nodes: readonly NodeSnapshot[], isOwn: KeyTest | null) {
    this.order = orderOfWalk(nodes);
    this.policies = this.order.map(({ index }, place) => new PagePolicy(this, place, index, isOwn));
    this.tag = tagOf(this.order.map(fullName));
  }

  /** What a client's cursor asks for, or the error for one that asks for nothing. `text` is one character a byte. */
  page(text: string): Page | Uint8Array {
    const value = parseCursor(text);
    if (value === null) return INVALID_CURSOR;
    // A single node's cursors are left as they are.
    if (this.order.length === 1) return this.pageAt(0, value);
    if (value === 0n) return this.pageAt(0, 0n);
    const { place, cursor, tag } = cutCursor(value, this.order.length);
    return tag === this.tag ? this.pageAt(place, cursor) : STALE_CURSOR;
  }

  /** The client's cursor after a page of the node at `place` that ended with `cursor`; null when 64 bits cannot hold it. */
  next(place: number, cursor: bigint): bigint | null {
    return this.order.length === 1 ? cursor : nextCursor(this.order.length, place, cursor, this.tag);
  }

  private pageAt(place: number, cursor: bigint): Page {
    const node = this.order[place] as NodeSnapshot;
    return { node, cursor: String(cursor), policy: this.policies[place] as ResponsePolicy };
  }
}

/** The reply of the node at `place`, with the client's cursor in place of its own. */
class PagePolicy implements ResponsePolicy {
  readonly needsOne = false;
  private readonly scan: Scan;
  private readonly place: number;
  private readonly node: number;
  private readonly isOwn: KeyTest | null;

  constructor(scan: Scan, place: number, node: number, isOwn: KeyTest | null) {
    this.scan = scan;
    this.place = place;
    this.node = node;
    this.isOwn = isOwn;
  }

  fits(bytes: Uint8Array, { start }: Part): boolean {
    const cursor = lineEnd(bytes, start);
    return bytes[start] === TYPE.array && parseInteger(bytes, start, cursor) === 2 && bytes[cursor] === TYPE.bulk;
  }

  write(parts: Parts, output: Output): void {
    const { bytes } = parts;
    const part = parts.part(0);
    const cursorStart = lineEnd(bytes, part.start);
    const cursorEnd = skipValue(bytes, cursorStart);
    const text = Buffer.from(bytes.subarray(lineEnd(bytes, cursorStart), cursorEnd - 2)).toString('latin1');
    const cursor = parseCursor(text);
    if (cursor === null) {
      output.appendBytes(unexpectedReply(bytes, part));
      return;
    }
    const next = this.scan.next(this.place, cursor);
    if (next === null) {
      const reason = `its SCAN cursor ${text} leaves no room for the number of the node`;
      output.appendBytes(errorBytes('ERR', `node ${part.nodeName}: ${reason}`));
      return;
    }
    output.appendBytes(arrayHeader(2));
    output.appendBytes(bulkReply(String(next)));
    if (this.isOwn === null) {
      output.appendNow(cursorEnd, part.start + part.bytes);
      return;
    }
    output.appendBytes(arrayHeader(countOwnKeys(bytes, cursorEnd, this.node, this.isOwn)));
    appendOwnKeys(bytes, cursorEnd, this.node, this.isOwn, output);
  }
}

/** By their names, whatever the configuration's order. */
export function orderOfWalk(nodes: readonly NodeSnapshot[]): readonly NodeSnapshot[] {
  return [...nodes].sort((one, other) => (fullName(one) < fullName(other) ? -1 : 1));
}

function fullName({ pool, name }: NodeSnapshot): string {
  return `${pool}/${name}`;
}

/** Of what must be the same from the first page to the last. Never 0, so that only the first cursor and the last are 0. */
export function tagOf(facts: readonly string[]): bigint {
  const digest = createHash('sha256').update(JSON.stringify(facts)).digest();
  return 1n + (BigInt(digest.readUInt32BE()) % (TAGS - 1n));
}

/** What a cursor other than 0 is made of. */
export function cutCursor(value: bigint, nodes: number): { place: number; cursor: bigint; tag: bigint } {
  const rest = value / TAGS;
  return { place: Number(rest % BigInt(nodes)), cursor: rest / BigInt(nodes), tag: value % TAGS };
}

/** The client's cursor after a page of the node at `place` that ended with `cursor`; null when 64 bits cannot hold it. */
export function nextCursor(nodes: number, place: number, cursor: bigint, tag: bigint): bigint | null {
  const [nextPlace, nodeCursor] = cursor === 0n ? [place + 1, 0n] : [place, cursor];
  if (nextPlace === nodes) return 0n;
  const next = (nodeCursor * BigInt(nodes) + BigInt(nextPlace)) * TAGS + tag;
  return next > CURSOR_MAX ? null : next;
}

/** As Redis reads a cursor (C's strtoul): null for what it calls invalid. A negative one counts down from 2^64. */
export function parseCursor(text: string): bigint | null {
  const [, sign, digits] = /^([+-]?)(\d*)(?:\0|$)/.exec(text) ?? [];
  if (digits === undefined || (digits === '' && sign !== '')) return null;
  const value = BigInt(digits);
  if (value > CURSOR_MAX) return null;
  return sign === '-' ? BigInt.asUintN(64, -value) : value;
}

function lineEnd(bytes: Uint8Array, start: number): number {
  return bytes.indexOf(0x0a, start) + 1;
}
