/**
 * One attempt to take a lock, decided purely (Redlock, redis.io/docs/latest/develop/use/patterns/distributed-locks, with the fences of
 * DESIGN §10): messages and times in, actions out.
 *
 *   acquiring --q votes--> confirming --q have it--> granted
 *       │ └── held, or too few answer ──> taken back: held | contended | no-quorum
 *       └──<── refused for a larger ballot, by either, or another slot may be free: all of it anew, with a ballot above it,
 *              of shares after a pause
 *
 * A vote is a node that the lock was free at, or the share of it that is wanted (see share), and that has promised the ballot for the
 * register of fences. The fence is larger than that of the largest ballot among q votes, and is written by a majority of nodes where the
 * lock is the caller's still: whoever gets a majority after that finds it. So fences are ordered as acquisitions are, whatever the clocks
 * do. No fence is below its ballot's counter, which is a time: so they go on from there where all nodes have lost their registers, too,
 * unless clocks went back. What was taken is held for the ttl from when it was *asked for*, less what clocks may differ by.
 */
import { type Ballot, counterOf, floorOf, largest, NEVER } from '../replica/ballot.js';
import { bits } from '../replica/copies.js';
import { lineageOn } from '../replica/lineage.js';
import { formatRegister, parseRegister } from './fence.js';
import type { LockMode, NoQuorum } from './lock.js';
import type { Held, LockReply, LockStep, Vote } from './lock-step.js';
import { modeTextOf, READER, type Share, WHOLE } from './share.js';
import { areAllHeld, nextSlot, withFree } from './slots.js';

export interface AcquisitionPlan {
  /** Nodes of the lock: at most 30. */
  readonly copies: number;
  readonly ttlMs: number;
  /** A character a byte. */
  readonly token: string;
  /** See FenceRegister. */
  readonly client: string;
  readonly mode: LockMode;
  /** Of a counted lock: which slot is tried first. */
  readonly slot: number;
  /** See LockStep. */
  readonly waits: boolean;
  readonly mark: string;
  /** For how long nodes are waited for. */
  readonly timeoutMs: number;
  /** Whether somebody waits for it still: for nobody no further ballot is used, which might free what the token has got elsewhere since. */
  isWanted(): boolean;
  /** One that was never used, above all that were seen. */
  freshBallot(): Ballot;
  /** A node has promised that, and takes none of an epoch below that floor. */
  onSeen(promised: Ballot, epochFloor: number): void;
  /** From 0 to 1. */
  random(): number;
}

export type AcquisitionOutcome =
  /** `validityMs`: from now on; `ballot`: what it is taken back by. */
  | { kind: 'granted'; share: Share; fence: number; validityMs: number; ballot: Ballot }
  /** By a majority of nodes, of a counted lock all of its slots, for so long as far as they say; Infinity: for good. */
  | { kind: 'held'; ttlMs: number }
  /** Others want it at the same time, and nobody may have got it. */
  | { kind: 'contended' }
  | NoQuorum
  /** It took longer than it would have been held for. */
  | { kind: 'late' };

export type LockAction =
  /** Of the copies in that set (bit i: copy i). */
  | { kind: 'ask'; copies: number; tag: number; step: LockStep }
  /** Nothing until `dueMs`. */
  | { kind: 'wait' }
  | { kind: 'end'; outcome: AcquisitionOutcome };

/** What clocks may differ by: a hundredth of the time, and what a node rounds. */
const DRIFT = 0.01;
const DRIFT_MS = 2;
/** Each takes a round trip: where others have used larger ones, or the slot was taken. */
const BALLOTS_MAX = 8;
/** Who was barred by others who take a share at the same moment leaves them a random part of twice the time that the ballot took; doubled so often. */
const PAUSE_DOUBLINGS_MAX = 3;

export function quorumOf(copies: number): number {
  return (copies >> 1) + 1;
}

/** What clocks may differ by over that time. */
export function clocksApart(ms: number): number {
  return Math.ceil(ms * DRIFT + DRIFT_MS);
}

/** For how long, from `nowMs` on, something is held that was asked for at `askedMs` for `ttlMs`. */
export function validityMs(ttlMs: number, askedMs: number, nowMs: number): number {
  return Math.floor(ttlMs - (nowMs - askedMs) - ttlMs * DRIFT - DRIFT_MS);
}

export class Acquisition {
  /** When `onTime` is to be called. */
  dueMs = Number.POSITIVE_INFINITY;
  private readonly plan: AcquisitionPlan;
  private readonly all: number;
  private phase: 'acquiring' | 'confirming' | 'pausing' | 'over' = 'acquiring';
  private ballot: Ballot = NEVER;
  private ballots = 0;
  /** Ballots that were refused for larger ones. */
  private refusals = 0;
  private share: Share;
  private fence = 0;
  /** When the ballot's votes were asked for. */
  private askedMs = 0;
  // Of the phase; copies are bits:
  private tag = 0;
  private out = 0;
  private yes = 0;
  private refused = 0;
  private readonly votes: Vote[] = [];
  private readonly heldMs: number[] = [];
  /** Of nodes that leave a slot: when the first of those that others have is free. */
  private readonly slotsMs: number[] = [];
  /** Whose `takenSlots` count in this ballot. */
  private told = 0;
  private readonly ownSlots: Share[] = [];
  private quarantinedMs: number | null = null;
  private error: Uint8Array | null = null;
  /** Those that may have the lock by this. */
  private takers = 0;
  /** Those that do not: they are not asked to confirm. */
  private others = 0;
  /**
   * By copy, which slots others have (see Held), as it said last. It is remembered beyond the ballot: who votes says nothing of the other slots, and
   * would seem to have each of them free by turns.
   */
  private readonly takenSlots: (string | undefined)[] = [];

  constructor(plan: AcquisitionPlan) {
    this.plan = plan;
    this.all = 2 ** plan.copies - 1;
    this.share = firstShareOf(plan);
  }

  begin(nowMs: number): LockAction[] {
    const { plan, all } = this;
    this.ballot = plan.freshBallot();
    this.ballots++;
    this.askedMs = nowMs;
    this.votes.length = 0;
    this.quarantinedMs = null;
    this.takers = all;
    this.others = 0;
    return [this.enter('acquiring', all, nowMs, this.acquireStep())];
  }

  private acquireStep(): LockStep {
    const { plan, ballot, share, ballots } = this;
    const { token, ttlMs, mode, waits } = plan;
    if (mode.kind === 'exclusive') return { kind: 'acquire', ballot, token, ttlMs, waits };
    // Where the token has another slot already, that is asked for first: it may be that a majority has it there.
    return { kind: 'acquire-share', ballot, token, ttlMs, mode: modeTextOf(mode), share, mayMove: ballots > 1, waits };
  }

  /** `tag`: that of the step. */
  onAnswer(copy: number, tag: number, reply: LockReply, nowMs: number): LockAction[] {
    const bit = 1 << copy;
    if (this.phase === 'over' || tag !== this.tag || (this.out & bit) === 0) return [];
    this.out &= ~bit;
    this.note(copy, bit, reply);
    return this.decide(nowMs);
  }

  onTime(nowMs: number): LockAction[] {
    if (this.phase === 'over' || nowMs < this.dueMs) return [];
    if (this.phase === 'pausing') return this.plan.isWanted() ? this.begin(nowMs) : this.cancel();
    this.out = 0;
    return this.decide(nowMs);
  }

  /** Nobody wants it any more. */
  cancel(): LockAction[] {
    if (this.phase === 'over') return [];
    return this.giveUp({ kind: 'contended' });
  }

  private note(copy: number, bit: number, reply: LockReply): void {
    const { plan } = this;
    switch (reply?.kind) {
      case 'vote':
        this.votes.push(reply);
        this.yes |= bit;
        this.recall(copy, bit, this.share);
        plan.onSeen(reply.accepted, reply.epochFloor);
        return;
      case 'done':
        this.yes |= bit;
        return;
      case 'refused':
        this.refused |= bit;
        this.recall(copy, bit, null);
        plan.onSeen(reply.promised, reply.epochFloor);
        return;
      case 'held':
        this.takenSlots[copy] = reply.taken === '' ? undefined : reply.taken;
        if (reply.taken !== '') this.told |= bit;
        (leavesSlot(reply) ? this.slotsMs : this.heldMs).push(reply.ttlMs < 0 ? Number.POSITIVE_INFINITY : reply.ttlMs);
        this.hasNot(bit);
        return;
      case 'elsewhere':
        this.ownSlots.push(reply.share);
        this.hasNot(bit);
        return;
      case 'quarantined':
        this.quarantinedMs = Math.min(this.quarantinedMs ?? reply.leftMs, reply.leftMs);
        this.hasNot(bit);
        return;
      case 'lost':
        this.heldMs.push(0);
        return;
      case 'unsent':
      case 'not-member':
        if (this.phase === 'acquiring') this.hasNot(bit);
        return;
      case 'unable':
        this.error = reply.error;
        return;
    }
  }

  /** What that node has said of slots counts on, but for votes; and `free` is free there. */
  private recall(copy: number, bit: number, free: Share | null): void {
    const taken = this.takenSlots[copy];
    if (taken === undefined) return;
    this.told |= bit;
    this.takenSlots[copy] = withFree(taken, free === null ? null : Number(free));
  }

  /** By those whose word counts in this ballot. */
  private toldSlots(): string[] {
    return this.takenSlots.filter((taken, copy) => taken !== undefined && (this.told & (1 << copy)) !== 0) as string[];
  }

  private hasNot(bit: number): void {
    this.others |= bit;
    // With an earlier ballot it may have got it.
    if (this.ballots === 1) this.takers &= ~bit;
  }

  private decide(nowMs: number): LockAction[] {
    const quorum = quorumOf(this.plan.copies);
    const yes = bits(this.yes);
    if (yes >= quorum) return this.phase === 'acquiring' ? this.confirm(nowMs) : this.grant(nowMs);
    const out = bits(this.out);
    if (yes + out >= quorum) return [];
    const open = yes + out + bits(this.refused);
    const slot = this.otherSlot(quorum);
    if (slot !== null && this.plan.isWanted()) {
      this.share = `${slot}`;
      return this.begin(nowMs);
    }
    const mayRefuse = open >= quorum && this.ballots < BALLOTS_MAX;
    if (mayRefuse && out > 0) return [];
    if (mayRefuse && this.plan.isWanted()) return this.onRefused(nowMs);
    return this.giveUp(this.failure(quorum));
  }

  /**
   * Of who wants all of it the ballot was too small, and others have been done. Where several get a share at the same moment each bars the other
   * ones again and again, unless they leave each other time.
   */
  private onRefused(nowMs: number): LockAction[] {
    const { plan, phase } = this;
    const isFirst = this.refusals++ === 0 && phase === 'acquiring';
    if (isFirst || plan.mode.kind === 'exclusive') return this.begin(nowMs);
    this.phase = 'pausing';
    this.tag++;
    const times = 2 ** Math.min(this.refusals, PAUSE_DOUBLINGS_MAX);
    this.dueMs = nowMs + plan.random() * times * (nowMs - this.askedMs);
    return [{ kind: 'wait' }];
  }

  /** Where nodes have said which slots others have, or which the token has: the one to be tried next; null: there is none. */
  private otherSlot(quorum: number): number | null {
    const { plan, ownSlots: own } = this;
    const taken = this.toldSlots();
    if (plan.mode.kind !== 'limit' || taken.length + own.length === 0 || this.ballots >= BALLOTS_MAX) return null;
    const unknown = bits((this.yes | this.out | this.refused) & ~this.told);
    return nextSlot(plan.mode.max, { taken, own, unknown }, quorum, plan.random());
  }

  private confirm(nowMs: number): LockAction[] {
    const { plan, votes, ballot, share, all, others } = this;
    let base = votes[0] as Vote;
    let horizon = NEVER;
    for (const vote of votes) {
      if (vote.accepted > base.accepted) base = vote;
      if (vote.accepted === NEVER) horizon = largest(horizon, largest(vote.collected, floorOf(vote.epochFloor)));
    }
    this.fence = Math.max((parseRegister(base.register)?.fence ?? 0) + 1, counterOf(ballot));
    const { token, client } = plan;
    const register = formatRegister({ fence: this.fence, client, token });
    const lineage = lineageOn(base, ballot, horizon);
    return [
      this.enter('confirming', all & ~others, nowMs, {
        kind: 'confirm',
        ballot,
        token,
        share,
        lineage,
        register,
      }),
    ];
  }

  private grant(nowMs: number): LockAction[] {
    const { share, fence, ballot } = this;
    const leftMs = validityMs(this.plan.ttlMs, this.askedMs, nowMs);
    if (leftMs <= 0) return this.giveUp({ kind: 'late' });
    return this.end({ kind: 'granted', share, fence, validityMs: leftMs, ballot });
  }

  private failure(quorum: number): AcquisitionOutcome {
    const { phase, yes, out, refused, heldMs, slotsMs, quarantinedMs, error } = this;
    if (phase === 'acquiring' && heldMs.length >= quorum) {
      // As soon as so many more are free, there may be enough: who has not answered yet may be free as well.
      const lacking = Math.max(1, quorum - bits(yes) - bits(out));
      const ttlMs = heldMs.toSorted((one, other) => one - other)[lacking - 1] as number;
      return { kind: 'held', ttlMs };
    }
    if (phase === 'acquiring' && this.areSlotsHeld(quorum))
      return { kind: 'held', ttlMs: Math.min(...heldMs, ...slotsMs) };
    if (heldMs.length > 0 || slotsMs.length > 0 || refused !== 0) return { kind: 'contended' };
    return { kind: 'no-quorum', quarantinedMs, error };
  }

  /** Whether others have all slots, though of each node's some are free. */
  private areSlotsHeld(quorum: number): boolean {
    const { mode, copies } = this.plan;
    const told = this.toldSlots();
    return mode.kind === 'limit' && told.length >= quorum && areAllHeld(mode.max, told, copies - told.length, quorum);
  }

  /** What was got is given back. */
  private giveUp(outcome: AcquisitionOutcome): LockAction[] {
    const { takers: copies, ballot } = this;
    const { token, mark } = this.plan;
    const end = this.end(outcome);
    if (copies === 0) return end;
    this.tag++;
    return [{ kind: 'ask', copies, tag: this.tag, step: { kind: 'take-back', ballot, token, fence: 0, mark } }, ...end];
  }

  private end(outcome: AcquisitionOutcome): LockAction[] {
    this.phase = 'over';
    this.dueMs = Number.POSITIVE_INFINITY;
    return [{ kind: 'end', outcome }];
  }

  private enter(phase: 'acquiring' | 'confirming', copies: number, nowMs: number, step: LockStep): LockAction {
    this.phase = phase;
    this.tag++;
    this.out = copies;
    this.heldMs.length = 0;
    this.slotsMs.length = 0;
    this.told = 0;
    this.ownSlots.length = 0;
    this.yes = 0;
    this.refused = 0;
    this.dueMs = nowMs + this.plan.timeoutMs;
    return { kind: 'ask', copies, tag: this.tag, step };
  }
}

function firstShareOf({ mode, slot }: AcquisitionPlan): Share {
  switch (mode.kind) {
    case 'exclusive':
      return WHOLE;
    case 'shared':
      return READER;
    case 'limit':
      return `${slot}`;
  }
}

/** Whether there is one that nobody has at that node. */
function leavesSlot({ taken }: Held): boolean {
  return taken.includes('0');
}
