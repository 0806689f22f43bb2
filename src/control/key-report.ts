/** What `ringleader inspect` shows of one replicated key: its copies, their ballots, and who would answer for it. */
import { counterOf, epochOf, NEVER, proposerOf } from '../replica/ballot.js';
import { metaKey, parseMetaFacts } from '../replica/meta.js';
import { quorumOf } from '../replica/repair.js';
import { isNull, textOf } from '../replica/reply-shape.js';
import { encodeCommand, parseInteger } from '../resp/reply.js';
import type { NodeLink } from './node-link.js';
import { endVisit, visitPool } from './pool-visit.js';
import type { ReplicatedPool } from './replicated-pools.js';

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
  const nodes = pool.placeOf(key)?.nodes ?? null;
  if (nodes === null) return null;
  const visit = await visitPool({ ...pool, nodes: pool.nodes.filter(({ index }) => nodes.includes(index)) });
  try {
    const copies = await Promise.all(nodes.map((node) => readCopy(visit.links.get(node) as NodeLink, key)));
    return [
      `${nodes.length} copies in pool ${pool.name}, ${quorumOf(nodes.length)} decide`,
      ...copies.map(describe),
      verdictOn(copies),
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
  const expiry = live && expireAt > 0 ? `, expires ${new Date(expireAt).toISOString()}` : '';
  const promise = promised > accepted ? `, promised ${showBallot(promised)}` : '';
  return `  ${name}: ${state}${promise}; ${value}${expiry}${trouble === null ? '' : `; DOES NOT COUNT: ${trouble}`}`;
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
