/**
 * A read of a key of consistency quorum, or weak: R copies say which version they have, and one of them carries it out.
 *
 *   looking ──R have answered──> levelling ──R have what is told, or newer──> the reply
 *      └ one is silent: another one     └ read again where the newest is; those that were asked and are behind are given it
 *
 * What is told is as new as the newest of the R that answered first: R + W > N, so that one of these has the last write that was
 * acknowledged before, or a newer one. That R copies have it before it is told (read repair, for which the reader waits) is for the next
 * reader: where 2R > N, nobody who asks later is told anything older.
 *
 * A copy may have promised more than what it is to be given, to somebody who repairs or sweeps: if it is needed, a `Round` finishes that.
 *
 * Writes that come behind do not wait for a read that silent copies hold up. Once one has begun, the read tells what it has asked for before,
 * or nothing: it must not show a client what the same client has written after it.
 *
 * Without an operation nobody waits for it: then all copies that can be reached are made equal.
 */
import { type Ballot, largest, NEVER } from './ballot.js';
import { bits } from './copies.js';
import type { Operation, Reader } from './operation.js';
import { copiesToAsk, givingStep, type PassableAsker, type QuorumContext, type QuorumJob } from './quorum-context.js';
import type { Outcome } from './round.js';
import type { AcceptAnswer, Answer, KeyState, Step, ViewAnswer } from './step.js';

const VIEW_TAG = 0;
const SNAPSHOT_TAG = 1;
const INSTALL_TAG = 2;
const PEEK = { kind: 'peek' } as const;
const SNAPSHOT = { kind: 'snapshot' } as const;
const NOBODY = -1;
/** Of a copy that has said nothing: below every version. */
const UNKNOWN: Ballot = '';

export class QuorumRead<C, R, V> implements PassableAsker<R, V> {
  readonly key: string;
  readonly nodes: readonly number[];
  dueMs: number;
  place = -1;
  private readonly job: QuorumJob<R>;
  private readonly context: QuorumContext<C, R, V>;
  private readonly operation: Operation<C, R> | null;
  /** Copies in the order in which they are asked, and how many were. */
  private readonly order: readonly number[];
  private asked = 0;
  /** How many are to have what is told. */
  private readonly needed: number;
  /** By copy, the newest version that it said to have. */
  private readonly known: Ballot[];
  /** Copies (bit i: copy i) that were asked what they have, that were given the newest, and that are not counted upon. */
  private out = 0;
  private installing = 0;
  private lost = 0;
  /** Those that did not take the newest, since they have promised more. */
  private refused = 0;
  private isStuck = false;
  private isOverstaying = false;
  /** A write that came behind it has begun. */
  private isPassed = false;
  /** Those that have been silent for too long: what they say may still come. */
  private silent = 0;
  /** The copy that reads, and the one that is asked for its state. */
  private reading = NOBODY;
  private stating = NOBODY;
  /** The newest of those that answered first. */
  private floor: Ballot = UNKNOWN;
  private told: { readonly version: Ballot; readonly replies: R } | null = null;
  private state: KeyState<V> | null = null;
  private error: Uint8Array | null = null;
  private isFinished = false;

  /** `first`: the copy to ask first, unless a cursor says which. */
  constructor(job: QuorumJob<R>, operation: Operation<C, R> | null, first: number, context: QuorumContext<C, R, V>) {
    this.job = job;
    this.key = job.key;
    this.nodes = job.nodes;
    this.operation = operation;
    this.context = context;
    this.order = copiesToAsk(job.nodes, operation?.walk?.reader?.copy ?? first, context);
    this.needed = operation === null ? this.order.length : context.reads;
    this.known = job.nodes.map(() => UNKNOWN);
    this.dueMs = this.untilImpatient();
  }

  /** Copies that are not known to have what was the newest of all, or anything newer. */
  get lacking(): number {
    const newest = this.known.reduce(largest);
    let copies = 0;
    for (const [copy, known] of this.known.entries()) if (known === UNKNOWN || known < newest) copies |= 1 << copy;
    return copies;
  }

  begin(): void {
    const reader = this.operation?.walk?.reader ?? null;
    if (reader !== null && !this.isThere(reader)) this.finish({ kind: 'cursor-lost' });
    else if (this.order.length < this.needed || this.order.length === 0) this.finish({ kind: 'no-quorum' });
    else this.askMore(this.needed);
  }

  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void {
    this.silent &= ~(1 << copy);
    if (tag === INSTALL_TAG) this.onInstalled(copy, answer as AcceptAnswer<R> | null);
    else if (tag === SNAPSHOT_TAG) this.onState(copy, answer as ViewAnswer<R, V> | null);
    else this.onView(copy, answer as ViewAnswer<R, V> | null);
    if (!this.isFinished) this.resume();
    else this.lag(this.behind(this.told?.version ?? UNKNOWN) & (1 << copy));
  }

  onTime(): void {
    if (this.context.now() >= this.job.times.deadlineMs) {
      this.fail();
      return;
    }
    this.context.count('impatient');
    for (let copy = 0; copy < this.nodes.length; copy++) {
      const isSilent = ((this.out | this.installing) & (1 << copy)) !== 0;
      if (!isSilent && copy !== this.reading && copy !== this.stating) continue;
      this.silent |= 1 << copy;
      this.lose(copy);
    }
    this.dueMs = this.untilImpatient();
    this.resume();
  }

  onPassed(): void {
    this.isPassed = true;
  }

  private onView(copy: number, answer: ViewAnswer<R, V> | null): void {
    this.out &= ~(1 << copy);
    if (answer?.kind !== 'view') {
      this.onNothing(copy, answer);
      return;
    }
    if ((this.refused & (1 << copy)) !== 0 && answer.accepted < (this.state?.accepted ?? UNKNOWN)) {
      this.isStuck = true;
      return;
    }
    this.hear(copy, answer.accepted);
    if (answer.replies === null) return;
    if (this.reading === copy) this.reading = NOBODY;
    const { accepted: version, replies } = answer;
    if (this.told === null || version >= this.told.version) this.told = { version, replies };
  }

  private onState(copy: number, answer: ViewAnswer<R, V> | null): void {
    if (this.stating === copy) this.stating = NOBODY;
    if (answer?.kind !== 'view') {
      this.onNothing(copy, answer);
      return;
    }
    const { accepted, lineage, live, expireAt, value } = answer;
    this.hear(copy, accepted);
    if (this.state === null || accepted >= this.state.accepted)
      this.state = { accepted, lineage, live, expireAt, value };
  }

  private onInstalled(copy: number, answer: AcceptAnswer<R> | null): void {
    this.installing &= ~(1 << copy);
    if (answer?.kind === 'ok') {
      // That may be an older state than the one at hand by now.
      this.hear(copy, answer.promised);
    } else if (answer?.kind === 'already') {
      this.ask(copy, PEEK);
    } else if (answer?.kind === 'refused') {
      this.context.versions.onSeen(answer.promised, answer.epochFloor);
      // It has a newer one, most likely. If not, somebody is at work there, and it is not counted upon.
      this.lose(copy);
      if (this.isFinished || (this.refused & (1 << copy)) !== 0) return;
      this.refused |= 1 << copy;
      this.ask(copy, PEEK);
    } else {
      this.onNothing(copy, answer);
    }
  }

  private onNothing(copy: number, answer: ViewAnswer<R, V> | AcceptAnswer<R> | null): void {
    if (answer?.kind === 'unable') this.error = answer.error;
    this.lose(copy);
  }

  private hear(copy: number, version: Ballot): void {
    if (version > (this.known[copy] as Ballot)) this.known[copy] = version;
    if (version >= this.floor) this.lost &= ~(1 << copy);
  }

  private lose(copy: number): void {
    const others = ~(1 << copy);
    this.lost |= 1 << copy;
    this.out &= others;
    this.installing &= others;
    if (this.reading === copy) this.reading = NOBODY;
    if (this.stating === copy) this.stating = NOBODY;
  }

  private resume(): void {
    if (this.floor === UNKNOWN) {
      const heard = this.order.filter((copy) => this.known[copy] !== UNKNOWN && !this.isLost(copy));
      const missing = this.needed - heard.length;
      if (missing > 0) {
        if (missing > bits(this.out) && !this.askMore(missing - bits(this.out))) this.fail();
        return;
      }
      this.floor = heard.reduce((newest, copy) => largest(newest, this.known[copy] as Ballot), NEVER);
    }
    const { told, floor } = this;
    const target = told === null ? floor : largest(told.version, floor);
    if (this.operation === null) {
      this.level(floor);
    } else if (told !== null && told.version === target) {
      if (this.holders(target) >= this.needed) this.answer(told.version, told.replies);
      else this.level(target);
    } else if (this.operation.walk !== undefined) {
      this.readByWalk(floor);
    } else if (this.reading !== NOBODY) {
      this.level(floor);
    } else {
      const holder = this.holderOf(floor);
      if (holder === NOBODY) {
        this.lookAgain();
        return;
      }
      if (this.isPassed) {
        this.finish({ kind: 'no-quorum' });
        return;
      }
      this.read(holder);
      this.level(floor);
    }
  }

  /** A cursor is of one copy, and of the values that this has. */
  private readByWalk(floor: Ballot): void {
    const copy = this.order[0] as number;
    if (this.operation?.walk?.reader !== null || this.isLost(copy)) this.finish({ kind: 'cursor-lost' });
    else if (this.reading !== NOBODY) return;
    else if (this.isPassed) this.finish({ kind: 'cursor-lost' });
    else if ((this.known[copy] as Ballot) >= floor) this.read(copy);
    else this.level(floor);
  }

  /** Has the copies that were asked, and are behind that version, given it. */
  private level(version: Ballot): void {
    const { state, operation } = this;
    const behind = this.order.slice(0, this.asked).filter((copy) => {
      return this.known[copy] !== UNKNOWN && (this.known[copy] as Ballot) < version && !this.isLost(copy);
    });
    if (behind.length === 0) {
      if ((this.out | this.installing) !== 0 || this.reading !== NOBODY) return;
      // All that can be had have it; and these are too few, if anybody waits for more.
      if (operation === null) this.finish({ kind: 'no-quorum' });
      else if (!this.askMore(this.needed - this.holders(version))) this.fail();
    } else if (state !== null && state.accepted >= version) {
      for (const copy of behind) if ((this.installing & (1 << copy)) === 0) this.install(copy, state);
    } else if (this.stating === NOBODY) {
      this.stating = this.holderOf(version);
      if (this.stating === NOBODY) this.lookAgain();
      else this.context.send(this, this.stating, SNAPSHOT_TAG, SNAPSHOT);
    }
  }

  /**
   * Who had the newest does not answer any more: without it, the newest of any R that have answered is as good, and if a write was acknowledged
   * that only it had of those asked, another copy has that.
   */
  private lookAgain(): void {
    this.told = null;
    this.floor = UNKNOWN;
    this.resume();
  }

  private install(copy: number, state: KeyState<V>): void {
    this.installing |= 1 << copy;
    this.context.count('install');
    this.context.send(this, copy, INSTALL_TAG, givingStep(state, this.context.isEventual));
  }

  /** Asks so many more, the first of which reads if nobody does. Returns whether there was one. */
  private askMore(count: number): boolean {
    const { order, operation } = this;
    const before = this.asked;
    for (let left = count; left > 0 && this.asked < order.length; left--) {
      const copy = order[this.asked++] as number;
      const isReader = operation !== null && !this.isPassed && this.told === null && this.reading === NOBODY;
      // A walk has one reader, the first.
      if (isReader && (operation.walk === undefined || copy === order[0])) this.read(copy);
      else this.ask(copy, PEEK);
    }
    return this.asked > before;
  }

  private read(copy: number): void {
    this.reading = copy;
    this.ask(copy, { kind: 'read', commands: (this.operation as Operation<C, R>).reads as C });
  }

  private ask(copy: number, step: Step<C, V>): void {
    this.out |= 1 << copy;
    this.context.send(this, copy, VIEW_TAG, step);
  }

  private holderOf(version: Ballot): number {
    return this.order.find((copy) => (this.known[copy] as Ballot) >= version && !this.isLost(copy)) ?? NOBODY;
  }

  /** How many have it, or newer. */
  private holders(version: Ballot): number {
    let count = 0;
    for (const known of this.known) if (known >= version) count++;
    return count;
  }

  private behind(version: Ballot): number {
    let copies = 0;
    for (const [copy, known] of this.known.entries()) if (known !== UNKNOWN && known < version) copies |= 1 << copy;
    return copies;
  }

  private isLost(copy: number): boolean {
    return (this.lost & (1 << copy)) !== 0;
  }

  private isThere({ copy, process }: Reader): boolean {
    const node = this.nodes[copy];
    return node !== undefined && this.order[0] === copy && this.context.processOf(node) === process;
  }

  private answer(version: Ballot, replies: R): void {
    const { operation, context, order, nodes } = this;
    const { walk, readReply } = operation as Operation<C, R>;
    const copy = order[0] as number;
    const reader = { copy, process: walk === undefined ? 0 : context.processOf(nodes[copy] as number) };
    const reply = walk === undefined ? readReply(replies) : walk.reply(replies, reader);
    // What a client was told is below what it writes next.
    if (context.isEventual) context.versions.onSeen(version, 0);
    context.count(this.asked > this.needed || this.state !== null ? 'slow-read' : 'fast-read');
    this.finish({ kind: 'done', reply, ballot: version });
    this.lag(this.behind(version));
  }

  private lag(copies: number): void {
    if (copies !== 0 && this.operation !== null) this.context.onLagging(this.key, this.nodes, copies);
  }

  private fail(): void {
    const { operation } = this;
    if (this.isStuck && !this.isPassed && operation !== null && operation.walk === undefined) {
      this.isFinished = true;
      this.dueMs = Number.POSITIVE_INFINITY;
      this.context.onStuck(this, operation, this.job);
    } else if (operation !== null && this.silent !== 0 && this.context.now() < this.job.times.deadlineMs) {
      if (this.isOverstaying) return;
      this.isOverstaying = true;
      this.context.onOverstaying(this);
    } else if (this.error === null) this.finish({ kind: 'no-quorum' });
    else this.finish({ kind: 'unable', error: this.error });
  }

  private untilImpatient(): number {
    const { deadlineMs, patienceMs } = this.job.times;
    return Math.min(deadlineMs, this.context.now() + patienceMs);
  }

  private finish(outcome: Outcome<R>): void {
    this.isFinished = true;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.job.finish(outcome);
  }
}
