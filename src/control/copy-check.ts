/**
 * Compares the copies of all replicated keys of a pool, while it is in use: ballots first, and where these are equal the values.
 *
 * A copy that has an older ballot is only behind, which happens all the time and mends itself; equal ballots with different values
 * are what must not be: somebody wrote past the proxies, or something is wrong with them.
 */
import { createHash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { NEVER } from '../replica/ballot.js';
import { SCAN_START } from '../replica/member-step.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { encodeStep } from '../replica/node-step.js';
import { elementsOf, textOf } from '../replica/reply-shape.js';
import type { ViewAnswer } from '../replica/step.js';
import { encodeCommand } from '../resp/reply.js';
import { LOOKED_AT_WEIGHT, Pace } from './pace.js';
import type { PoolVisit } from './pool-visit.js';

export interface Difference {
  key: Uint8Array;
  /** Of the copies, in the order of the key's nodes; where values differ, those first that most have. */
  nodes: readonly number[];
  kind: 'behind' | 'values' | 'stray';
  /** A sentence. */
  what: string;
}

export interface CheckOptions {
  /** Of which values are compared; of those that are only looked at ten count as one. */
  keysPerSecond: number;
  /** Called for each. */
  onDifference(difference: Difference): Promise<void>;
  /** Called after each page. */
  onProgress(progress: CheckProgress): void;
}

export interface CheckProgress {
  /** The name of the one whose keys are gone through. */
  node: string;
  /** Of all that is to be gone through, as far as that was known at the start: 0 … 1. */
  part: number;
  /** Compared so far. */
  keys: number;
}

export interface CheckResult {
  keys: number;
  /** Members whose keys could not be gone through. */
  missing: readonly number[];
}

const PAGE_KEYS = 200;
/** Keys whose values are held at the same time. */
const TOGETHER = 20;
/** A copy is behind when it still is after so many looks, with a pause between them, milliseconds. */
const LOOKS = 4;
const LOOK_PAUSE_MS = 100;

type View = Extract<ViewAnswer<unknown, Uint8Array>, { kind: 'view' }>;

/** Where keys are, and what is there: a node is gone through for each. */
const WHAT = ['metas', 'values'] as const;

export async function checkCopies(
  visit: PoolVisit,
  { keysPerSecond, onDifference, onProgress }: CheckOptions,
): Promise<CheckResult> {
  const pace = new Pace(keysPerSecond);
  let keys = 0;
  let keysPaid = 0;
  let lookedAt = 0;
  // A scan comes by every name that the node has.
  const names = new Map([...visit.links].map(([node, { view }]) => [node, (view?.keysFound ?? 0) * WHAT.length]));
  const namesOfAll = [...names.values()].reduce((sum, count) => sum + count, 0);
  let namesBefore = 0;
  const missing: number[] = [];
  for (const { index } of visit.pool.nodes) {
    if (!(await checkNode(index))) missing.push(index);
    namesBefore += names.get(index) ?? 0;
  }
  return { keys, missing };

  /** All keys that it has and that none before it in their order has; false: it could not be asked. */
  async function checkNode(node: number): Promise<boolean> {
    let namesPassed = 0;
    for (const what of WHAT) {
      let cursor = SCAN_START;
      do {
        const link = visit.links.get(node);
        const record = link?.record ?? null;
        if (link === undefined || record === null) return false;
        const step = { kind: 'scan', what, cursor, count: PAGE_KEYS, idleSecondsMin: 0 } as const;
        const page = await link.askMember(record, encodeMemberStep(step, Buffer.from(record)));
        if (page?.kind !== 'page') return false;
        const check = what === 'metas' ? checkKey : checkValue;
        for (let at = 0; at < page.keys.length; at += TOGETHER) {
          const found = await Promise.all(page.keys.slice(at, at + TOGETHER).map((key) => check(node, key)));
          for (const difference of found) if (difference !== null) await onDifference(difference);
        }
        cursor = page.cursor;
        namesPassed += PAGE_KEYS;
        const passed = namesBefore + Math.min(namesPassed, names.get(node) ?? 0);
        onProgress({ node: link.node.name, part: namesOfAll === 0 ? 1 : passed / namesOfAll, keys });
        await keepPace();
      } while (cursor !== SCAN_START);
    }
    return true;
  }

  async function keepPace(): Promise<void> {
    const waitMs = pace.note(keys - keysPaid + lookedAt * LOOKED_AT_WEIGHT);
    keysPaid = keys;
    lookedAt = 0;
    if (waitMs > 0) await sleep(waitMs);
  }

  async function checkKey(source: number, key: Uint8Array): Promise<Difference | null> {
    const nodes = visit.pool.placeOf(key)?.nodes ?? null;
    if (nodes === null || !nodes.includes(source)) return null;
    lookedAt++;
    // It is compared once, as one of the first of its nodes that has it.
    const before = await viewsOf(key, nodes.slice(0, nodes.indexOf(source)), 'peek');
    if ([...before.values()].some(({ accepted }) => accepted !== NEVER)) return null;
    for (let look = 1; ; look++) {
      const views = await viewsOf(key, nodes, 'snapshot');
      const holders = nodes.filter((node) => (views.get(node)?.accepted ?? NEVER) !== NEVER);
      if (look === 1) {
        if (holders[0] !== source) return null;
        keys++;
      }
      const ballots = new Set([...views.values()].map(({ accepted }) => accepted));
      if (ballots.size <= 1) return compareValues(key, nodes, views);
      if (look === LOOKS) {
        const largest = [...ballots].reduce((one, other) => (one > other ? one : other));
        const late = nodes.filter((node) => views.get(node)?.accepted !== largest && views.has(node));
        return { key, nodes, kind: 'behind', what: `${nameAll(late)} ${late.length === 1 ? 'is' : 'are'} behind` };
      }
      await sleep(LOOK_PAUSE_MS);
    }
  }

  /** A value where no meta is, or where no copy should be. */
  async function checkValue(node: number, key: Uint8Array): Promise<Difference | null> {
    const nodes = visit.pool.placeOf(key)?.nodes ?? null;
    // Locks are not compared: what one node has alone is over when its time is.
    if (nodes === null && visit.pool.isLockOn(node, key)) return null;
    if (nodes === null || !nodes.includes(node)) {
      return { key, nodes: [node], kind: 'stray', what: `${nameAll([node])} has it, and should not` };
    }
    lookedAt++;
    const view = (await viewsOf(key, [node], 'peek')).get(node);
    if (view === undefined || view.accepted !== NEVER) return null;
    return { key, nodes, kind: 'stray', what: `${nameAll([node])} has a value that no proxy wrote` };
  }

  async function compareValues(
    key: Uint8Array,
    nodes: readonly number[],
    views: ReadonlyMap<number, View>,
  ): Promise<Difference | null> {
    const dumps = new Set([...views.values()].map(({ value, isExpired }) => (isExpired ? '' : hashOf(value))));
    if (dumps.size <= 1 || [...views.values()].some(({ isExpired }) => isExpired)) return null;
    const digests = new Map<number, string>();
    for (const node of views.keys()) digests.set(node, await contentOf(node, key));
    const again = await viewsOf(key, nodes, 'peek');
    // It was written meanwhile: the next check sees it.
    if ([...views].some(([node, { accepted }]) => again.get(node)?.accepted !== accepted)) return null;
    const counts = new Map<string, number>();
    for (const digest of digests.values()) counts.set(digest, (counts.get(digest) ?? 0) + 1);
    if (counts.size <= 1) return null;
    const countOf = (node: number) => counts.get(digests.get(node) ?? '') ?? 0;
    const ordered = nodes.toSorted((one, other) => countOf(other) - countOf(one));
    const most = digests.get(ordered[0] as number);
    const odd = ordered.filter((node) => digests.has(node) && digests.get(node) !== most);
    return {
      key,
      nodes: ordered,
      kind: 'values',
      what: `${nameAll(odd)} ${odd.length === 1 ? 'has' : 'have'} another value under the same ballot`,
    };
  }

  async function viewsOf(
    key: Uint8Array,
    nodes: readonly number[],
    kind: 'peek' | 'snapshot',
  ): Promise<Map<number, View>> {
    const views = new Map<number, View>();
    await Promise.all(
      nodes.map(async (node) => {
        const link = visit.links.get(node);
        const record = link?.record ?? null;
        if (link === undefined || record === null) return;
        const view = await link.askMember(record, encodeStep({ kind }, key, Buffer.from(record)));
        if (view?.kind === 'view') views.set(node, view);
      }),
    );
    return views;
  }

  /** A digest of what a key has, whatever order it is kept in. */
  async function contentOf(node: number, key: Uint8Array): Promise<string> {
    const link = visit.links.get(node);
    const ask = (words: readonly (string | Uint8Array)[]) =>
      link?.ask({ frames: encodeCommand(words), replyCount: 1, decode: ([reply]) => reply ?? null }) ?? null;
    const type = await ask(['TYPE', key]);
    const read = READERS[type === null ? '' : textOf(type)];
    const reply = read === undefined ? null : await ask(read.words(key));
    if (reply === null || read === undefined) return '';
    if (read.width === 0) return hashOf(reply);
    const elements = elementsOf(reply).map((frame) => Buffer.from(frame).toString('latin1'));
    const groups: string[] = [];
    for (let at = 0; at < elements.length; at += read.width) groups.push(elements.slice(at, at + read.width).join(''));
    return hashOf(Buffer.from(groups.sort().join(''), 'latin1'));
  }

  function nameAll(nodes: readonly number[]): string {
    return nodes.map((node) => visit.links.get(node)?.node.name ?? `node ${node}`).join(', ');
  }
}

/** How the content of a type is read; `width`: elements that belong together and whose order means nothing, 0 where the order counts. */
const READERS: Readonly<Record<string, { words: (key: Uint8Array) => (string | Uint8Array)[]; width: number }>> = {
  string: { words: (key) => ['GET', key], width: 0 },
  list: { words: (key) => ['LRANGE', key, '0', '-1'], width: 0 },
  set: { words: (key) => ['SMEMBERS', key], width: 1 },
  hash: { words: (key) => ['HGETALL', key], width: 2 },
  zset: { words: (key) => ['ZRANGE', key, '0', '-1', 'WITHSCORES'], width: 0 },
  // Groups of consumers are not compared.
  stream: { words: (key) => ['XRANGE', key, '-', '+'], width: 0 },
};

function hashOf(bytes: Uint8Array | null): string {
  return bytes === null ? '' : createHash('sha1').update(bytes).digest('hex');
}
