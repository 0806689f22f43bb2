/**
 * Carries out one command of a session: finds it in the table, or at the nodes (node-commands.ts), finds its keys, and sends it where they live.
 *
 *   one    the shard of its keys            split  one command a shard, replies merged
 *   all    every node, replies merged       any    the first node that is up
 *   scan   one node after the other         local  answered here
 *   publish  the shard of its channel      subscribe  by connections of its own (pubsub.ts)
 *   block  the shard of its keys, by a connection of the session's own; wait: so to several shards
 *   clients  asked of all workers     tracking  by ways of the session's own to all nodes
 *   monitor  what all workers carry out (monitors.ts)
 *   lock   the nodes of the lock (lock-commands.ts)      describe  any, and the proxy's own commands added
 *   slot   the node that has the keys of a slot           debug  by a row for each of its subcommands, which has one of the others
 *   fenced the shard of the keys of the command within (fenced.ts)
 *   reject an error that says why
 */

import type { LaneChannel } from '../backend/lane.js';
import type { PendingPool } from '../backend/pending.js';
import type { Holder, PrivateConnection } from '../backend/private-connection.js';
import type { ClientRules } from '../base/client-rules.js';
import type { Limits } from '../base/limits.js';
import type { LockTurns } from '../base/lock-turns.js';
import type { LogLevel } from '../base/log-event.js';
import { LockKeyspace } from '../lock/lock-keyspace.js';
import type { StoreProviderContext } from '../lock/store-provider.js';
import type { TopologySnapshot } from '../messages.js';
import type { Replicas } from '../replica/replicas.js';
import { isBlockingForm, refusedForm } from '../resp/command-forms.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import {
  arityFits,
  type CommandSpec,
  findCommand,
  findSubcommand,
  unknownCommandText,
  unknownSubcommandText,
  wrongArityText,
} from '../resp/commands.js';
import { isReadOnlyScript } from '../resp/may-replicate.js';
import { errorReply, REPLY_OK } from '../resp/reply.js';
import type { RequestProgress, RequestReader } from '../resp/request.js';
import type { Transport } from '../transport/transport.js';
import { Admission } from './admission.js';
import { AllShards, type AllShardsContext } from './all-shards.js';
import { REPLY_NOAUTH } from './authentication.js';
import { Blocking } from './blocking.js';
import { BusyScripts, type BusyScriptsContext } from './busy-scripts.js';
import { Clients, type ClientsContext } from './clients.js';
import { rejection } from './cluster.js';
import { CommandDescriptions } from './command-descriptions.js';
import { ConfigGetPolicy } from './config-get.js';
import { DebugCommands } from './debug-commands.js';
import { textOfError } from './error-text.js';
import { Fenced } from './fenced.js';
import { Gathers } from './gather.js';
import { KeyLocator } from './key-locator.js';
import { answerLocally, type LocalContext, NO_REPLY, Words } from './local.js';
import { LockCommands } from './lock-commands.js';
import { Locks } from './locks.js';
import { MergePool } from './merge.js';
import { Monitors, type MonitorsContext } from './monitors.js';
import { NodeCommands } from './node-commands.js';
import type { Pauses } from './pauses.js';
import { Permissions } from './permissions.js';
import { PlainReads } from './plain-reads.js';
import { PubSub } from './pubsub.js';
import { Questions } from './questions.js';
import { ReadOnlyFunctions } from './read-only-functions.js';
import { Redirections } from './redirections.js';
import type { RefusalLog } from './refusal-log.js';
import { Replicated } from './replicated.js';
import { type ResponsePolicy, responsePolicy } from './response-policy.js';
import { ScriptCalls, type ScriptCallsContext } from './script-calls.js';
import { Service } from './service.js';
import { type Session, SessionError } from './session.js';
import { ShardPlans } from './shard-plans.js';
import { Splitter } from './split.js';
import { TrackingCommands, type TrackingCommandsContext } from './tracking-commands.js';
import type { Transaction } from './transaction.js';
import { Transactions } from './transactions.js';
import type { Upload } from './upload.js';
import { Uploads } from './uploads.js';

/** The version that HELLO shows until a node has said its own: the one that the command table was made from. */
const TABLE_VERSION = '7.0.15';

export interface DispatchContext
  extends AllShardsContext,
    BusyScriptsContext,
    ClientsContext,
    Omit<MonitorsContext, 'serviceOf' | 'lookAgain'>,
    Omit<TrackingCommandsContext, 'serviceOf' | 'redirections'> {
  pauses: Pauses;
  refusals: RefusalLog;
  replicas: Replicas;
  /** See ReplicasContext. */
  drawProposer: () => string;
  lockTurns: LockTurns;
  /** See StoreProviderContext. */
  askLock: StoreProviderContext['askLock'];
  shown: ScriptCallsContext['shown'];
  transport: Transport;
  topology: TopologySnapshot;
  rules: Pick<ClientRules, 'pubsub' | 'isPassthrough' | 'enableDebugCommand'>;
  limits: Limits;
  log: (level: LogLevel, event: string, fields: Record<string, string>) => void;
}

export class Dispatcher {
  /** Commands that were nothing for their users. */
  refusedCount = 0;
  private readonly context: DispatchContext;
  private readonly bytes: Uint8Array;
  private readonly reader: RequestReader;
  private readonly pendings: PendingPool;
  private readonly pauses: Pauses;
  private topology: TopologySnapshot;
  /** By the number that sessions carry. */
  private services: readonly (Service | null)[];
  private splitter: Splitter;
  private readonly debug: DebugCommands;
  private readonly descriptions: CommandDescriptions;
  private readonly allShards: AllShards;
  private readonly merges: MergePool;
  private readonly locator: KeyLocator;
  private readonly nodeCommands: NodeCommands;
  private readonly transactions: Transactions;
  private readonly plainReads: PlainReads;
  private readonly replicated: Replicated;
  private readonly locks: Locks;
  private readonly lockCommands: LockCommands;
  private readonly fenced: Fenced;
  private readonly gathers: Gathers;
  readonly scripts: ScriptCalls;
  readonly redirections: Redirections;
  private readonly functions: ReadOnlyFunctions;
  private readonly uploads: Uploads;
  private readonly blocking: Blocking;
  private readonly clients: Clients;
  private readonly pubsub: PubSub;
  private readonly tracking: TrackingCommands;
  private readonly permissions: Permissions;
  private readonly monitors: Monitors;
  private readonly busyScripts: BusyScripts;
  private readonly admission: Admission;
  private readonly localContext: LocalContext;

  constructor(context: DispatchContext) {
    this.context = context;
    this.bytes = context.arena.bytes;
    this.reader = context.reader;
    this.pendings = context.pendings;
    this.pauses = context.pauses;
    this.topology = context.topology;
    this.services = openServices(context.topology, []);
    this.merges = new MergePool(context.arena, context.pendings);
    this.splitter = new Splitter(context.arena, context.reader, context.topology.nodes.length);
    this.busyScripts = new BusyScripts(context);
    this.scripts = new ScriptCalls(
      { ...context, serviceOf: ({ service }) => this.services[service] ?? null },
      this.busyScripts,
    );
    this.functions = new ReadOnlyFunctions({ ...context, onKnown: (service) => context.pauses.lookAgain(service) });
    this.debug = new DebugCommands(context.reader, context.arena.bytes, context.rules.enableDebugCommand);
    this.allShards = new AllShards(context, this.merges, new ShardPlans(context, this.scripts));
    this.locator = new KeyLocator(context.arena.bytes, context.reader, context.topology);
    this.nodeCommands = new NodeCommands({
      ...context,
      locator: this.locator,
      serviceAt: (number) => this.services[number] ?? null,
    });
    this.descriptions = new CommandDescriptions({
      ...context,
      locator: this.locator,
      merges: this.merges,
      forward: (session, node, start, end) => this.forward(session, node, false, start, end),
      anyNode: (session) => this.anyNode(session),
    });
    this.plainReads = new PlainReads({ ...context, bytes: context.arena.bytes });
    this.replicated = new Replicated({ ...context, bytes: context.arena.bytes, locator: this.locator });
    const lockKeyspace = new LockKeyspace(context);
    this.locks = new Locks({
      ...context,
      bytes: context.arena.bytes,
      scripts: this.scripts,
      locator: this.locator,
      lockKeyspace,
    });
    this.lockCommands = new LockCommands({
      ...context,
      bytes: context.arena.bytes,
      serviceOf: ({ service }) => this.services[service] ?? null,
    });
    this.fenced = new Fenced({ ...context, locator: this.locator, merges: this.merges });
    this.gathers = new Gathers({
      ...context,
      locator: this.locator,
      scripts: this.scripts,
      busyScripts: this.busyScripts,
      serviceOf: ({ service }) => this.services[service] ?? null,
    });
    this.clients = new Clients(context);
    this.admission = new Admission(
      { ...context, serviceOf: (session) => this.serviceOf(session) },
      context.rules.isPassthrough,
    );
    this.permissions = new Permissions({ ...context, bytes: context.arena.bytes });
    this.monitors = new Monitors(
      {
        ...context,
        serviceOf: ({ service }) => this.services[service] ?? null,
        lookAgain: (session, denied) => this.admission.lookAgain(session, this.anyNode(session), ['MONITOR'], denied),
      },
      new Questions(context),
    );
    this.redirections = new Redirections(context);
    this.tracking = new TrackingCommands({
      ...context,
      redirections: this.redirections,
      serviceOf: ({ service }) => this.services[service] ?? null,
    });
    const lend = (session: Session, node: number, holder: Holder) => this.lend(session, node, holder);
    this.transactions = new Transactions({
      ...context,
      busyScripts: this.busyScripts,
      allShards: this.allShards,
      debug: this.debug,
      locator: this.locator,
      merges: this.merges,
      replicated: this.replicated,
      locks: this.locks,
      clients: this.clients,
      lend,
      serviceOf: (session) => this.serviceOf(session),
      nodesOf: ({ service }) => this.services[service]?.nodes ?? [],
      scripts: this.scripts,
      permissionRefusal: (session, spec) => this.permissions.refusal(session, spec),
      topologyVersion: () => this.topology.version,
      anyNode: (session) => this.anyNode(session),
      configGetPolicy: (session) => this.configGetPolicy(session),
      answer: (session, spec) => answerLocally(spec, session, this.localContext),
    });
    this.uploads = new Uploads({
      ...context,
      bytes: context.arena.bytes,
      serviceOf: (session) => this.serviceOf(session),
    });
    this.blocking = new Blocking({ ...context, lend, merges: this.merges });
    this.pubsub = new PubSub({ ...context, serviceOf: (session) => this.serviceOf(session) });
    this.localContext = {
      words: new Words(context.reader, context.arena.bytes),
      version: (session) => context.pool.version(this.serviceOf(session).nodes) || TABLE_VERSION,
      databases: (session) => context.pool.databases(this.serviceOf(session).nodes),
      nowMs: context.now,
      serviceOf: (session) => this.serviceOf(session),
      authentication: context.authentication,
      admission: this.admission,
      onAuthFailure: (session, user) => this.onAuthFailure(session, user),
    };
  }

  /** See SessionContext.dispatch. */
  dispatch(session: Session, start: number, end: number): boolean {
    const { reader, bytes } = this;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    this.context.counts.commands++;
    const nameStart = argumentStart[0] as number;
    const nameEnd = argumentEnd[0] as number;
    let spec = findCommand(bytes, nameStart, nameEnd);
    if (spec !== null && spec.subcommands !== null && argumentCount > 1) {
      const found = findSubcommand(spec, bytes, argumentStart[1] as number, argumentEnd[1] as number);
      if (found === null) {
        session.refuse(
          errorReply(unknownSubcommandText(spec, bytes, argumentStart[1] as number, argumentEnd[1] as number)),
        );
        return true;
      }
      spec = found;
    }
    if (spec === null) {
      const found = this.findAtNodes(session, nameStart, nameEnd);
      if (typeof found === 'boolean') return found;
      spec = found;
    }
    session.lastCommand = spec.name;
    if (!arityFits(spec, argumentCount)) {
      this.reject(session, spec, wrongArityText(spec));
      return true;
    }
    if (!session.isFree) {
      const fate = this.admit(session, spec);
      if (fate !== 'go-on') return fate === 'done' || this.putOff();
    }
    if (spec.refusable && !this.gathersPatterns(session, spec)) {
      const form = this.formOf(session, spec);
      if (form instanceof Uint8Array) {
        session.refuse(form);
        return true;
      }
      spec = form;
    }
    if (session.subscriptions !== null && !session.mayCarryOut(spec.name)) {
      const allowed = '(P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET';
      this.reject(session, spec, `ERR Can't execute '${spec.name}': only ${allowed} are allowed in this context`);
      return true;
    }
    if (session.tracking !== null) session.tracking.onCommand(spec.name);
    if (this.pauses.isActive && this.pauses.holds(session, spec)) {
      if (session.isIdle) this.pauses.hold(session);
      return this.putOff();
    }
    if (spec.group === 'scripting' && this.scripts.mustAsk(session, spec)) return this.putOff();
    if (session.transaction !== null && !isAtOnce(spec)) {
      this.queue(session, session.transaction, spec, start, end);
      return true;
    }
    const service = this.services[session.service] as Service;
    if (service.hasLocks && this.locks.carryOut(session, service, spec, end - start)) return true;
    if (service.isReplicated) {
      if (this.plainReads.carryOut(session, service, spec, start, end)) return true;
      const fate = this.replicated.carryOut(session, service, spec, end - start);
      if (fate === 'done') return true;
      if (fate === 'later') return this.putOff();
    }
    if (spec.firstKey > 0 && spec.route === 'one') {
      const key = spec.firstKey;
      const node = service.nodeOf(bytes, argumentStart[key] as number, argumentEnd[key] as number);
      if (node >= 0) this.forward(session, node, spec.write, start, end);
      else session.reply(this.locator.noKeyspace(service, key));
      return true;
    }
    // The routes are compared one after the other: the frequent ones come first.
    switch (spec.route) {
      case 'local':
        return this.answer(session, spec, end - start);
      case 'one':
      case 'publish':
        this.sendToOne(session, spec, start, end);
        return true;
      case 'split':
        this.sendSplit(session, spec, start, end);
        return true;
      case 'all':
      case 'scan':
        this.allShards.send(session, this.serviceOf(session), spec, start, end);
        return true;
      case 'any':
        if (spec.name === 'config|get') this.sendConfigGet(session, start, end);
        else this.forward(session, this.anyNode(session), spec.write, start, end);
        return true;
      case 'describe':
        this.descriptions.carryOut(session, service, spec, start, end);
        return true;
      case 'block':
        return this.sendBlocking(session, spec, start, end);
      case 'wait':
        if (!session.isIdle) return this.putOff();
        this.blocking.wait(session, this.serviceOf(session), start, end);
        return true;
      case 'subscribe':
        if (!session.isIdle) return this.putOff();
        this.pubsub.send(session, spec, start, end);
        return true;
      case 'monitor':
        // One Redis answers nothing to who monitors already.
        if (session.monitoring !== null) return true;
        if (!session.isIdle) return this.putOff();
        if (session.lane.identity !== null) return this.sendForUser(session, spec, start, end);
        this.monitors.begin(session, end - start);
        return true;
      case 'transaction':
        return this.transactions.control(session, spec, start, end) || this.putOff();
      case 'clients':
        if (session.lane.identity !== null) return this.sendForUser(session, spec, start, end);
        this.carryOutForClients(session, spec, end - start);
        return true;
      case 'tracking':
        return this.track(session, spec, end - start) || this.putOff();
      case 'lock':
        return this.lockCommands.carryOut(session, service, spec, end - start) || this.putOff();
      case 'fenced':
        this.fenced.carryOut(session, service, end, end - start);
        return true;
      case 'slot':
        return this.allShards.walkSlot(session, service, spec, end - start) || this.putOff();
      case 'reject':
        session.reply(rejection(spec, service));
        return true;
      case 'debug':
        throw new Error('DEBUG has a row for each of its subcommands');
    }
  }

  /** See Uploads. */
  beginUpload(session: Session, start: number, progress: RequestProgress): Upload | 'whole' | 'later' {
    return this.uploads.begin(session, start, progress);
  }

  /** The row for the form of the command last read, which is `refusable`; or why it is refused. */
  private formOf(session: Session, spec: CommandSpec): CommandSpec | Uint8Array {
    if (spec.route === 'debug') return this.debug.find(session);
    const { argumentStart, argumentEnd, argumentCount } = this.reader;
    const refusal = refusedForm(spec, this.bytes, argumentStart, argumentEnd, argumentCount);
    return refusal === null ? spec : errorReply(refusal);
  }

  /** The row for the command last read, where the table lacks it, and nodes have told of it; else null. */
  nodeCommand(session: Session): CommandSpec | null {
    return session.isAuthenticated ? this.nodeCommands.told(this.serviceOf(session)) : null;
  }

  /** A node is up or down that was not: it may know other commands now. */
  onNodeState(): void {
    this.nodeCommands.forget();
  }

  /** Commands read from now on go by these; those in flight finish under the topology they started with. */
  configure(topology: TopologySnapshot, rules: ClientRules): void {
    this.topology = topology;
    this.pubsub.mode = rules.pubsub;
    this.debug.mode = rules.enableDebugCommand;
    this.admission.isPassthrough = rules.isPassthrough;
    this.locator.setTopology(topology);
    this.services = openServices(topology, this.services);
    this.splitter = new Splitter(this.context.arena, this.reader, topology.nodes.length);
    this.allShards.forgetShared();
    this.nodeCommands.forget();
    this.lockCommands.acquiring.onTopologyChanged();
    this.monitors.onTopologyChanged();
    this.busyScripts.onTopologyChanged();
    this.pauses.onServicesChanged((service) => this.hasService(service));
  }

  /** See PausesContext. */
  isReadOnly(session: Session, spec: CommandSpec): boolean {
    if (spec.name !== 'evalsha' && spec.name !== 'fcall') return false;
    const { words } = this.localContext;
    if (spec.name === 'fcall')
      return this.functions.has(session.service, this.serviceOf(session).homeNode, words.text(1));
    const script = this.scripts.known.find(session.service, words.text(1));
    return script !== null && isReadOnlyScript(Buffer.from(script.source, 'latin1'), 0, script.source.length);
  }

  hasService(number: number): boolean {
    return this.services[number] instanceof Service;
  }

  /** All clients have gone. Calls `done` when the locks are free that they had for as long as they were there. */
  whenLocksReleased(done: () => void): void {
    this.lockCommands.acquiring.whenReleased(done);
  }

  /** Bytes of the heap that gathers take. */
  get gatheredBytes(): number {
    return this.gathers.heapBytes;
  }

  /** The version of the topology that commands read now go by. */
  get topologyVersion(): number {
    return this.topology.version;
  }

  /** The row for the command last read, which is not in the table. Otherwise what `dispatch` returns. */
  private findAtNodes(session: Session, nameStart: number, nameEnd: number): CommandSpec | boolean {
    const { reader, bytes } = this;
    if (this.isFromBrowser(nameStart, nameEnd)) {
      session.cutOff(new SessionError('it speaks HTTP: maybe cross protocol scripting'));
      return true;
    }
    // What nobody asks who owes a password is unknown, as in Redis.
    const isDue = !session.isAuthenticated && this.admission.isPassthrough;
    if (isDue && this.admission.admit(session) === null) return this.putOff();
    const found = session.isAuthenticated ? this.nodeCommands.find(session, this.serviceOf(session)) : null;
    if (found === 'later') return this.putOff();
    if (found !== null && !(found instanceof Uint8Array)) return found;
    const { argumentStart, argumentEnd, argumentCount } = reader;
    session.refuse(found ?? errorReply(unknownCommandText(bytes, argumentStart, argumentEnd, argumentCount)));
    return true;
  }

  /** A web page can have a browser send HTTP here, with commands in its body: as Redis, hear nothing after its first lines. */
  private isFromBrowser(nameStart: number, nameEnd: number): boolean {
    const name = Buffer.from(this.bytes.subarray(nameStart, Math.min(nameEnd, nameStart + 6))).toString('latin1');
    return /^(post|host:)$/i.test(name);
  }

  onTurnEnd(): void {
    this.allShards.onTurnEnd();
    this.lockCommands.acquiring.onTurnEnd();
  }

  /** Sends the frame as it is to one node. */
  private forward(session: Session, node: number, isWrite: boolean, start: number, end: number): void {
    const pending = this.pendings.take(session, this.context.now(), isWrite);
    session.track(pending, end - start);
    if (isWrite) session.noteWrite(node);
    const refusal = (session.lane.channels[node] as LaneChannel).send(pending, start, end);
    if (refusal !== null) session.onFailure(pending, refusal);
  }

  private sendConfigGet(session: Session, start: number, end: number): void {
    const node = this.anyNode(session);
    const merge = this.merges.begin(session, this.configGetPolicy(session), false, end - start, this.context.now());
    const part = merge.addPart(this.locator.nodeName(node), this.context.now(), false);
    merge.sendPart(session.lane.channels[node] as LaneChannel, part, start, end);
  }

  private configGetPolicy(session: Session): ResponsePolicy {
    return new ConfigGetPolicy(this.serviceOf(session), this.context.limits, session.lane.identity === null);
  }

  /** See BackendPool.lend. What tracks has its own. */
  private lend(session: Session, node: number, holder: Holder): PrivateConnection | Uint8Array {
    return session.tracking?.lane.lend(node, holder) ?? this.context.pool.lend(node, session.lane, holder);
  }

  private serviceOf(session: Session): Service {
    return this.services[session.service] as Service;
  }

  private sendToOne(session: Session, spec: CommandSpec, start: number, end: number): void {
    const service = this.serviceOf(session);
    const count = this.locator.locate(service, spec);
    if (this.gathers.carryOut(session, service, spec, count, end - start)) return;
    const node = this.oneNode(session, service, count);
    if (node < 0) return;
    if (spec.group === 'scripting') this.scripts.send(session, spec, node, start, end);
    else this.forward(session, node, spec.write, start, end);
  }

  /** Of a transaction: scripts are sent whole, as EXEC cannot be sent again; but for those that it flushes itself before. */
  private queue(session: Session, transaction: Transaction, spec: CommandSpec, start: number, end: number): void {
    const queue = (from: number, to: number) => this.transactions.queue(session, transaction, spec, from, to);
    if (spec.group === 'scripting' && !transaction.flushesScripts)
      this.scripts.asWhole(session, spec, start, end, queue);
    else queue(start, end);
  }

  /** Whether patterns that name keys on other shards (SORT) may be carried out now. */
  private gathersPatterns(session: Session, { hasPatterns }: CommandSpec): boolean {
    return hasPatterns && session.transaction === null && !this.serviceOf(session).hasCopies;
  }

  /**
   * The node of the `count` keys that the locator has found, which must all lie there; -1 after it was answered why they do not. A
   * command without keys (EVAL … 0) goes to the owner of the empty key.
   */
  private oneNode(session: Session, service: Service, count: number): number {
    const { locator } = this;
    const misplaced = locator.misplaced(service, count);
    if (misplaced !== null) {
      session.reply(misplaced);
      return -1;
    }
    // Arguments that make no sense: the node has the right words for it, and changes nothing.
    return count <= 0 ? service.homeNode : (locator.owners[0] as number);
  }

  /** As `sendToOne`, where it may wait for data. False: not now, see SessionContext.dispatch. */
  private sendBlocking(session: Session, spec: CommandSpec, start: number, end: number): boolean {
    const { reader } = this;
    if (!isBlockingForm(spec, this.bytes, reader.argumentStart, reader.argumentEnd, reader.argumentCount)) {
      this.sendToOne(session, spec, start, end);
      return true;
    }
    if (!session.isIdle) return this.putOff();
    const service = this.serviceOf(session);
    const node = this.oneNode(session, service, this.locator.locate(service, spec));
    if (node < 0) return true;
    if (spec.write) session.noteWrite(node);
    this.blocking.send(session, spec, node, start, end);
    return true;
  }

  /** `text` says why the command is not carried out. EXEC then ends the transaction, as it does whatever becomes of it. */
  private reject(session: Session, spec: CommandSpec, text: string): void {
    if (spec.name !== 'exec') {
      session.refuse(errorReply(text));
      return;
    }
    session.dropTransaction();
    session.endWatch();
    const reason = text.replace(/^(ERR|EXECABORT Transaction discarded because of:) /, '');
    session.reply(errorReply(`EXECABORT Transaction discarded because of: ${reason}`));
  }

  /** It will come again, and is counted then. */
  private putOff(): false {
    this.context.counts.commands--;
    return false;
  }

  private sendSplit(session: Session, spec: CommandSpec, start: number, end: number): void {
    const service = this.serviceOf(session);
    const { locator } = this;
    const count = locator.locate(service, spec);
    const stray = locator.stray(service, count);
    if (stray !== null) {
      session.reply(stray);
      return;
    }
    const { keys, owners } = locator;
    const elsewhere = locator.firstElsewhere(count);
    if (elsewhere >= count) {
      this.forward(session, count <= 0 ? service.homeNode : (owners[0] as number), spec.write, start, end);
      return;
    }
    if (spec.write && !locator.splitsWrite(service, count)) {
      session.reply(locator.crossSlot(0, elsewhere));
      return;
    }
    const step = spec.keyStep;
    const splitter = this.splitter;
    const policy = responsePolicy(spec.responsePolicy, true);
    const merge = this.merges.begin(session, policy, false, end - start, this.context.now());
    splitter.group(keys.positions, count, owners, step);
    for (const node of splitter.nodes) merge.addPart(locator.nodeName(node), this.context.now(), spec.write);
    if (spec.responsePolicy === null) {
      for (let index = 0; index < count; index++) {
        merge.addKey(splitter.partOfNode[owners[index] as number] as number);
      }
    }
    const wasBuilt = splitter.build(start, keys.positions, count, owners, step, (node, partStart, partEnd) => {
      const part = merge.partPending(splitter.partOfNode[node] as number);
      if (spec.write) session.noteWrite(node);
      merge.sendPart(session.lane.channels[node] as LaneChannel, part, partStart, partEnd);
    });
    if (!wasBuilt) merge.failUnsent();
  }

  private onAuthFailure(session: Session, user: string | null): void {
    this.context.counts.authFailures++;
    this.context.log('warn', 'wrong-password', { client: session.connection.remoteAddress() });
    this.permissions.noteAuth(session, user);
  }

  /** Whether the command last read is one for its user: `done`, it was answered that it is not; `later`, it will come again. */
  private admit(session: Session, spec: CommandSpec): 'go-on' | 'done' | 'later' {
    if (!session.isAuthenticated) {
      if ((spec.flags & COMMAND_FLAG.no_auth) !== 0) return 'go-on';
      const reply = this.admission.isPassthrough ? this.admission.admit(session) : REPLY_NOAUTH;
      if (reply === null) return 'later';
      if (reply === REPLY_OK) return 'go-on';
      this.reject(session, spec, textOfError(reply));
      return 'done';
    }
    const refusal = this.permissions.refusal(session, spec);
    if (refusal === null) return 'go-on';
    this.refusedCount++;
    this.reject(session, spec, refusal);
    return 'done';
  }

  /** Carries out a command on clients or users, or MONITOR, where the nodes say what the user may do. False: not now, see SessionContext.dispatch. */
  private sendForUser(session: Session, spec: CommandSpec, start: number, end: number): boolean {
    const { words } = this.localContext;
    if (spec.name.startsWith('acl|')) {
      if (!this.allShards.sendAcl(session, this.serviceOf(session), spec, start, end))
        this.forward(session, this.anyNode(session), false, start, end);
      return true;
    }
    const given = Array.from({ length: words.count }, (_, index) => words.raw(index));
    const reply = this.admission.mayRun(session, this.anyNode(session), given);
    if (reply === null) return this.putOff();
    if (reply !== REPLY_OK) session.refuse(reply);
    else if (spec.route === 'monitor') this.monitors.begin(session, end - start);
    else this.carryOutForClients(session, spec, end - start);
    return true;
  }

  private answer(session: Session, spec: CommandSpec, requestBytes: number): boolean {
    const { tracking, redirectedLanes, isToldByWorkers } = session;
    const isTold = tracking !== null || redirectedLanes !== null || isToldByWorkers;
    if (isTold && spec.name === 'ping' && !session.isIdle) return this.putOff();
    const startMs = performance.now();
    const reply = answerLocally(spec, session, this.localContext);
    if (reply === null) {
      return this.putOff();
    }
    this.context.times.add(spec.index, performance.now() - startMs);
    // One Redis reads PING when what came before it has been answered: also its client's own script.
    if (spec.name === 'ping' && session.isIdle && (isTold || this.busyScripts.isSuspected)) {
      this.busyScripts.answer(session, this.serviceOf(session).nodes, reply, requestBytes);
      // No other reply waits then: what the client is told goes out at once, before PONG.
      if (isTold) session.waitForReplies();
      return true;
    }
    if (reply !== NO_REPLY) session.reply(reply);
    if (spec.name === 'quit') session.finish();
    return true;
  }

  private carryOutForClients(session: Session, spec: CommandSpec, requestBytes: number): void {
    const startMs = performance.now();
    this.clients.carryOut(session, spec, requestBytes);
    this.context.times.add(spec.index, performance.now() - startMs);
  }

  private track(session: Session, spec: CommandSpec, requestBytes: number): boolean {
    const startMs = performance.now();
    const isDone = this.tracking.carryOut(session, spec, requestBytes);
    if (isDone) this.context.times.add(spec.index, performance.now() - startMs);
    return isDone;
  }

  private anyNode(session: Session): number {
    const { channels } = session.lane;
    const { nodes, homeNode } = this.serviceOf(session);
    const node =
      nodes.find(({ index }) => channels[index]?.isReady) ??
      nodes.find(({ index }) => channels[index]?.isDown === false);
    return node?.index ?? homeNode;
  }
}

/** What is carried out at once also after MULTI. */
function isAtOnce(spec: CommandSpec): boolean {
  return spec.route === 'transaction' || spec.name === 'quit' || spec.name === 'reset';
}

/** Opens the services of a topology; one that is as it was in `before` stays. */
function openServices(topology: TopologySnapshot, before: readonly (Service | null)[]): readonly (Service | null)[] {
  return topology.services.map((snapshot, number) => {
    if (snapshot === null) return null;
    const same = before[number];
    return same?.isOf(snapshot, topology) ? same : new Service(snapshot, number, topology, same ?? null);
  });
}
