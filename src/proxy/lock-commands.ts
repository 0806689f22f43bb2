/**
 * LOCK commands: locks as a service (docs/LOCKS.md). Their words are read here, and what the nodes
 * have decided (lock/) becomes the reply.
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { ExtendOutcome, Lock } from '../lock/lock.js';
import { RedlockProvider, type RedlockProviderContext } from '../lock/redlock-provider.js';
import { StoreProvider, type StoreProviderContext } from '../lock/store-provider.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply, integerReply, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import { LockAcquiring, type LockAcquiringContext } from './lock-acquiring.js';
import { listLocks } from './lock-list.js';
import { extendReply, infoReply, isUndecided, listReply, type Refused, refusalReply } from './lock-replies.js';
import { LockWords, SESSION_TTL_ERROR, SESSION_TTL_MS_MIN, SYNTAX_ERROR } from './lock-words.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface LockCommandsContext
  extends RedlockProviderContext,
    Omit<LockAcquiringContext, 'limits' | 'counts' | 'homeOf'>,
    Pick<StoreProviderContext, 'askLock'> {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  counts: Counts;
  limits: Pick<Limits, 'lockListMax' | 'lockQueueMax' | 'sessionLocksMax'>;
  now: () => number;
  /** Null: there is none any more. */
  serviceOf: (session: Session) => Service | null;
}

export const NO_LOCK = errorReply('ERR no keyspace of mode lock has this name: see docs/LOCKS.md');
const NO_LOCKS = errorReply('ERR this service has no keyspace of mode lock: see docs/LOCKS.md');
const OTHER_DATABASE = errorReply('ERR locks are in database 0 only');
export const NAME_BYTES_MAX = 4096;
/** Where the names of LOCK.MACQUIRE begin, behind their number. */
const FIRST_NAME = 2;
const NAMES_MAX = 64;
const NO_NAMES = errorReply('ERR numkeys should be greater than 0');
const TOO_FEW_NAMES = errorReply("ERR Number of keys can't be greater than number of args");
/** LOCK.LIST under way in a worker: each may hold lockListMax names, and has nodes walk over all their keys. */
export const LISTS_MAX = 4;
const TOO_MANY_LISTS = errorBytes('OVERLOADED', `${LISTS_MAX} LOCK.LIST are under way already; repeat it later`);
const TWICE = errorReply('ERR a lock stands twice in LOCK.MACQUIRE');

export class LockCommands {
  private readonly context: LockCommandsContext;
  private readonly words: LockWords;
  private readonly redlock: RedlockProvider;
  private readonly store: StoreProvider;
  readonly acquiring: LockAcquiring;
  private lists = 0;

  constructor(context: LockCommandsContext) {
    this.context = context;
    this.words = new LockWords(context.bytes, context.reader);
    this.redlock = new RedlockProvider(context);
    this.store = new StoreProvider(context);
    const homeOf = (session: Session, name: string) => this.homeOf(session, name);
    this.acquiring = new LockAcquiring({ ...context, homeOf });
  }

  /** Carries out the command last read. False: the replies before it must have gone out first, and nothing was done. */
  carryOut(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    if (spec.name === 'lock.list') {
      this.list(session, service, requestBytes);
      return true;
    }
    if (spec.name === 'lock.macquire') return this.acquireSeveral(session, service, requestBytes);
    const lock = this.find(session, service, 1);
    if (lock instanceof Uint8Array) {
      session.reply(lock);
      return true;
    }
    if (spec.name === 'lock.acquire') return this.acquire(session, lock, requestBytes);
    // Nodes would be told between the votes and the confirmation of what the client has asked for before.
    if (this.acquiring.isUnderWay(session, lock)) return false;
    switch (spec.name) {
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

  /** The locks of `numkeys name …`, or why there are none. */
  private findSeveral(session: Session, service: Service): Lock[] | Uint8Array {
    const { words } = this;
    const count = words.text(FIRST_NAME - 1);
    if (!/^[1-9]\d{0,8}$/.test(count)) return NO_NAMES;
    if (Number(count) > NAMES_MAX) return errorReply(`ERR LOCK.MACQUIRE takes ${NAMES_MAX} locks at the most`);
    if (FIRST_NAME + Number(count) > words.count) return TOO_FEW_NAMES;
    const locks: Lock[] = [];
    for (let argument = FIRST_NAME; argument < FIRST_NAME + Number(count); argument++) {
      const lock = this.find(session, service, argument);
      if (lock instanceof Uint8Array) return lock;
      if (locks.some(({ name }) => name === lock.name)) return TWICE;
      locks.push(lock);
    }
    return locks;
  }

  /** The lock that is that argument, or why there is none. */
  private find(session: Session, service: Service, argument: number): Lock | Uint8Array {
    const { bytes, reader } = this.context;
    const [start, end] = [reader.argumentStart[argument] as number, reader.argumentEnd[argument] as number];
    const lock = this.lockAt(service, bytes, start, end);
    if (lock === null) return NO_LOCK;
    if (session.database !== 0) return OTHER_DATABASE;
    if (end - start > NAME_BYTES_MAX)
      return errorReply(`ERR the name of a lock may have ${NAME_BYTES_MAX} bytes, and this one has ${end - start}`);
    return lock;
  }

  /** The lock bytes[start, end), or null where that is none's name. */
  private lockAt(service: Service, bytes: Uint8Array, start: number, end: number): Lock | null {
    const stored = service.storeLocksOf(bytes, start, end);
    if (stored !== null) return this.store.lockOf(latin1(bytes, start, end), stored.ttlMaxMs);
    const sets = service.lockSetsOf(bytes, start, end);
    return sets === null ? null : this.redlock.lockOf(sets, bytes, start, end);
  }

  /** See LockAcquiringContext. */
  private homeOf(session: Session, name: string): string | null {
    const service = this.context.serviceOf(session);
    const bytes = Buffer.from(name, 'latin1');
    return service === null ? null : (this.lockAt(service, bytes, 0, bytes.length)?.home ?? null);
  }

  private acquire(session: Session, lock: Lock, requestBytes: number): boolean {
    const wanted = this.words.wanted(2, lock);
    if (wanted instanceof Uint8Array) {
      session.reply(wanted);
      return true;
    }
    return this.acquiring.one(session, lock, wanted, requestBytes);
  }

  private acquireSeveral(session: Session, service: Service, requestBytes: number): boolean {
    const { words } = this;
    const locks = this.findSeveral(session, service);
    const wanted = locks instanceof Uint8Array ? locks : words.wanted(FIRST_NAME + locks.length, boundsOf(locks));
    if (locks instanceof Uint8Array || wanted instanceof Uint8Array) {
      session.reply(wanted as Uint8Array);
      return true;
    }
    return this.acquiring.several(session, locks, wanted, requestBytes);
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
    const { words, redlock, store } = this;
    const { counts, limits } = this.context;
    const hasLocks = service.hasLocks || service.hasStoreLocks;
    if (words.count > 2 || !hasLocks || session.database !== 0) {
      session.reply(words.count > 2 ? SYNTAX_ERROR : hasLocks ? OTHER_DATABASE : NO_LOCKS);
      return;
    }
    const pattern = words.count === 2 ? words.text(1) : '*';
    if (pattern.length > NAME_BYTES_MAX) {
      session.reply(errorReply(`ERR the pattern may have ${NAME_BYTES_MAX} bytes, and this one has ${pattern.length}`));
      return;
    }
    if (this.lists >= LISTS_MAX) {
      counts.lockListsRefused++;
      counts.commandsOverloaded++;
      session.reply(TOO_MANY_LISTS);
      return;
    }
    this.lists++;
    const max = limits.lockListMax;
    const pending = this.track(session, requestBytes);
    const isShown = (name: string) => session.user.readsKey(name);
    const wanted = { pattern, max, isShown, isWanted: () => !session.isClosed };
    listLocks({ redlock, store }, service, wanted, (outcome) => {
      this.lists--;
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
    const { counts } = this.context;
    if (outcome.kind === 'overloaded') counts.commandsOverloaded++;
    else if (outcome.kind !== 'not-held') counts.locksNoQuorum++;
    return refusalReply(outcome, done);
  }
}

function latin1(bytes: Uint8Array, start: number, end: number): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1');
}

/** Those that all of them keep to. */
function boundsOf(locks: readonly Lock[]): Pick<Lock, 'ttlMaxMs' | 'holdersMax'> {
  return {
    ttlMaxMs: Math.min(...locks.map((lock) => lock.ttlMaxMs)),
    holdersMax: Math.min(...locks.map((lock) => lock.holdersMax)),
  };
}
