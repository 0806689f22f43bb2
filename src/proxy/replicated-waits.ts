/**
 * Commands that wait for data of a replicated key: BLPOP and its like, XREAD with BLOCK. None waits at a node, which knows nothing
 * of the agreement: each tries, and tries again when a node says that somebody has put something into the key.
 *
 *   tries --nothing--> waits --wake--> tries ...
 *     │                  waits --a while--> looks --there may be something--> tries
 *     └── a reply, the time-out, CLIENT UNBLOCK, its client goes: over
 *
 * To try is to write: a round by a new ballot, for which WATCH answers nil. To look is a read.
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
import { isNoGroup, isWrongType, reading } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import type { Replicas } from '../replica/replicas.js';
import type { Client, Outcome } from '../replica/round.js';
import { textOf, word } from '../replica/words.js';
import { errorReply, REPLY_NULL, REPLY_NULL_ARRAY } from '../resp/reply.js';
import type { CopySets } from '../routing/copy-sets.js';
import type { Transport } from '../transport/transport.js';
import { replyOf } from './replicated-reply.js';
import type { BlockedBy, Session } from './session.js';

export interface WaitsContext {
  transport: Transport;
  replicas: Replicas;
  counts: Counts;
}

/** What is tried, and for how long. */
export interface Wanted {
  copySets: CopySets;
  key: Uint8Array;
  /** Of the key, as TYPE says it. */
  type: 'list' | 'zset' | 'stream';
  /** What is tried is the same each time. */
  operation: Operation<Commands, Replies>;
  /** The same for those of whom only one gets what comes; null where it is there for all. */
  contest: string | null;
  /** Infinity: for ever. */
  timeoutMs: number;
}

/** Those who wait for the same of one key; first come, first served. */
interface Line {
  readonly contest: string | null;
  readonly waiters: Waiter[];
}

/** A message may be lost with a connection: then the first in line looks all the same. */
const POLL_MS = 1000;
/** In which the other nodes do what the first to say so has done; or get what a script has made at one of them. */
const GATHER_MS = 100;
const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');
const GROUP_GONE = errorReply('NOGROUP the consumer group this client was blocked on no longer exists');
const TYPE = word('TYPE');
const XINFO = word('XINFO');
const STREAM = word('STREAM');

export class Waits {
  readonly context: WaitsContext;
  /** By key, a character a byte. */
  private readonly lines = new Map<string, Line[]>();
  /** Keys that nodes have said something was put into, of late: how many have said so. */
  private readonly said = new Map<string, number>();
  /** Those whose turn it is to try. */
  private readonly turns: Waiter[] = [];
  private isTakingTurns = false;
  private isPolling = false;

  constructor(context: WaitsContext) {
    this.context = context;
    context.replicas.onWake = (key) => this.onWake(key);
  }

  /** `pending`, which `session` has tracked, gets the reply. */
  begin(session: Session, pending: Pending, wanted: Wanted): void {
    const waiter = this.open(session, pending, wanted);
    if (wanted.contest === null || this.lineOf(waiter) === undefined) {
      this.giveTurn(waiter);
      return;
    }
    // Who came before takes what comes.
    this.join(waiter);
    const { copySets, key, type } = wanted;
    this.context.replicas.submit(copySets, key, 0, key.length, typeOf(key), {
      onOutcome: (outcome) => {
        // Something else that lies there before one waits is told at once, whoever waits.
        if (outcome.kind === 'done' && isOther(replyOf(outcome), type)) this.giveTurn(waiter);
        else waiter.accept();
      },
    });
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
        if (outcome.kind !== 'done') {
          waiter.endWith(replyOf(outcome));
          return;
        }
        wanted.operation = make(replyOf(outcome));
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

  join(waiter: Waiter): void {
    if (waiter.isInLine) return;
    waiter.isInLine = true;
    this.context.counts.sessionsWaiting++;
    const line = this.lineOf(waiter);
    if (line !== undefined) line.waiters.push(waiter);
    else {
      const { key } = waiter;
      const lines = this.lines.get(key);
      const opened = { contest: waiter.wanted.contest, waiters: [waiter] };
      if (lines === undefined) this.lines.set(key, [opened]);
      else lines.push(opened);
    }
    this.poll();
  }

  /** It is over for `waiter`. */
  leave(waiter: Waiter): void {
    if (!waiter.isInLine) return;
    this.context.counts.sessionsWaiting--;
    const line = this.lineOf(waiter) as Line;
    line.waiters.splice(line.waiters.indexOf(waiter), 1);
    if (line.waiters.length > 0) return;
    const left = (this.lines.get(waiter.key) as Line[]).filter((other) => other !== line);
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

  /** Who stands behind `waiter`; the first in line where it has not come to stand there. */
  behind(waiter: Waiter): Waiter | undefined {
    const { waiters = [] } = this.lineOf(waiter) ?? {};
    return waiters[waiters.indexOf(waiter) + 1];
  }

  private lineOf({ key, wanted }: Waiter): Line | undefined {
    return this.lines.get(key)?.find(({ contest }) => contest === wanted.contest);
  }

  /**
   * A node says that something was put into the key; null: into any, as far as is known. Each says so as it carries out a write, which is
   * chosen when a majority has: who tried before would ask for promises that bar it from the others, and both would have to find
   * out what became of it.
   */
  private onWake(key: string | null): void {
    if (key === null) {
      this.lookAtAll();
      return;
    }
    const waiter = this.lines.get(key)?.[0]?.waiters[0];
    if (waiter === undefined) return;
    const { copies } = waiter.wanted.copySets;
    const quorum = (copies >> 1) + 1;
    const said = (this.said.get(key) ?? 0) + 1;
    this.said.set(key, said);
    if (said === 1) {
      const { timers, now } = this.context.transport;
      timers.set(now + GATHER_MS, () => {
        // Of the last write too few have said so: it was done at one node, or messages were lost.
        const rest = (this.said.get(key) as number) % copies;
        this.said.delete(key);
        if (rest > 0 && rest < quorum) this.wake(key);
      });
    }
    if (said % copies === quorum) this.wake(key);
  }

  /** Somebody has put something into the key. */
  private wake(key: string): void {
    const lines = [...(this.lines.get(key) ?? [])];
    for (const { waiters } of lines) if (waiters[0] !== undefined) this.giveTurn(waiters[0]);
  }

  /** Somebody may have put something into any key. */
  private lookAtAll(): void {
    for (const { waiters } of [...this.lines.values()].flat()) waiters[0]?.look();
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
  private isLooking = false;
  /** Of the stream, when it was looked at last. */
  private seen: Uint8Array = REPLY_NULL;
  private isToTryAgain = false;
  private isOver = false;
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

  /** Tries only if there may be something for it. */
  look(): void {
    const { copySets, key, operation } = this.wanted;
    if (operation.reads !== null) {
      this.waits.giveTurn(this);
      return;
    }
    if (this.isLooking) return;
    this.isLooking = true;
    const looking = this.wanted.type === 'stream' ? reading([XINFO, STREAM, key], 2, false) : typeOf(key);
    this.waits.context.replicas.submit(copySets, key, 0, key.length, looking, {
      onOutcome: (outcome) => {
        this.isLooking = false;
        // Where a look fails, trying tells the client why.
        if (outcome.kind !== 'done' || this.isPromising(replyOf(outcome))) this.waits.giveTurn(this);
      },
    });
  }

  /** A stream stays when nothing in it is new to a group, and when the group goes that ends the waiting: so it is whether anything has changed. */
  private isPromising(found: Uint8Array): boolean {
    const { type } = this.wanted;
    if (type !== 'stream') return typeName(found) === type;
    const { seen } = this;
    this.seen = found;
    return Buffer.compare(seen, found) !== 0;
  }

  accept(): void {
    this.isAccepted = true;
  }

  onOutcome(outcome: Outcome<Replies>): void {
    this.isTrying = false;
    const found = replyOf(outcome);
    const reply = this.isAccepted && isNoGroup(found) ? GROUP_GONE : found;
    const isInVain = outcome.kind === 'done' && (isNothing(reply) || (this.isAccepted && isWrongType(reply)));
    const next = this.waits.behind(this);
    if (!isInVain) this.finish(reply);
    else if (this.ending !== null) this.finish(this.ending);
    else this.waitOn();
    if (next !== undefined && (!isInVain || this.wanted.contest === null)) this.waits.giveTurn(next);
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
    this.isAccepted = true;
    this.waits.join(this);
    if (this.isToTryAgain) this.waits.giveTurn(this);
  }

  private finish(reply: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    this.waits.context.transport.timers.cancel(this.timer);
    this.waits.leave(this);
    this.session.answer(this.pending, reply);
  }
}

function typeOf(key: Uint8Array): Operation<Commands, Replies> {
  return reading([TYPE, key], 2, true);
}

/** Whether TYPE's reply names another type, and not that there is no key. */
function isOther(reply: Uint8Array, type: Wanted['type']): boolean {
  const found = typeName(reply);
  return found !== 'none' && found !== type;
}

/** Of `+list`. */
function typeName(reply: Uint8Array): string {
  return textOf(reply).slice(1, -2);
}
