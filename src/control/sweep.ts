/**
 * Forgets deleted keys, and writes off those that expired and that nobody asked for (REPLICATION.md, T1 and X3): goes through the
 * metas of a pool's members that were left alone for long enough, a page at a time, at its leisure.
 *
 *   not live on all N, under one ballot  -> COLLECT at all N
 *   live, and its value is gone          -> a round that writes it off; it is collected the next time
 *   the fences of a lock, live           -> the same: nobody has asked for the lock for so long
 *   different ballots                    -> an identity round, whose state is given to who is behind
 *
 * Of weak keys a round could bring back what most copies have over what one has acknowledged since. So there are none:
 *
 *   no value at any of all N             -> the key is buried at all N under one version; it is collected the next time
 *   a value at some                      -> left as it is
 *
 * Of consistency eventual nothing is decided by rounds: who is behind is given the newest, and what has expired is buried.
 *
 * Which metas are old a node says by OBJECT IDLETIME: nobody need remember when which key was deleted. Two that sweep at once
 * do each other no harm. Where all keys are of consistency eventual their versions say it, which are times: comparing the nodes touches all metas again and
 * again. Such a deletion may have reached a copy just now: it is forgotten when all have had it for long enough for what was on its way to have come.
 */

import { pause } from '../base/pause.js';
import type { Ballot } from '../replica/ballot.js';
import type { Commands, Replies, Value } from '../replica/commands.js';
import { SCAN_START } from '../replica/member-step.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { encodeStep } from '../replica/node-step.js';
import type { Answer, Step } from '../replica/step.js';
import { exchangeKey, type KeyExchange } from './key-exchange.js';
import type { PoolRounds } from './pool-rounds.js';
import type { KeyPlace, ReplicatedPool } from './replicated-pools.js';

export interface SweepCounts {
  /** How often all keys were gone through. */
  passes: number;
  /** Deleted keys that were forgotten. */
  collected: number;
  /** Expired ones that were written off. */
  expired: number;
  /** Keys of which a copy was behind, and was brought up to date. */
  settled: number;
  /** Weak keys that were found different at their copies, one of which has a value: they were left as they are, and are counted each time. */
  differing: number;
  /** Weak keys without a value that not all of their copies would take for deleted: it is tried again. */
  unburied: number;
}

/** Idle keys asked for a second, so that nobody notices. */
const KEYS_PER_SECOND = 1_000;
/** Keys gone through a second, idle or not: a page takes a node about a millisecond. */
const WALKED_PER_SECOND = 20_000;
/** The keys of one page of SCAN are looked at together. */
const PAGE_KEYS = 200;

/** For so long, or for what they are remembered where that is less, all copies have a deletion of consistency eventual before it is forgotten. */
const SETTLED_MS = 60_000;
/** So many of these are waited for at a time. */
const SETTLING_MAX = 100_000;

/** Deletions that all copies have: by key, a character a byte, the version, and since when. */
export type Settling = Map<string, { ballot: Ballot; sinceMs: number }>;

export interface SweepOptions extends KeyExchange {
  pool: ReplicatedPool;
  rounds: PoolRounds;
  counts: SweepCounts;
  /** What the sweep before has found, of pools of consistency eventual; this one puts what it finds in its place. */
  settling: Settling;
  stopped: AbortSignal;
}

/** Goes once through all keys that are remembered for `ttlMs` while nobody asks for them. What cannot be done now is left for the next time. */
export async function sweepOnce(options: SweepOptions, ttlMs: number): Promise<void> {
  const { pool, links, rounds, counts, settling, stopped } = options;
  const before = new Map(settling);
  settling.clear();
  for (const { index } of pool.nodes) await sweepNode(index);

  async function sweepNode(node: number): Promise<void> {
    const link = links.get(node);
    const record = link?.record ?? null;
    if (link === undefined || record === null) return;
    const idleSecondsMin = Math.ceil(ttlMs / 1_000);
    let cursor = SCAN_START;
    do {
      const step = pool.isEventual
        ? ({ kind: 'scan', what: 'gone', cursor, count: PAGE_KEYS, beforeMs: Date.now() - ttlMs } as const)
        : ({ kind: 'scan', what: 'metas', cursor, count: PAGE_KEYS, idleSecondsMin } as const);
      const page = await link.askMember(record, encodeMemberStep(step, Buffer.from(record)));
      if (page?.kind !== 'page' || stopped.aborted) return;
      const mine = page.keys.filter((key) => isSweptAt(node, pool.placeOf(key)));
      await Promise.all(mine.map((key) => sweepKey(key, pool.placeOf(key) as KeyPlace)));
      cursor = page.cursor;
      const seconds = Math.max(page.keys.length / KEYS_PER_SECOND, PAGE_KEYS / WALKED_PER_SECOND);
      await pause(seconds * 1_000, stopped);
    } while (cursor !== SCAN_START && !stopped.aborted);
  }

  /**
   * Each key is looked at where the first of its members is. That may know nothing of a weak key, and nobody tells it: so these are looked at where
   * others have them, too, if nobody has looked yet, which touches all their metas.
   */
  function isSweptAt(node: number, place: KeyPlace | null): boolean {
    if (place === null || place.idleTtlMs !== ttlMs) return false;
    if (place.level.consistency === 'weak') return true;
    return place.nodes.find((one) => (links.get(one)?.record ?? null) !== null) === node;
  }

  async function sweepKey(key: Uint8Array, { nodes, isFence, level }: KeyPlace): Promise<void> {
    const records = nodes.map((node) => links.get(node)?.record ?? null);
    const askAll = (step: Step<Commands, Value>) => {
      return Promise.all(nodes.map((node, copy) => askStep(node, records[copy] ?? null, key, step)));
    };
    const views = (await askAll({ kind: 'peek' })).flatMap((answer) => (answer?.kind === 'view' ? [answer] : []));
    const first = views[0];
    if (first === undefined) return;
    const isSame = views.every(({ accepted }) => accepted === first.accepted);
    const isMerged = pool.isMerged(key);
    if (level.consistency === 'weak') {
      if (views.length < nodes.length) return;
      if (views.some(({ live, isExpired }) => live && !isExpired)) {
        if (!isSame) counts.differing++;
      } else if (isSame && !first.live) {
        await collect(first.accepted);
      } else if (await rounds.bury(key, nodes, new Set(views.map(({ accepted }) => accepted)))) {
        counts[isSame ? 'expired' : 'settled']++;
      } else {
        counts.unburied++;
      }
    } else if (isMerged && !isSame) {
      if ((await exchangeKey(options, key, nodes)).given > 0) counts.settled++;
    } else if (isMerged && first.live && views.some(({ isExpired }) => isExpired)) {
      if (await rounds.bury(key, nodes, new Set([first.accepted]))) counts.expired++;
    } else if (!isSame) {
      if (await rounds.mend(key, nodes)) counts.settled++;
    } else if (first.live && (isFence || views.some(({ isExpired }) => isExpired))) {
      if (await rounds.expire(key, nodes, first.accepted)) counts.expired++;
    } else if (!first.live && views.length === nodes.length) {
      if (!pool.isEventual || isSettled(key, first.accepted)) await collect(first.accepted);
    }

    /** All copies have had it for long enough. */
    function isSettled(key: Uint8Array, ballot: Ballot): boolean {
      const name = Buffer.from(key).toString('latin1');
      const nowMs = performance.now();
      const known = before.get(name);
      const sinceMs = known?.ballot === ballot ? known.sinceMs : nowMs;
      if (nowMs - sinceMs >= Math.min(SETTLED_MS, ttlMs)) return true;
      if (settling.size < SETTLING_MAX) settling.set(name, { ballot, sinceMs });
      return false;
    }

    /** All N were seen with that ballot and without a value, and are asked as the members that they were then. */
    async function collect(ballot: Ballot): Promise<void> {
      const answers = await askAll({ kind: 'collect', ballot });
      if (answers.every((answer) => answer?.kind === 'collected' && answer.isCollected)) counts.collected++;
    }
  }

  async function askStep(
    node: number,
    record: string | null,
    key: Uint8Array,
    step: Step<Commands, Value>,
  ): Promise<Answer<Replies, Value> | null> {
    const link = links.get(node);
    if (link === undefined || record === null) return null;
    return link.askMember(record, encodeStep(step, key, Buffer.from(record)));
  }
}
