/**
 * MULTI, EXEC and WATCH on a replicated key: one key at a time, and the commands under one ballot.
 *
 *   WATCH    a read, whose outcome says the ballot
 *   MULTI    operations are kept, as they come
 *   EXEC     one operation of all of them; where the key has another ballot than the one watched, it does nothing
 *
 * A ballot may change though the state does not: a read that finds a write half done gives it a new one. EXEC then answers nil
 * as if the key had changed, and clients try again.
 */
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import { type Commands, NO_COMMANDS, type Replies } from '../replica/commands.js';
import { operationOf } from '../replica/forms.js';
import { answering, type KeyOperation } from '../replica/key-operation.js';
import type { Operation } from '../replica/operation.js';
import { transactionOf } from '../replica/transaction-form.js';
import { type CommandSpec, findCommand } from '../resp/commands.js';
import { errorReply, REPLY_EMPTY_ARRAY, REPLY_NULL, REPLY_NULL_ARRAY, REPLY_OK } from '../resp/reply.js';
import type { FoundKey, Replicated } from './replicated.js';
import type { OwnKey, ReplicatedWatch } from './replicated-block.js';
import { replyOf } from './replicated-reply.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import type { Transaction } from './transaction.js';

export interface ReplicatedTransactionsContext {
  bytes: Uint8Array;
  replicated: Replicated;
  limits: Limits;
  counts: Counts;
}

const SEVERAL = errorReply('CROSSSLOT A transaction on a replicated key is on that key alone');
const NO_CURSORS = errorReply('ERR a cursor of a replicated key belongs to one of its nodes: not inside MULTI');
const NO_WATCH = errorReply(
  'ERR WATCH would not see every write of another client: only keys of consistency strong can be watched; keep such keys in a keyspace of consistency strong',
);
const NO_BLOCK = errorReply(
  'ERR readModifyWrite: reject has keys of this keyspace written whole, and a transaction changes what is there: it may read only',
);
const EXISTS = findCommand(Buffer.from('exists'), 0, 6) as CommandSpec;

export class ReplicatedTransactions {
  private readonly context: ReplicatedTransactionsContext;

  constructor(context: ReplicatedTransactionsContext) {
    this.context = context;
  }

  /** WATCH was read, and all before it has been answered. False: its keys are not replicated. */
  watch(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const { replicated, bytes } = this.context;
    const found = replicated.find(session, service, spec);
    const { replicatedWatch } = session;
    if (found === null && replicatedWatch === null) return false;
    if (found === null) {
      session.reply(SEVERAL);
      return true;
    }
    if (found instanceof Uint8Array) {
      session.reply(found);
      return true;
    }
    if (found.copySets.level.consistency !== 'strong') {
      session.reply(NO_WATCH);
      return true;
    }
    const key = bytes.slice(found.start, found.end);
    if (!replicated.isOneKey(found.count) || session.watch !== null || !isKey(replicatedWatch, key)) {
      session.reply(SEVERAL);
      return true;
    }
    if (replicatedWatch !== null) {
      session.reply(REPLY_OK);
      return true;
    }
    const watch: ReplicatedWatch = { copySets: found.copySets, key, state: null };
    session.replicatedWatch = watch;
    session.waitForReplies();
    const read = operationOf(EXISTS, [Buffer.from('EXISTS'), key], session.protocol) as KeyOperation;
    replicated.submit(session, found, read, false, requestBytes, bytes, (outcome) => {
      if (outcome.kind !== 'done') {
        if (session.replicatedWatch === watch) session.replicatedWatch = null;
        return replyOf(outcome);
      }
      watch.state = { ballot: outcome.ballot, live: Buffer.compare(replyOf(outcome), Buffer.from(':1\r\n')) === 0 };
      return REPLY_OK;
    });
    return true;
  }

  /**
   * The command last read came inside of `transaction`. Returns true when it is queued, the error when it cannot be, and false
   * when it is none on a replicated key, and the transaction has none.
   */
  queue(
    session: Session,
    service: Service,
    transaction: Transaction,
    spec: CommandSpec,
    requestBytes: number,
  ): boolean | Uint8Array {
    const { replicated, bytes, counts } = this.context;
    const found = replicated.find(session, service, spec);
    const known = transaction.replicated ?? session.replicatedWatch;
    if (found === null) return known === null ? false : SEVERAL;
    if (found instanceof Uint8Array) return found;
    const key = bytes.slice(found.start, found.end);
    if (!isKey(known, key) || session.watch !== null || transaction.commandCount > transaction.replicatedCount)
      return SEVERAL;
    if (!replicated.isOneKey(found.count)) return SEVERAL;
    let operation = replicated.operation(session, spec, found);
    // Of a time-out Redis finds fault when it carries out the command: the others of the block are carried out all the same.
    if (operation instanceof Uint8Array && spec.blocking) operation = answering(operation, key, session.protocol);
    if (operation instanceof Uint8Array) return operation;
    if (operation.walk !== undefined) return NO_CURSORS;
    if (operation.reads === null && !found.copySets.level.allowsChanges) return NO_BLOCK;
    const refusal = transaction.queueReplicated({ copySets: found.copySets, key }, operation, requestBytes);
    if (refusal !== null) {
      counts.commandsOverloaded++;
      return refusal;
    }
    transaction.isWrite ||= spec.write;
    return true;
  }

  /** EXEC. False: neither what is watched nor what is queued is replicated. */
  execute(session: Session, service: Service, transaction: Transaction): boolean {
    const { replicatedWatch: watch, protocol } = session;
    const block = transaction.replicated;
    const place = block ?? watch;
    if (place === null) return false;
    // By the topology of now: it may have changed since.
    const copySets = service.copySetsOf(place.key, 0, place.key.length);
    if (copySets === null) {
      session.reply(errorReply('EXECABORT Transaction discarded because of: the key is not replicated any more'));
      return true;
    }
    const found: FoundKey = { copySets, count: 1, start: 0, end: place.key.length };
    const operation = block === null ? nothing() : transactionOf(block.operations, protocol);
    const guarded = watch === null ? operation : unlessChanged(operation, watch.state, protocol);
    this.context.replicated.submit(session, found, guarded, transaction.isWrite, transaction.heldBytes, place.key);
    return true;
  }
}

function isKey(known: OwnKey | null, key: Uint8Array): boolean {
  return known === null || Buffer.compare(known.key, key) === 0;
}

/** `operation`, if the key is still in that state; else nothing, and EXEC's nil. */
function unlessChanged(
  operation: Operation<Commands, Replies>,
  state: ReplicatedWatch['state'],
  protocol: 2 | 3,
): Operation<Commands, Replies> {
  const nil = [protocol === 3 ? REPLY_NULL : REPLY_NULL_ARRAY];
  return {
    reads: null,
    readReply: (replies) => replies,
    plan: (base, found) => {
      const isSame = state !== null && base.accepted === state.ballot && base.live === state.live;
      return isSame
        ? operation.plan(base, found)
        : { kind: 'all', commands: NO_COMMANDS, setsExpiry: 0, reply: () => nil };
    },
  };
}

/** EXEC of nothing. */
function nothing(): Operation<Commands, Replies> {
  const reply = () => [REPLY_EMPTY_ARRAY];
  return {
    reads: NO_COMMANDS,
    readReply: reply,
    plan: () => ({ kind: 'all', commands: NO_COMMANDS, setsExpiry: 0, reply }),
  };
}
