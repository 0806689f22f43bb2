/**
 * Commands on replicated keys: each key by an operation of its own, carried out by its nodes in agreement (replica/).
 *
 *   one key          an operation, whose reply is the client's
 *   MGET, MSET, DEL  one operation a key, replies merged: not atomic
 *   other commands   -CROSSSLOT, unless all their keys are the same one
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Commands, Replies } from '../replica/commands.js';
import { operationOf } from '../replica/forms.js';
import { type KeyOperation, reading } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import type { Client, Outcome } from '../replica/round.js';
import { argumentOf } from '../replica/stream-forms.js';
import { replaced, textOf, word } from '../replica/words.js';
import { isBlockingForm } from '../resp/command-forms.js';
import type { CommandSpec } from '../resp/commands.js';
import { isDebugRow } from '../resp/debug-rows.js';
import { NOT_IN_TABLE } from '../resp/node-command.js';
import { arrayHeader, errorReply, integerReply, isError, parseInteger, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { ReplicaSets } from '../routing/copy-sets.js';
import { type KeyLocator, ROUTES_WITH_KEYS } from './key-locator.js';
import type { Wanted } from './replicated-line.js';
import { replyOf } from './replicated-reply.js';
import { Waits, type WaitsContext } from './replicated-waits.js';
import { requestWords } from './request-words.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { consistencyRefusal } from './session-consistency.js';

/** A key: bytes [start, end), and where its copies are. */
export interface KeyPlace {
  copySets: ReplicaSets;
  start: number;
  end: number;
}

/** The first of `count` keys, in the arena. */
export interface FoundKey extends KeyPlace {
  count: number;
}

export interface ReplicatedContext extends WaitsContext {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  locator: KeyLocator;
  limits: Pick<Limits, 'replicatedBytesMax'>;
  now: () => number;
}

const OTHER_DATABASE = errorReply('ERR replicated keys are in database 0 only');
const TRACKING = errorReply('ERR replicated keys are not tracked: turn CLIENT TRACKING off to read them');
const MIXED = errorReply(
  'CROSSSLOT Some of the keys are replicated and others are not: a command may have keys of one kind',
);
const KEYLESS = errorReply(
  'ERR a script without keys would run past what replicated keys have agreed upon; name its key, or call it by EVAL_RO or FCALL_RO',
);
const SEVERAL = errorReply('CROSSSLOT Replicated keys are agreed upon one by one: a command may have one of them');

const NO_CHANGES = errorReply(
  'ERR readModifyWrite: reject has keys of this keyspace written whole and deleted only; this command changes what is there',
);

export class Replicated {
  private readonly context: ReplicatedContext;
  private readonly waits: Waits;
  private readonly held: Held = { bytes: 0 };

  constructor(context: ReplicatedContext) {
    this.context = context;
    this.waits = new Waits(context);
  }

  /**
   * Carries out the command last read, of that many bytes, if its keys are replicated. `elsewhere`: they are not, or it has none;
   * `later`: the replies before it must have gone out first, and nothing was done.
   */
  carryOut(
    session: Session,
    service: Service,
    spec: CommandSpec,
    requestBytes: number,
  ): 'done' | 'elsewhere' | 'later' {
    const found = spec.route === 'transaction' ? null : this.find(session, service, spec);
    if (found === null) return 'elsewhere';
    if (found instanceof Uint8Array) {
      session.reply(found);
      return 'done';
    }
    if (spec.write && session.hasPlainReads) return 'later';
    const { count } = found;
    if (spec.route === 'split' && count > 1) {
      this.split(session, service, spec, count, requestBytes);
      return 'done';
    }
    const { bytes, reader } = this.context;
    const mayWait = isBlockingForm(spec, bytes, reader.argumentStart, reader.argumentEnd, reader.argumentCount);
    if (mayWait && !session.isIdle) return 'later';
    const operation = this.operation(session, spec, found);
    if (operation instanceof Uint8Array) session.reply(operation);
    else if (mayWait) this.wait(session, spec, found, operation, requestBytes);
    else this.submit(session, found, operation, spec.write, requestBytes);
    return 'done';
  }

  /** Has `operation`, which is that of the command last read, tried until there is something. */
  private wait(
    session: Session,
    spec: CommandSpec,
    { copySets, start, end }: FoundKey,
    operation: KeyOperation,
    requestBytes: number,
  ): void {
    const { bytes, reader, pendings, now } = this.context;
    const key = bytes.slice(start, end);
    const words = requestWords(reader, bytes);
    const wanted: Wanted = {
      copySets,
      key,
      operation,
      type: typeOf(spec),
      contest: contestOf(spec, words),
      timeoutMs: timeoutMs(spec, words),
    };
    const pending = pendings.take(session, now(), spec.write);
    session.track(pending, requestBytes);
    if (spec.name === 'xread' && textOf(words.at(-1) as Uint8Array) === '$') {
      const { protocol } = session;
      this.waits.beginAfter(session, pending, wanted, lastIdOf(key), (reply) => {
        const id = readLastId(reply);
        return id === null
          ? operation
          : (operationOf(spec, replaced(words, words.length - 1, id), protocol) as KeyOperation);
      });
    } else {
      this.waits.begin(session, pending, wanted);
    }
  }

  /** Where the keys of the command last read are: null where they are not replicated, or there are none; an error for some of each kind. */
  find(session: Session, service: Service, spec: CommandSpec): FoundKey | Uint8Array | null {
    if (spec.keys === 'none' || !ROUTES_WITH_KEYS.has(spec.route)) return null;
    const { bytes, reader, locator } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const count = locator.locate(service, spec);
    if (count === 0 && spec.write && service.isHomeCopied) return KEYLESS;
    if (count <= 0) return null;
    const { positions } = locator.keys;
    let copySets: ReplicaSets | null = null;
    let refusal: Uint8Array | null = null;
    let replicated = 0;
    for (let index = 0; index < count; index++) {
      const at = positions[index] as number;
      const found = service.copySetsOf(bytes, argumentStart[at] as number, argumentEnd[at] as number);
      if (found === null) continue;
      copySets = found;
      replicated++;
      refusal ??= consistencyRefusal(session.consistency, found.level);
    }
    if (copySets === null) return null;
    if (replicated < count) return locator.stray(service, count) ?? MIXED;
    if (spec.index === NOT_IN_TABLE) return notTabled(spec);
    if (isDebugRow(spec)) return NO_DEBUG;
    if (session.database !== 0) return OTHER_DATABASE;
    if (session.tracking !== null) return TRACKING;
    if (refusal !== null) return refusal;
    const first = positions[0] as number;
    return { copySets, count, start: argumentStart[first] as number, end: argumentEnd[first] as number };
  }

  /** What the command last read does with its keys, which `find` has found, or the error why that cannot be. */
  operation(session: Session, spec: CommandSpec, { copySets, count }: FoundKey): KeyOperation | Uint8Array {
    const { bytes, reader, locator } = this.context;
    if (!this.isOneKey(count)) return SEVERAL;
    const operation = operationOf(spec, requestWords(reader, bytes), session.protocol);
    if (operation instanceof Uint8Array) return operation;
    if (isRefused(copySets, operation)) return NO_CHANGES;
    if (!WAKING.has(spec.name)) return operation;
    const first = locator.keys.positions[0] as number;
    return this.waits.wakes.waking(operation, bytes.slice(reader.argumentStart[first], reader.argumentEnd[first]));
  }

  /** Has an operation on the key, of `bytes`, carried out; `reply` makes the session's next reply of the outcome. */
  submit(
    session: Session,
    { copySets, start, end }: KeyPlace,
    operation: Operation<Commands, Replies>,
    isWrite: boolean,
    requestBytes: number,
    bytes = this.context.bytes,
    reply = replyOf,
  ): void {
    const { pendings, now, replicas } = this.context;
    const pending = pendings.take(session, now(), isWrite);
    session.track(pending, requestBytes);
    if (this.isFull(requestBytes)) {
      session.answer(pending, reply({ kind: 'unable', error: this.tooMuch() }));
      return;
    }
    const asked = new Asked(session, pending, reply, this.held, requestBytes);
    replicas.submit(copySets, bytes, start, end, operation, asked);
  }

  /** Whether so many bytes more would be too many. */
  private isFull(requestBytes: number): boolean {
    const { bytes } = this.held;
    return bytes > 0 && bytes + requestBytes > this.context.limits.replicatedBytesMax;
  }

  private tooMuch(): Uint8Array {
    const { counts, limits } = this.context;
    counts.replicatedBytesRefused++;
    counts.commandsOverloaded++;
    const limit = `replicatedBytesMax ${limits.replicatedBytesMax}`;
    return errorBytes(
      'OVERLOADED',
      `the commands on replicated keys that are under way are too large (${limit}); this one had no effect: repeat it later`,
    );
  }

  /** Whether the keys that the locator found are all the same. */
  isOneKey(count: number): boolean {
    const { bytes, reader, locator } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const { positions } = locator.keys;
    if (count === 1) return true;
    const first = positions[0] as number;
    const key = bytes.subarray(argumentStart[first], argumentEnd[first]);
    for (let index = 1; index < count; index++) {
      const at = positions[index] as number;
      if (Buffer.compare(key, bytes.subarray(argumentStart[at], argumentEnd[at])) !== 0) return false;
    }
    return true;
  }

  /** One operation for each key: a command of the same name, with the arguments that belong to it. */
  private split(session: Session, service: Service, spec: CommandSpec, count: number, requestBytes: number): void {
    const { bytes, reader, locator, pendings, now } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const name = bytes.slice(argumentStart[0], argumentEnd[0]);
    const operations: Operation<Commands, Replies>[] = [];
    for (let index = 0; index < count; index++) {
      const at = locator.keys.positions[index] as number;
      const words = [name];
      for (let place = at; place < at + spec.keyStep; place++) {
        words.push(bytes.slice(argumentStart[place], argumentEnd[place]));
      }
      const operation = operationOf(spec, words, session.protocol);
      if (operation instanceof Uint8Array) {
        session.reply(operation);
        return;
      }
      const key = words[1] as Uint8Array;
      operations.push(WAKING.has(spec.name) ? this.waits.wakes.waking(operation, key) : operation);
    }
    const pending = pendings.take(session, now(), spec.write);
    session.track(pending, requestBytes);
    if (this.isFull(requestBytes)) {
      session.answer(pending, this.tooMuch());
      return;
    }
    const asked = new AskedForMany(session, pending, spec, count, this.held, requestBytes);
    // What is told at once may have the session read on: then the reader has another command.
    const places = Array.from(locator.keys.positions.subarray(0, count), (at) => {
      const [start, end] = [argumentStart[at] as number, argumentEnd[at] as number];
      return { start, end, copySets: service.copySetsOf(bytes, start, end) as ReplicaSets };
    });
    for (const [index, operation] of operations.entries()) {
      const { start, end, copySets } = places[index] as (typeof places)[number];
      this.context.replicas.submit(copySets, bytes, start, end, operation, asked.part(index));
    }
  }
}

/** Whether the keyspace refuses commands that change what is there, and it is one. */
function isRefused({ level }: ReplicaSets, { reads, isPut }: KeyOperation): boolean {
  return !level.allowsChanges && reads === null && isPut !== true;
}

/** The commands that are under way, in bytes: they are copies, which the memory of buffers does not count. */
interface Held {
  bytes: number;
}

/** A session that waits for the outcome of one operation. */
class Asked implements Client<Replies> {
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly reply: (outcome: Outcome<Replies>) => Uint8Array;
  private readonly held: Held;
  private readonly bytes: number;

  constructor(
    session: Session,
    pending: Pending,
    reply: (outcome: Outcome<Replies>) => Uint8Array,
    held: Held,
    bytes: number,
  ) {
    this.session = session;
    this.pending = pending;
    this.reply = reply;
    this.held = held;
    this.bytes = bytes;
    held.bytes += bytes;
    session.operations++;
  }

  onOutcome(outcome: Outcome<Replies>): void {
    this.held.bytes -= this.bytes;
    this.session.operations--;
    this.session.answer(this.pending, this.reply(outcome));
  }
}

/** A session that waits for those of several, whose replies are merged. */
class AskedForMany {
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly spec: CommandSpec;
  private readonly replies: Uint8Array[];
  private readonly held: Held;
  private readonly bytes: number;
  private left: number;

  constructor(session: Session, pending: Pending, spec: CommandSpec, count: number, held: Held, bytes: number) {
    this.session = session;
    this.held = held;
    this.bytes = bytes;
    held.bytes += bytes;
    session.operations++;
    this.pending = pending;
    this.spec = spec;
    this.replies = new Array<Uint8Array>(count);
    this.left = count;
  }

  part(index: number): Client<Replies> {
    return {
      onOutcome: (outcome) => {
        this.replies[index] = replyOf(outcome);
        this.left--;
        if (this.left > 0) return;
        this.held.bytes -= this.bytes;
        this.session.operations--;
        this.session.answer(this.pending, this.merged());
      },
    };
  }

  private merged(): Uint8Array {
    const { replies, spec } = this;
    const error = replies.find((reply) => isError(reply, 0));
    if (spec.responsePolicy === null) return error ?? elements(replies);
    if (error !== undefined) return error;
    if (spec.responsePolicy !== 'agg_sum') return REPLY_OK;
    return integerReply(replies.reduce((sum, reply) => sum + parseInteger(reply, 0, reply.length), 0));
  }
}

/** Replies to MGET for one key each, in one array. */
function elements(replies: readonly Uint8Array[]): Uint8Array {
  const prefix = arrayHeader(1).length;
  return Buffer.concat([arrayHeader(replies.length), ...replies.map((reply) => reply.subarray(prefix))]);
}

/**
 * Commands that may put something there for somebody to take. Scripts and functions may do anything; LMOVE of a key to itself puts
 * nothing there that was not, and BLMOVE that waits would wake itself.
 */
const WAKING: ReadonlySet<string> = new Set([
  ...['lpush', 'rpush', 'linsert', 'zadd', 'zincrby', 'geoadd', 'xadd'],
  ...[
    'restore',
    'sort',
    'georadius',
    'georadiusbymember',
    'geosearchstore',
    'zrangestore',
    'xgroup|destroy',
    'del',
    'unlink',
  ],
  ...['eval', 'evalsha', 'fcall'],
]);

/** Of the key that a command waits for. */
function typeOf({ name }: CommandSpec): Wanted['type'] {
  if (name.startsWith('x')) return 'stream';
  return name.startsWith('bz') ? 'zset' : 'list';
}

/** See Wanted. */
function contestOf(spec: CommandSpec, words: readonly Uint8Array[]): string | null {
  if (spec.name === 'xread') return null;
  const group = spec.name === 'xreadgroup' ? argumentOf(words, 'group') : null;
  return group === null ? typeOf(spec) : `stream ${textOf(group)}`;
}

/** How long a command may wait; Infinity where it says 0, or what Redis will find fault with. */
function timeoutMs(spec: CommandSpec, words: readonly Uint8Array[]): number {
  const ms = statedTimeoutMs(spec, words);
  return ms > 0 ? ms : Number.POSITIVE_INFINITY;
}

function statedTimeoutMs({ name }: CommandSpec, words: readonly Uint8Array[]): number {
  if (name === 'xread' || name === 'xreadgroup') return Number(textOf(argumentOf(words, 'block') as Uint8Array));
  const isFirst = name === 'blmpop' || name === 'bzmpop';
  return Math.ceil(Number(textOf((isFirst ? words[1] : words.at(-1)) as Uint8Array)) * 1000);
}

/** Reads the last id of a stream: `XREAD … $` waits for what comes after it. */
function lastIdOf(key: Uint8Array): KeyOperation {
  return reading([word('XINFO'), word('STREAM'), key], 2, true);
}

/** Of the reply to that; null where it is no stream. */
function readLastId(reply: Uint8Array): Uint8Array | null {
  const text = textOf(reply);
  if (/^-ERR no such key/.test(text)) return word('0-0');
  const id = /last-generated-id\r\n\$\d+\r\n([\d-]+)\r\n/.exec(text)?.[1];
  return id === undefined ? null : word(id);
}

const NO_DEBUG = errorReply('ERR DEBUG is not for replicated keys: their nodes do not allow it');

/** What each copy would make of a command that nobody knows but the node may differ. */
function notTabled({ name }: CommandSpec): Uint8Array {
  const shown = name.toUpperCase().replace('|', ' ');
  return errorReply(
    `ERR ${shown} is not for replicated keys: what it does is not known, and each copy might become another`,
  );
}
