/**
 * KEYS, SCAN, DBSIZE and RANDOMKEY where keys are replicated, and the keys of a slot wherever they are, decided purely: what nodes answer in,
 * what to ask them out.
 *
 * Nodes are walked one after the other in the order of their names. A page of a node's keys is shown to the other nodes, which say
 * what they have of each; by the largest ballot of them the key is there or not. It belongs to the page of the last node of the walk
 * that has it, so that it is seen once; while its copies differ maybe twice, as Redis's own SCAN may.
 *
 *   node a: k1 k2      b and c are asked about k1 k2: c has k1, too, which is left to c's page; k2 is shown
 *
 * No key is missed that is there all the time: at any moment a member has it, and what a member has of such a key stays until
 * the walk comes there, as long as it is the same process. That these are the same members all along, the cursor's tag
 * says (scan.ts). "The first that has it" would be wrong: a copy that is brought up to date behind the walk would hide the key.
 */
import { errorBytes } from '../base/errors.js';
import type { NodeSnapshot } from '../messages.js';
import { askMetas, askPage, type KeyPage, readPage, type SeenKey } from '../replica/key-pages.js';
import { clusterInForce } from '../replica/member.js';
import { META_PREFIX } from '../replica/meta.js';
import { parseNodeRecord } from '../replica/node-record.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import { TYPE } from '../resp/frame.js';
import {
  arrayHeader,
  bulkReply,
  encodeCommand,
  errorReply,
  integerReply,
  isError,
  nullReply,
  parseInteger,
} from '../resp/reply.js';
import type { CopySets } from '../routing/copy-sets.js';
import { slotOf } from '../routing/slot.js';
import type { NodeSteps } from './node-steps.js';
import { DBSIZE } from './random-key.js';
import { cutCursor, INVALID_CURSOR, nextCursor, orderOfWalk, parseCursor, STALE_CURSOR, tagOf } from './scan.js';
import type { ScanOptions } from './scan-options.js';
import type { SlotQuestion } from './slot-question.js';

/** Whose keys are walked: a service. */
export interface WalkedNodes {
  readonly nodes: readonly NodeSnapshot[];
  /** Each set of nodes that some key has its copies on. */
  readonly copySetsOfNodes: readonly (readonly number[])[];
  /** Null for a key that is not replicated. */
  copySetsOf(bytes: Uint8Array, start: number, end: number): CopySets | null;
  isOwn(bytes: Uint8Array, start: number, end: number, node: number): boolean;
}

/** Its outcome is the reply to the client. */
export type Walk = NodeSteps<Uint8Array>;

/** What one page shows. */
interface Seen {
  /** Of the node; 0n after its last page. */
  cursor: bigint;
  keys: string[];
  /** Those of them that another page may show, too: not all copies have them. */
  doubtful: ReadonlySet<string>;
  /** Of the members, and of their processes. */
  tag: bigint;
}

/** What a member has of a key. */
interface Copy {
  node: number;
  fact: SeenKey;
}

interface Census {
  members: ReadonlySet<number>;
  /** By key. */
  copies: ReadonlyMap<string, readonly Copy[]>;
  tag: bigint;
}

/** Ends a walk with that reply. */
class Ended {
  readonly reply: Uint8Array;

  constructor(reply: Uint8Array) {
    this.reply = reply;
  }
}

type Show = (keys: readonly string[], doubtful: ReadonlySet<string>) => void;

/** For KEYS and DBSIZE. A node does nothing else for about a millisecond. */
const ALL_KEYS: ScanOptions = { match: Buffer.from('*'), count: '1000', type: null };
/** Bytes of the names that KEYS may answer with. */
const KEYS_BYTES_MAX = 256 * 1024 * 1024;
/** Keys drawn until one is there. */
const DRAWS_MAX = 16;

const NONE: ReadonlySet<string> = new Set();
const RANDOMKEY = encodeCommand(['RANDOMKEY']);
const MINUS = 0x2d;
const NO_QUORUM = errorBytes('NOQUORUM', 'too few nodes that have copies of keys can be reached');
const TOO_MANY_KEYS = errorBytes('OVERLOADED', `the names of the keys exceed ${KEYS_BYTES_MAX} bytes; use SCAN`);
/** Walks that are begun again since a node came or went. */
const ATTEMPTS_MAX = 3;
const CHANGED = errorReply('ERR nodes came or went while their keys were walked; ask again');

/** The walks over the nodes of one service. */
export class KeyWalks {
  private readonly service: WalkedNodes;
  private readonly order: readonly NodeSnapshot[];
  private readonly places: ReadonlyMap<number, number>;
  /** Indices of nodes that have copies. */
  private readonly copied: ReadonlySet<number>;

  constructor(service: WalkedNodes) {
    this.service = service;
    this.order = orderOfWalk(service.nodes);
    this.places = new Map(this.order.map(({ index }, place) => [index, place]));
    this.copied = new Set(service.copySetsOfNodes.flat());
  }

  /** `cursor`: as the client gave it, a character a byte. */
  *scan(cursor: string, options: ScanOptions, nowMs: number): Walk {
    const value = parseCursor(cursor);
    if (value === null) return INVALID_CURSOR;
    if (this.order.length === 0) return Buffer.concat([arrayHeader(2), bulkReply('0'), bulks([])]);
    const at = value === 0n ? { place: 0, cursor: 0n, tag: 0n } : cutCursor(value, this.order.length);
    try {
      const seen = yield* this.page(at.place, at.cursor, options, nowMs);
      if (at.tag !== 0n && at.tag !== seen.tag) return STALE_CURSOR;
      const next = nextCursor(this.order.length, at.place, seen.cursor, seen.tag);
      if (next === null) return errorReply("ERR a node's SCAN cursor leaves no room for the number of the node");
      return Buffer.concat([arrayHeader(2), bulkReply(String(next)), bulks(seen.keys)]);
    } catch (error) {
      return refusalOf(error);
    }
  }

  *keys(match: Uint8Array, nowMs: () => number): Walk {
    let names = new Set<string>();
    try {
      yield* this.all({ ...ALL_KEYS, match }, nowMs, () => {
        names = new Set();
        let bytes = 0;
        return (keys) => {
          for (const key of keys) {
            if (!names.has(key)) bytes += key.length;
            names.add(key);
          }
          if (bytes > KEYS_BYTES_MAX) throw new Ended(TOO_MANY_KEYS);
        };
      });
    } catch (error) {
      return refusalOf(error);
    }
    return bulks([...names]);
  }

  *dbsize(nowMs: () => number): Walk {
    let count = 0;
    let all = new Set<string>();
    try {
      yield* this.all(ALL_KEYS, nowMs, () => {
        count = 0;
        all = new Set();
        return (keys, doubtful) => {
          count += keys.length - doubtful.size;
          for (const key of doubtful) all.add(key);
        };
      });
    } catch (error) {
      return refusalOf(error);
    }
    return integerReply(count + all.size);
  }

  /**
   * The keys of a slot, which is that of their names: their number, or some of them. `node`: the index of the only one that may have
   * some; null where any may.
   */
  *slot({ slot, keysMax }: SlotQuestion, node: number | null, nowMs: () => number): Walk {
    let names = new Set<string>();
    const reply = () => (keysMax === null ? integerReply(names.size) : bulks([...names].slice(0, keysMax)));
    try {
      const begin = () => {
        names = new Set();
        let bytes = 0;
        return (keys: readonly string[]) => {
          for (const key of keys) {
            if (slotOfText(key) !== slot || names.has(key)) continue;
            names.add(key);
            bytes += key.length;
          }
          if (keysMax !== null && names.size >= keysMax) throw new Ended(reply());
          if (bytes > KEYS_BYTES_MAX) throw new Ended(TOO_MANY_KEYS);
        };
      };
      if (keysMax !== 0) yield* this.all(ALL_KEYS, nowMs, begin, node);
    } catch (error) {
      return refusalOf(error);
    }
    return reply();
  }

  /** `random`: a number in [0, 1). */
  *randomKey(random: () => number, nowMs: number, protocol: 2 | 3): Walk {
    try {
      for (let draw = 0; draw < DRAWS_MAX; draw++) {
        const key = yield* this.draw(random, nowMs);
        if (key !== null) return bulkReply(Buffer.from(key, 'latin1'));
      }
      // Where hardly any are left, the first that a walk comes to.
      yield* this.all(
        ALL_KEYS,
        () => nowMs,
        () => (keys) => {
          if (keys[0] !== undefined) throw new Ended(bulkReply(Buffer.from(keys[0], 'latin1')));
        },
      );
    } catch (error) {
      return refusalOf(error);
    }
    return nullReply(protocol);
  }

  /**
   * All pages, the members being the same all along. Begins again, with another `show` of `begin`, when they are not. `node`: of this
   * one alone, whose keys are nowhere else.
   */
  private *all(
    options: ScanOptions,
    nowMs: () => number,
    begin: () => Show,
    node: number | null = null,
  ): NodeSteps<void> {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (yield* this.once(options, nowMs, begin(), node)) return;
    }
    throw new Ended(CHANGED);
  }

  private *once(options: ScanOptions, nowMs: () => number, show: Show, node: number | null): NodeSteps<boolean> {
    let tag = 0n;
    for (const [place, { index }] of this.order.entries()) {
      if (node !== null && index !== node) continue;
      let cursor = 0n;
      do {
        const seen = yield* this.page(place, cursor, options, nowMs());
        if (tag !== 0n && seen.tag !== tag) return false;
        tag = seen.tag;
        show(seen.keys, seen.doubtful);
        cursor = seen.cursor;
      } while (cursor !== 0n);
    }
    return true;
  }

  private page(place: number, cursor: bigint, options: ScanOptions, nowMs: number): NodeSteps<Seen> {
    const { index } = this.order[place] as NodeSnapshot;
    return this.copied.has(index)
      ? this.pageOfCopies(index, cursor, options, nowMs)
      : this.pageOfOne(index, cursor, options);
  }

  /** Of a node whose keys are nowhere else. */
  private *pageOfOne(node: number, cursor: bigint, { match, count, type }: ScanOptions): NodeSteps<Seen> {
    const words = ['SCAN', String(cursor), 'MATCH', match, 'COUNT', count, ...(type === null ? [] : ['TYPE', type])];
    const { tag } = yield* this.census(null, [], false);
    const [reply] = (yield [{ node, frame: encodeCommand(words) }]) as [Uint8Array];
    if (isError(reply, 0)) throw new Ended(reply);
    const [next, names] = elementsOf(reply) as [Uint8Array, Uint8Array];
    const keys = elementsOf(names).map(textOf);
    return { cursor: BigInt(textOf(next)), keys: keys.filter((key) => this.isOn(node, key)), doubtful: NONE, tag };
  }

  private *pageOfCopies(node: number, cursor: bigint, options: ScanOptions, nowMs: number): NodeSteps<Seen> {
    const { match, count, type } = options;
    const [reply] = (yield [{ node, frame: askPage(String(cursor), match, count, type !== null) }]) as [Uint8Array];
    const page = readPage(reply);
    // SCAN may say a key twice on one page.
    const keys = [...new Set(page?.keys.map(({ key }) => key))].filter((key) => this.copiesOf(key).includes(node));
    const { tag, members, copies } = yield* this.census(page && { node, page }, keys, type !== null);
    if (page === null || !members.has(node)) return { cursor: 0n, keys: [], doubtful: NONE, tag };
    const own = this.places.get(node) as number;
    const doubtful = new Set<string>();
    const shown = keys.filter((key) => {
      const seen = copies.get(key) ?? [];
      const live = seen.filter(({ fact }) => fact.live);
      const isLater = live.some(({ node: other }) => (this.places.get(other) as number) > own);
      if (isLater || !isThere(seen, nowMs, type)) return false;
      if (live.length < this.copiesOf(key).filter((other) => members.has(other)).length) doubtful.add(key);
      return true;
    });
    return { cursor: BigInt(page.cursor), keys: shown, doubtful, tag };
  }

  /**
   * Who is a member, and what the members have of these keys: all nodes with copies are asked, but for the one whose `page` is
   * known. Throws -NOQUORUM where too few are members.
   */
  private *census(
    known: { node: number; page: KeyPage } | null,
    keys: readonly string[],
    withTypes: boolean,
  ): NodeSteps<Census> {
    const asked = [...this.copied].filter((node) => node !== known?.node);
    const asks = asked.map((node) => {
      const own = keys.filter((key) => this.copiesOf(key).includes(node));
      return { node, frame: askMetas(own, withTypes) };
    });
    const replies = yield asks;
    const pages = new Map<number, KeyPage>(known === null ? [] : [[known.node, known.page]]);
    for (const [at, node] of asked.entries()) {
      const page = readPage(replies[at] as Uint8Array);
      if (page !== null) pages.set(node, page);
    }
    const members = this.membersAmong(pages);
    for (const set of this.service.copySetsOfNodes) {
      if (set.filter((node) => members.has(node)).length * 2 <= set.length) throw new Ended(NO_QUORUM);
    }
    const copies = new Map<string, Copy[]>(keys.map((key) => [key, []]));
    for (const [node, { keys: facts }] of pages) {
      if (!members.has(node)) continue;
      for (const fact of facts) copies.get(fact.key)?.push({ node, fact });
    }
    const facts = this.order.map(({ index, pool, name }) => {
      return `${pool}/${name} ${members.has(index) ? pages.get(index)?.record : ''}`;
    });
    return { members, copies, tag: tagOf(facts) };
  }

  /** Those of the cluster that its pool is. */
  private membersAmong(pages: ReadonlyMap<number, KeyPage>): ReadonlySet<number> {
    const clusterOf = ({ index }: NodeSnapshot) => parseNodeRecord(pages.get(index)?.record ?? '')?.clusterId ?? null;
    const members = new Set<number>();
    for (const name of new Set(this.order.map(({ pool }) => pool))) {
      const nodes = this.order.filter(({ pool, index }) => pool === name && this.copied.has(index));
      const clusterId = clusterInForce(nodes.map(clusterOf));
      for (const node of nodes) if (clusterId !== null && clusterOf(node) === clusterId) members.add(node.index);
    }
    return members;
  }

  /** Some key, by the sizes of the nodes; null where it is none that is there. */
  private *draw(random: () => number, nowMs: number): NodeSteps<string | null> {
    const replies = yield this.order.flatMap(({ index: node }) => [
      { node, frame: DBSIZE },
      { node, frame: RANDOMKEY },
    ]);
    // What replicated keys take, copies and metas, counts once.
    const weights = this.order.map(({ index }, place) => {
      const size = replies[place * 2] as Uint8Array;
      const keys = isError(size, 0) ? 0 : parseInteger(size, 0, size.length);
      return this.copied.has(index) ? keys / (2 * this.copiesOfNode(index)) : keys;
    });
    let left = random() * weights.reduce((sum, weight) => sum + weight, 0);
    const place = weights.findIndex((weight) => {
      left -= weight;
      return left < 0;
    });
    const reply = replies[place * 2 + 1];
    if (reply === undefined || isError(reply, 0) || !isBulk(reply)) return null;
    const name = textOf(reply);
    const { index } = this.order[place] as NodeSnapshot;
    if (!this.copied.has(index)) return this.isOn(index, name) ? name : null;
    const key = name.startsWith(META_PREFIX) ? name.slice(META_PREFIX.length) : name;
    if (!this.copiesOf(key).includes(index)) return null;
    const { copies } = yield* this.census(null, [key], false);
    return isThere(copies.get(key) ?? [], nowMs, null) ? key : null;
  }

  private copiesOfNode(node: number): number {
    return this.service.copySetsOfNodes.find((set) => set.includes(node))?.length ?? 1;
  }

  /** The nodes of the key's copies; none if it is not replicated. */
  private copiesOf(key: string): readonly number[] {
    const bytes = Buffer.from(key, 'latin1');
    const sets = this.service.copySetsOf(bytes, 0, bytes.length);
    if (sets === null) return [];
    const first = sets.find(bytes, 0, bytes.length);
    return Array.from(sets.owners.subarray(first, first + sets.copies));
  }

  private isOn(node: number, key: string): boolean {
    const bytes = Buffer.from(key, 'latin1');
    return this.service.isOwn(bytes, 0, bytes.length, node);
  }
}

/** By the largest ballot that was accepted: it was not expired, and has that type if one is asked for. */
function isThere(copies: readonly Copy[], nowMs: number, type: string | null): boolean {
  let best: SeenKey | null = null;
  for (const { fact } of copies) if (best === null || fact.accepted > best.accepted) best = fact;
  if (best === null || !best.live || (best.expireAt !== 0 && best.expireAt <= nowMs)) return false;
  return type === null || best.type === type.toLowerCase();
}

function slotOfText(key: string): number {
  const bytes = Buffer.from(key, 'latin1');
  return slotOf(bytes, 0, bytes.length);
}

function isBulk(reply: Uint8Array): boolean {
  return reply[0] === TYPE.bulk && reply[1] !== MINUS;
}

function bulks(keys: readonly string[]): Uint8Array {
  return Buffer.concat([arrayHeader(keys.length), ...keys.map((key) => bulkReply(Buffer.from(key, 'latin1')))]);
}

function refusalOf(error: unknown): Uint8Array {
  if (error instanceof Ended) return error.reply;
  throw error;
}
