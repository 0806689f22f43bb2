/**
 * Asks all workers, and gathers what they answer: for what a client wants to know, or to have done, of the clients of all workers.
 *
 *   worker --ask--> roll call --question--> every worker, the asker too --answer--> roll call --answers--> the asker
 *
 * All workers get the questions in the same order. Each call ends: with the last answer, or when a worker hangs, or goes: who is
 * silent is named to the asker; who has gone has no clients any more, and nobody waits for it.
 */
import type { Answer, Question, ToWorker } from '../messages.js';

/** Milliseconds that a worker has to answer. */
const ANSWER_MS_MAX = 2_000;

/** One worker, while it lives. */
export interface Member {
  readonly worker: number;
  readonly post: (message: ToWorker) => void;
}

interface Call {
  readonly asker: Member;
  /** How the asker knows it. */
  readonly id: number;
  readonly awaited: Set<Member>;
  readonly answers: Answer[];
  readonly timer: NodeJS.Timeout;
}

export class RollCall {
  private readonly members = new Set<Member>();
  private readonly calls = new Map<number, Call>();
  private lastCall = 0;
  private readonly answerMsMax: number;

  constructor(answerMsMax = ANSWER_MS_MAX) {
    this.answerMsMax = answerMsMax;
  }

  /** A worker that runs from now on. */
  join(worker: number, post: (message: ToWorker) => void): Member {
    const member = { worker, post };
    this.members.add(member);
    return member;
  }

  /** It has ended, or died. */
  leave(member: Member): void {
    this.members.delete(member);
    for (const [number, call] of this.calls) {
      if (call.asker === member) this.forget(number, call);
      else if (call.awaited.delete(member)) this.endIfComplete(number, call);
    }
  }

  ask(asker: Member, id: number, question: Question): void {
    const number = ++this.lastCall;
    const timer = setTimeout(() => this.end(number), this.answerMsMax);
    this.calls.set(number, { asker, id, awaited: new Set(this.members), answers: [], timer });
    for (const member of this.members)
      member.post({ kind: 'question', call: number, question, isOwn: member === asker });
  }

  /** An answer that comes too late is dropped. */
  answer(member: Member, number: number, answer: Answer): void {
    const call = this.calls.get(number);
    if (call?.awaited.delete(member) !== true) return;
    call.answers.push(answer);
    this.endIfComplete(number, call);
  }

  private endIfComplete(number: number, { awaited }: Call): void {
    if (awaited.size === 0) this.end(number);
  }

  private end(number: number): void {
    const call = this.calls.get(number);
    if (call === undefined) return;
    this.forget(number, call);
    const { asker, id, answers, awaited } = call;
    const silent = [...awaited].map(({ worker }) => worker).sort((a, b) => a - b);
    asker.post({ kind: 'answers', id, answers, silent });
  }

  private forget(number: number, { timer }: Call): void {
    clearTimeout(timer);
    this.calls.delete(number);
  }
}
