/** What the nodes of a lock say together, of what all of them were asked; decided purely. */
import { bits } from '../replica/copies.js';
import { type FenceRegister, parseRegister } from './fence.js';
import type { BreakOutcome, ExtendOutcome, Holder, InfoOutcome, NotHeld, ReleaseOutcome, Undecided } from './lock.js';
import type { HolderView, LockReply, LockView } from './lock-step.js';
import { quorumOf, validityMs } from './redlock.js';
import { type ModeText, parseMode, WHOLE } from './share.js';
import { HOLDERS_TOLD_MAX } from './shares-script.js';

/** The replies to one step, of so many nodes. */
export class Replies {
  readonly copies: number;
  /** By copy. */
  private readonly replies: LockReply[] = [];
  private out: number;

  constructor(copies: number) {
    this.copies = copies;
    this.out = 2 ** copies - 1;
  }

  /** What a node has said first counts, and not what it says to what it is asked for besides. */
  add(copy: number, reply: LockReply): void {
    if (copy in this.replies) return;
    this.replies[copy] = reply;
    this.out &= ~(1 << copy);
  }

  /** Those who have not answered will not. */
  end(): void {
    for (let copy = 0; copy < this.copies; copy++) this.add(copy, null);
  }

  get quorum(): number {
    return quorumOf(this.copies);
  }

  get outstanding(): number {
    return bits(this.out);
  }

  of<K extends string>(kind: K): Extract<LockReply, { kind: K }>[] {
    return this.replies.filter((reply): reply is Extract<LockReply, { kind: K }> => reply?.kind === kind);
  }

  /** Of that copy; null: it has not answered. */
  from(copy: number): LockReply {
    return this.replies[copy] ?? null;
  }

  /** What fewer than a majority have said. */
  undecided(mayBeDone: boolean): Undecided {
    if (mayBeDone && this.replies.some((reply) => reply === null || DONE.has(reply.kind))) return { kind: 'unknown' };
    const quarantines = this.of('quarantined').map(({ leftMs }) => leftMs);
    const quarantinedMs = quarantines.length === 0 ? null : Math.min(...quarantines);
    return { kind: 'no-quorum', quarantinedMs, error: this.of('unable')[0]?.error ?? null };
  }
}

const DONE: ReadonlySet<string> = new Set(['done', 'extended', 'broken']);

/** Null: not yet known. */
export function releaseOutcome(replies: Replies): ReleaseOutcome | null {
  const done = replies.of('done').length;
  if (done >= replies.quorum) return { kind: 'released' };
  return failed(replies, done);
}

/** It was asked for at `askedMs`. Null: not yet known. */
export function extendOutcome(replies: Replies, ttlMs: number, askedMs: number, nowMs: number): ExtendOutcome | null {
  // Who has one slot here and another one there has neither.
  const counts = new Map<string, number>();
  for (const { share } of replies.of('extended')) counts.set(share, (counts.get(share) ?? 0) + 1);
  const extended = Math.max(0, ...counts.values());
  if (extended < replies.quorum) return failed(replies, extended);
  const leftMs = validityMs(ttlMs, askedMs, nowMs);
  return leftMs > 0 ? { kind: 'extended', validityMs: leftMs } : { kind: 'unknown' };
}

function failed(replies: Replies, done: number): NotHeld | Undecided | null {
  const { quorum, copies, outstanding } = replies;
  if (done + outstanding >= quorum) return null;
  const others = replies.of('not-held');
  if (others.length <= copies - quorum) return outstanding > 0 ? null : replies.undecided(true);
  // No majority can have it.
  const ttlMs = others.some((other) => other.ttlMs < 0) ? -1 : Math.max(0, ...others.map((other) => other.ttlMs));
  const registers = registersOf(others.flatMap((other) => other.registers));
  const holders = new Map<number, Holder>();
  for (const { fence, client } of registers) holders.set(fence, { fence, client });
  return { kind: 'not-held', ttlMs, holders: [...holders.values()].slice(0, HOLDERS_TOLD_MAX + 1) };
}

/** Null: not yet known. */
export function breakOutcome(replies: Replies): BreakOutcome | null {
  const { quorum, outstanding } = replies;
  const broken = replies.of('broken');
  if (broken.length < quorum) return outstanding === 0 ? replies.undecided(true) : null;
  const counts = new Map<string, number>();
  for (const { tokens } of broken) for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1);
  const known = [...counts.values()];
  // Of who has it at fewer nodes yet others may know.
  if (known.some((count) => count < quorum && count + outstanding >= quorum)) return null;
  return { kind: 'broken', holders: known.filter((count) => count >= quorum).length };
}

/** Null: not yet known. */
export function infoOutcome(replies: Replies): InfoOutcome | null {
  const { quorum, outstanding } = replies;
  const views = replies.of('view');
  if (views.length < quorum) return outstanding > 0 ? null : replies.undecided(false);
  const candidates = candidatesOf(views);
  const holding = candidates.filter(({ alike }) => alike.length >= quorum);
  const mayBeMore = candidates.some(({ alike }) => alike.length < quorum && alike.length + outstanding >= quorum);
  if (mayBeMore) return null;
  const registers = registersOf(views.map(({ register }) => register));
  const last = registers[0]?.fence ?? null;
  const [first] = holding;
  if (first !== undefined) {
    const holders = holding.map((candidate) => holderOf(candidate, registers, quorum));
    holders.sort((one, other) => (one.fence ?? Number.POSITIVE_INFINITY) - (other.fence ?? Number.POSITIVE_INFINITY));
    const mode = parseMode(first.mode);
    // Who tried in vain may have left a larger one at a few nodes.
    const fence = (mode.kind === 'exclusive' ? holders[0]?.fence : null) ?? last;
    return { kind: 'held', mode, fence, holders };
  }
  if (views.filter(({ mode }) => mode === '').length >= quorum) return { kind: 'free', fence: last };
  return outstanding > 0 ? null : { kind: 'split', fence: last };
}

/** One token with one share, as some of the nodes see it. */
interface Candidate {
  readonly mode: ModeText;
  readonly alike: HolderView[];
}

function candidatesOf(views: readonly LockView[]): Candidate[] {
  const found = new Map<string, Candidate>();
  for (const { mode, holders } of views) {
    for (const holder of holders) {
      const what = `${mode} ${holder.share} ${holder.token}`;
      const candidate = found.get(what);
      if (candidate === undefined) found.set(what, { mode, alike: [holder] });
      else candidate.alike.push(holder);
    }
  }
  return [...found.values()];
}

/** For as long as a majority of the nodes says. */
function holderOf(
  { mode, alike }: Candidate,
  registers: readonly FenceRegister[],
  quorum: number,
): Holder & { ttlMs: number } {
  const lengths = alike.map(({ ttlMs }) => (ttlMs < 0 ? Number.POSITIVE_INFINITY : ttlMs));
  const ttlMs = lengths.sort((one, other) => other - one)[quorum - 1] as number;
  const { token } = alike[0] as HolderView;
  const known: readonly { fence: number; client: string }[] =
    mode === WHOLE ? registers.filter((register) => register.token === token) : latestFirst(alike);
  const { fence = 0, client = null } = known[0] ?? {};
  const isKnown = fence > 0;
  return {
    client: isKnown ? client : null,
    fence: isKnown ? fence : null,
    ttlMs: Number.isFinite(ttlMs) ? ttlMs : -1,
  };
}

/** The latest first. */
function registersOf(texts: readonly string[]): FenceRegister[] {
  return latestFirst(texts.map(parseRegister).filter((register) => register !== null));
}

function latestFirst<T extends { fence: number }>(list: readonly T[]): T[] {
  return list.toSorted((one, other) => other.fence - one.fence);
}
