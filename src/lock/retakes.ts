/**
 * Where a lock that was just extended is taken again: at nodes that lacked it when they were asked, as they were away when it was taken, or have come
 * back with nothing since; or that have another slot of it, which was tried first, as others had this one there. Decided purely.
 *
 *   extended by a majority ──> each of the others that says it is free, or has another slot, is asked to take it, within the validity of that
 *                              extension
 *
 * Without that a lock dies with the nodes that it was taken at, one after the other, however long lies between. It is never counted in that extension:
 * what was lost is not to be held again under its old fence. So the moment at which a node takes it is one at which a majority holds it, by the
 * clocks that validity reckons with; nobody else has been granted it since, then. Who waits for the answer knows nothing of all this.
 *
 * A lock that is released, or broken, while that is under way stays at a minority for a ttl.
 */
import type { Hold, LockReply, LockStep } from './lock-step.js';
import { clocksApart, validityMs } from './redlock.js';
import { type Share, WHOLE } from './share.js';
import type { Replies } from './verdicts.js';

type Retake = Extract<LockStep, { kind: 'retake' }>;

export class Retakes {
  private readonly token: string;
  private readonly ttlMs: number;
  private readonly askedMs: number;
  /** Copies that were asked: each is once. */
  private sent = 0;

  /** Of an extension that was asked for at `askedMs`. */
  constructor(token: string, ttlMs: number, askedMs: number) {
    this.token = token;
    this.ttlMs = ttlMs;
    this.askedMs = askedMs;
  }

  /** Which copies are to be asked now, as those replies to the extension are there. */
  next(replies: Replies, nowMs: number): { copy: number; step: Retake }[] {
    const { token, ttlMs, askedMs } = this;
    const held = heldBy(replies);
    const leftMs = validityMs(ttlMs, askedMs, nowMs);
    if (held === null || leftMs <= 0) return [];
    const { share, hold } = held;
    const retakes: { copy: number; step: Retake }[] = [];
    for (let copy = 0; copy < replies.copies; copy++) {
      const fromMs = lacksAtMs(replies.from(copy), share);
      if (fromMs === null || (this.sent & (1 << copy)) !== 0) continue;
      this.sent |= 1 << copy;
      // It said so after it was asked: by its clock no more time goes by than is left by this one.
      const untilMs = fromMs + leftMs - clocksApart(leftMs);
      retakes.push({ copy, step: { kind: 'retake', token, ttlMs, share, hold, fromMs, untilMs } });
    }
    return retakes;
  }
}

/** When the node said that the token does not have that share there, and may have it, by its own clock; null: it has not. */
function lacksAtMs(reply: LockReply, share: Share): number | null {
  if (reply?.kind === 'extended') return reply.share === share ? null : reply.nowMs;
  // Of a lock that several hold that share may be free; the node knows.
  return reply?.kind === 'not-held' && (share !== WHOLE || reply.ttlMs === 0) ? reply.nowMs : null;
}

/** What a majority has extended; null: none has, or it is not known how it is held. */
function heldBy(replies: Replies): { share: Share; hold: Hold } | null {
  const extended = replies.of('extended');
  for (const { share } of extended) {
    const alike = extended.filter((other) => other.share === share);
    if (alike.length < replies.quorum) continue;
    let last: Hold | null = null;
    for (const { hold } of alike) {
      // One that was not confirmed at that node has no fence there.
      if (hold !== null && hold.fence > 0 && (last === null || isLater(hold, last))) last = hold;
    }
    return last === null ? null : { share, hold: last };
  }
  return null;
}

function isLater(one: Hold, other: Hold): boolean {
  return one.fence > other.fence || (one.fence === other.fence && one.ballot > other.ballot);
}
