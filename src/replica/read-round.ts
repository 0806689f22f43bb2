/**
 * A read in one round trip (REPLICATION.md, R1): one copy carries it out, others say which state they have. Where q agree, the
 * reader among them, its replies are the answer. Else there is a half-done write, and the read becomes a round (R2).
 */
import type { Ballot } from './ballot.js';
import type { Operation, Reader } from './operation.js';
import type { Member } from './roster.js';
import type { Asker, Client, RoundContext, RoundTimes } from './round.js';
import type { Answer, KeyFacts, Step } from './step.js';

export interface ReadContext<C, R, V> extends Pick<RoundContext<C, R, V>, 'quorum' | 'now' | 'send' | 'count'> {
  onAgreement(round: ReadRound<C, R, V>, reply: R, ballot: Ballot): void;
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
  private agreeing = 0;
  private facts: KeyFacts | null = null;
  private replies: R | null = null;
  private reader: Reader = NOBODY;
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
    this.dueMs = Math.min(times.deadlineMs, context.now() + times.patienceMs);
  }

  /** `copies`: those to ask, at least q of them; the first, `reader`, carries it out, the others say what they have. */
  begin(copies: readonly number[], reader: Reader): void {
    const { context, operation } = this;
    this.reader = reader;
    const read: Step<C, V> = { kind: 'read', commands: operation.reads as C };
    context.send(this, copies[0] as number, 0, read);
    for (let place = 1; place < context.quorum; place++) context.send(this, copies[place] as number, 0, PEEK);
  }

  onAnswer(_copy: number, _tag: number, answer: Answer<R, V> | null): void {
    if (this.isFinished) return;
    if (answer?.kind !== 'view') {
      this.fail('');
      return;
    }
    const { facts } = this;
    if (answer.isExpired) {
      this.fail(answer.accepted);
      return;
    }
    if (facts === null) {
      this.facts = answer;
    } else if (facts.accepted !== answer.accepted || facts.live !== answer.live || facts.expireAt !== answer.expireAt) {
      this.fail('');
      return;
    }
    if (answer.replies !== null) this.replies = answer.replies;
    this.agreeing++;
    if (this.agreeing < this.context.quorum) return;
    this.isFinished = true;
    this.dueMs = Number.POSITIVE_INFINITY;
    const { walk, readReply } = this.operation;
    const replies = this.replies as R;
    const reply = walk === undefined ? readReply(replies) : walk.reply(replies, this.reader);
    this.context.onAgreement(this, reply, answer.accepted);
  }

  onTime(): void {
    this.context.count('impatient');
    this.fail('');
  }

  private fail(expired: string): void {
    this.isFinished = true;
    this.dueMs = Number.POSITIVE_INFINITY;
    this.context.onDisagreement(this, expired);
  }
}

const NOBODY: Reader = { copy: -1, process: -1 };
const PEEK = { kind: 'peek' } as const;
