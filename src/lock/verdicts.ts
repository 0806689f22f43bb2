/** What the nodes of a lock say together, of what all of them were asked; decided purely. */
import { bits } from '../replica/copies.js';
import { type FenceRegister, parseRegister } from './fence.js';
import type { ExtendOutcome, Holder, InfoOutcome, ReleaseOutcome, Undecided } from './lock.js';
import type { LockReply, LockView, NotHeld } from './lock-step.js';
import { quorumOf, validityMs } from './redlock.js';

/** The replies to one step, of so many nodes. */
export class Replies {
  readonly copies: number;
  private readonly replies: LockReply[] = [];
  private readonly given: boolean[] = [];
  private out: number;

  constructor(copies: number) {
    this.copies = copies;
    this.out = 2 ** copies - 1;
  }

  add(copy: number, reply: LockReply): void {
    if (this.given[copy] === true) return;
    this.given[copy] = true;
    this.replies.push(reply);
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

  /** What fewer than a majority have said. */
  undecided(mayBeDone: boolean): Undecided {
    if (mayBeDone && this.replies.some((reply) => reply === null || reply.kind === 'done')) return { kind: 'unknown' };
    return { kind: 'no-quorum', error: this.of('unable')[0]?.error ?? null };
  }
}

/** Null: not yet known. */
export function releaseOutcome(replies: Replies): ReleaseOutcome | null {
  const done = replies.of('done').length;
  if (done >= replies.quorum) return { kind: 'released' };
  return failed(replies, done);
}

/** It was asked for at `askedMs`. Null: not yet known. */
export function extendOutcome(replies: Replies, ttlMs: number, askedMs: number, nowMs: number): ExtendOutcome | null {
  const done = replies.of('done').length;
  if (done < replies.quorum) return failed(replies, done);
  const leftMs = validityMs(ttlMs, askedMs, nowMs);
  return leftMs > 0 ? { kind: 'extended', validityMs: leftMs } : { kind: 'unknown' };
}

function failed(replies: Replies, done: number): { kind: 'not-held'; holder: Holder } | Undecided | null {
  const { quorum, copies, outstanding } = replies;
  if (done + outstanding >= quorum) return null;
  const others = replies.of('not-held');
  // No majority can have it.
  if (others.length > copies - quorum) return { kind: 'not-held', holder: holderOf(others) };
  return outstanding > 0 ? null : replies.undecided(true);
}

function holderOf(others: readonly NotHeld[]): Holder {
  const ttlMs = others.some((other) => other.ttlMs < 0) ? -1 : Math.max(0, ...others.map((other) => other.ttlMs));
  return { ttlMs, register: lastOf(others.map(({ register }) => register)) };
}

/** Null: not yet known. */
export function infoOutcome(replies: Replies): InfoOutcome | null {
  const { quorum, outstanding } = replies;
  const views = replies.of('view');
  if (views.length >= quorum) {
    for (const { token } of views) {
      const alike = views.filter((view) => view.token === token);
      if (alike.length < quorum) continue;
      return token === null ? { kind: 'free', last: lastOf(textsOf(views)) } : held(token, alike, views, quorum);
    }
    if (outstanding === 0) return { kind: 'split', last: lastOf(textsOf(views)) };
  }
  return outstanding > 0 ? null : replies.undecided(false);
}

/** For as long as a majority of the nodes says. Who tried in vain may have left a larger fence at a few of them. */
function held(token: string, alike: readonly LockView[], views: readonly LockView[], quorum: number): InfoOutcome {
  const lengths = alike.map(({ ttlMs }) => (ttlMs < 0 ? Number.POSITIVE_INFINITY : ttlMs));
  const ttlMs = lengths.sort((one, other) => other - one)[quorum - 1] as number;
  const register = lastOf(textsOf(views), (theirs) => theirs.token === token);
  return { kind: 'held', holder: { ttlMs: Number.isFinite(ttlMs) ? ttlMs : -1, register } };
}

function textsOf(views: readonly LockView[]): string[] {
  return views.map(({ register }) => register);
}

/** The register with the largest fence, of those that are wanted. */
function lastOf(
  texts: readonly string[],
  isWanted: (register: FenceRegister) => boolean = () => true,
): FenceRegister | null {
  let last: FenceRegister | null = null;
  for (const text of texts) {
    const register = parseRegister(text);
    if (register !== null && isWanted(register) && register.fence > (last?.fence ?? 0)) last = register;
  }
  return last;
}
