/**
 * What a session asks of all workers: its reply is made of their answers, in its place among all that the session has asked.
 *
 *   session's queue   [done] [waits for answers] [done] ...
 *   questions         waiting (bounded) -> asked, a few at a time -> control/roll-call.ts -> answers -> reply
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import { Fifo } from '../base/fifo.js';
import type { Counts } from '../base/metrics.js';
import type { Answer, AnswerTo, Question } from '../messages.js';
import type { Arena } from '../transport/arena.js';
import type { Session } from './session.js';

export interface QuestionsContext {
  arena: Arena;
  pendings: PendingPool;
  counts: Counts;
  now: () => number;
  /** Asks all workers. `done` is called once, in a bounded time; `silent` are the workers that did not answer. */
  ask: (question: Question, done: (answers: readonly Answer[], silent: readonly number[]) => void) => void;
}

/** Makes the reply of the answers. `silent` says which workers gave none, or is empty: `worker 1 did not answer in time`. */
export type MakeReply<Q extends Question> = (answers: readonly AnswerTo<Q>[], silent: string) => Uint8Array;

interface Waiting {
  pending: Pending;
  question: Question;
  makeReply: (answers: readonly Answer[], silent: string) => Uint8Array;
}

/** Asked at the same time: their answers may be large. */
const ASKED_MAX = 8;
const WAITING_MAX = 4_096;

export class Questions {
  private readonly context: QuestionsContext;
  private readonly waiting = new Fifo<Waiting>();
  private askedCount = 0;

  constructor(context: QuestionsContext) {
    this.context = context;
  }

  /** Answers the command that `session` has just sent, of so many bytes. */
  ask<Q extends Question>(session: Session, requestBytes: number, question: Q, makeReply: MakeReply<Q>): void {
    const { pendings, counts, now } = this.context;
    if (this.waiting.length >= WAITING_MAX) {
      counts.commandsOverloaded++;
      const text = `${WAITING_MAX} commands wait for what other workers answer; this one had no effect`;
      session.reply(errorBytes('OVERLOADED', text));
      return;
    }
    const pending = pendings.take(session, now(), false);
    session.track(pending, requestBytes);
    // Answers are of the question's kind.
    this.waiting.push({ pending, question, makeReply: makeReply as Waiting['makeReply'] });
    this.askNext();
  }

  private askNext(): void {
    while (this.askedCount < ASKED_MAX) {
      const next = this.waiting.shift();
      if (next === undefined) return;
      const { pending, question, makeReply } = next;
      this.askedCount++;
      this.context.ask(question, (answers, silent) => {
        this.askedCount--;
        this.reply(pending, makeReply(answers, silenceOf(silent)));
        this.askNext();
      });
    }
  }

  private reply(pending: Pending, bytes: Uint8Array): void {
    const { arena, counts } = this.context;
    const { owner } = pending;
    if (owner === null) throw new Error('nobody asked this question');
    const block = arena.allocate(bytes.length);
    if (block < 0) {
      counts.commandsOverloaded++;
      owner.onFailure(pending, errorBytes('OVERLOADED', 'no buffer memory is left for this reply'));
      return;
    }
    arena.bytes.set(bytes, block);
    owner.onReply(pending, block, block + bytes.length);
    arena.settle();
    arena.release(block, bytes.length);
  }
}

function silenceOf(workers: readonly number[]): string {
  if (workers.length === 0) return '';
  return `worker${workers.length === 1 ? '' : 's'} ${workers.join(', ')} did not answer in time`;
}
