/**
 * MULTI, EXEC, DISCARD and WATCH: what Redis checks when a command is queued is checked here, so that the client hears of it then.
 *
 * All keys must lie on one shard, those that are watched too. What concerns all shards that one carries out in its place among the others;
 * when it has said that EXEC was carried out, and before anything that comes after it, the other shards get the same.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { Pending, PendingPool, ReplyOwner } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { Holder, PrivateConnection } from '../backend/private-connection.js';
import { errorBytes } from '../base/errors.js';
import type { Limits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import { type CommandSpec, findCommand, findSubcommand } from '../resp/commands.js';
import { isDebugRow } from '../resp/debug-rows.js';
import { mayReplicate } from '../resp/may-replicate.js';
import { NOT_IN_TABLE } from '../resp/node-command.js';
import { arrayHeader, errorReply, REPLY_NULL, REPLY_NULL_ARRAY, REPLY_OK } from '../resp/reply.js';
import { RequestProgress, type RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import type { AllShards } from './all-shards.js';
import type { BusyScripts } from './busy-scripts.js';
import type { Clients } from './clients.js';
import { rejection } from './cluster.js';
import type { DebugCommands } from './debug-commands.js';
import { textOfError } from './error-text.js';
import { ExecPolicy, ExecReply } from './exec-policy.js';
import { crossSlotError, type KeyLocator } from './key-locator.js';
import type { Locks } from './locks.js';
import type { Merge, MergePool } from './merge.js';
import type { ClientInquiry } from './questions.js';
import type { Replicated } from './replicated.js';
import { ReplicatedTransactions } from './replicated-transactions.js';
import type { ResponsePolicy } from './response-policy.js';
import { hasSource, type ScriptCalls } from './script-calls.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { changesNodes } from './shard-plans.js';
import { type Planned, Spreads } from './spreads.js';
import { type OwnCommand, Transaction } from './transaction.js';
import { Watch } from './watch.js';

export interface TransactionsContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  /** A connection to that node for `holder` alone, or the error reply why there is none. */
  pool: BackendPool;
  allShards: AllShards;
  debug: DebugCommands;
  lend: (session: Session, node: number, holder: Holder) => PrivateConnection | Uint8Array;
  limits: Limits;
  counts: Counts;
  now: () => number;
  locator: KeyLocator;
  merges: MergePool;
  clients: Clients;
  replicated: Replicated;
  locks: Locks;
  busyScripts: BusyScripts;
  scripts: ScriptCalls;
  serviceOf: (session: Session) => Service;
  /** See SpreadsContext. */
  nodesOf: (session: Session) => readonly NodeSnapshot[];
  topologyVersion: () => number;
  /** The node for a command without keys. */
  anyNode: (session: Session) => number;
  /** See Permissions.refusal. */
  permissionRefusal: (session: Session, spec: CommandSpec) => string | null;
  configGetPolicy: (session: Session) => ResponsePolicy;
  /** Answers the command last read, which the proxy answers itself. Null where that cannot be within a transaction. */
  answer: (session: Session, spec: CommandSpec) => Uint8Array | null;
}

const QUEUED = Buffer.from('+QUEUED\r\n');
const NESTED = errorReply('ERR MULTI calls can not be nested');
const EXEC_WITHOUT_MULTI = errorReply('ERR EXEC without MULTI');
const DISCARD_WITHOUT_MULTI = errorReply('ERR DISCARD without MULTI');
const EXECABORT = errorReply('EXECABORT Transaction discarded because of previous errors.');
const NOT_IN_MULTI = errorReply('ERR Command not allowed inside a transaction');
const WATCH_IN_MULTI = errorReply('ERR WATCH inside MULTI is not allowed');
const RULES_CHANGED = errorReply(
  'EXECABORT Transaction discarded because of: NOPERM the rights of this user were changed since MULTI',
);
const EMPTY = arrayHeader(0);

/** What changes how the session speaks, or with whom: Redis lets it happen inside of a transaction, where no client wants it. */
const NOT_QUEUED: ReadonlySet<string> = new Set([
  'hello',
  'auth',
  'select',
  'client|reply',
  'client|tracking',
  'rl.consistency',
]);

export class Transactions {
  private readonly context: TransactionsContext;
  private readonly replicated: ReplicatedTransactions;
  private readonly spreads: Spreads;

  constructor(context: TransactionsContext) {
    this.context = context;
    this.spreads = new Spreads(context);
    this.replicated = new ReplicatedTransactions({ ...context, bytes: context.arena.bytes });
  }

  /**
   * MULTI, EXEC, DISCARD or WATCH was read, arena bytes [start, end). False: not now, the replies before it must have gone out
   * first; nothing was done.
   */
  control(session: Session, spec: CommandSpec, start: number, end: number): boolean {
    const { transaction } = session;
    switch (spec.name) {
      case 'multi':
        session.reply(transaction === null ? REPLY_OK : NESTED);
        session.transaction ??= new Transaction(this.context.arena, session.user, this.context.limits);
        return true;
      case 'discard':
        session.reply(transaction === null ? DISCARD_WITHOUT_MULTI : REPLY_OK);
        if (transaction !== null) session.endWatch();
        session.dropTransaction();
        return true;
      case 'exec':
        // What it watches, and what it sent before, goes by two connections.
        if (transaction !== null && transaction.replicated !== null && session.hasPlainReads) return false;
        if (transaction !== null && session.replicatedWatch !== null && !session.isIdle) return false;
        // What it watches is known only when WATCH has been answered.
        if (transaction !== null && session.watch !== null && !session.isIdle) return false;
        if (transaction === null) session.reply(EXEC_WITHOUT_MULTI);
        else this.execute(session, transaction);
        session.dropTransaction();
        return true;
      case 'watch':
        if (transaction !== null) {
          session.reply(WATCH_IN_MULTI);
          return true;
        }
        if (!session.isIdle) return false;
        if (this.refusesLocks(session, spec)) return true;
        if (!this.replicated.watch(session, this.context.serviceOf(session), spec, end - start))
          this.watch(session, spec, start, end);
        return true;
      default:
        throw new Error(`${spec.name} does not control transactions`);
    }
  }

  /** WATCH was read. False: none of its keys is a lock. */
  private refusesLocks(session: Session, spec: CommandSpec): boolean {
    const service = this.context.serviceOf(session);
    const refusal = service.hasLocks ? this.context.locks.transactionRefusal(session, service, spec) : null;
    if (refusal !== null) session.reply(refusal);
    return refusal !== null;
  }

  /** WATCH was read, and all before it has been answered. */
  private watch(session: Session, spec: CommandSpec, start: number, end: number): void {
    const { locator, pendings, lend, now, topologyVersion } = this.context;
    const service = this.context.serviceOf(session);
    const count = locator.locate(service, spec);
    const misplaced = locator.misplaced(service, count);
    if (misplaced !== null) {
      session.reply(misplaced);
      return;
    }
    const node = locator.owners[0] as number;
    // What is broken stays so until EXEC: the reply to this WATCH changes nothing of that.
    let { watch } = session;
    if (watch !== null && watch.topologyVersion !== topologyVersion()) watch.isBroken = true;
    if (watch?.isBroken === true) {
      session.reply(REPLY_OK);
      return;
    }
    if (watch !== null && watch.node !== node) {
      session.reply(crossSlotError(watch.firstKey, locator.show(0), 'transaction'));
      return;
    }
    if (watch === null) {
      watch = new Watch(node, locator.show(0), topologyVersion(), () => {
        session.watch = null;
      });
      const connection = lend(session, node, watch);
      if (connection instanceof Uint8Array) {
        session.reply(connection);
        return;
      }
      watch.connection = connection;
      session.watch = watch;
    }
    const pending = pendings.take(session, now(), false);
    session.track(pending, end - start);
    session.waitForReplies();
    const refusal = (watch.connection as PrivateConnection).send(pending, start, end);
    if (refusal !== null) session.onFailure(pending, refusal);
  }

  /** The command last read, arena bytes [start, end), came inside of `transaction`. */
  queue(session: Session, transaction: Transaction, spec: CommandSpec, start: number, end: number): void {
    const refusal = this.refusal(session, transaction, spec, start, end);
    if (refusal !== null) session.refuse(refusal);
    else if (this.context.busyScripts.isSuspected) this.askWhetherBusy(session, transaction, end - start);
    else session.reply(QUEUED);
  }

  /** A script may be running where the commands are to go: then the node refuses to queue them. */
  private askWhetherBusy(session: Session, transaction: Transaction, requestBytes: number): void {
    this.context.busyScripts.answer(session, this.nodesOf(session, transaction), QUEUED, requestBytes, (busy) => {
      transaction.isDirty = true;
      return busy;
    });
    session.waitForReplies();
  }

  /** EXEC was read, and is not carried out. That of a busy node is refused for that, as any command. */
  private abort(session: Session, transaction: Transaction): void {
    const { busyScripts } = this.context;
    if (!busyScripts.isSuspected) {
      session.reply(EXECABORT);
      return;
    }
    busyScripts.answer(session, this.nodesOf(session, transaction), EXECABORT, 0, (busy) => {
      return errorReply(`EXECABORT Transaction discarded because of: ${textOfError(busy)}`);
    });
  }

  /** Where its commands are to go; none where that is not known yet. */
  private nodesOf(session: Session, transaction: Transaction): NodeSnapshot[] {
    return this.context.serviceOf(session).nodes.filter(({ index }) => index === transaction.node);
  }

  /** Queues a command, or returns why not. */
  private refusal(
    session: Session,
    transaction: Transaction,
    spec: CommandSpec,
    start: number,
    end: number,
  ): Uint8Array | null {
    const { arena, reader } = this.context;
    if ((spec.flags & COMMAND_FLAG.no_multi) !== 0) return NOT_IN_MULTI;
    const shown = spec.name.toUpperCase().replace('|', ' ');
    if (NOT_QUEUED.has(spec.name) && !(spec.name === 'select' && this.selectsAgain(session))) {
      return errorReply(`ERR ${shown} inside MULTI is not supported by this proxy`);
    }
    const service = this.context.serviceOf(session);
    const ofLocks = service.hasLocks ? this.context.locks.transactionRefusal(session, service, spec) : null;
    if (ofLocks !== null) return ofLocks;
    if (service.isReplicated) {
      const queued = this.replicated.queue(session, service, transaction, spec, end - start);
      if (queued !== false) return queued === true ? null : queued;
    }
    let before: Uint8Array | null = null;
    switch (spec.route) {
      case 'local':
      case 'clients':
        // What the node says of the user's rights is asked for before it is carried out.
        if (spec.route === 'clients' && session.lane.identity !== null)
          return errorReply(`ERR ${shown} inside MULTI is not supported by this proxy with auth: passthrough`);
        return this.counted(transaction.queueOwn(start, end, spec.route === 'clients'));
      case 'reject':
        return rejection(spec, service);
      case 'all': {
        const plan = this.context.allShards.planInTransaction(session, service, spec);
        if (plan instanceof Uint8Array) return plan;
        before = plan.before;
        break;
      }
      case 'scan':
        if (service.nodes.length > 1 || service.hidesKeys)
          return errorReply(`ERR ${shown} inside MULTI is not supported by this proxy: its cursor is of one node`);
        break;
      case 'fenced':
        return errorReply(
          'ERR RL.FENCED inside MULTI is not supported by this proxy: if it is refused, the commands beside it are carried out all the same',
        );
      case 'subscribe':
      case 'monitor':
      case 'lock':
      case 'slot':
        return errorReply(`ERR ${shown} inside MULTI is not supported by this proxy`);
      case 'debug':
        throw new Error('DEBUG has a row for each of its subcommands');
      case 'one':
      case 'publish':
      case 'block':
      case 'split': {
        const misplaced = this.place(session, transaction, spec);
        if (misplaced !== null) return misplaced;
        break;
      }
      case 'any':
      case 'describe':
      case 'wait':
      case 'transaction':
      // The node knows what is tracked, as the proxy does.
      case 'tracking':
        break;
    }
    const known = spec.index === NOT_IN_TABLE ? { text: this.textTo(end), spec } : null;
    const refusal =
      spec.route === 'all' ? transaction.queueSpread(before, start, end) : transaction.queue(start, end, known);
    if (refusal !== null) return this.counted(refusal);
    transaction.isWrite ||= changesNodes(spec);
    transaction.hasScript ||= spec.group === 'scripting';
    transaction.hasDebug ||= isDebugRow(spec);
    transaction.mayReplicate ||= mayReplicate(spec, arena.bytes, reader.argumentStart, reader.argumentEnd);
    if (spec.name === 'config|get') transaction.configGets.push(transaction.commandCount - 1);
    return this.counted(this.noteScripts(session, transaction, spec, end - start));
  }

  /** The command was queued that was last read: what SCRIPT FLUSH takes away, and what EVAL behind it brings back. */
  private noteScripts(
    { service }: Session,
    transaction: Transaction,
    spec: CommandSpec,
    requestBytes: number,
  ): Uint8Array | null {
    if (spec.name === 'script|flush') transaction.flushesScripts ||= this.isFlush();
    if (!transaction.flushesScripts || !hasSource(spec)) return null;
    return transaction.noteAct(requestBytes, this.context.scripts.showing(service));
  }

  /** Whether the SCRIPT FLUSH last read is none that Redis finds fault with. */
  private isFlush(): boolean {
    const { arena, reader } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    const option = Buffer.from(arena.bytes.subarray(argumentStart[2], argumentEnd[2])).toString('latin1');
    return argumentCount === 2 || (argumentCount === 3 && /^a?sync$/i.test(option));
  }

  private counted(refusal: Uint8Array | null): Uint8Array | null {
    if (refusal !== null) this.context.counts.commandsOverloaded++;
    return refusal;
  }

  /** Whether the database of the SELECT last read is the one that the session works in. */
  private selectsAgain(session: Session): boolean {
    const { arena, reader } = this.context;
    const argument = arena.bytes.subarray(reader.argumentStart[1], reader.argumentEnd[1]);
    return Buffer.from(argument).toString('latin1') === String(session.database);
  }

  /** Sees that the keys of the command last read lie where those before it do. Returns the error when they do not. */
  private place(session: Session, transaction: Transaction, spec: CommandSpec): Uint8Array | null {
    const { locator, topologyVersion } = this.context;
    const service = this.context.serviceOf(session);
    const count = locator.locate(service, spec);
    if (count <= 0) return null;
    const misplaced = locator.misplaced(service, count);
    if (misplaced !== null) return misplaced;
    const node = locator.owners[0] as number;
    const { watch } = session;
    if (watch !== null && !watch.isBroken && watch.topologyVersion === topologyVersion() && watch.node !== node)
      return crossSlotError(watch.firstKey, locator.show(0), 'transaction');
    if (transaction.node < 0) {
      transaction.node = node;
      transaction.firstKey = locator.show(0);
      transaction.topologyVersion = topologyVersion();
    }
    return transaction.node === node ? null : crossSlotError(transaction.firstKey, locator.show(0), 'transaction');
  }

  private execute(session: Session, transaction: Transaction): void {
    const { watch } = session;
    if (transaction.isDirty) {
      this.abort(session, transaction);
      session.endWatch();
      return;
    }
    if (transaction.user !== session.user && !this.checkAgain(session, transaction)) {
      session.reply(RULES_CHANGED);
      session.endWatch();
      return;
    }
    if (this.replicated.execute(session, this.context.serviceOf(session), transaction)) {
      session.endWatch();
      return;
    }
    if (watch !== null && (watch.isBroken || watch.topologyVersion !== this.context.topologyVersion())) {
      session.reply(session.protocol === 3 ? REPLY_NULL : REPLY_NULL_ARRAY);
      session.endWatch();
      return;
    }
    if (transaction.commandCount === 0 && watch === null) {
      session.reply(EMPTY);
      return;
    }
    const planned =
      (transaction.hasDebug ? this.context.debug.refusal(session) : null) ??
      this.placeAgain(session, transaction) ??
      this.planAgain(session, transaction);
    if (planned instanceof Uint8Array) {
      session.reply(errorReply(`EXECABORT Transaction discarded because of: ${textOfError(planned)}`));
      session.endWatch();
      return;
    }
    if (transaction.nodeCommandCount > 0 || watch !== null) {
      this.send(session, transaction, planned);
      return;
    }
    const policy = new ExecPolicy(transaction.commandCount, transaction.askedPlaces, false);
    const { own } = transaction;
    if (transaction.askedPlaces.length === 0) {
      this.answerOwn(session, policy, own, []);
      session.reply(policy.localOnly());
      return;
    }
    const merge = this.context.merges.begin(session, policy, false, 0, this.context.now());
    this.answerOwn(session, policy, own, this.addQuestions(merge, transaction));
  }

  /**
   * The user has other rights than when the commands came: those that it has no more are answered with an error, as Redis does. False: the
   * transaction is on replicated keys, and none of it is carried out.
   */
  private checkAgain(session: Session, transaction: Transaction): boolean {
    const { arena, reader, permissionRefusal } = this.context;
    if (session.isFree) return true;
    if (transaction.replicated !== null) return false;
    const check = (bytes: number): Uint8Array | null => {
      const refusal = permissionRefusal(session, this.specOf(bytes, transaction));
      return refusal === null ? null : errorReply(noLongerAllowed(refusal));
    };
    transaction.withhold((at, end) => {
      const next = reader.read(arena.bytes, at, end, new RequestProgress());
      return { next, reply: check(next) };
    });
    for (const own of transaction.own) {
      if (own.refusal !== null) continue;
      const block = arena.allocate(own.frame.length);
      if (block < 0) {
        own.refusal = noMemory();
        continue;
      }
      arena.bytes.set(own.frame, block);
      own.refusal = check(reader.read(arena.bytes, block, block + own.frame.length, new RequestProgress()));
      arena.release(block, own.frame.length);
    }
    return true;
  }

  /** The parts of EXEC's reply that all workers are asked for. */
  private addQuestions(merge: Merge, { askedPlaces, isWrite }: Transaction): Pending[] {
    return askedPlaces.map(() => merge.addPart('ringleader', this.context.now(), isWrite));
  }

  /** Sends the block to its node: where keys are watched by the connection that watches them, and nothing overtakes it then. */
  private send(session: Session, transaction: Transaction, spread: readonly Planned[]): void {
    const { arena, merges, locator, now, anyNode, clients, busyScripts, configGetPolicy } = this.context;
    const { watch } = session;
    const block = transaction.finish();
    if (block instanceof Uint8Array) {
      session.reply(block);
      session.endWatch();
      return;
    }
    const { start, end } = block;
    const node = watch !== null ? watch.node : transaction.node < 0 ? anyNode(session) : transaction.node;
    const policy = new ExecPolicy(transaction.commandCount, transaction.askedPlaces, true);
    for (const place of transaction.configGets) policy.addShown(place, configGetPolicy(session));
    const merge = merges.begin(session, policy, false, end - start, now());
    const part = merge.addPart(locator.nodeName(node), now(), transaction.isWrite);
    const { own } = transaction;
    if (own.length > 0 || spread.length > 0) {
      // What the proxy does itself is done when the node has said that EXEC was carried out, and before what comes after it.
      const questions = this.addQuestions(merge, transaction);
      const askOthers =
        spread.length === 0 ? null : this.spreads.prepare({ session, transaction, policy, merge, own: node, spread });
      part.owner = new ExecReply(merge, policy, (isDone, error, replyStart) => {
        if (isDone) askOthers?.(replyStart);
        if (isDone && !session.isClosed) this.answerOwn(session, policy, own, questions);
        else if (error === null) for (const question of questions) clients.reply(question, REPLY_OK);
        else for (const question of questions) merge.onFailure(question, error);
      });
      for (const [place, act] of transaction.acts) policy.addAct(place, act);
      session.waitForReplies();
    }
    part.preludes = 1 + transaction.nodeCommandCount;
    if (transaction.isWrite) session.noteWrite(node);
    if (watch !== null) session.waitForReplies();
    // What tracks is also what watches.
    const sender = watch !== null && session.tracking === null ? watch.connection : session.lane.channels[node];
    const refusal = (sender as LaneChannel | PrivateConnection).send(part, start, end);
    if (refusal !== null) (part.owner as ReplyOwner).onFailure(part, refusal);
    else if (transaction.hasScript) busyScripts.note(sender as LaneChannel | PrivateConnection, node, part);
    session.endWatch();
    arena.settle();
  }

  /** What is for all shards, by the service of now; or why it cannot be carried out any more. */
  private planAgain(session: Session, transaction: Transaction): readonly Planned[] | Uint8Array {
    const { allShards } = this.context;
    const service = this.context.serviceOf(session);
    const planned: Planned[] = [];
    for (const command of transaction.spread) {
      const plan = this.readAgain(command.frame, (spec) => allShards.planInTransaction(session, service, spec));
      if (plan instanceof Uint8Array) return plan;
      planned.push({ command, plan });
    }
    return planned;
  }

  /** Where the topology has changed since the first key was seen: all keys must still lie together. Returns why they do not. */
  private placeAgain(session: Session, transaction: Transaction): Uint8Array | null {
    const { arena, reader, topologyVersion } = this.context;
    if (transaction.node < 0 || transaction.topologyVersion === topologyVersion()) return null;
    transaction.node = -1;
    const { start, end } = transaction.frames();
    for (let at = start; at < end; ) {
      const next = reader.read(arena.bytes, at, end, new RequestProgress());
      const misplaced = this.place(session, transaction, this.specOf(next, transaction));
      if (misplaced !== null) return misplaced;
      at = next;
    }
    return null;
  }

  /** Carries out what the proxy answers itself: tells `policy` the replies; `questions` are the parts for what all workers are asked. */
  private answerOwn(
    session: Session,
    policy: ExecPolicy,
    own: readonly OwnCommand[],
    questions: readonly Pending[],
  ): void {
    const { clients } = this.context;
    const inquiries: { part: Pending; inquiry: ClientInquiry | Uint8Array }[] = [];
    for (const { place, frame, refusal } of own) {
      const part = questions[policy.questionAt(place)];
      const reply = refusal ?? this.carryOut(session, frame);
      if (part !== undefined) inquiries.push({ part, inquiry: reply });
      else if (reply instanceof Uint8Array) policy.answer(place, reply);
      else throw new Error('an inquiry has no part of its own');
    }
    for (const { part, inquiry } of inquiries) {
      if (inquiry instanceof Uint8Array) clients.reply(part, inquiry);
      else clients.ask(session, part, inquiry);
    }
  }

  /** Carries out a command that the proxy answers itself; or says what all workers are to be asked. */
  private carryOut(session: Session, frame: Uint8Array): ClientInquiry | Uint8Array {
    const { clients, answer } = this.context;
    return this.readAgain(frame, (spec) => {
      const reply = spec.route === 'clients' ? clients.inquire(session, spec) : answer(session, spec);
      if (reply !== null) return reply;
      return errorReply(`ERR ${spec.name.toUpperCase().replace('|', ' ')} cannot be carried out inside MULTI`);
    });
  }

  /** What `use` makes of the command of that frame, which is the one last read during the call. */
  private readAgain<T>(frame: Uint8Array, use: (spec: CommandSpec) => T): T | Uint8Array {
    const { arena, reader } = this.context;
    const block = arena.allocate(frame.length);
    if (block < 0) return noMemory();
    arena.bytes.set(frame, block);
    const spec = this.specOf(reader.read(arena.bytes, block, block + frame.length, new RequestProgress()), null);
    const made = use(spec);
    arena.release(block, frame.length);
    return made;
  }

  /** What the command last read is; it was found before, when it was queued. `frameEnd`: what the reader returned. */
  private specOf(frameEnd: number, transaction: Transaction | null): CommandSpec {
    const { arena, reader } = this.context;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    const name = findCommand(arena.bytes, argumentStart[0] as number, argumentEnd[0] as number);
    const hasWord = name !== null && name.subcommands !== null && argumentCount > 1;
    const spec = hasWord
      ? findSubcommand(name, arena.bytes, argumentStart[1] as number, argumentEnd[1] as number)
      : (name ?? transaction?.nodeCommands.get(this.textTo(frameEnd)) ?? null);
    if (spec?.route === 'debug') return this.context.debug.row() as CommandSpec;
    if (frameEnd < 0 || spec === null) throw new Error('a queued command cannot be read again');
    return spec;
  }

  /** The command last read, from its name on, which ends at `frameEnd`. */
  private textTo(frameEnd: number): string {
    const { arena, reader } = this.context;
    return Buffer.from(arena.bytes.subarray(reader.argumentStart[0], frameEnd)).toString('latin1');
  }
}

/** `refusal`, which is of a command that was queued, as Redis has EXEC say it. */
function noLongerAllowed(refusal: string): string {
  const reason = DENIED.find(([text]) => refusal.startsWith(text))?.[1] ?? refusal;
  return (
    'NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed ' +
    `for the following reason: ${reason}`
  );
}

/** What a refusal begins with, and the reason that EXEC gives. */
const DENIED = [
  ['NOPERM this user has no permissions to run', 'no permission to execute the command or subcommand'],
  ['NOPERM this user has no permissions to access one of the keys', 'no permission to touch the specified keys'],
  [
    'NOPERM this user has no permissions to access one of the channels',
    'no permission to access one of the channels used as arguments to the command',
  ],
] as const;

function noMemory(): Uint8Array {
  return errorBytes('OVERLOADED', 'no buffer memory is left for the commands after MULTI');
}
