/**
 * LOCK.ACQUIRE, LOCK.EXTEND, LOCK.RELEASE, LOCK.INFO: locks as a service (docs/LOCKS.md). Their words are read here, and what the nodes
 * have decided (lock/) becomes the reply.
 */
import { randomBytes } from 'node:crypto';
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { LockTurns } from '../base/lock-turns.js';
import type { Counts } from '../base/metrics.js';
import type { FenceRegister } from '../lock/fence.js';
import { LockLines, type WishOutcome } from '../lock/lock-lines.js';
import { LockNodes, type LockNodesContext, type LockPlace } from '../lock/lock-nodes.js';
import {
  type ExtendOutcome,
  extendOutcome,
  type Holder,
  type InfoOutcome,
  infoOutcome,
  type ReleaseOutcome,
  releaseOutcome,
  type Undecided,
} from '../lock/verdicts.js';
import type { CommandSpec } from '../resp/commands.js';
import { bulkReply, errorReply, integerReply, mapHeader, nullReply, type Protocol, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { BlockedBy } from './intake.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

export interface LockCommandsContext extends LockNodesContext {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  counts: Counts;
  random: () => number;
  lockTurns: LockTurns;
  limits: Pick<Limits, 'lockQueueMax'>;
  now: () => number;
}

const OTHER_DATABASE = errorReply('ERR locks are in database 0 only');
const SYNTAX_ERROR = errorReply('ERR syntax error');
const UNBLOCKED = errorReply('UNBLOCKED client unblocked via CLIENT UNBLOCK');
/** What is designed, and not built. */
const LATER_OPTIONS: ReadonlySet<string> = new Set(['shared', 'limit', 'session']);
/** Of less not enough is left when it is granted. */
const TTL_MS_MIN = 10;
const WAIT_MS_MAX = 86_400_000;
const TOKEN_BYTES = 16;
const TOKEN_BYTES_MAX = 256;
const NAME_BYTES_MAX = 4096;

/** What follows the name in LOCK.ACQUIRE. */
interface Wanted {
  ttlMs: number;
  waitMs: number;
  /** A character a byte. */
  token: string;
}

export class LockCommands {
  private readonly context: LockCommandsContext;
  private readonly nodes: LockNodes;
  private readonly lines: LockLines;

  constructor(context: LockCommandsContext) {
    this.context = context;
    this.nodes = new LockNodes(context);
    this.lines = new LockLines({ ...context, nodes: this.nodes, turns: context.lockTurns });
  }

  /** Carries out the command last read. False: the replies before it must have gone out first, and nothing was done. */
  carryOut(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const place = this.find(session, service);
    if (place instanceof Uint8Array) {
      session.reply(place);
      return true;
    }
    switch (spec.name) {
      case 'lock.acquire':
        return this.acquire(session, place, requestBytes);
      case 'lock.extend':
        this.extend(session, place, requestBytes);
        return true;
      case 'lock.release':
        this.release(session, place, requestBytes);
        return true;
      case 'lock.info':
        this.info(session, place, requestBytes);
        return true;
    }
    throw new Error(`the command table says that ${spec.name} is about locks; it is not`);
  }

  /** The lock that is the first argument, or why there is none. */
  private find(session: Session, service: Service): LockPlace | Uint8Array {
    const { bytes, reader } = this.context;
    const [start, end] = [reader.argumentStart[1] as number, reader.argumentEnd[1] as number];
    const sets = service.lockSetsOf(bytes, start, end);
    if (sets === null) return errorReply('ERR no keyspace of mode lock has this name: see docs/LOCKS.md');
    if (session.database !== 0) return OTHER_DATABASE;
    if (end - start > NAME_BYTES_MAX)
      return errorReply(`ERR the name of a lock may have ${NAME_BYTES_MAX} bytes, and this one has ${end - start}`);
    return this.nodes.placeOf(sets, bytes, start, end);
  }

  private acquire(session: Session, place: LockPlace, requestBytes: number): boolean {
    const wanted = this.readWanted(place);
    if (wanted instanceof Uint8Array) {
      session.reply(wanted);
      return true;
    }
    const { ttlMs, waitMs, token } = wanted;
    // Nothing is read from who waits: all that was asked before is to be answered.
    if (waitMs > 0 && !session.isIdle) return false;
    const order = { ttlMs, token, client: clientOf(session), isWanted: () => !session.isLeaving };
    const pending = this.track(session, requestBytes);
    const waiting = new Waiting(session, pending);
    if (waitMs > 0) session.block(waiting);
    waiting.giveUp = this.lines.begin(place, order, waitMs, (outcome) => {
      if (outcome.kind === 'no-quorum' || outcome.kind === 'late') this.context.counts.locksNoQuorum++;
      if (outcome.kind === 'crowded') this.context.counts.commandsOverloaded++;
      // Nobody would ever free what a client that is gone has got.
      if (outcome.kind === 'granted' && session.isLeaving) {
        this.lines.giveBack(place, token, outcome.ballot);
        waiting.answer(nullReply(session.protocol));
      } else waiting.answer(acquireReply(outcome, token, session.protocol));
    });
    return true;
  }

  private extend(session: Session, place: LockPlace, requestBytes: number): void {
    const { count } = this;
    const token = this.text(2);
    if (count !== 5 || this.word(3) !== 'ttl') {
      session.reply(SYNTAX_ERROR);
      return;
    }
    const ttlMs = this.ttl(4, place);
    if (ttlMs instanceof Uint8Array) {
      session.reply(ttlMs);
      return;
    }
    const pending = this.track(session, requestBytes);
    const askedMs = performance.now();
    this.nodes.ask<ExtendOutcome>(
      place,
      { kind: 'extend', token, ttlMs },
      (replies) => extendOutcome(replies, ttlMs, askedMs, performance.now()),
      (outcome) => {
        if (outcome.kind === 'extended') {
          const fields: Field[] = [['validity', integerReply(outcome.validityMs)]];
          session.answer(pending, mapReply(fields, session.protocol));
        } else session.answer(pending, this.refusal(outcome, 'extended'));
      },
    );
  }

  private release(session: Session, place: LockPlace, requestBytes: number): void {
    const token = this.text(2);
    const pending = this.track(session, requestBytes);
    const step = { kind: 'release', token, mark: this.lines.wakes.nextMark() } as const;
    this.nodes.ask<ReleaseOutcome>(place, step, releaseOutcome, (outcome) => {
      session.answer(pending, outcome.kind === 'released' ? REPLY_OK : this.refusal(outcome, 'released'));
    });
  }

  private info(session: Session, place: LockPlace, requestBytes: number): void {
    const pending = this.track(session, requestBytes);
    this.nodes.ask<InfoOutcome>(place, { kind: 'look' }, infoOutcome, (outcome) => {
      const { protocol } = session;
      const reply =
        outcome.kind === 'no-quorum' || outcome.kind === 'unknown'
          ? this.refusal(outcome, 'asked for')
          : infoReply(place, outcome, protocol);
      session.answer(pending, reply);
    });
  }

  private track(session: Session, requestBytes: number): Pending {
    const pending = this.context.pendings.take(session, this.context.now(), true);
    session.track(pending, requestBytes);
    return pending;
  }

  /** Why a lock was not `done`. */
  private refusal(outcome: { kind: 'not-held'; holder: Holder } | Undecided, done: string): Uint8Array {
    if (outcome.kind === 'not-held') return errorBytes('NOTHELD', holderText(outcome.holder));
    this.context.counts.locksNoQuorum++;
    if (outcome.kind === 'unknown') {
      return errorBytes('UNKNOWN', `the lock may have been ${done}: too few of its nodes have answered in time`);
    }
    return (
      outcome.error ?? errorBytes('NOQUORUM', 'too few nodes of the lock can be reached; the command had no effect')
    );
  }

  private readWanted(place: LockPlace): Wanted | Uint8Array {
    let [ttlMs, waitMs, token] = [-1, 0, ''];
    for (let at = 2; at < this.count; at += 2) {
      const option = this.word(at);
      if (LATER_OPTIONS.has(option))
        return errorReply(`ERR ${option.toUpperCase()} locks come with a later version: see docs/LOCKS.md`);
      if (at + 1 >= this.count) return SYNTAX_ERROR;
      if (option === 'ttl') {
        const found = this.ttl(at + 1, place);
        if (found instanceof Uint8Array) return found;
        ttlMs = found;
      } else if (option === 'wait') {
        const found = readMs(this.text(at + 1), 0, WAIT_MS_MAX);
        if (found === null) return errorReply(`ERR WAIT must be milliseconds from 0 to ${WAIT_MS_MAX}`);
        waitMs = found;
      } else if (option === 'token') {
        token = this.text(at + 1);
        if (token === '' || token.length > TOKEN_BYTES_MAX)
          return errorReply(`ERR TOKEN must have 1 to ${TOKEN_BYTES_MAX} bytes`);
      } else return SYNTAX_ERROR;
    }
    if (ttlMs < 0) return errorReply('ERR TTL is missing: LOCK.ACQUIRE name TTL milliseconds');
    return { ttlMs, waitMs, token: token === '' ? randomBytes(TOKEN_BYTES).toString('hex') : token };
  }

  private ttl(argument: number, { ttlMaxMs }: LockPlace): number | Uint8Array {
    const ttlMs = readMs(this.text(argument), TTL_MS_MIN, ttlMaxMs);
    return ttlMs ?? errorReply(`ERR TTL must be milliseconds from ${TTL_MS_MIN} to ttlMaxMs, which is ${ttlMaxMs}`);
  }

  private get count(): number {
    return this.context.reader.argumentCount;
  }

  /** A character a byte. */
  private text(argument: number): string {
    const { bytes, reader } = this.context;
    const start = reader.argumentStart[argument] as number;
    const length = (reader.argumentEnd[argument] as number) - start;
    return Buffer.from(bytes.buffer, bytes.byteOffset + start, length).toString('latin1');
  }

  private word(argument: number): string {
    return this.text(argument).toLowerCase();
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

type Field = readonly [name: string, value: Uint8Array];

function mapReply(fields: readonly Field[], protocol: Protocol): Uint8Array {
  return Buffer.concat([
    mapHeader(fields.length, protocol),
    ...fields.flatMap(([name, value]) => [bulkReply(name), value]),
  ]);
}

function acquireReply(outcome: WishOutcome, token: string, protocol: Protocol): Uint8Array {
  switch (outcome.kind) {
    case 'granted':
      return mapReply(
        [
          ['token', bulkReply(Buffer.from(token, 'latin1'))],
          ['fence', integerReply(outcome.fence)],
          ['validity', integerReply(outcome.validityMs)],
        ],
        protocol,
      );
    case 'out-of-time':
      return nullReply(protocol);
    case 'crowded':
      return errorBytes('OVERLOADED', `too many wait for the lock (lockQueueMax ${outcome.max}); repeat it later`);
    case 'late':
      return errorBytes('NOQUORUM', 'the nodes took longer to answer than the lock would be held for; it is not held');
    case 'no-quorum': {
      if (outcome.error !== null) return outcome.error;
      const { quarantinedMs } = outcome;
      const why =
        quarantinedMs === null
          ? 'too few nodes of the lock can be reached'
          : `too few nodes of the lock count: one was started again and may have forgotten locks, for ${quarantinedMs} ms more`;
      return errorBytes('NOQUORUM', `${why}; it is not held`);
    }
  }
}

function infoReply({ name }: LockPlace, outcome: Exclude<InfoOutcome, Undecided>, protocol: Protocol): Uint8Array {
  const register = outcome.kind === 'held' ? outcome.holder.register : outcome.last;
  const nothing = nullReply(protocol);
  return mapReply(
    [
      ['name', bulkReply(Buffer.from(name, 'latin1'))],
      ['state', bulkReply(outcome.kind)],
      ['holder', outcome.kind === 'held' && register !== null ? bulkReply(register.client) : nothing],
      ['fence', register === null ? nothing : integerReply(register.fence)],
      ['ttl', outcome.kind === 'held' ? integerReply(outcome.holder.ttlMs) : nothing],
    ],
    protocol,
  );
}

function holderText({ ttlMs, register }: Holder): string {
  if (ttlMs === 0) return 'the lock is not held by this token: it is free';
  const time = ttlMs < 0 ? 'without end' : `for ${ttlMs} ms more`;
  return `the lock is not held by this token, but by ${nameOf(register)}, ${time}`;
}

function nameOf(register: FenceRegister | null): string {
  return register === null ? 'somebody who took it without a fence' : `${register.client} with fence ${register.fence}`;
}

/** The client's name, or its address. */
function clientOf({ name, connection }: Session): string {
  return (name === '' ? connection.remoteAddress() : name).replaceAll(/\s/g, '_') || '?';
}

/** Null for what is no number of milliseconds between these. */
function readMs(text: string, min: number, max: number): number | null {
  if (!/^\d{1,12}$/.test(text)) return null;
  const ms = Number(text);
  return ms >= min && ms <= max ? ms : null;
}
