/**
 * Redirections of this worker's sessions to clients of other workers. Such a client's PONG is to come behind what nodes have told of before: its
 * worker asks all, and each answers when what its nodes have sent has arrived.
 *
 *   PING -> asked of all workers -> PING to the nodes, by the connections by which they tell -> what is on its way to the client has arrived -> answered
 */
import type { TrackingLane } from '../backend/tracking-lane.js';
import { BusyQuestion, type BusyQuestionContext } from './busy-question.js';
import type { Redirection } from './redirection.js';

/** Of one session: the ways by which nodes tell of keys, and what takes that to the client. */
export interface Redirected {
  readonly lane: TrackingLane;
  readonly redirection: Redirection;
}

export class Redirections {
  private readonly context: BusyQuestionContext;
  /** By the client's number. */
  private readonly byTarget = new Map<number, Set<Redirected>>();
  /** Of those that are about to begin, how many, by the client's number. */
  private readonly announced = new Map<number, number>();

  constructor(context: BusyQuestionContext) {
    this.context = context;
  }

  /** One to that client is about to begin: its worker is asked. Then comes `endAnnounced`. */
  announce(id: number): void {
    this.announced.set(id, (this.announced.get(id) ?? 0) + 1);
  }

  /** It has begun, or will not. */
  endAnnounced(id: number): void {
    const left = (this.announced.get(id) ?? 0) - 1;
    if (left > 0) this.announced.set(id, left);
    else this.announced.delete(id);
  }

  add(redirected: Redirected): void {
    const { id } = redirected.redirection;
    const known = this.byTarget.get(id);
    if (known === undefined) this.byTarget.set(id, new Set([redirected]));
    else known.add(redirected);
  }

  remove(redirected: Redirected): void {
    const { id } = redirected.redirection;
    const known = this.byTarget.get(id);
    known?.delete(redirected);
    if (known?.size === 0) this.byTarget.delete(id);
  }

  /**
   * Calls `done` once, when what nodes have sent for that client until now has arrived there, as far as they are well. `isThere`: one to it is
   * there, or about to begin. Otherwise the client's worker hears of the next one behind the answer.
   */
  settle(id: number, done: (isThere: boolean) => void): void {
    const redirected = [...(this.byTarget.get(id) ?? [])];
    const isThere = redirected.length > 0 || this.announced.has(id);
    const question = new BusyQuestion(this.context, null, () => {
      let awaited = redirected.length + 1;
      const onTold = () => {
        if (--awaited === 0) done(isThere);
      };
      for (const { redirection } of redirected) redirection.whenTold(onTold);
      onTold();
    });
    for (const { lane } of redirected) question.askTellers(lane);
    question.begin(false);
  }
}
