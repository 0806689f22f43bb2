/**
 * Commands that wait for data of a replicated key: BLPOP and its like, XREAD with BLOCK. None waits at a node, which knows nothing
 * of the agreement: each tries, and tries again when a node says that somebody has put something into the key.
 *
 *   tries --nothing--> waits --wake, or a while--> tries ...
 *     └── a reply, the time-out, CLIENT UNBLOCK, its client goes: over
 *
 * Those of one worker that wait for one key try one after the other, in the order in which they came.
 */
import type { Pending } from '../backend/pending.js';
import type { Timer } from '../base/timers.js';
import { isNothing } from '../replica/blocking-forms.js';
import type { Commands, Replies } from '../replica/commands.js';
import type { Operation } from '../replica/operation.js';
import type { Replicas } from '../replica/replicas.js';
import type { Client, Outcome } from '../replica/round.js';
import { errorReply } from '../resp/reply.js';
import type { CopySets } from '../routing/copy-sets.js';
import type { Transport } from '../transport/transport.js';
import { replyOf } from './replicated-reply.js';
import type { BlockedBy, Session } from './session.js';

export interface WaitsContext {
  transport: Transport;
  replicas: Replicas;
}

/** What is tried, and for how long. */
export interface Wanted {
  copySets: CopySets;
  key: Uint8Array;
  /** What is tried is the same each time. */
  operation: Operation<Commands, Replies>;
  /** Whether what one gets is there for the next, too. */
  isShared: boolean;
  /** Infinity: for ever. */
  timeoutMs: number;
}

/** A message may be lost with a connection: then the first in line tries all the same. */
const POLL_MS = 1000;
const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');
const WRONGTYPE = Buffer.from('-WRONGTYPE');

export class Waits {
  readonly context: WaitsContext;
  /** By key, a character a byte; first come, first served. */
  private readonly lines = new Map<string, Waiter[]>();
  private isPolling = false;

  constructor(context: WaitsContext) {
    this.context = context;
    context.replicas.onWake = (key) => this.wake(key);
  }

  /** `pending`, which `session` has tracked, gets the reply. */
  begin(session: Session, pending: Pending, wanted: Wanted): void {
    const waiter = this.open(session, pending, wanted);
    // Who came before takes what comes.
    if (!wanted.isShared && this.lines.has(waiter.key)) this.join(waiter);
    else waiter.attempt();
  }

  /** As `begin`, with the operation that `make` makes of the reply to `first`. */
  beginAfter(
    session: Session,
    pending: Pending,
    wanted: Wanted,
    first: Operation<Commands, Replies>,
    make: (reply: Uint8Array) => Operation<Commands, Replies>,
  ): void {
    const waiter = this.open(session, pending, wanted);
    const { copySets, key } = wanted;
    this.context.replicas.submit(copySets, key, 0, key.length, first, {
      onOutcome: (outcome) => {
        if (outcome.kind === 'done') wanted.operation = make(replyOf(outcome));
        waiter.attempt();
      },
    });
  }

  private open(session: Session, pending: Pending, wanted: Wanted): Waiter {
    const waiter = new Waiter(this, session, pending, wanted);
    session.block(waiter);
    this.context.replicas.listen();
    return waiter;
  }

  join(waiter: Waiter): void {
    const line = this.lines.get(waiter.key);
    if (line === undefined) this.lines.set(waiter.key, [waiter]);
    else if (!line.includes(waiter)) line.push(waiter);
    this.poll();
  }

  leave(waiter: Waiter): void {
    const line = this.lines.get(waiter.key);
    if (line === undefined) return;
    const place = line.indexOf(waiter);
    if (place >= 0) line.splice(place, 1);
    if (line.length === 0) this.lines.delete(waiter.key);
  }

  /** After `waiter` has tried. The next may try, unless nothing is left. */
  onTried(waiter: Waiter, next: Waiter | undefined, gotNothing: boolean): void {
    if (next !== undefined && (!gotNothing || waiter.wanted.isShared)) next.attempt();
  }

  /** Who waits behind `waiter`. */
  behind(waiter: Waiter): Waiter | undefined {
    const line = this.lines.get(waiter.key) ?? [];
    return line[line.indexOf(waiter) + 1];
  }

  /** Somebody has put something into the key; null: into any, as far as is known. */
  private wake(key: string | null): void {
    const lines = key === null ? [...this.lines.values()] : [this.lines.get(key) ?? []];
    for (const [first] of lines) first?.attempt();
  }

  private poll(): void {
    if (this.isPolling) return;
    this.isPolling = true;
    const { transport } = this.context;
    transport.timers.set(transport.now + POLL_MS, () => {
      this.isPolling = false;
      this.wake(null);
      if (this.lines.size > 0) this.poll();
    });
  }
}

class Waiter implements BlockedBy, Client<Replies> {
  readonly key: string;
  readonly wanted: Wanted;
  private readonly waits: Waits;
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly timer: Timer | null;
  private isTrying = false;
  private isToTryAgain = false;
  private isOver = false;
  /** The reply where there is nothing; null before the first attempt has shown it. */
  private nothing: Uint8Array | null = null;
  /** It is to end with that reply, or with `nothing`. */
  private ending: Uint8Array | 'nothing' | null = null;

  constructor(waits: Waits, session: Session, pending: Pending, wanted: Wanted) {
    this.waits = waits;
    this.session = session;
    this.pending = pending;
    this.wanted = wanted;
    this.key = Buffer.from(wanted.key).toString('latin1');
    const { transport } = waits.context;
    const { timeoutMs } = wanted;
    this.timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? null
        : transport.timers.set(transport.now + timeoutMs, () => this.endWith('nothing'));
  }

  attempt(): void {
    if (this.isTrying || this.isOver) {
      this.isToTryAgain = true;
      return;
    }
    this.isTrying = true;
    this.isToTryAgain = false;
    const { copySets, key, operation } = this.wanted;
    this.waits.context.replicas.submit(copySets, key, 0, key.length, operation, this);
  }

  onOutcome(outcome: Outcome<Replies>): void {
    this.isTrying = false;
    const reply = replyOf(outcome);
    const isFirst = this.nothing === null;
    // Something else may have come to lie there: who waits for a list waits on.
    const isElse = !isFirst && WRONGTYPE.every((byte, index) => reply[index] === byte);
    const gotNothing = outcome.kind === 'done' && (isNothing(reply) || isElse);
    const next = this.waits.behind(this);
    if (!gotNothing) this.finish(reply);
    else this.goOn(reply, isElse);
    this.waits.onTried(this, next, gotNothing);
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.endWith('nothing');
  }

  end(): void {}

  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void {
    const isWaiting = !this.isOver && this.ending === null;
    if (isWaiting) this.endWith(isError ? UNBLOCKED : 'nothing');
    done(isWaiting);
  }

  private goOn(reply: Uint8Array, isElse: boolean): void {
    if (!isElse) this.nothing = reply;
    const { ending } = this;
    if (ending !== null) this.finish(ending === 'nothing' ? (this.nothing as Uint8Array) : ending);
    else {
      this.waits.join(this);
      if (this.isToTryAgain) this.attempt();
    }
  }

  private endWith(reply: Uint8Array | 'nothing'): void {
    if (this.isOver) return;
    this.ending ??= reply;
    // What is under way may get something, which must not be lost.
    if (this.isTrying) return;
    // How nothing looks is what a first attempt tells.
    if (reply !== 'nothing') this.finish(reply);
    else if (this.nothing !== null) this.finish(this.nothing);
    else this.attempt();
  }

  private finish(reply: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    this.waits.context.transport.timers.cancel(this.timer);
    this.waits.leave(this);
    this.session.answer(this.pending, reply);
  }
}
