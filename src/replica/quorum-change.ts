/**
 * A command on a key of consistency quorum, or weak, that depends on what is there: one copy carries it out, and its state is sent on.
 *
 *   looking ──R have answered──> (reading) ──> changing, at one copy that has the newest ──> QuorumWrite, with its state
 *      ^                                          │
 *      └──────── a pause, if the copy has another state by now: nothing was done ──┘
 *
 * What changes nothing (SET NX of what is there) writes nothing. It is carried out once: where the copy gives no answer, nobody knows. Of two at the same time, by two workers, one may be lost: each is
 * made of what was there before both, and the larger version stays.
 *
 * Of a weak key, what comes behind does not wait for a copy that is silent: it gets a larger version, and other copies. What the copy says later is
 * still told; but if it has not carried the change out, it is not tried again, which would be behind what came later.
 */
import { type Ballot, NEVER } from './ballot.js';
import { NO_LINEAGE } from './lineage.js';
import type { Operation, Plan } from './operation.js';
import { copiesToAsk, pauseMs, type QuorumAsker, type QuorumContext, type WritingJob } from './quorum-context.js';
import type { Outcome } from './round.js';
import type { AcceptAnswer, Answer, KeyFacts, KeyState, Step, ViewAnswer } from './step.js';

export interface ChangeContext<C, R, V> extends QuorumContext<C, R, V> {
  /** No commands. */
  readonly none: C;
  /** That copy has made this state; the others are to have it. */
  onMade(change: QuorumChange<C, R, V>, copy: number, state: KeyState<V>, reply: R): void;
  /** The copy that was to make it is silent: others need not wait for it any longer. */
  onOverstayed(change: QuorumChange<C, R, V>): void;
}

/** Of a try's four: their tags are `tries * 4 +` these. */
const LOOK = 0;
const READ = 1;
const CHANGE = 2;
const SNAPSHOT = 3;
const TAGS = 4;

type Phase = 'looking' | 'reading' | 'changing' | 'paused' | 'finished';

export class QuorumChange<C, R, V> implements QuorumAsker<R, V> {
  readonly key: string;
  readonly nodes: readonly number[];
  readonly job: WritingJob<R, V>;
  dueMs: number;
  place = -1;
  private readonly context: ChangeContext<C, R, V>;
  private readonly operation: Operation<C, R>;
  private phase: Phase = 'looking';
  private tries = 0;
  /** The copies that may be asked, and how many were. */
  private order: readonly number[] = [];
  private asked = 0;
  /** How many are waited for. */
  private out = 0;
  private views: { readonly copy: number; readonly facts: KeyFacts; readonly isExpired: boolean }[] = [];
  private base: KeyFacts = NOTHING;
  private isExpired = false;
  /** A state whose value a copy has seen expire. */
  private knownExpired: Ballot = '';
  private isCleaning = false;
  private hasOverstayed = false;
  private copy = -1;
  private version: Ballot = NEVER;
  private reply: R | null = null;
  private toReply: (replies: R) => R = same;
  private error: Uint8Array | null = null;

  constructor(job: WritingJob<R, V>, operation: Operation<C, R>, context: ChangeContext<C, R, V>) {
    this.job = job;
    this.key = job.key;
    this.nodes = job.nodes;
    this.operation = operation;
    this.context = context;
    this.dueMs = job.times.deadlineMs;
  }

  begin(): void {
    this.tries++;
    this.phase = 'looking';
    this.asked = 0;
    this.out = 0;
    this.views = [];
    const { context, nodes } = this;
    const first = context.isHomed || context.isEventual ? 0 : Math.floor(context.random() * nodes.length);
    this.order = copiesToAsk(nodes, first, context);
    if (this.order.length < Math.max(context.reads, context.writes)) {
      this.finish({ kind: 'no-quorum' });
      return;
    }
    this.dueMs = this.untilImpatient();
    this.look(context.reads);
  }

  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void {
    const kind = tag % TAGS;
    if (answer?.kind === 'refused') this.context.versions.onSeen(answer.promised, answer.epochFloor);
    if (this.phase === 'finished' || (tag - kind) / TAGS !== this.tries) return;
    if (answer?.kind === 'unable') this.error = answer.error;
    if (kind === LOOK && this.phase === 'looking') this.onLooked(copy, answer as ViewAnswer<R, V> | null);
    else if (kind === READ && this.phase === 'reading') this.onRead(answer as ViewAnswer<R, V> | null);
    else if (kind === CHANGE && this.phase === 'changing') this.onChanged(answer as AcceptAnswer<R> | null);
    else if (kind === SNAPSHOT && this.phase === 'changing') this.onState(answer as ViewAnswer<R, V> | null);
  }

  onTime(): void {
    const { now } = this.context;
    const isLate = now() >= this.job.times.deadlineMs;
    if (this.phase === 'changing' && !isLate) {
      this.overstay();
    } else if (this.phase === 'changing') {
      this.finish({ kind: 'unknown', why: SILENT });
    } else if (isLate) {
      this.fail();
    } else if (this.phase === 'looking') {
      this.context.count('impatient');
      this.out = 0;
      this.dueMs = this.untilImpatient();
      if (!this.look(1)) this.pause();
    } else {
      // It was paused, or who was to read is silent.
      this.begin();
    }
  }

  /** Asks so many more. Returns whether there was one. */
  private look(count: number): boolean {
    const before = this.asked;
    for (let left = count; left > 0 && this.asked < this.order.length; left--) {
      this.out++;
      this.send(this.order[this.asked++] as number, LOOK, { kind: 'peek' });
    }
    return this.asked > before;
  }

  private onLooked(copy: number, answer: ViewAnswer<R, V> | null): void {
    this.out--;
    if (answer?.kind === 'view') {
      const { accepted, lineage, live, expireAt, isExpired } = answer;
      this.views.push({ copy, facts: { accepted, lineage, live, expireAt }, isExpired });
      if (this.views.length >= this.context.reads) {
        this.choose();
        return;
      }
    }
    if (this.views.length + this.out < this.context.reads && !this.look(1)) this.pause();
  }

  /** The newest of R. */
  private choose(): void {
    const { context, views } = this;
    const newest = views.reduce((one, other) => (other.facts.accepted > one.facts.accepted ? other : one));
    const { accepted, live, expireAt } = newest.facts;
    context.versions.onSeen(accepted, 0);
    this.base = newest.facts;
    this.copy = newest.copy;
    const hasPassed =
      newest.isExpired || this.knownExpired === accepted || (expireAt > 0 && expireAt <= context.clock());
    this.isExpired = live && hasPassed;
    this.proceed(null);
  }

  private proceed(found: R | null): void {
    const { accepted, live, expireAt } = this.base;
    const now = this.isExpired ? { live: false, expireAt: 0 } : { live, expireAt };
    const facts = { accepted, ...now, nowMs: this.context.clock(), isOwnExpired: false };
    const plan = this.operation.plan(facts, found);
    if (plan.kind !== 'read') {
      this.change(plan);
    } else if (this.isExpired) {
      // There it might be read yet: first it is deleted.
      this.change({ kind: 'one', commands: this.context.none, reply: same }, true);
    } else {
      this.phase = 'reading';
      this.dueMs = this.untilImpatient();
      this.send(this.copy, READ, { kind: 'read', commands: plan.commands });
    }
  }

  private onRead(answer: ViewAnswer<R, V> | null): void {
    if (answer?.kind === 'view' && answer.accepted === this.base.accepted && answer.replies !== null)
      this.proceed(answer.replies);
    else this.pause();
  }

  private change(plan: Exclude<Plan<C, R>, { kind: 'read' }>, isCleaning = false): void {
    const { context, base, copy, isExpired } = this;
    this.isCleaning = isCleaning;
    this.phase = 'changing';
    this.dueMs = this.context.isHomed ? this.untilImpatient() : this.job.times.deadlineMs;
    this.reply = null;
    this.toReply = plan.reply;
    this.version = context.versions.next();
    context.count('alone');
    const own = { ballot: this.version, next: this.version, base: base.accepted, expected: null, lineage: NO_LINEAGE };
    const commands = context.alone(plan.commands);
    this.send(copy, CHANGE, {
      kind: 'accept',
      ...own,
      expired: isExpired,
      commands,
      setsExpiry: 0,
      keepsSame: !isCleaning,
    });
    // On the same connection: it comes behind.
    if (!isCleaning) this.send(copy, SNAPSHOT, { kind: 'snapshot' });
  }

  private onChanged(answer: AcceptAnswer<R> | null): void {
    switch (answer?.kind) {
      case 'ok':
        if (this.isCleaning) break;
        this.reply = this.toReply(answer.replies as R);
        return;
      case 'same':
        // What there was stays what there is, under its version: nobody's write is undone.
        this.finish({ kind: 'done', reply: this.toReply(answer.replies), ballot: this.base.accepted });
        return;
      case undefined:
        this.finish({ kind: 'unknown', why: SILENT });
        return;
      case 'unable':
        this.finish({ kind: 'unable', error: answer.error });
        return;
      case 'expired':
        this.knownExpired = this.base.accepted;
        break;
      case 'already':
        throw new Error('a version was used before');
    }
    this.pause();
  }

  /** Behind the answer to the change. */
  private onState(answer: ViewAnswer<R, V> | null): void {
    if (answer?.kind !== 'view' || answer.accepted !== this.version) {
      this.finish({ kind: 'unknown', why: 'the node that has carried it out did not say what became of the key' });
      return;
    }
    const { accepted, lineage, live, expireAt, value } = answer;
    this.phase = 'finished';
    this.dueMs = Number.POSITIVE_INFINITY;
    this.context.onMade(this, this.copy, { accepted, lineage, live, expireAt, value }, this.reply as R);
  }

  private send(copy: number, kind: number, step: Step<C, V>): void {
    this.context.send(this, copy, this.tries * TAGS + kind, step);
  }

  private overstay(): void {
    this.hasOverstayed = true;
    this.dueMs = this.job.times.deadlineMs;
    this.context.count('impatient');
    this.context.onOverstayed(this);
  }

  private pause(): void {
    const { context, job, tries } = this;
    if (this.hasOverstayed) {
      this.fail();
      return;
    }
    this.phase = 'paused';
    this.dueMs = Math.min(job.times.deadlineMs, context.now() + pauseMs(tries - 1, context.random()));
  }

  /** Nothing was done. */
  private fail(): void {
    if (this.error === null) this.finish({ kind: this.views.length < this.context.reads ? 'no-quorum' : 'overtaken' });
    else this.finish({ kind: 'unable', error: this.error });
  }

  private untilImpatient(): number {
    const { deadlineMs, patienceMs } = this.job.times;
    return Math.min(deadlineMs, this.context.now() + patienceMs);
  }

  private finish(outcome: Outcome<R>): void {
    const { context, nodes, job } = this;
    this.phase = 'finished';
    this.dueMs = Number.POSITIVE_INFINITY;
    // One copy may have it, and nobody who asks another would find out.
    if (outcome.kind === 'unknown' && context.isEventual) context.onLagging(this.key, nodes, (1 << nodes.length) - 1);
    job.finish(outcome);
  }
}

const SILENT = 'the node that was to carry it out does not answer';
const NOTHING: KeyFacts = { accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };

function same<R>(replies: R): R {
  return replies;
}
