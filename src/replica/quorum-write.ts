/**
 * One state of a key of consistency quorum, or weak, which W of its copies are to take: of a put, or what one copy has made of a change.
 *
 *   spreading ──W took it──────────────────────────> done
 *     ^  │  └── too many have a larger version ──> spreading, under one above it
 *     │  └───── too many gave no answer ──┐
 *     └── those once more, under the same ┘           what may be anywhere when time is up is unknown
 *
 * Of a weak key one takes it, its home: another one in its place only where that cannot, or is silent. Who reads there sees the write.
 *
 * A copy that is silent is not waited for where others may do without it: those that gave no answer are asked again meanwhile, and where one has refused
 * there is a larger version for all.
 *
 * Who refuses has a larger version, and does not count: as 2W > N, two writes that were acknowledged have met in one copy, so that the
 * later of them has the larger version, whatever clocks say.
 *
 * Of consistency eventual W is 1, and a copy that refuses has something newer, or misses the write: it has promised somebody more, or sees that the
 * write has expired. If it takes no versions of that epoch any more the write is begun again in its epoch, unless it was acknowledged by another
 * one: by then something newer may have been, which it would overtake.
 */
import { type Ballot, epochOf, inEpoch, NEVER } from './ballot.js';
import { bits } from './copies.js';
import { NO_LINEAGE } from './lineage.js';
import type { BaseFacts, Operation } from './operation.js';
import { givingStep, homeOf, pauseMs, type QuorumAsker, type QuorumContext, type QuorumJob } from './quorum-context.js';
import type { Outcome } from './round.js';
import { type AcceptAnswer, ANY, type Answer, type KeyState, type Refusal, type Step } from './step.js';

/** Makes the step that has a copy take the state under a version. */
export interface Written<C, R, V> {
  step(version: Ballot, isOwnExpired: boolean): Step<C, V>;
  /** The client's. `replies`: of the copies that took it, or null where none has come. Null: then nobody knows it. */
  reply(replies: R | null): R | null;
}

/** Tries under a larger version that are made at once. */
const AT_ONCE_MAX = 2;

type Phase = 'spreading' | 'paused' | 'finished';

export class QuorumWrite<C, R, V> implements QuorumAsker<R, V> {
  readonly key: string;
  readonly nodes: readonly number[];
  dueMs: number;
  place = -1;
  private readonly job: QuorumJob<R>;
  private readonly context: QuorumContext<C, R, V>;
  private readonly written: Written<C, R, V>;
  private readonly all: number;
  private phase: Phase = 'spreading';
  /** The tag of its steps: answers with another one are to a smaller version. */
  private tries = 0;
  private version: Ballot = NEVER;
  private step: Step<C, V> | null = null;
  private isOwnExpired = false;
  private replies: R | null = null;
  private error: Uint8Array | null = null;
  /** Steps of which nobody has said that they were not carried out and never will be. */
  private open = 0;
  private pauses = 0;
  /** The copy (bit i: copy i) that has to take it, unless it cannot or is silent; 0 for none. */
  private home = 0;
  private isAcknowledged = false;

  // Of this version; copies are bits, bit i for copy i: those that have not answered, that took it, that have a larger one, that could
  // not (rule W8), and that gave no answer.
  private out = 0;
  private taken = 0;
  private refused = 0;
  /** Of consistency eventual, and of those that refused: they have something older, for they have promised somebody more, or see that it has expired. */
  private passedOver = 0;
  private unable = 0;
  private silent = 0;

  constructor(job: QuorumJob<R>, written: Written<C, R, V>, context: QuorumContext<C, R, V>) {
    this.job = job;
    this.key = job.key;
    this.nodes = job.nodes;
    this.written = written;
    this.context = context;
    this.all = (1 << job.nodes.length) - 1;
    this.dueMs = job.times.deadlineMs;
  }

  begin(): void {
    const { context, nodes } = this;
    if (this.reachable() < context.writes) {
      this.finish({ kind: 'no-quorum' });
      return;
    }
    if (context.isHomed) this.home = 1 << homeOf(nodes, 0, nodes.length, context);
    this.renew();
    this.dueMs = this.patientUntilMs();
  }

  /** One copy has made the state under that version already. */
  beginAt(version: Ballot, copy: number): void {
    this.version = version;
    this.step = this.written.step(version, false);
    this.taken = 1 << copy;
    this.open = 1;
    this.dueMs = this.patientUntilMs();
    this.spread(this.all & ~this.taken);
    this.resume();
  }

  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void {
    const bit = 1 << copy;
    const isDenied = this.note(answer as AcceptAnswer<R> | null);
    if (isDenied) this.open--;
    if (tag !== this.tries) return;
    if (answer?.kind === 'refused' && this.phase !== 'finished' && this.isPassed(answer)) {
      this.raise(answer.epochFloor);
      return;
    }
    this.out &= ~bit;
    this.silent &= ~bit;
    const kind = answer?.kind;
    if (kind === 'ok' || kind === 'already') this.taken |= bit;
    else if (kind === 'refused' || kind === 'expired') this.refuse(bit, answer as Refusal | { kind: 'expired' });
    else {
      if (kind === 'unable') this.unable |= bit;
      else this.silent |= bit;
      this.home &= ~bit;
    }
    if (this.phase === 'spreading') this.resume();
    else if (this.phase === 'finished' && (this.missed & bit) !== 0) this.lag(bit);
  }

  onTime(): void {
    const { now } = this.context;
    if (now() >= this.job.times.deadlineMs) {
      this.giveUp('too few of its nodes have answered in time');
    } else if (this.phase === 'paused') {
      this.phase = 'spreading';
      const isRefused = this.context.isHomed && this.refused !== 0;
      if (!isRefused && this.mayBeTaken(this.silent)) this.spread(this.silent);
      else this.renew();
      this.dueMs = this.patientUntilMs();
    } else {
      if (this.home !== 0) this.context.count('impatient');
      this.home = 0;
      this.dueMs = this.patientUntilMs();
      if (this.refused !== 0) {
        this.silent |= this.out;
        this.out = 0;
      } else {
        this.spread(this.silent);
      }
      this.resume();
    }
  }

  /** Until when copies are waited for, where others can stand in for them. */
  private patientUntilMs(): number {
    const { deadlineMs, patienceMs } = this.job.times;
    return Math.min(deadlineMs, this.context.now() + patienceMs);
  }

  /** Whether it says that the step was not carried out. */
  private note(answer: AcceptAnswer<R> | null): boolean {
    switch (answer?.kind) {
      case undefined:
        return false;
      case 'ok':
        if (answer.replies !== null)
          this.replies = this.replies === null ? answer.replies : this.context.fuller(this.replies, answer.replies);
        return false;
      case 'already':
        return false;
      case 'refused':
        this.context.versions.onSeen(answer.promised, answer.epochFloor);
        return true;
      case 'expired':
        this.isOwnExpired = true;
        return true;
      case 'unable':
        this.error = answer.error;
        return true;
      default:
        return true;
    }
  }

  private resume(): void {
    const { writes } = this.context;
    if (this.mayBeTaken(0)) {
      const reply = this.written.reply(this.replies);
      if (reply === null) this.finish({ kind: 'unknown', why: 'it was, but its reply was lost' });
      else this.finish({ kind: 'done', reply, ballot: this.version });
      this.isAcknowledged = true;
      this.lag(this.missed);
    } else if (this.mayBeTaken(this.out)) {
      return;
    } else if (this.refused !== 0 && this.mayBeTaken(this.out | this.refused)) {
      this.context.count('refused');
      if (this.tries <= AT_ONCE_MAX) this.renew();
      else this.pause();
    } else if (this.mayBeTaken(this.out | this.refused | this.silent) && this.reachable() >= writes) {
      this.pause();
    } else if (this.out === 0 || this.open > bits(this.out)) {
      this.giveUp('too few of its nodes have answered');
    }
    // Else nobody has it so far: those that are left say whether it had no effect.
  }

  /** Whether W copies would have it, and the home, if these took it. */
  private mayBeTaken(copies: number): boolean {
    const taken = this.taken | copies;
    return bits(taken) >= this.context.writes && (this.home & ~taken) === 0;
  }

  /** Under a version above all that were seen. */
  private renew(): void {
    this.beginTry(this.context.versions.next());
  }

  /** Nobody was told of it yet: all that was acknowledged before it began is older. */
  private raise(epoch: number): void {
    this.context.count('refused');
    if (this.phase === 'paused') this.phase = 'spreading';
    this.beginTry(inEpoch(this.version, epoch));
  }

  private beginTry(version: Ballot): void {
    this.tries++;
    this.version = version;
    this.step = this.written.step(this.version, this.isOwnExpired);
    this.taken = 0;
    this.refused = 0;
    this.passedOver = 0;
    this.unable = 0;
    this.silent = 0;
    this.spread(this.all);
  }

  private refuse(bit: number, answer: Refusal | { kind: 'expired' }): void {
    this.refused |= bit;
    if (!this.context.isEventual) return;
    if (answer.kind === 'expired' || answer.accepted < this.version) this.passedOver |= bit;
  }

  /** Of consistency eventual: no put of this epoch is taken there any more. A state is, whatever its epoch. */
  private isPassed({ epochFloor }: Refusal): boolean {
    return this.context.isEventual && this.step?.kind === 'accept' && epochFloor > epochOf(this.version);
  }

  /** Those that lack it, for all that is known. */
  private get missed(): number {
    return this.silent | this.unable | this.passedOver;
  }

  private spread(copies: number): void {
    this.out |= copies;
    this.silent &= ~copies;
    if (this.step?.kind !== 'accept') for (let left = bits(copies); left > 0; left--) this.context.count('install');
    for (let copy = 0; copy < this.nodes.length; copy++) {
      if ((copies & (1 << copy)) === 0) continue;
      this.open++;
      this.context.send(this, copy, this.tries, this.step as Step<C, V>);
    }
  }

  private pause(): void {
    const { now, random } = this.context;
    this.phase = 'paused';
    this.dueMs = Math.min(this.job.times.deadlineMs, now() + pauseMs(this.pauses++, random()));
  }

  private giveUp(why: string): void {
    const { open, error, refused, context, all } = this;
    // Which of them have it, nobody may ever find out otherwise.
    if (open > 0 && context.isEventual) this.lag(all);
    if (open > 0)
      this.finish({ kind: 'unknown', why: error === null ? why : `some of its nodes could not: ${text(error)}` });
    else if (error !== null) this.finish({ kind: 'unable', error });
    else this.finish({ kind: refused === 0 ? 'no-quorum' : 'overtaken' });
  }

  private lag(copies: number): void {
    const { context, step } = this;
    if (copies === 0) return;
    if (context.isEventual && this.isAcknowledged && step !== null)
      context.onMissed(this.key, this.nodes, copies, step);
    else this.context.onLagging(this.key, this.nodes, copies);
  }

  private reachable(): number {
    let count = 0;
    for (const node of this.nodes) if (this.context.isReachable(node)) count++;
    return count;
  }

  private finish(outcome: Outcome<R>): void {
    this.phase = 'finished';
    this.dueMs = Number.POSITIVE_INFINITY;
    this.job.finish(outcome);
  }
}

/** A write whose state does not depend on what is there. */
export function putOf<C, R, V>(operation: Operation<C, R>, clock: () => number): Written<C, R, V> {
  let shape = (replies: R): R => replies;
  return {
    step(version, isOwnExpired) {
      const base: BaseFacts = { accepted: NEVER, live: false, expireAt: 0, nowMs: clock(), isOwnExpired };
      const plan = operation.plan(base, null);
      if (plan.kind !== 'all') throw new Error(`a write of a whole value is to be carried out by ${plan.kind}`);
      shape = plan.reply;
      const { commands, setsExpiry } = plan;
      const put = { base: ANY, expected: null, lineage: NO_LINEAGE, expired: false } as const;
      return { kind: 'accept', ballot: version, ...put, commands, setsExpiry, next: version };
    },
    reply: (replies) => (replies === null ? null : shape(replies)),
  };
}

/** A state that is there under another version; `reply` is the client's. */
export function stateOf<C, R, V>(state: KeyState<V>, reply: R, isEventual: boolean): Written<C, R, V> {
  return {
    step: (version) => givingStep({ ...state, accepted: version }, isEventual),
    reply: () => reply,
  };
}

function text(error: Uint8Array): string {
  return Buffer.from(error).toString().trimEnd();
}
