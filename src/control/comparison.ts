/**
 * Anti-entropy: what the nodes of a pool have of keys of consistency eventual is compared, and what differs is exchanged.
 *
 *   all keys of each member, page by page -> digests per range (in the pool of threads)
 *   ranges whose digests differ -> the pages with keys in them that differ, again -> keys whose versions differ -> the newest is given to the others
 *
 * Which pages these are is known from what was told (`key-trail`), while that takes no more than compareBytesMax. With more keys, and where most
 * pages have some that differ, all are read again.
 *
 * Keys are written meanwhile: then a range seems to differ, and its keys are looked at for nothing. What was equal all the while is found equal,
 * and what was behind before it began is not behind when it ends, where every member was asked to the end.
 */
import type { NodeLimits } from '../base/limits.js';
import { pause } from '../base/pause.js';
import { type Ballot, NEVER } from '../replica/ballot.js';
import { askVersions } from '../replica/key-pages.js';
import { TRAIL_KEY_BYTES } from '../replica/key-trail.js';
import { SCAN_START } from '../replica/member-step.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { RangeDigests } from '../replica/range-digests.js';
import { isWithin, type Stretch, stretchesOf } from '../replica/scan-order.js';
import { timeOf } from '../replica/version-clock.js';
import { KeyRanges, type RangePlan } from '../routing/key-ranges.js';
import type { BulkPool } from './bulk-pool.js';
import { exchangeKey } from './key-exchange.js';
import type { Asked, NodeLink } from './node-link.js';
import { bytesAsKeys, LOOKED_AT_WEIGHT, Pace } from './pace.js';
import { recordInForce } from './pool-rounds.js';
import type { ValuesUnderWay } from './values-under-way.js';

export interface ComparisonOptions {
  plan: RangePlan;
  /** By the node's index. */
  links: ReadonlyMap<number, NodeLink>;
  values: ValuesUnderWay;
  bulk: Pick<BulkPool, 'digestPage' | 'findPages' | 'pickKeys'>;
  limits: Pick<NodeLimits, 'compareKeysPerSecond' | 'compareBytesMax' | 'repairKeysPerSecond'>;
  stopped: AbortSignal;
}

/** What came of one. */
export interface Compared {
  /** `equal`: all were asked to the end, and those that were behind have what the others had when it began; `differ`: some have not. */
  copies: 'equal' | 'differ' | 'not known';
  /** All nodes of the pool were asked to the end, and have answered. */
  isWhole: boolean;
  /** Keys of the node that has most of them. */
  keys: number;
  /** Ranges that differed, and pages of keys that were read again for them. */
  ranges: number;
  pagesAgain: number;
  /** Keys of which a copy was behind, and those of these that were brought together. */
  behind: number;
  mended: number;
  /** How long before it was mended one of these had been written, at most, by the clock of who wrote it; null: none was. */
  latenessMs: number | null;
}

/** Of a node's SCAN, which counts values, too. */
const PAGE_KEYS_MAX = 1_000;
const PAGE_KEYS_MIN = 10;
/** Of one page, about: where names are long pages have fewer keys. */
const PAGE_BYTES = 256 * 1024;
/** Keys that are exchanged at a time. */
const EXCHANGES_MAX = 16;
const ALL: readonly Stretch[] = [{ from: SCAN_START, until: SCAN_START }];

/** What a node has told, as `key-trail` has it. */
interface Trail {
  /** That its pages began with. */
  cursors: string[];
  pages: Uint32Array[];
}

/** A key of which some of these nodes may have something older than others. */
interface Unequal {
  key: Uint8Array;
  /** What one of them has. */
  version: Ballot;
  nodes: readonly number[];
}

export async function compareNodes(options: ComparisonOptions): Promise<Compared> {
  return new Comparison(options).run();
}

class Comparison {
  private readonly options: ComparisonOptions;
  private readonly ranges: KeyRanges;
  /** By node, the record that it had at the beginning: it says nothing more when that is another one. */
  private readonly records = new Map<number, string>();
  private readonly exchanges: Pace;
  /** By node; null: it would take too many bytes. */
  private trails: Map<number, Trail> | null = new Map();
  private trailBytes = 0;
  private isWhole = true;
  private keys = 0;
  private pagesAgain = 0;
  private behind = 0;
  private mended = 0;
  private latenessMs: number | null = null;

  constructor(options: ComparisonOptions) {
    this.options = options;
    this.ranges = new KeyRanges(options.plan);
    this.exchanges = new Pace(options.limits.repairKeysPerSecond);
    for (const [index, link] of options.links) {
      const record = recordInForce(link, options.links.values());
      if (record !== null) this.records.set(index, record);
    }
  }

  async run(): Promise<Compared> {
    const { links } = this.options;
    const digests = new Map<number, RangeDigests>();
    await Promise.all(
      [...this.records.keys()].map(async (node) => {
        const own = await this.digest(node);
        if (own !== null) digests.set(node, own);
      }),
    );
    const differing = this.differing(digests);
    const ranges = differing === null ? 0 : new Uint8Array(differing).reduce((sum, one) => sum + one, 0);
    if (digests.size < links.size) this.isWhole = false;
    if (differing !== null) {
      const again = await this.stretchesToRead([...digests.keys()], differing, ranges);
      await Promise.all(Array.from(again, ([node, stretches]) => this.exchange(node, stretches, differing)));
    }
    const { isWhole, keys, pagesAgain, behind, mended, latenessMs } = this;
    const copies = behind > mended ? 'differ' : isWhole ? 'equal' : 'not known';
    return { copies, isWhole, keys, ranges, pagesAgain, behind, mended, latenessMs };
  }

  /** Null: the node was not asked to the end. */
  private async digest(node: number): Promise<RangeDigests | null> {
    const { plan, bulk } = this.options;
    const digests = RangeDigests.ofNothing(this.ranges.count);
    let count = 0;
    const isDone = await this.walk(node, ALL, async (page, cursor) => {
      const digested = await bulk.digestPage(page, plan, digests.memory);
      if (digested === null) return null;
      count += digested.told.byteLength / TRAIL_KEY_BYTES;
      this.follow(node, cursor, digested.told);
      return digested;
    });
    this.keys = Math.max(this.keys, count);
    return isDone ? digests : null;
  }

  private follow(node: number, cursor: string, told: Uint32Array): void {
    this.trailBytes += told.byteLength;
    if (this.trailBytes > this.options.limits.compareBytesMax) this.trails = null;
    if (this.trails === null) return;
    const trail = this.trails.get(node) ?? { cursors: [], pages: [] };
    trail.cursors.push(cursor);
    trail.pages.push(told);
    this.trails.set(node, trail);
  }

  /** Of each of these nodes, the stretches of its keys in which all stand that some of them have otherwise than others. `ranges` differ. */
  private async stretchesToRead(
    nodes: readonly number[],
    differing: SharedArrayBuffer,
    ranges: number,
  ): Promise<Map<number, readonly Stretch[]>> {
    const { plan, bulk } = this.options;
    const trails = nodes.flatMap((node) => this.trails?.get(node) ?? []);
    this.trails = null;
    const pages = Math.max(...trails.map(({ pages }) => pages.length), 0);
    if (trails.length < nodes.length || ranges > pages / 2) return new Map(nodes.map((node) => [node, ALL]));
    const told = trails.map(({ pages }) => pages);
    const places = await bulk.findPages(nodes, told, plan, differing);
    return new Map(
      trails.map(({ cursors }, at) => [nodes[at] as number, stretchesOf(cursors, places[at] as number[])]),
    );
  }

  /** A 1 for each range that some of its nodes have otherwise than others; null where there is none. */
  private differing(digests: ReadonlyMap<number, RangeDigests>): SharedArrayBuffer | null {
    const memory = new SharedArrayBuffer(this.ranges.count);
    const differs = new Uint8Array(memory);
    let hasAny = false;
    for (let range = 0; range < differs.length; range++) {
      const own = this.ranges.nodesOf(range).flatMap((node) => digests.get(node) ?? []);
      const [first] = own;
      if (first === undefined || own.every((other) => first.isEqual(other, range))) continue;
      differs[range] = 1;
      hasAny = true;
    }
    return hasAny ? memory : null;
  }

  /** Has the keys of these ranges that this node has, in these stretches, given to the others that have something older. */
  private async exchange(node: number, stretches: readonly Stretch[], differing: SharedArrayBuffer): Promise<void> {
    const { plan, bulk } = this.options;
    const isDone = await this.walk(node, stretches, async (page) => {
      this.pagesAgain++;
      const picked = await bulk.pickKeys(page, plan, differing);
      if (picked === null) return null;
      /** Of other nodes, the places of the keys in the page. */
      const places = new Map<number, number[]>();
      for (const [place, range] of picked.ranges.entries()) {
        for (const other of this.ranges.nodesOf(range)) {
          if (other === node || !this.records.has(other)) continue;
          const list = places.get(other);
          if (list === undefined) places.set(other, [place]);
          else list.push(place);
        }
      }
      const unequal = new Set<number>();
      await Promise.all(
        [...places].map(async ([other, list]) => {
          const keys = list.map((place) => picked.keys[place] as Uint8Array);
          const metas = await this.ask(other, (record) =>
            encodeMemberStep({ kind: 'metas', keys, sizes: false }, record),
          );
          if (metas?.kind !== 'metas') {
            this.isWhole = false;
            return;
          }
          for (const [at, { accepted }] of metas.facts.entries()) {
            const place = list[at] as number;
            const own = picked.versions[place] ?? NEVER;
            // What the other has alone, or newer, its own pages show.
            if (accepted < own) unequal.add(place);
          }
        }),
      );
      await this.exchangeAll(
        node,
        Array.from(unequal, (place) => ({
          key: picked.keys[place] as Uint8Array,
          version: picked.versions[place] as Ballot,
          nodes: this.ranges.nodesOf(picked.ranges[place] as number),
        })),
      );
      return picked;
    });
    if (!isDone) this.isWhole = false;
  }

  /** Keys of which that node has something newer than others. */
  private async exchangeAll(node: number, keys: readonly Unequal[]): Promise<void> {
    const { stopped } = this.options;
    for (let from = 0; from < keys.length && !stopped.aborted; from += EXCHANGES_MAX) {
      const batch = keys.slice(from, from + EXCHANGES_MAX);
      const step = { kind: 'metas', keys: batch.map(({ key }) => key), sizes: true } as const;
      const metas = await this.ask(node, (record) => encodeMemberStep(step, record));
      const sizes = metas?.kind === 'metas' ? metas.sizes : null;
      await Promise.all(batch.map((unequal, place) => this.exchangeOne(unequal, sizes?.[place])));
      const bytes = sizes?.reduce((sum, size) => sum + size, 0) ?? 0;
      const waitMs = this.exchanges.note(Math.max(batch.length, bytesAsKeys(bytes)));
      if (waitMs > 0) await pause(waitMs, stopped);
    }
  }

  private async exchangeOne({ key, version, nodes }: Unequal, valueBytes?: number): Promise<void> {
    // As it comes, and as it goes to each.
    const bytes = valueBytes === undefined ? valueBytes : valueBytes * nodes.length;
    const { isWhole, behind, given } = await exchangeKey(this.options, key, nodes, bytes);
    if (!isWhole) this.isWhole = false;
    // What was under way has come meanwhile.
    if (behind === 0) return;
    this.behind++;
    if (!isWhole || given < behind) return;
    this.mended++;
    this.latenessMs = Math.max(this.latenessMs ?? 0, Date.now() - timeOf(version));
  }

  /**
   * The keys of a node in these stretches, page by page, at their pace. `see` is told which cursor the page began with, and says where the next begins;
   * null: what was told does not count.
   */
  private async walk(
    node: number,
    stretches: readonly Stretch[],
    see: (page: Uint8Array, cursor: string) => Promise<{ cursor: string; count: number } | null>,
  ): Promise<boolean> {
    const { stopped, limits } = this.options;
    const pace = new Pace(limits.compareKeysPerSecond);
    let pageKeys = PAGE_KEYS_MAX;
    for (const stretch of stretches) {
      let cursor = stretch.from;
      do {
        const frames = askVersions(cursor, `${pageKeys}`);
        const page = await this.ask(node, () => ({
          frames,
          replyCount: 1,
          decode: ([reply]) => Uint8Array.from(reply as Uint8Array),
        }));
        const seen = page === null || stopped.aborted ? null : await see(page, cursor);
        if (seen === null || stopped.aborted) return false;
        cursor = seen.cursor;
        const bytes = page?.length ?? 0;
        // Who has found nothing has looked all the same.
        const waitMs = pace.note(Math.max(seen.count, pageKeys * LOOKED_AT_WEIGHT, bytesAsKeys(bytes)));
        pageKeys = Math.ceil(Math.min(PAGE_KEYS_MAX, Math.max(PAGE_KEYS_MIN, pageKeys * (PAGE_BYTES / (bytes + 1)))));
        if (waitMs > 0) await pause(waitMs, stopped);
      } while (isWithin(cursor, stretch));
    }
    return true;
  }

  private async ask<A>(node: number, asked: (record: Buffer) => Asked<A>): Promise<A | null> {
    const link = this.options.links.get(node);
    const record = this.records.get(node);
    if (link === undefined || record === undefined) return null;
    return link.askMember(record, asked(Buffer.from(record)));
  }
}
