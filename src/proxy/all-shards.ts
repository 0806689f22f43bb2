/**
 * Commands that concern all shards. Most go to every node as they are, and the replies are merged; besides:
 *
 *   INFO        many who ask before anything was sent share one round; the proxy has a section of its own
 *   RANDOMKEY   every node is asked for its size too; before LATENCY RESET, for its events
 *   SCAN        goes to one node, with that node's cursor
 *   CLUSTER COUNTKEYSINSLOT, GETKEYSINSLOT   walk over the keys of the slot's node
 *
 * Where keys are replicated, or locks, or the proxy may have some of its own (fences), what is about all keys is a walk over the nodes
 * (key-walk.ts), or refused. A walk leaves out
 * locks: whether one is held is the word of a majority at one moment, and a walk hears one node after the other.
 *
 * "All" are the nodes of the session's service. Where they hold keys that it does not see, KEYS and SCAN leave those out, and
 * what would count, draw or delete them is refused.
 */
import type { LaneChannel } from '../backend/lane.js';
import type { Pending, PendingPool } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import type { CommandTimes } from '../base/command-times.js';
import { errorBytes } from '../base/errors.js';
import { DURABLE } from '../replica/admission.js';
import { COMMAND_FLAG } from '../resp/command-spec.js';
import type { CommandSpec } from '../resp/commands.js';
import { parseInt64 } from '../resp/int64.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import { AfterSuccessPolicy } from './after-success-policy.js';
import { NO_CLUSTER } from './cluster.js';
import { asksForOurs, InfoPolicy, ownInfo, type ProxyFacts } from './introspection.js';
import type { Walk } from './key-walk.js';
import { ASK_LATEST } from './latency-policies.js';
import { MajorityPolicy } from './majority-policy.js';
import type { Merge, MergePool } from './merge.js';
import { runSteps } from './node-steps.js';
import { OwnKeysPolicy } from './own-keys.js';
import { DBSIZE, RandomKeyPolicy } from './random-key.js';
import { type ResponsePolicy, responsePolicy } from './response-policy.js';
import { scanOptions } from './scan-options.js';
import type { ScriptCalls } from './script-calls.js';
import { ScriptsExistPolicy } from './scripts-exist-policy.js';
import { serverPolicy } from './server-policies.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import { slotQuestion } from './slot-question.js';

export interface AllShardsContext {
  arena: Arena;
  reader: RequestReader;
  pendings: PendingPool;
  pool: BackendPool;
  /** A number in [0, 1). */
  random: () => number;
  now: () => number;
  /** Milliseconds since 1970. */
  clock: () => number;
  facts: (service: Service) => ProxyFacts;
  /** Of what the proxy answers itself. */
  times: CommandTimes;
}

/** What is of all keys of a pool, or of all who use them, also of those of other services: what it would do. */
const OF_ALL_SERVICES: ReadonlyMap<string, string> = new Map([
  ['dbsize', 'count keys'],
  ['randomkey', 'draw keys'],
  ['flushall', 'delete keys'],
  ['flushdb', 'delete keys'],
  ['swapdb', 'swap keys'],
  ['slowlog|get', 'show commands'],
]);

/** What changes something at nodes, though it is no write by Redis's flags: it is not sent twice, and may be half done. */
const CHANGES: ReadonlySet<string> = new Set([
  ...['config|set', 'config|rewrite', 'config|resetstat', 'slowlog|reset', 'memory|purge'],
  ...['save', 'bgsave', 'bgrewriteaof'],
  ...['acl|setuser', 'acl|deluser', 'acl|load', 'acl|save'],
]);

const OUT_OF_RANGE = errorReply('ERR DB index is out of range');
/** How answers to ACL are merged that all nodes give, but for those that all_succeeded is for; '': one after the other. */
const ACL_POLICIES: ReadonlyMap<string, string> = new Map([
  ['acl|deluser', 'agg_max'],
  ['acl|log', ''],
]);

/** What nodes of replicated keys must have set as it is. */
const HELD_SETTINGS: ReadonlySet<string> = new Set(['maxmemory-policy', ...DURABLE.map(([setting]) => setting)]);
const OF_KEYS: ReadonlySet<string> = new Set([
  ...['keys', 'scan', 'dbsize', 'randomkey'],
  ...['cluster|countkeysinslot', 'cluster|getkeysinslot'],
]);

export class AllShards {
  private readonly context: AllShardsContext;
  private readonly merges: MergePool;
  private readonly scripts: ScriptCalls;
  private readonly randomKey: RandomKeyPolicy;
  /** INFO requests whose merge may be shared, by service, protocol, database and arguments. */
  private readonly shared = new Map<string, Merge>();

  constructor(context: AllShardsContext, merges: MergePool, scripts: ScriptCalls) {
    this.context = context;
    this.scripts = scripts;
    this.merges = merges;
    this.randomKey = new RandomKeyPolicy(context.random);
  }

  /** The topology changes: a round that was begun before asked the old nodes. */
  forgetShared(): void {
    this.shared.clear();
  }

  /** INFO requests that came later must not share what was sent meanwhile. */
  onTurnEnd(): void {
    if (this.shared.size === 0) return;
    for (const [key, merge] of this.shared) if (!merge.isUnsent) this.shared.delete(key);
  }

  /** ACL, whose users are those of the nodes: what changes them goes to all, what asks of them to one. */
  sendAcl(session: Session, service: Service, spec: CommandSpec, start: number, end: number): void {
    const { reader, now } = this.context;
    const isReset = spec.name === 'acl|log' && reader.argumentCount > 2 && /^reset$/i.test(this.argument(2));
    if (isReset || /^acl\|(deluser|load|log|save|setuser)$/.test(spec.name)) {
      const name = isReset ? 'all_succeeded' : (ACL_POLICIES.get(spec.name) ?? 'all_succeeded');
      this.sendToAll(session, service, spec, responsePolicy(name === '' ? null : name, false), start, end);
      return;
    }
    const merge = this.begin(session, responsePolicy('one_succeeded', false), false, end - start);
    const node = service.nodes.find(({ index }) => !this.channel(session, index).isDown) ?? service.nodes[0];
    if (node === undefined) throw new Error('a service has no node');
    merge.sendPart(this.channel(session, node.index), merge.addPart(node.label, now(), false), start, end);
  }

  /** Carries out the command last read, whose frame is arena bytes [start, end). */
  send(session: Session, service: Service, spec: CommandSpec, start: number, end: number): void {
    const { shared } = service;
    const effect = OF_ALL_SERVICES.get(spec.name);
    if (shared !== null && effect !== undefined) {
      const why = `it would ${effect} of service ${shared.service} too, which shares pool ${shared.pool} with this one`;
      session.reply(errorReply(`ERR ${spec.name.toUpperCase().replace('|', ' ')} is refused: ${why}`));
      return;
    }
    if (service.hasOwnKeys && this.sendWalk(session, service, spec, end - start)) return;
    switch (spec.name) {
      case 'info':
        this.sendInfo(session, service, start, end);
        return;
      case 'swapdb': {
        const refusal = this.refusalOfSwap(service);
        if (refusal !== null) session.reply(refusal);
        else this.sendToAll(session, service, spec, this.serverPolicy(session, spec), start, end);
        return;
      }
      case 'randomkey':
        this.sendAfter(session, service, this.randomKey, DBSIZE, false, start, end);
        return;
      case 'latency|reset':
        this.sendAfter(session, service, this.serverPolicy(session, spec), ASK_LATEST, true, start, end);
        return;
      case 'config|resetstat':
        this.sendToAll(
          session,
          service,
          spec,
          new AfterSuccessPolicy(this.serverPolicy(session, spec), () => this.context.times.reset()),
          start,
          end,
        );
        return;
      case 'scan':
        this.sendScan(session, service, start, end);
        return;
      case 'keys':
        this.sendToAll(session, service, spec, this.keysPolicy(service, spec), start, end);
        return;
      case 'script|flush':
        this.sendToAll(
          session,
          service,
          spec,
          new AfterSuccessPolicy(this.serverPolicy(session, spec), () => this.scripts.forgetAll(service.number)),
          start,
          end,
        );
        return;
      case 'script|load':
        this.sendToAll(
          session,
          service,
          spec,
          new AfterSuccessPolicy(this.scriptPolicy(service, spec), this.scripts.loading(service.number)),
          start,
          end,
        );
        return;
      case 'script|exists':
        this.sendToAll(session, service, spec, this.scriptPolicy(service, spec), start, end);
        return;
      default:
        this.sendToAll(session, service, spec, this.serverPolicy(session, spec), start, end);
    }
  }

  /** What is of all keys, where some have copies, or are the proxy's own. False: it is carried out as everywhere. */
  private sendWalk(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const { reader, random, clock } = this.context;
    const refusal = service.hasCopies ? this.refusalOfCopied(session, service, spec) : null;
    if (refusal !== null) {
      session.reply(errorReply(refusal));
      return true;
    }
    let walk: Walk;
    switch (spec.name) {
      case 'keys':
        walk = service.walks.keys(this.bytesOf(1), clock);
        break;
      case 'dbsize':
        walk = service.walks.dbsize(clock);
        break;
      case 'randomkey':
        walk = service.walks.randomKey(random, clock(), session.protocol);
        break;
      case 'scan': {
        const words = Array.from({ length: reader.argumentCount - 2 }, (_, index) => this.bytesOf(index + 2));
        const options = scanOptions(words);
        if (options instanceof Uint8Array) {
          session.reply(options);
          return true;
        }
        walk = service.walks.scan(this.argument(1), options, clock());
        break;
      }
      default:
        return false;
    }
    runSteps(this.context, session, walk, requestBytes);
    return true;
  }

  /**
   * CLUSTER COUNTKEYSINSLOT or GETKEYSINSLOT was read, of that many bytes. False: not now, what was read before must have been answered, so
   * that a session has one such walk under way, and no pipeline of them.
   */
  walkSlot(session: Session, service: Service, spec: CommandSpec, requestBytes: number): boolean {
    const { reader, clock } = this.context;
    if (!service.hasSlots) {
      session.reply(NO_CLUSTER);
      return true;
    }
    const words = Array.from({ length: reader.argumentCount - 2 }, (_, index) => this.argument(index + 2));
    const question = slotQuestion(words);
    const refusal = service.hasCopies ? this.refusalOfCopied(session, service, spec) : null;
    if (question instanceof Uint8Array || refusal !== null) {
      session.reply(question instanceof Uint8Array ? question : errorReply(refusal as string));
      return true;
    }
    if (!session.isIdle) return false;
    const walk = service.walks.slot(question, service.nodeOfSlot(question.slot), clock);
    runSteps(this.context, session, walk, requestBytes);
    session.waitForReplies();
    return true;
  }

  private refusalOfCopied(session: Session, service: Service, { name }: CommandSpec): string | null {
    const { isReplicated } = service;
    if (name === 'flushall' || name === 'flushdb') {
      const what = isReplicated ? 'replicated' : 'locks';
      const why = `some keys of this service are ${what}, and a node that is emptied has to be repaired`;
      return `ERR ${name.toUpperCase()} is refused: ${why}; delete keys by their names`;
    }
    if (name === 'config|set') {
      for (let index = 2; index < this.context.reader.argumentCount; index += 2) {
        const setting = this.argument(index).toLowerCase();
        if (!HELD_SETTINGS.has(setting)) continue;
        const what = isReplicated ? 'replicated keys' : 'locks';
        return `ERR CONFIG SET ${setting} is refused: the ${what} of this service depend on it; connect to the node itself`;
      }
    }
    if (isReplicated && session.database !== 0 && OF_KEYS.has(name))
      return 'ERR replicated keys are in database 0 only';
    return null;
  }

  private serverPolicy({ protocol }: Session, spec: CommandSpec): ResponsePolicy {
    const { argumentCount } = this.context.reader;
    const words = Array.from({ length: argumentCount }, (_, index) => this.argument(index));
    return serverPolicy(spec.name, words, protocol, this.context.times) ?? responsePolicy(spec.responsePolicy, false);
  }

  /**
   * Nodes swap one after the other, and what some of them have done is not taken back. So it is not begun where it is known that one
   * would not do it.
   */
  private refusalOfSwap({ nodes, hasOwnKeys, hasStoreLocks }: Service): Uint8Array | null {
    const { pool } = this.context;
    if (hasOwnKeys || hasStoreLocks) {
      const why = 'some keys of this service, or what the proxy keeps beside them, are to stay in database 0';
      return errorReply(`ERR SWAPDB is refused: ${why}`);
    }
    const away = nodes.find((node) => pool.commonOf(node)?.isReady !== true);
    if (away !== undefined)
      return errorBytes('NODEDOWN', `node ${away.label} cannot be reached; no node has swapped its databases`);
    // What is no number, or beyond all of them, they refuse alike.
    const [one, other] = [parseInt64(this.argument(1)), parseInt64(this.argument(2))];
    const databases = pool.databases(nodes);
    const isBeyond = (database: bigint | null) => database !== null && database >= BigInt(databases);
    return one !== null && other !== null && (isBeyond(one) || isBeyond(other)) ? OUT_OF_RANGE : null;
  }

  private scriptPolicy(service: Service, { name, responsePolicy: tip }: CommandSpec): ResponsePolicy {
    const { nodes, hasLocks, lockSetsOfNodes } = service;
    if (hasLocks) return new MajorityPolicy(tip, nodes, lockSetsOfNodes);
    if (name !== 'script|exists') return responsePolicy(tip, false);
    const asked = Array.from({ length: this.context.reader.argumentCount - 2 }, (_, index) => this.argument(index + 2));
    return new ScriptsExistPolicy(asked.map((sha) => this.scripts.known.find(service.number, sha) !== null));
  }

  private keysPolicy(service: Service, spec: CommandSpec): ResponsePolicy {
    return service.hidesKeys ? new OwnKeysPolicy(service) : responsePolicy(spec.responsePolicy, false);
  }

  private sendToAll(
    session: Session,
    service: Service,
    spec: CommandSpec,
    policy: ResponsePolicy,
    start: number,
    end: number,
  ): void {
    const merge = this.begin(session, policy, false, end - start);
    // What a node does while a script runs cannot wait for the script to end.
    const isUrgent = (spec.flags & COMMAND_FLAG.allow_busy) !== 0;
    this.sendParts(session, service, merge, spec.write || CHANGES.has(spec.name), isUrgent, start, end);
  }

  private sendInfo(session: Session, service: Service, start: number, end: number): void {
    const { arena, reader, pendings, now } = this.context;
    const facts = () => this.context.facts(service);
    const sections: string[] = [];
    for (let index = 1; index < reader.argumentCount; index++) sections.push(this.argument(index));
    const ours = asksForOurs(sections);
    // Where nodes say what the user may do, they are asked, who have nothing to say but that.
    if (ours === 'only' && session.lane.identity === null) {
      session.reply(ownInfo(facts(), session.protocol));
      return;
    }
    const key = `${service.number} ${session.protocol} ${session.database} ${session.lane.identity?.key ?? ''} ${Buffer.from(arena.bytes.subarray(start, end)).toString('latin1')}`;
    const open = this.shared.get(key);
    // Not for who awaits replies: the round may go out before what that session asked earlier.
    if (open?.isUnsent === true && session.isIdle) {
      const head = pendings.take(session, now(), false);
      session.track(head, end - start);
      open.addSession(session, head);
      return;
    }
    const merge = this.begin(session, new InfoPolicy(facts, ours !== 'no'), true, end - start);
    this.shared.set(key, merge);
    this.sendParts(session, service, merge, false, false, start, end);
  }

  /** `before` to every node, and the command behind it in the same piece: of each node two parts, in that order. */
  private sendAfter(
    session: Session,
    { nodes }: Service,
    policy: ResponsePolicy,
    before: Uint8Array,
    isWrite: boolean,
    start: number,
    end: number,
  ): void {
    const { arena, now } = this.context;
    const merge = this.begin(session, policy, false, end - start);
    const parts = nodes.map(({ index, label }) => {
      return { index, first: merge.addPart(label, now(), isWrite), second: merge.addPart(label, now(), isWrite) };
    });
    const block = arena.allocate(before.length);
    if (block < 0) {
      merge.failUnsent();
      return;
    }
    arena.bytes.set(before, block);
    for (const { index, first, second } of parts) {
      const channel = this.channel(session, index);
      merge.sendPart(channel, first, block, block + before.length);
      merge.sendPart(channel, second, start, end);
    }
    arena.settle();
    arena.release(block, before.length);
  }

  /** `SCAN cursor …`: to the node of the cursor, with the node's own cursor in its place. */
  private sendScan(session: Session, service: Service, start: number, end: number): void {
    const { arena, reader, now } = this.context;
    const page = service.scan.page(this.argument(1));
    if (page instanceof Uint8Array) {
      session.reply(page);
      return;
    }
    const { node, cursor, policy } = page;
    const merge = this.begin(session, policy, false, end - start);
    const part = merge.addPart(node.label, now(), false);
    const head = Buffer.from(`*${reader.argumentCount}\r\n$4\r\nSCAN\r\n$${cursor.length}\r\n${cursor}\r\n`);
    const restStart = (reader.argumentEnd[1] as number) + 2;
    const frameBytes = head.length + end - restStart;
    const block = arena.allocate(frameBytes);
    if (block < 0) {
      merge.failUnsent();
      return;
    }
    arena.bytes.set(head, block);
    arena.bytes.copyWithin(block + head.length, restStart, end);
    merge.sendPart(this.channel(session, node.index), part, block, block + frameBytes);
    arena.settle();
    arena.release(block, frameBytes);
  }

  private begin(session: Session, policy: ResponsePolicy, isShared: boolean, requestBytes: number): Merge {
    return this.merges.begin(session, policy, isShared, requestBytes, this.context.now());
  }

  /** The same frame to every node. */
  private sendParts(
    session: Session,
    { nodes }: Service,
    merge: Merge,
    isWrite: boolean,
    isUrgent: boolean,
    start: number,
    end: number,
  ): void {
    const { pool, now } = this.context;
    const parts = nodes.map((node) => merge.addPart(node.label, now(), isWrite));
    for (const [place, node] of nodes.entries()) {
      if (isWrite) session.noteWrite(node.index);
      const channel = isUrgent ? pool.urgent(node, session.lane.identity) : this.channel(session, node.index);
      merge.sendPart(channel, parts[place] as Pending, start, end);
    }
  }

  private channel(session: Session, node: number): LaneChannel {
    return session.lane.channels[node] as LaneChannel;
  }

  /** Argument `index` of the command last read, one character a byte. */
  private argument(index: number): string {
    return Buffer.from(this.bytesOf(index)).toString('latin1');
  }

  private bytesOf(index: number): Uint8Array {
    const { arena, reader } = this.context;
    return arena.bytes.slice(reader.argumentStart[index], reader.argumentEnd[index]);
  }
}
