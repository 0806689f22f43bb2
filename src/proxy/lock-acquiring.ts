/** LOCK.ACQUIRE and LOCK.MACQUIRE: a client that waits for locks, and those that it has for as long as it is connected. */
import type { PendingPool } from '../backend/pending.js';
import type { Clock } from '../base/clock.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { GiveBack, Lock, LockOrder } from '../lock/lock.js';
import { type Granted, SessionLockKeeper, type SessionLocks } from '../lock/session-locks.js';
import { acquireSeveral, type SeveralOutcome } from '../lock/several-locks.js';
import { errorReply, nullReply } from '../resp/reply.js';
import type { Transport } from '../transport/transport.js';
import { acquireReply, severalReply } from './lock-replies.js';
import { SESSION_TTL_ERROR, SESSION_TTL_MS_MIN, type Wanted } from './lock-words.js';
import { type Session, SessionError } from './session.js';
import { WaitingForLock } from './waiting-for-lock.js';

export interface LockAcquiringContext {
  transport: Transport;
  pendings: PendingPool;
  counts: Counts;
  limits: Pick<Limits, 'sessionLocksMax'>;
  now: () => number;
  /** That of the lock which that name is of to that client now (see Lock); null: of none. */
  homeOf: (session: Session, name: string) => string | null;
}

/** Locks that a client has asked for, and has not been answered. */
interface Wish {
  readonly session: Session;
  readonly locks: readonly Lock[];
  readonly waiting: WaitingForLock;
}

/** What a wish for locks has come to. */
type Outcome = SeveralOutcome;

/** A turn that took longer may have outlasted locks that were kept when it began. Less than what they are over earlier by (EARLY_MS). */
const LONG_TURN_MS = 5;
const MOVED = errorBytes('NOQUORUM', 'the lock is on other nodes by the configuration that was loaded; it is not held');
const KEPT_ALREADY = errorReply('ERR the connection has one of the locks by this TOKEN already');

export class LockAcquiring {
  private readonly context: LockAcquiringContext;
  private readonly clock: Clock;
  private readonly keeper: SessionLockKeeper;
  private readonly wishes = new Set<Wish>();
  /** How many wishes a session has for a lock. */
  private readonly underWay = new Map<string, number>();

  constructor(context: LockAcquiringContext) {
    this.context = context;
    const { counts, limits, transport } = context;
    const { timers } = transport;
    const after = (ms: number, work: () => void) => {
      const timer = timers.set(transport.now + Math.ceil(ms), work);
      return () => timers.cancel(timer);
    };
    this.clock = { nowMs: () => performance.now(), after };
    this.keeper = new SessionLockKeeper({ clock: this.clock, limits, counts });
  }

  /** Before anything is sent: a process that was stopped has read what came meanwhile, and knows only now how late it is. */
  onTurnEnd(): void {
    if (!this.keeper.isIdle && performance.now() - this.context.transport.now > LONG_TURN_MS) this.keeper.look();
  }

  /** All clients have gone. Calls `done` when what they had is free. */
  whenReleased(done: () => void): void {
    this.keeper.whenReleased(done);
  }

  /** Whether the session's own wish for that lock is not answered yet: what it says of the lock next is about what comes of that. */
  isUnderWay(session: Session, lock: Lock): boolean {
    return this.underWay.has(idOf(session, lock));
  }

  /** Who has a lock for as long as he is connected, or waits for one, that other nodes keep from now on, does so no more. */
  onTopologyChanged(): void {
    this.keeper.loseMoved();
    for (const { session, locks, waiting } of [...this.wishes]) {
      if (!locks.some((lock) => this.isMoved(session, lock))) continue;
      this.context.counts.locksNoQuorum++;
      waiting.giveUp();
      waiting.answer(MOVED);
    }
  }

  /** LOCK.ACQUIRE. False: the replies before it must have gone out first, and nothing was done. */
  one(session: Session, lock: Lock, wanted: Wanted, requestBytes: number): boolean {
    // What it has until it goes it has so when it is granted again, too.
    const isAgain = (session.locks?.find(lock.name, wanted.token) ?? null) !== null;
    const isForSession = wanted.isForSession || isAgain;
    return this.begin(session, [lock], { ...wanted, isForSession }, isAgain ? 0 : 1, requestBytes, (order, told) => {
      const giveUp = lock.acquire(order, wanted.waitMs, (outcome) => {
        if (outcome.kind !== 'granted') told(outcome, () => acquireReply(outcome, order.token, session.protocol));
        else {
          const { validityMs } = outcome;
          const reply = () => acquireReply(outcome, order.token, session.protocol);
          told({ kind: 'granted', granted: [outcome], validityMs }, reply);
        }
      });
      return () => this.keeper.giveBack(giveUp);
    });
  }

  /** LOCK.MACQUIRE, of locks with different names. False: as of `one`. */
  several(session: Session, locks: readonly Lock[], wanted: Wanted, requestBytes: number): boolean {
    // They would be given back if another one is not got.
    if (locks.some(({ name }) => (session.locks?.find(name, wanted.token) ?? null) !== null)) {
      session.reply(KEPT_ALREADY);
      return true;
    }
    return this.begin(session, locks, wanted, locks.length, requestBytes, (order, told) => {
      const several = { clock: this.clock, giveBack: (giveBack: GiveBack) => this.keeper.giveBack(giveBack) };
      return acquireSeveral(locks, order, wanted.waitMs, several, (outcome) => {
        told(outcome, () => severalReply(outcome, order.token, session.protocol));
      });
    });
  }

  /** `added`: locks that it will have more than before; `start` begins it, and returns what ends it. */
  private begin(
    session: Session,
    locks: readonly Lock[],
    { ttlMs, waitMs, token, mode, isForSession }: Wanted,
    added: number,
    requestBytes: number,
    start: (order: LockOrder, told: (outcome: Outcome, reply: () => Uint8Array) => void) => () => void,
  ): boolean {
    if (isForSession && ttlMs < SESSION_TTL_MS_MIN) {
      session.reply(SESSION_TTL_ERROR);
      return true;
    }
    // Nothing is read from who waits: all that was asked before is to be answered.
    if (waitMs > 0 && !session.isIdle) return false;
    const { counts, limits, pendings, now } = this.context;
    if (isForSession) session.locks ??= this.keep(session);
    const keeping = isForSession ? session.locks : null;
    if (keeping?.reserve(added) === false) {
      counts.commandsOverloaded++;
      session.reply(
        errorBytes('OVERLOADED', `the client would have more than sessionLocksMax ${limits.sessionLocksMax} locks`),
      );
      return true;
    }
    const order = { ttlMs, token, client: clientOf(session), mode, isWanted: () => !session.isLeaving };
    const pending = pendings.take(session, now(), true);
    session.track(pending, requestBytes);
    const waiting = new WaitingForLock(session, pending);
    if (waitMs > 0) session.block(waiting);
    const wish = { session, locks, waiting };
    this.note(wish, 1);
    const end = () => {
      keeping?.unreserve(added);
      this.note(wish, -1);
    };
    const giveUp = start(order, (outcome, reply) => {
      end();
      this.count(outcome);
      if (outcome.kind === 'granted' && session.isLeaving) {
        // Nobody would ever free what a client that is gone has got.
        for (const granted of outcome.granted) this.keeper.giveBack(granted.giveBack);
        waiting.answer(nullReply(session.protocol));
        return;
      }
      if (outcome.kind === 'granted') {
        const { granted, validityMs } = outcome;
        for (const [at, lock] of locks.entries())
          keeping?.keep(lock, order, { ...(granted[at] as Granted), validityMs });
      }
      waiting.answer(reply());
    });
    waiting.giveUp = () => {
      giveUp();
      end();
    };
    return true;
  }

  private keep(session: Session): SessionLocks {
    return this.keeper.begin(
      (reason) => session.cutOff(new SessionError(reason)),
      (lock) => this.isMoved(session, lock),
    );
  }

  private isMoved(session: Session, { name, home }: Lock): boolean {
    return this.context.homeOf(session, name) !== home;
  }

  /** It begins, or is over. */
  private note(wish: Wish, more: 1 | -1): void {
    const { underWay, wishes } = this;
    if (more > 0) wishes.add(wish);
    else wishes.delete(wish);
    for (const lock of wish.locks) {
      const id = idOf(wish.session, lock);
      const count = (underWay.get(id) ?? 0) + more;
      if (count === 0) underWay.delete(id);
      else underWay.set(id, count);
    }
  }

  private count({ kind }: Outcome): void {
    const { counts } = this.context;
    if (kind === 'no-quorum' || kind === 'late' || kind === 'lost') counts.locksNoQuorum++;
    if (kind === 'crowded' || kind === 'overloaded') counts.commandsOverloaded++;
  }
}

function idOf({ id }: Session, { name }: Lock): string {
  return `${id} ${name}`;
}

/** The client's name, or its address. */
function clientOf({ name, connection }: Session): string {
  return (name === '' ? connection.remoteAddress() : name).replaceAll(/\s/g, '_') || '?';
}
