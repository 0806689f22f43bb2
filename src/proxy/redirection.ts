/**
 * Where a session's invalidation messages go that asked for them to go to another client (CLIENT TRACKING … REDIRECT): to a session of
 * this worker at once, to one of another worker through control/roll-call.ts.
 *
 *   waiting (bounded) -> asked, one batch at a time -> every worker -> who has the client tells it
 *
 * Where more waits than may, it becomes one message: all keys. A client of another worker has PONG behind what nodes have told (redirections.ts).
 */
import { type InvalidKeys, type Listening, type Target, tellRedirected } from './invalidation.js';
import type { QuestionsContext } from './questions.js';

const WAITING_BYTES_MAX = 64 * 1024;

export class Redirection {
  /** The client's number. */
  readonly id: number;
  /** The client, where it is of this worker. */
  readonly client: Listening | null;
  private readonly service: number;
  private readonly ask: QuestionsContext['ask'];
  private readonly onBroken: () => void;
  private waiting: InvalidKeys[] = [];
  private waitingBytes = 0;
  /** Who is to know when what waits has arrived. */
  private waiters: (() => void)[] = [];
  private isAsking = false;

  constructor({ id, client }: Target, service: number, ask: QuestionsContext['ask'], onBroken: () => void) {
    this.id = id;
    this.client = client;
    this.service = service;
    this.ask = ask;
    this.onBroken = onBroken;
  }

  tell(keys: InvalidKeys): void {
    if (this.client !== null) {
      if (this.client.isLeaving) this.onBroken();
      else tellRedirected(this.client, keys);
      return;
    }
    const bytes = keys?.length ?? 0;
    if (keys === null || this.waitingBytes + bytes > WAITING_BYTES_MAX) {
      this.waiting = [null];
      this.waitingBytes = 0;
    } else {
      this.waiting.push(keys);
      this.waitingBytes += bytes;
    }
    this.askNext();
  }

  /** Calls `then` when what it was told until now has arrived. */
  whenTold(then: () => void): void {
    this.waiters.push(then);
    this.askNext();
  }

  private askNext(): void {
    if (this.isAsking) return;
    const { id, service, waiting, waiters } = this;
    this.waiting = [];
    this.waitingBytes = 0;
    this.waiters = [];
    if (waiting.length === 0) {
      for (const waiter of waiters) waiter();
      return;
    }
    this.isAsking = true;
    this.ask({ kind: 'invalidate', service, id, messages: waiting }, (answers, silent) => {
      this.isAsking = false;
      for (const waiter of waiters) waiter();
      // A worker that is silent may have it.
      const isThere = answers.some((answer) => answer.kind === 'invalidate' && answer.isThere);
      if (!isThere && silent.length === 0) this.onBroken();
      this.askNext();
    });
  }
}
