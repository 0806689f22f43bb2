/**
 * LOCK.ACQUIRE, LOCK.EXTEND, LOCK.RELEASE, LOCK.INFO: locks as a service (docs/LOCKS.md). Their words are read here, and what the nodes
 * have decided (lock/) becomes the reply.
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { ExtendOutcome, Lock } from '../lock/lock.js';
import { RedlockProvider, type RedlockProviderContext } from '../lock/redlock-provider.js';
import { SessionLockKeeper } from '../lock/session-locks.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply, integerReply, nullReply, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { BlockedBy } from './intake.js';
import { listLocks } from './lock-list.js';
import {
  acquireReply,
  extendReply,
  infoReply,
  isUndecided,
  listReply,
  type Refused,
  refusalReply,
} from './lock-replies.js';
import { LockWords, SESSION_TTL_ERROR, SESSION_TTL_MS_MIN, SYNTAX_ERROR } from './lock-words.js';
import type { Service } from './service.js';
import { type Session, SessionError } from './session.js';

export interface LockCommandsContext extends RedlockProviderContext {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  counts: Counts;
  limits: Pick<Limits, 'lockListMax' | 'lockQueueMax' | 'sessionLocksMax'>;
  now: () => number;
}

export const NO_LOCK = errorReply('ERR no keyspace of mode lock has this name: see docs/LOCKS.md');
const NO_LOCKS = errorReply('ERR this service has no keyspace of mode lock: see docs/LOCKS.md');
const OTHER_DATABASE = errorReply('ERR locks are in database 0 only');
const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');
export const NAME_BYTES_MAX = 4096;
/** A turn that took longer may have outlasted locks that were kept when it began. Less than what they are over earlier by (EARLY_MS). */
const LONG_TURN_MS = 5;

export class LockCommands {
  private readonly context: LockCommandsContext;
  private readonly words: LockWords;
  private readonly provider: RedlockProvider;
  private readonly keeper: SessionLockKeeper;

  constructor(context: LockCommandsContext) {
    this.context = context;
    this.words = new LockWords(context.bytes, context.reader);
    this.provider = new RedlockProvider(context);
    const { counts, limits, transport } = context;
    const { timers } = transport;
    const after = (ms: number, work: () => void) => {
      const timer = timers.set(transport.now + Math.ceil(ms), work);
      return () => timers.cancel(timer);
    };
    this.keeper = new SessionLockKeeper({ clock: { nowMs: () => performance.now(), after }, limits, counts });
  }

  /** Before anything is sent: a process that was stopped has read what came meanwhile, and knows only now how late it is. */
  onTurnEnd(): void {
    if (!this.keeper.isIdle && performance.now() - this.context.transport.now > LONG_TURN_MS) this.keeper.look();
  }

  /** All clients have gone. Calls `done` when what they had is free. */
  whenReleased(done: () => void): void {
    this.keeper.whenReleased(done);
  }

  /** Carries out the command last read. False: the replies before it must have gone out first, and nothing was done. */
  carryOut(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    if (spec.name === 'lock.list') {
      this.list(session, service, requestBytes);
      return true;
    }
    const lock = this.find(session, service);
    if (lock instanceof Uint8Array) {
      session.reply(lock);
      return true;
    }
    switch (spec.name) {
      case 'lock.acquire':
        return this.acquire(session, lock, requestBytes);
      case 'lock.extend':
        this.extend(session, lock, requestBytes);
        return true;
      case 'lock.release':
        this.release(session, lock, requestBytes);
        return true;
      case 'lock.break':
        this.break(session, lock, requestBytes);
        return true;
      case 'lock.info':
        this.info(session, lock, requestBytes);
        return true;
    }
    throw new Error(`the command table says that ${spec.name} is about locks; it is not`);
  }

  /** The lock that is the first argument, or why there is none. */
  private find(session: Session, service: Service): Lock | Uint8Array {
    const { bytes, reader } = this.context;
    const [start, end] = [reader.argumentStart[1] as number, reader.argumentEnd[1] as number];
    const sets = service.lockSetsOf(bytes, start, end);
    if (sets === null) return NO_LOCK;
    if (session.database !== 0) return OTHER_DATABASE;
    if (end - start > NAME_BYTES_MAX)
      return errorReply(`ERR the name of a lock may have ${NAME_BYTES_MAX} bytes, and this one has ${end - start}`);
    return this.provider.lockOf(sets, bytes, start, end);
  }

  private acquire(session: Session, lock: Lock, requestBytes: number): boolean {
    const wanted = this.words.wanted(2, lock.ttlMaxMs);
    if (wanted instanceof Uint8Array) {
      session.reply(wanted);
      return true;
    }
    const { ttlMs, waitMs, token, mode, isForSession } = wanted;
    // Nothing is read from who waits: all that was asked before is to be answered.
    if (waitMs > 0 && !session.isIdle) return false;
    if (isForSession) session.locks ??= this.keeper.begin((reason) => session.cutOff(new SessionError(reason)));
    const locks = isForSession ? session.locks : null;
    if (locks?.reserve(1) === false) {
      this.context.counts.commandsOverloaded++;
      session.reply(
        errorBytes('OVERLOADED', `the client has sessionLocksMax ${this.context.limits.sessionLocksMax} locks`),
      );
      return true;
    }
    const order = { ttlMs, token, client: clientOf(session), mode, isWanted: () => !session.isLeaving };
    const pending = this.track(session, requestBytes);
    const waiting = new Waiting(session, pending);
    if (waitMs > 0) session.block(waiting);
    const giveUp = lock.acquire(order, waitMs, (outcome) => {
      locks?.unreserve(1);
      if (outcome.kind === 'no-quorum' || outcome.kind === 'late') this.context.counts.locksNoQuorum++;
      if (outcome.kind === 'crowded') this.context.counts.commandsOverloaded++;
      // Nobody would ever free what a client that is gone has got.
      if (outcome.kind === 'granted' && session.isLeaving) {
        outcome.giveBack();
        waiting.answer(nullReply(session.protocol));
        return;
      }
      // What it has until it goes it has so when it is granted again, too.
      const keeping = locks ?? (session.locks?.find(lock.name, token) ? session.locks : null);
      if (outcome.kind === 'granted') keeping?.keep(lock, order, outcome);
      waiting.answer(acquireReply(outcome, token, session.protocol));
    });
    waiting.giveUp = () => {
      giveUp();
      locks?.unreserve(1);
    };
    return true;
  }

  private extend(session: Session, lock: Lock, requestBytes: number): void {
    const ttlMs = this.words.ttl(3, lock.ttlMaxMs);
    if (ttlMs instanceof Uint8Array) {
      session.reply(ttlMs);
      return;
    }
    const token = this.words.text(2);
    const kept = session.locks?.find(lock.name, token) ?? null;
    if (kept !== null && ttlMs < SESSION_TTL_MS_MIN) {
      session.reply(SESSION_TTL_ERROR);
      return;
    }
    const pending = this.track(session, requestBytes);
    const told = (outcome: ExtendOutcome) => {
      const reply =
        outcome.kind === 'extended' ? extendReply(outcome, session.protocol) : this.refusal(outcome, 'extended');
      session.answer(pending, reply);
    };
    if (kept === null) lock.extend(token, ttlMs, told);
    else kept.extend(ttlMs, told);
  }

  private release(session: Session, lock: Lock, requestBytes: number): void {
    const pending = this.track(session, requestBytes);
    const token = this.words.text(2);
    session.locks?.drop(lock.name, token);
    lock.release(token, (outcome) => {
      session.answer(pending, outcome.kind === 'released' ? REPLY_OK : this.refusal(outcome, 'released'));
    });
  }

  private break(session: Session, lock: Lock, requestBytes: number): void {
    const pending = this.track(session, requestBytes);
    lock.break((outcome) => {
      const reply = outcome.kind === 'broken' ? integerReply(outcome.holders) : this.refusal(outcome, 'freed');
      session.answer(pending, reply);
    });
  }

  private list(session: Session, service: Service, requestBytes: number): void {
    const { words, provider } = this;
    const { counts, limits } = this.context;
    if (words.count > 2 || !service.hasLocks || session.database !== 0) {
      session.reply(words.count > 2 ? SYNTAX_ERROR : service.hasLocks ? OTHER_DATABASE : NO_LOCKS);
      return;
    }
    const pattern = words.count === 2 ? words.text(1) : '*';
    const max = limits.lockListMax;
    const pending = this.track(session, requestBytes);
    listLocks(provider, service, { pattern, max, isWanted: () => !session.isClosed }, (outcome) => {
      if (outcome.kind === 'listed') session.answer(pending, listReply(outcome.locks, session.protocol));
      else if (outcome.kind === 'too-many') {
        counts.lockListsRefused++;
        counts.commandsOverloaded++;
        session.answer(pending, errorBytes('OVERLOADED', `more than lockListMax ${max} locks fit the pattern`));
      } else session.answer(pending, this.refusal(outcome, 'asked for'));
    });
  }

  private info(session: Session, lock: Lock, requestBytes: number): void {
    const pending = this.track(session, requestBytes);
    lock.look((outcome) => {
      const reply = isUndecided(outcome)
        ? this.refusal(outcome, 'asked for')
        : infoReply(lock.name, outcome, session.protocol);
      session.answer(pending, reply);
    });
  }

  private track(session: Session, requestBytes: number): Pending {
    const pending = this.context.pendings.take(session, this.context.now(), true);
    session.track(pending, requestBytes);
    return pending;
  }

  /** Why a lock was not `done`. */
  private refusal(outcome: Refused, done: string): Uint8Array {
    if (outcome.kind !== 'not-held') this.context.counts.locksNoQuorum++;
    return refusalReply(outcome, done);
  }
}

/** A session that waits for a lock. */
class Waiting implements BlockedBy {
  giveUp: () => void = () => {};
  private readonly session: Session;
  private readonly pending: Pending;
  private isOver = false;

  constructor(session: Session, pending: Pending) {
    this.session = session;
    this.pending = pending;
  }

  answer(reply: Uint8Array): void {
    if (this.isOver) return;
    this.isOver = true;
    this.session.answer(this.pending, reply);
  }

  end(): void {}

  /** Its client is gone. */
  cancel(): void {
    this.giveUp();
    this.answer(nullReply(this.session.protocol));
  }

  unblock(isError: boolean, done: (isUnblocked: boolean) => void): void {
    const isWaiting = !this.isOver;
    if (isWaiting) {
      this.giveUp();
      this.answer(isError ? UNBLOCKED : nullReply(this.session.protocol));
    }
    done(isWaiting);
  }
}

/** The client's name, or its address. */
function clientOf({ name, connection }: Session): string {
  return (name === '' ? connection.remoteAddress() : name).replaceAll(/\s/g, '_') || '?';
}
