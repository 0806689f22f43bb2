/**
 * A read in one round trip (REPLICATION.md, R1): one copy carries it out, others say which state they have. Where q agree, the
 * reader among them, its replies are the answer.
 *
 *   asking q ──agree──────────────────────> answer
 *      └─ they do not, or one is silent ──> asking the rest, each of which carries it out ──agree──> answer
 *                                                                └─ they do not ──> a round (R2)
 *
 * Mostly there is a write on its way, or one copy has missed it: the rest tell which of both most have. A round would ask
 * for promises that bar the write from the copies that it has not come to yet.
 */
import { bits } from './copies.js';
import type { Operation, Reader } from './operation.js';
import type { Agreement } from './register.js';
import type { Member } from './roster.js';
import type { Asker, Client, RoundContext, RoundTimes } from './round.js';
import type { Answer, Step } from './step.js';

export interface ReadContext<C, R, V> extends Pick<RoundContext<C, R, V>, 'quorum' | 'now' | 'send' | 'count'> {
  /** `agreement`: what the copies have said. */
  onAgreement(round: ReadRound<C, R, V>, reply: R, agreement: Agreement): void;
  /** The copies do not agree, or too few answer. `expired`: the ballot of a state whose value is gone, or ''. */
  onDisagreement(round: ReadRound<C, R, V>, expired: string): void;
}

export class ReadRound<C, R, V> implements Asker<R, V>, Member {
  readonly key: string;
  readonly nodes: readonly number[];
  dueMs: number;
  place = -1;
  readonly operation: Operation<C, R>;
  readonly client: Client<R>;
  readonly times: RoundTimes;
  /** It was read before, the copies did not agree, and then a state was made chosen. */
  readonly isRepeated: boolean;
  private readonly context: ReadContext<C, R, V>;
  private copies: readonly number[] = [];
  private reader: Reader = NOBODY;
  /** How many of `copies` were asked, and those of them (bit i: copy i) that are waited for. */
  private asked = 0;
  private out = 0;
  private readonly views: View<R, V>[] = [];
  private readonly viewers: number[] = [];
  private isFinished = false;

  constructor(
    key: string,
    nodes: readonly number[],
    operation: Operation<C, R>,
    client: Client<R>,
    times: RoundTimes,
    isRepeated: boolean,
    context: ReadContext<C, R, V>,
  ) {
    this.key = key;
    this.nodes = nodes;
    this.operation = operation;
    this.client = client;
    this.times = times;
    this.isRepeated = isRepeated;
    this.context = context;
    this.dueMs = this.untilImpatient();
  }

  /** `copies`: those to ask, at least q of them; the first, `reader`, carries it out, the others say what they have. */
  begin(copies: readonly number[], reader: Reader): void {
    this.copies = copies;
    this.reader = reader;
    this.ask(this.reading());
    while (this.asked < this.context.quorum) this.ask(PEEK);
  }

  onAnswer(copy: number, _tag: number, answer: Answer<R, V> | null): void {
    if (this.isFinished) return;
    this.out &= ~(1 << copy);
    if (answer?.kind === 'view') {
      if (answer.isExpired) {
        this.fail(answer.accepted);
        return;
      }
      this.views.push(answer);
      this.viewers.push(copy);
      if (this.agree(answer)) return;
    }
    if (!this.mayAgree()) this.askRest();
  }

  onTime(): void {
    this.context.count('impatient');
    this.out = 0;
    this.askRest();
  }

  /** Ends it if q copies have the state of `view`, and one of them has carried it out. */
  private agree(view: View<R, V>): boolean {
    const { context, views, viewers, operation } = this;
    if (views.length < context.quorum) return false;
    const same = views.filter((other) => isSame(other, view));
    const replies = same.find((other) => other.replies !== null)?.replies ?? null;
    if (same.length < context.quorum || replies === null) return false;
    let holders = 0;
    let behind = 0;
    for (const [place, other] of views.entries()) {
      const bit = 1 << (viewers[place] as number);
      if (other.accepted === view.accepted) holders |= bit;
      else if (other.accepted < view.accepted) behind |= bit;
    }
    this.end();
    const reply =
      operation.walk === undefined ? operation.readReply(replies) : operation.walk.reply(replies, this.reader);
    const isLate = this.asked > context.quorum;
    const { accepted: ballot, lineage } = view;
    context.onAgreement(this, reply, { ballot, lineage, holders, behind, isLate });
    return true;
  }

  private mayAgree(): boolean {
    const { views, out, context } = this;
    if (views.length === 1) return bits(out) + 1 >= context.quorum;
    const most = views.reduce((most, view) => Math.max(most, views.filter((other) => isSame(other, view)).length), 0);
    return most + bits(out) >= context.quorum;
  }

  private askRest(): void {
    if (this.asked === this.copies.length) {
      this.fail('');
      return;
    }
    this.dueMs = this.untilImpatient();
    // A cursor is of one copy: the others only say what they have.
    const step = this.operation.walk === undefined ? this.reading() : PEEK;
    while (this.asked < this.copies.length) this.ask(step);
  }

  private ask(step: Step<C, V>): void {
    const copy = this.copies[this.asked++] as number;
    this.out |= 1 << copy;
    this.context.send(this, copy, 0, step);
  }

  private reading(): Step<C, V> {
    return { kind: 'read', commands: this.operation.reads as C };
  }

  private untilImpatient(): number {
    return Math.min(this.times.deadlineMs, this.context.now() + this.times.patienceMs);
  }

  private fail(expired: string): void {
    this.end();
    this.context.onDisagreement(this, expired);
  }

  private end(): void {
    this.isFinished = true;
    this.dueMs = Number.POSITIVE_INFINITY;
  }
}

type View<R, V> = Extract<Answer<R, V>, { kind: 'view' }>;

function isSame<R, V>(one: View<R, V>, other: View<R, V>): boolean {
  return one.accepted === other.accepted && one.live === other.live && one.expireAt === other.expireAt;
}

const NOBODY: Reader = { copy: -1, process: -1 };
const PEEK = { kind: 'peek' } as const;
