/**
 * What the nodes of a lock say to one command of a drop-in client, and what the client is told of it, decided purely.
 *
 *   votes --equal replies of q nodes--> that reply; what others newly wrote is taken back
 *         --no reply can have q-------> split: all that was newly written is taken back
 *         --too few can answer--------> the same, as too-few
 *
 * A majority of two commands has a node in common, so that two clients that take one lock are not both told that they have it.
 */

import { validityMs } from './redlock.js';

/** What a node said. */
export interface Vote {
  /** One frame, as the node gave it, but for the times in it: see `times`. What is compared. */
  readonly reply: Uint8Array;
  /** Times that keys have left there, as PTTL says them, as far as the reply tells them: no two nodes have the same. */
  readonly times: readonly number[];
  /** Of the command's keys those that were not there before and are now, and what they hold; empty where it wrote none. */
  readonly written: readonly Written[];
  /** Keys of a script that would have been left for longer than may be, or for good. */
  readonly overlong: boolean;
}

export interface Written {
  /** The place of the key among the command's. */
  readonly key: number;
  /** As DUMP makes it; of a client's own value the value. */
  readonly content: Uint8Array;
  readonly ttlMs: number;
}

/** null: no vote will come, or it does not count; undefined: none has come yet. */
export type Votes = readonly (Vote | null | undefined)[];

/** What is taken back on a node: each key, if it still holds that. */
export interface TakeBack {
  readonly copy: number;
  readonly written: readonly Written[];
}

export type Verdict =
  | { kind: 'majority'; reply: Uint8Array; times: readonly number[]; takeBack: readonly TakeBack[] }
  /** A script has set an expiry beyond what may be, or none: what it newly wrote is taken back. */
  | { kind: 'overlong'; takeBack: readonly TakeBack[] }
  /** Enough have answered, and do not agree. */
  | { kind: 'split'; takeBack: readonly TakeBack[] }
  /** Of so many. */
  | { kind: 'too-few'; votes: number; takeBack: readonly TakeBack[] };

export interface Terms {
  /** Copies that must say the same: more than half. */
  readonly quorum: number;
  /** Since it was asked: what was newly written must last for longer, by what clocks may differ by. */
  readonly elapsedMs: number;
  /** What a node that has not answered may be about to write, which cannot be waited for. */
  readonly unsaid: readonly Written[];
  /** Nobody waits any longer: who has not voted does not. */
  readonly isOver: boolean;
}

/** Null while it depends on votes that have not come. */
export function decide(votes: Votes, terms: Terms): Verdict | null {
  const { quorum, isOver } = terms;
  const groups = groupsOf(votes);
  const largest = groups.reduce<Vote[]>((best, group) => (group.length > best.length ? group : best), []);
  const open = isOver ? 0 : votes.filter((vote) => vote === undefined).length;
  if (largest.length >= quorum) {
    // Of the first to answer one may not have heard yet that the time was extended, and tell the shorter one.
    if (open > 0 && (largest[0] as Vote).times.length > 0) return null;
    if (largest.some(({ overlong }) => overlong)) return { kind: 'overlong', takeBack: takenBack(votes, null, terms) };
    if (!isInTime(largest, terms)) return { kind: 'split', takeBack: takenBack(votes, null, terms) };
    const [{ reply }] = largest as [Vote];
    return {
      kind: 'majority',
      reply,
      times: remaining(largest, quorum),
      takeBack: takenBack(votes, largest, terms),
    };
  }
  if (largest.length + open >= quorum) return null;
  const count = votes.filter((vote) => vote !== null && vote !== undefined).length;
  const takeBack = takenBack(votes, null, terms);
  return count >= quorum ? { kind: 'split', takeBack } : { kind: 'too-few', votes: count, takeBack };
}

/** Those that say the same of the same. */
function groupsOf(votes: Votes): Vote[][] {
  const groups: Vote[][] = [];
  for (const vote of votes) {
    if (vote === null || vote === undefined) continue;
    const group = groups.find(([first]) => Buffer.compare((first as Vote).reply, vote.reply) === 0);
    if (group === undefined) groups.push([vote]);
    else group.push(vote);
  }
  return groups;
}

/** So long q nodes say what they say now: what the q-th largest of them says. A node whose value never expires outlasts all others. */
function remaining(group: readonly Vote[], quorum: number): number[] {
  const order = (ms: number) => (ms === FOR_GOOD ? Number.POSITIVE_INFINITY : ms);
  return (group[0] as Vote).times.map((_, place) => {
    const times = group.map(({ times }) => times[place] as number).sort((one, other) => order(other) - order(one));
    return times[quorum - 1] as number;
  });
}

/** PTTL of what does not expire. */
const FOR_GOOD = -1;

/** Whether what they have newly written is still there when the client hears of it, as far as clocks go alike. */
function isInTime(group: readonly Vote[], { elapsedMs }: Terms): boolean {
  return group.every(({ written }) =>
    written.every(({ ttlMs }) => ttlMs === FOR_GOOD || validityMs(ttlMs, 0, elapsedMs) > 0),
  );
}

/** What does not belong to the outcome. `kept`: whose words are the outcome, null for none. */
function takenBack(votes: Votes, kept: readonly Vote[] | null, { unsaid }: Terms): TakeBack[] {
  // A node that has not answered writes what others have written, if anything; nothing is known of it otherwise.
  const others = votes.flatMap((vote) =>
    vote === null || vote === undefined || vote.written.length === 0 ? [] : [vote],
  );
  const expected = unsaid.length > 0 ? unsaid : (others[0]?.written ?? []);
  const wrote = kept?.some(({ written }) => written.length > 0) === true;
  return votes.flatMap((vote, copy): TakeBack[] => {
    if (vote === null) return [];
    if (vote === undefined) return wrote || expected.length === 0 ? [] : [{ copy, written: expected }];
    return kept?.includes(vote) === true || vote.written.length === 0 ? [] : [{ copy, written: vote.written }];
  });
}
