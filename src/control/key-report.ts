/** What `ringleader inspect` shows of one replicated key: its copies, their ballots, and who would answer for it. */

import type { LevelSnapshot } from '../messages.js';
import { counterOf, epochOf, NEVER, proposerOf } from '../replica/ballot.js';
import { metaKey, momentText, parseMetaFacts } from '../replica/meta.js';
import { quorumOf } from '../replica/repair.js';
import { isNull, textOf } from '../replica/reply-shape.js';
import { timeOf } from '../replica/version-clock.js';
import { encodeCommand, parseInteger } from '../resp/reply.js';
import { describeLevel } from '../routing/levels.js';
import type { NodeLink } from './node-link.js';
import { endVisit, visitPool } from './pool-visit.js';
import type { ReplicatedPool } from './replicated-pools.js';

/** Of JavaScript, in the year 275760. */
const DATES_END_MS = 8.64e15;

interface Copy {
  name: string;
  /** Why it does not count; null: it does. */
  trouble: string | null;
  promised: string;
  accepted: string;
  live: boolean;
  expireAt: number;
  hasValue: boolean;
}

/** Null: the key is not replicated, or not in this pool. */
export async function reportKey(pool: ReplicatedPool, key: Uint8Array): Promise<string | null> {
  const place = pool.placeOf(key);
  if (place === null) return null;
  const { nodes, level } = place;
  const visit = await visitPool({ ...pool, nodes: pool.nodes.filter(({ index }) => nodes.includes(index)) });
  try {
    const copies = await Promise.all(nodes.map((node) => readCopy(visit.links.get(node) as NodeLink, key)));
    return [
      `${nodes.length} copies in pool ${pool.name}, ${whoDecides(nodes.length, level)}`,
      ...copies.map(describe),
      level.consistency === 'strong' ? verdictOn(copies) : verdictByVersion(copies, level),
    ].join('\n');
  } finally {
    endVisit(visit);
  }
}

async function readCopy(link: NodeLink, key: Uint8Array): Promise<Copy> {
  const { name } = link.node;
  const frames = Buffer.concat([encodeCommand(['GET', metaKey(key)]), encodeCommand(['EXISTS', key])]);
  const replies = await link.ask({ frames, replyCount: 2, decode: (both) => both });
  const none = { name, promised: NEVER, accepted: NEVER, live: false, expireAt: 0, hasValue: false };
  if (replies === null) return { ...none, trouble: link.trouble ?? 'it did not answer' };
  const standing = link.standing;
  const trouble = standing?.kind === 'member' ? null : (standing?.reason ?? 'it is not known as a member');
  const [meta, exists] = replies as [Uint8Array, Uint8Array];
  const hasValue = parseInteger(exists, 0, exists.length) === 1;
  if (isNull(meta)) return { ...none, trouble, hasValue };
  const text = textOf(meta);
  return { ...parseMetaFacts(text), name, trouble, promised: text.slice(0, NEVER.length), hasValue };
}

function describe({ name, trouble, promised, accepted, live, expireAt, hasValue }: Copy): string {
  const state = accepted === NEVER ? 'never written' : `accepted ${showBallot(accepted)}`;
  const value = live
    ? hasValue
      ? 'has a value'
      : 'expired'
    : hasValue
      ? 'HAS A VALUE THAT NO PROXY WROTE'
      : 'no value';
  const expiry = live && expireAt > 0 ? `, expires ${showMoment(expireAt)}` : '';
  const promise = promised > accepted ? `, promised ${showBallot(promised)}` : '';
  return `  ${name}: ${state}${promise}; ${value}${expiry}${trouble === null ? '' : `; DOES NOT COUNT: ${trouble}`}`;
}

/** A date, or milliseconds since 1970 where dates have ended. */
function showMoment(ms: number): string {
  return ms <= DATES_END_MS ? new Date(ms).toISOString() : `${momentText(ms)} ms after 1970 began`;
}

/** epoch.counter.proposer */
function showBallot(ballot: string): string {
  return `${epochOf(ballot)}.${counterOf(ballot)}.${BigInt(proposerOf(ballot))}`;
}

function verdictOn(copies: readonly Copy[]): string {
  const counting = copies.filter(({ trouble }) => trouble === null);
  const quorum = quorumOf(copies.length);
  if (counting.length < quorum) return `too few count: -NOQUORUM`;
  for (const { accepted, live, hasValue } of counting) {
    const same = counting.filter(
      (copy) => copy.accepted === accepted && copy.live === live && copy.hasValue === hasValue,
    );
    const isExpired = live && !hasValue;
    if (same.length >= quorum && !isExpired) {
      return `answered in one round trip by ${same.map(({ name }) => name).join(', ')}`;
    }
  }
  return 'answered after a round that makes the largest state chosen first';
}

function whoDecides(copies: number, level: LevelSnapshot): string {
  return level.consistency === 'strong' ? `${quorumOf(copies)} decide` : describeLevel(level);
}

/** Of a key that has versions. */
function verdictByVersion(copies: readonly Copy[], { consistency, reads, writes }: LevelSnapshot): string {
  const counting = copies.filter(({ trouble }) => trouble === null);
  const newest = counting.reduce((newest, { accepted }) => (accepted > newest ? accepted : newest), NEVER);
  const holders = counting.filter(({ accepted }) => accepted === newest);
  if (counting.length < reads) return 'too few count: -NOQUORUM';
  const names = holders.map(({ name }) => name).join(', ');
  const written = newest === NEVER ? '' : `, of ${new Date(timeOf(newest)).toISOString()} by the clock of who wrote it`;
  if (holders.length === counting.length) return `all that count have the same version${written}`;
  if (consistency === 'eventual')
    return `the newest version${written}, is at ${names} alone: the others are given it, and until then a read tells what the copy has that it asks`;
  if (consistency === 'weak')
    return `the newest version${written}, is at ${names} alone: a read tells what the copy has that it asks`;
  if (holders.length >= writes) return `the newest version${written}, is at ${names}: enough for every read to see it`;
  return `the newest version${written}, is at ${names} alone: a read that asks there gives it to others`;
}
