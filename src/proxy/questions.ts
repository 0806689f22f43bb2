/**
 * What a session asks of all workers: its reply is made of their answers, in its place among all that the session has asked.
 *
 *   session's queue   [done] [waits for answers] [done] ...
 *   questions         waiting (bounded) -> asked, a few at a time -> control/roll-call.ts -> answers -> reply
 */
import type { Pending, ReplyOwner } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import { Fifo } from '../base/fifo.js';
import type { Counts } from '../base/metrics.js';
import type { Answer, AnswerTo, Question } from '../messages.js';
import type { Arena } from '../transport/arena.js';

export interface QuestionsContext {
  arena: Arena;
  counts: Counts;
  /** Asks all workers. `done` is called once, in a bounded time; `silent` are the workers that did not answer. */
  ask: (question: Question, done: (answers: readonly Answer[], silent: readonly number[]) => void) => void;
}

/** A question, and how the answers become a reply. */
export interface Inquiry {
  question: Question;
  /** `silent` says which workers gave no answer, or is empty: `worker 1 did not answer in time`. */
  makeReply: (answers: readonly Answer[], silent: string) => Uint8Array;
}

/** With what becomes of the session: it gets this reply, and is closed; or reads nothing more before it has the reply. */
export interface ClientInquiry extends Inquiry {
  sequel: 'go-on' | 'close' | 'wait';
}

/** An inquiry of one kind of question. */
export function inquiry<Q extends Question>(
  question: Q,
  makeReply: (answers: readonly AnswerTo<Q>[], silent: string) => Uint8Array,
): Inquiry {
  // Answers are of the question's kind.
  return { question, makeReply: makeReply as Inquiry['makeReply'] };
}

interface Waiting {
  pending: Pending;
  inquiry: Inquiry;
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

  /** `pending`, which is not sent anywhere, gets the reply. False: too many wait, and it got an error. */
  ask(pending: Pending, inquiry: Inquiry): boolean {
    if (this.waiting.length >= WAITING_MAX) {
      this.context.counts.commandsOverloaded++;
      const text = `${WAITING_MAX} commands wait for what other workers answer; this one had no effect`;
      (pending.owner as ReplyOwner).onFailure(pending, errorBytes('OVERLOADED', text));
      return false;
    }
    this.waiting.push({ pending, inquiry });
    this.askNext();
    return true;
  }

  private askNext(): void {
    while (this.askedCount < ASKED_MAX) {
      const next = this.waiting.shift();
      if (next === undefined) return;
      const { question, makeReply } = next.inquiry;
      this.askedCount++;
      this.context.ask(question, (answers, silent) => {
        this.askedCount--;
        this.reply(next.pending, makeReply(answers, silenceOf(silent)));
        this.askNext();
      });
    }
  }

  /** Tells the owner of `pending` that these bytes are its reply. */
  reply(pending: Pending, bytes: Uint8Array): void {
    const { arena, counts } = this.context;
    const owner = pending.owner as ReplyOwner;
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
