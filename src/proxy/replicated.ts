/**
 * Commands on replicated keys: each key by an operation of its own, carried out by its nodes in agreement (replica/).
 *
 *   one key          an operation, whose reply is the client's
 *   MGET, MSET, DEL  one operation a key, replies merged: not atomic
 *   other commands   -CROSSSLOT, unless all their keys are the same one
 */
import type { Pending, PendingPool } from '../backend/pending.js';
import { errorBytes } from '../base/errors.js';
import type { Commands, Replies } from '../replica/commands.js';
import { operationOf } from '../replica/forms.js';
import type { KeyOperation } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import type { Replicas } from '../replica/replicas.js';
import type { Client, Outcome } from '../replica/round.js';
import type { CommandSpec } from '../resp/commands.js';
import { arrayHeader, errorReply, integerReply, isError, parseInteger, REPLY_OK } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { CopySets } from '../routing/copy-sets.js';
import type { KeyLocator } from './key-locator.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

/** A key: bytes [start, end), and where its copies are. */
export interface KeyPlace {
  copySets: CopySets;
  start: number;
  end: number;
}

/** The first of `count` keys, in the arena. */
export interface FoundKey extends KeyPlace {
  count: number;
}

export interface ReplicatedContext {
  bytes: Uint8Array;
  reader: RequestReader;
  pendings: PendingPool;
  locator: KeyLocator;
  replicas: Replicas;
  now: () => number;
}

const OTHER_DATABASE = errorReply('ERR replicated keys are in database 0 only');
const TRACKING = errorReply('ERR replicated keys are not tracked: turn CLIENT TRACKING off to read them');
const MIXED = errorReply(
  'CROSSSLOT Some of the keys are replicated and others are not: a command may have keys of one kind',
);
const SEVERAL = errorReply('CROSSSLOT Replicated keys are agreed upon one by one: a command may have one of them');

/** Routes of commands whose arguments may be replicated keys: WATCH is the one of `transaction`. */
const WITH_KEYS: ReadonlySet<CommandSpec['route']> = new Set(['one', 'split', 'block', 'transaction']);

export class Replicated {
  private readonly context: ReplicatedContext;

  constructor(context: ReplicatedContext) {
    this.context = context;
  }

  /** Carries out the command last read, of that many bytes, if its keys are replicated. False: they are not, or it has none. */
  carryOut(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const found = spec.route === 'transaction' ? null : this.find(session, service, spec);
    if (found === null) return false;
    if (found instanceof Uint8Array) {
      session.reply(found);
      return true;
    }
    const { count } = found;
    if (spec.route === 'split' && count > 1) {
      this.split(session, service, spec, count, requestBytes);
      return true;
    }
    const operation = this.operation(session, spec, count);
    if (operation instanceof Uint8Array) {
      session.reply(operation);
      return true;
    }
    this.submit(session, found, operation, spec.write, requestBytes);
    return true;
  }

  /** Where the keys of the command last read are: null where they are not replicated, or there are none; an error for some of each kind. */
  find(session: Session, service: Service, spec: CommandSpec): FoundKey | Uint8Array | null {
    if (spec.keys === 'none' || !WITH_KEYS.has(spec.route)) return null;
    const { bytes, reader, locator } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const count = locator.locate(service, spec);
    if (count <= 0) return null;
    const { positions } = locator.keys;
    let copySets: CopySets | null = null;
    let replicated = 0;
    for (let index = 0; index < count; index++) {
      const at = positions[index] as number;
      const found = service.copySetsOf(bytes, argumentStart[at] as number, argumentEnd[at] as number);
      if (found === null) continue;
      copySets = found;
      replicated++;
    }
    if (copySets === null) return null;
    if (replicated < count) return MIXED;
    if (session.database !== 0) return OTHER_DATABASE;
    if (session.tracking !== null) return TRACKING;
    const first = positions[0] as number;
    return { copySets, count, start: argumentStart[first] as number, end: argumentEnd[first] as number };
  }

  /** What the command last read does with its `count` keys, which `find` has found, or the error why that cannot be. */
  operation(session: Session, spec: CommandSpec, count: number): KeyOperation | Uint8Array {
    const { bytes, reader } = this.context;
    const { argumentStart, argumentEnd } = reader;
    if (!this.isOneKey(count)) return SEVERAL;
    const words: Uint8Array[] = [];
    for (let index = 0; index < reader.argumentCount; index++) {
      words.push(bytes.slice(argumentStart[index], argumentEnd[index]));
    }
    return operationOf(spec, words, session.protocol);
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
    replicas.submit(copySets, bytes, start, end, operation, new Asked(session, pending, reply));
  }

  /** Whether the keys that the locator found are all the same. */
  isOneKey(count: number): boolean {
    const { bytes, reader, locator } = this.context;
    const { argumentStart, argumentEnd } = reader;
    const { positions } = locator.keys;
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
      operations.push(operation);
    }
    const pending = pendings.take(session, now(), spec.write);
    session.track(pending, requestBytes);
    const asked = new AskedForMany(session, pending, spec, count);
    // What is told at once may have the session read on: then the reader has another command.
    const places = Array.from(locator.keys.positions.subarray(0, count), (at) => {
      const [start, end] = [argumentStart[at] as number, argumentEnd[at] as number];
      return { start, end, copySets: service.copySetsOf(bytes, start, end) as CopySets };
    });
    for (const [index, operation] of operations.entries()) {
      const { start, end, copySets } = places[index] as (typeof places)[number];
      this.context.replicas.submit(copySets, bytes, start, end, operation, asked.part(index));
    }
  }
}

/** A session that waits for the outcome of one operation. */
class Asked implements Client<Replies> {
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly reply: (outcome: Outcome<Replies>) => Uint8Array;

  constructor(session: Session, pending: Pending, reply: (outcome: Outcome<Replies>) => Uint8Array) {
    this.session = session;
    this.pending = pending;
    this.reply = reply;
  }

  onOutcome(outcome: Outcome<Replies>): void {
    this.session.answer(this.pending, this.reply(outcome));
  }
}

/** A session that waits for those of several, whose replies are merged. */
class AskedForMany {
  private readonly session: Session;
  private readonly pending: Pending;
  private readonly spec: CommandSpec;
  private readonly replies: Uint8Array[];
  private left: number;

  constructor(session: Session, pending: Pending, spec: CommandSpec, count: number) {
    this.session = session;
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
        if (this.left === 0) this.session.answer(this.pending, this.merged());
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

/** What the client is told. */
export function replyOf(outcome: Outcome<Replies>): Uint8Array {
  switch (outcome.kind) {
    case 'done':
      return outcome.reply[0] as Uint8Array;
    case 'unknown':
      return errorBytes('UNKNOWN', `the command may have been carried out: ${outcome.why}`);
    case 'no-quorum':
      return errorBytes(
        'NOQUORUM',
        'too few nodes that have copies of the key can be reached; the command had no effect',
      );
    case 'overtaken':
      return errorBytes('NOQUORUM', 'other writes of the key kept coming before this one; the command had no effect');
    case 'unable':
      return outcome.error;
  }
}
