/**
 * Commands that wait for data of a replicated key: BLPOP and its like, XREAD with BLOCK. None waits at a node, which knows nothing
 * of the agreement: each tries, and tries again when nodes say that somebody has put something into the key.
 *
 *   looks --there may be something--> tries --nothing--> waits --wake, or a while--> looks ...
 *     └── there is nothing ────────────────────────────────> │
 *   a reply, the time-out, CLIENT UNBLOCK, its client goes: over
 *
 * To try is to write: a round by a new ballot, for which WATCH answers nil, and which contends with the others'. To look is a read.
 *
 * Those of one worker that contend for what one key has (its list, its sorted set, what is new to a group of its stream) stand in
 * one line: they try one after the other, in the order in which they came, and there is nothing for the second where there is
 * nothing for the first. Those that only read stand in a line, too, and all of them try.
 */
import type { Pending } from '../backend/pending.js';
import type { Counts } from '../base/metrics.js';
import type { Timer } from '../base/timers.js';
import { isNothing } from '../replica/blocking-forms.js';
import type { Commands, Replies } from '../replica/commands.js';
import { isNoGroup, isWrongType, type KeyOperation } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import type { Replicas } from '../replica/replicas.js';
import type { Client, Outcome } from '../replica/round.js';
import { Wakes } from '../replica/wakes.js';
import { errorReply, REPLY_NULL, REPLY_NULL_ARRAY } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import type { BlockedBy } from './intake.js';
import { Line, typeName, typeOf, type Wanted } from './replicated-line.js';
import { replyOf } from './replicated-reply.js';
import type { Session } from './session.js';

export interface WaitsContext {
  transport: Transport;
  replicas: Replicas;
  counts: Counts;
}

/** A message may be lost with a connection: then the first in line looks all the same. */
const POLL_MS = 1000;
const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');
const STREAM_GONE = errorReply('UNBLOCKED the stream key no longer exists');
const GROUP_GONE = errorReply('NOGROUP the consumer group this client was blocked on no longer exists');

export class Waits {
  readonly context: WaitsContext;
  readonly wakes: Wakes;
  /** By key, a character a byte. */
  private readonly lines = new Map<string, Line<Waiter>[]>();
  /** Those whose turn it is to try. */
  private readonly turns: Waiter[] = [];
  private isTakingTurns = false;
  private isPolling = false;

  constructor(context: WaitsContext) {
    this.context = context;
    this.wakes = new Wakes(context.transport);
    context.replicas.whenWoken((message) => this.onWake(message));
  }

  /** `pending`, which `session` has tracked, gets the reply. */
  begin(session: Session, pending: Pending, wanted: Wanted): void {
    const waiter = this.open(session, pending, wanted);
    // From here on it is woken.
    this.join(waiter);
    const { type, contest, operation } = wanted;
    // What only reads contends with nobody, and of a stream only trying shows whether anything is new to a group.
    const mayTry = this.firstIn(waiter) === waiter && (type === 'stream' || this.hasValue(waiter));
    if (contest === null || operation.isFaulty === true || mayTry) this.giveTurn(waiter);
    else waiter.lookFirst();
  }

  /** As `begin`, with the operation that `make` makes of the reply to `first`. */
  beginAfter(
    session: Session,
    pending: Pending,
    wanted: Wanted,
    first: Operation<Commands, Replies>,
    make: (reply: Uint8Array) => KeyOperation,
  ): void {
    const waiter = this.open(session, pending, wanted);
    const { copySets, key } = wanted;
    this.context.replicas.submit(copySets, key, 0, key.length, first, {
      onOutcome: (outcome) => {
        if (outcome.kind !== 'done') {
          waiter.endWith(replyOf(outcome));
          return;
        }
        wanted.operation = make(replyOf(outcome));
        this.join(waiter);
        this.giveTurn(waiter);
      },
    });
  }

  private open(session: Session, pending: Pending, wanted: Wanted): Waiter {
    const waiter = new Waiter(this, session, pending, wanted);
    session.block(waiter);
    this.context.replicas.listen();
    return waiter;
  }

  private join(waiter: Waiter): void {
    if (waiter.isOver) return;
    waiter.isInLine = true;
    const { key, wanted } = waiter;
    let line = this.lineOf(waiter);
    if (line === undefined) {
      line = new Line<Waiter>(this.context.replicas, wanted, (first) => this.giveTurn(first));
      const lines = this.lines.get(key);
      if (lines === undefined) this.lines.set(key, [line]);
      else lines.push(line);
    }
    line.waiters.push(waiter);
    this.poll();
  }

  /** It is over for `waiter`. */
  leave(waiter: Waiter): void {
    if (!waiter.isInLine) return;
    const line = this.lineOf(waiter) as Line<Waiter>;
    line.waiters.splice(line.waiters.indexOf(waiter), 1);
    if (line.waiters.length > 0) return;
    const left = (this.lines.get(waiter.key) as Line<Waiter>[]).filter((other) => other !== line);
    if (left.length === 0) this.lines.delete(waiter.key);
    else this.lines.set(waiter.key, left);
  }

  /** Has it try, and before it those whose turn came before. What is tried may be over within the call, however many wait. */
  giveTurn(waiter: Waiter): void {
    this.turns.push(waiter);
    if (this.isTakingTurns) return;
    this.isTakingTurns = true;
    for (let next = this.turns.shift(); next !== undefined; next = this.turns.shift()) next.attempt();
    this.isTakingTurns = false;
  }

  /** Who stands behind `waiter`, which stands in line. */
  behind(waiter: Waiter): Waiter | undefined {
    const { waiters = [] } = this.lineOf(waiter) ?? {};
    return waiters[waiters.indexOf(waiter) + 1];
  }

  /** Who stands first in the line of `waiter`, which stands there, too. */
  firstIn(waiter: Waiter): Waiter {
    return (this.lineOf(waiter) as Line<Waiter>).waiters[0] as Waiter;
  }

  /** Whether the last write of the key was this worker's, as far as it knows, and has left something: then to try is as quick as to look. */
  private hasValue({ wanted: { copySets, key } }: Waiter): boolean {
    return this.context.replicas.hasValue(copySets, key);
  }

  private lineOf({ key, wanted }: Waiter): Line<Waiter> | undefined {
    return this.lines.get(key)?.find((line) => line.wanted.contest === wanted.contest);
  }

  /** A node says that something was put into a key; null: into any, as far as is known. */
  private onWake(message: string | null): void {
    if (message === null) {
      this.lookAtAll();
      return;
    }
    const wake = this.wakes.read(message);
    const { key } = wake;
    const first = this.lines.get(key)?.[0]?.waiters[0];
    if (first === undefined) return;
    const { copySets, key: bytes } = first.wanted;
    const onWoken = () => {
      if (this.wakes.isForeign(wake)) this.context.replicas.onOvertaken(copySets, bytes);
      this.wake(key);
    };
    this.wakes.gather(wake, copySets.copies, onWoken, () => this.doubt(key));
  }

  /** Somebody has put something into the key. */
  private wake(key: string): void {
    for (const line of [...(this.lines.get(key) ?? [])]) {
      const [first] = line.waiters;
      // Those of other workers may have taken it, or it was taken away.
      if (first !== undefined && this.hasValue(first)) this.giveTurn(first);
      else line.look();
    }
  }

  /** Fewer nodes have said so than would have to. */
  private doubt(key: string): void {
    for (const line of [...(this.lines.get(key) ?? [])]) line.look();
  }

  /** Somebody may have put something into any key. */
  private lookAtAll(): void {
    for (const line of [...this.lines.values()].flat()) line.look();
  }

  private poll(): void {
    if (this.isPolling) return;
    this.isPolling = true;
    const { transport } = this.context;
    transport.timers.set(transport.now + POLL_MS, () => {
      this.isPolling = false;
      this.lookAtAll();
      if (this.lines.size > 0) this.poll();
    });
  }
}

class Waiter implements BlockedBy, Client<Replies> {
  readonly key: string;
  readonly wanted: Wanted;
  isInLine = false;
  private readonly waits: Waits;
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly timer: Timer | null;
  /** What it is told when nothing came. */
  private readonly nothing: Uint8Array;
  private isTrying = false;
  private isToTryAgain = false;
  isOver = false;
  /** It was found that it has to wait: something else that comes to lie there does not end that. */
  private isAccepted = false;
  /** It is to end with that reply, unless what is under way gets something. */
  private ending: Uint8Array | null = null;

  constructor(waits: Waits, session: Session, pending: Pending, wanted: Wanted) {
    this.waits = waits;
    this.session = session;
    this.pending = pending;
    this.wanted = wanted;
    this.key = Buffer.from(wanted.key).toString('latin1');
    this.nothing = session.protocol === 3 ? REPLY_NULL : REPLY_NULL_ARRAY;
    const { transport } = waits.context;
    const { timeoutMs } = wanted;
    this.timer =
      timeoutMs === Number.POSITIVE_INFINITY
        ? null
        : transport.timers.set(transport.now + timeoutMs, () => this.endWith(this.nothing));
  }

  attempt(): void {
    if (this.isOver) return;
    this.isToTryAgain = this.isTrying;
    if (this.isTrying) return;
    this.isTrying = true;
    const { copySets, key, operation } = this.wanted;
    this.waits.context.replicas.submit(copySets, key, 0, key.length, operation, this);
  }

  /** Of a list or sorted set, whose first look it is; or of a stream for whose group others wait already. */
  lookFirst(): void {
    const { copySets, key, type } = this.wanted;
    this.waits.context.replicas.submit(copySets, key, 0, key.length, typeOf(key), {
      onOutcome: (outcome) => {
        if (this.isOver) return;
        const found = outcome.kind === 'done' ? typeName(replyOf(outcome)) : null;
        // Something else that lies there before one waits is told at once, whoever waits; and where a look fails, trying tells why.
        const isToTry = type === 'stream' ? found !== type : found !== type && found !== 'none';
        if (isToTry) {
          this.waits.giveTurn(this);
          return;
        }
        this.accept();
        // Who came before takes what is there.
        if (found === type && type !== 'stream') this.waits.giveTurn(this.waits.firstIn(this));
      },
    });
  }

  private accept(): void {
    if (this.isAccepted) return;
    this.isAccepted = true;
    this.waits.context.counts.sessionsWaiting++;
  }

  onOutcome(outcome: Outcome<Replies>): void {
    const reply = replyOf(outcome);
    const isDone = outcome.kind === 'done';
    if (isDone && this.isAccepted && this.isOfLostGroup(reply)) this.tellWhatIsLost();
    else this.onTried(reply, isDone && (isNothing(reply) || (this.isAccepted && isWrongType(reply))));
  }

  /** `isInVain`: there was nothing for it. */
  private onTried(reply: Uint8Array, isInVain: boolean): void {
    this.isTrying = false;
    const next = this.waits.behind(this);
    if (!isInVain) this.finish(reply);
    else if (this.ending !== null) this.finish(this.ending);
    else this.waitOn();
    // Who goes while it tries in vain has not heard of what came meanwhile.
    const isForNext = !isInVain || this.wanted.contest === null || (this.isOver && this.isToTryAgain);
    if (next !== undefined && isForNext) this.waits.giveTurn(next);
  }

  /** Something else where the stream was ends the waiting for a group of it; who waits for entries alone waits on. */
  private isOfLostGroup(reply: Uint8Array): boolean {
    const { type, contest } = this.wanted;
    return isNoGroup(reply) || (isWrongType(reply) && type === 'stream' && contest !== null);
  }

  /** The stream or only the group. */
  private tellWhatIsLost(): void {
    const { copySets, key } = this.wanted;
    this.waits.context.replicas.submit(copySets, key, 0, key.length, typeOf(key), {
      onOutcome: (outcome) => {
        const found = replyOf(outcome);
        if (outcome.kind !== 'done') this.onTried(found, false);
        else this.onTried(typeName(found) === 'stream' ? GROUP_GONE : STREAM_GONE, false);
      },
    });
  }

  /** Nobody waits for it any more. */
  cancel(): void {
    this.endWith(this.nothing);
  }

  end(): void {}

  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void {
    const isWaiting = !this.isOver && this.ending === null;
    if (isWaiting) this.endWith(isError ? UNBLOCKED : this.nothing);
    done(isWaiting);
  }

  endWith(reply: Uint8Array): void {
    if (this.isOver) return;
    this.ending ??= reply;
    // What is under way may get something, which must not be lost.
    if (!this.isTrying) this.finish(this.ending);
  }

  private waitOn(): void {
    this.accept();
    if (this.isToTryAgain) this.waits.giveTurn(this);
  }

  private finish(reply: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    const { counts, transport } = this.waits.context;
    if (this.isAccepted) counts.sessionsWaiting--;
    transport.timers.cancel(this.timer);
    this.waits.leave(this);
    this.session.answer(this.pending, reply);
  }
}
