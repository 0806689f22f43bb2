/**
 * Commands that concern all shards. Most go to every node as they are, and the replies are merged; besides:
 *
 *   INFO        many who ask before anything was sent share one round; the proxy has a section of its own
 *   RANDOMKEY   every node is asked for its size too
 *   SCAN        goes to one node, with that node's cursor
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
import { DURABLE } from '../replica/admission.js';
import type { CommandSpec } from '../resp/commands.js';
import { errorReply } from '../resp/reply.js';
import type { RequestReader } from '../resp/request.js';
import type { Arena } from '../transport/arena.js';
import { asksForOurs, InfoPolicy, ownInfo, type ProxyFacts } from './introspection.js';
import type { Walk } from './key-walk.js';
import { beginWalk } from './key-walks.js';
import { MajorityPolicy } from './majority-policy.js';
import type { Merge, MergePool } from './merge.js';
import { OwnKeysPolicy } from './own-keys.js';
import { pubsubPolicy } from './pubsub-policy.js';
import { DBSIZE, RandomKeyPolicy } from './random-key.js';
import { type ResponsePolicy, responsePolicy } from './response-policy.js';
import { scanOptions } from './scan-options.js';
import type { Service } from './service.js';
import type { Session } from './session.js';

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
}

/** What is of all keys of a pool, also of those of other services. */
const OF_ALL_KEYS: ReadonlyMap<string, string> = new Map([
  ['dbsize', 'count'],
  ['randomkey', 'draw'],
  ['flushall', 'delete'],
  ['flushdb', 'delete'],
]);

/** What nodes of replicated keys must have set as it is. */
const HELD_SETTINGS: ReadonlySet<string> = new Set(['maxmemory-policy', ...DURABLE.map(([setting]) => setting)]);
const OF_KEYS: ReadonlySet<string> = new Set(['keys', 'scan', 'dbsize', 'randomkey']);

export class AllShards {
  private readonly context: AllShardsContext;
  private readonly merges: MergePool;
  private readonly randomKey: RandomKeyPolicy;
  /** INFO requests whose merge may be shared, by service, protocol, database and arguments. */
  private readonly shared = new Map<string, Merge>();

  constructor(context: AllShardsContext, merges: MergePool) {
    this.context = context;
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

  /** Carries out the command last read, whose frame is arena bytes [start, end). */
  send(session: Session, service: Service, spec: CommandSpec, start: number, end: number): void {
    const { shared } = service;
    const effect = OF_ALL_KEYS.get(spec.name);
    if (shared !== null && effect !== undefined) {
      const why = `it would ${effect} keys of service ${shared.service} too, which shares pool ${shared.pool} with this one`;
      session.reply(errorReply(`ERR ${spec.name.toUpperCase()} is refused: ${why}`));
      return;
    }
    if (service.hasOwnKeys && this.sendWalk(session, service, spec, end - start)) return;
    switch (spec.name) {
      case 'info':
        this.sendInfo(session, service, start, end);
        return;
      case 'randomkey':
        this.sendRandomKey(session, service, start, end);
        return;
      case 'scan':
        this.sendScan(session, service, start, end);
        return;
      case 'keys':
        this.sendToAll(session, service, spec, this.keysPolicy(service, spec), start, end);
        return;
      case 'script|load':
      case 'script|exists':
        this.sendToAll(session, service, spec, this.scriptPolicy(service, spec), start, end);
        return;
      default: {
        const policy = pubsubPolicy(spec.name) ?? responsePolicy(spec.responsePolicy, false);
        this.sendToAll(session, service, spec, policy, start, end);
      }
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
    beginWalk(this.context, session, walk, requestBytes);
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

  private scriptPolicy(service: Service, { responsePolicy: tip }: CommandSpec): ResponsePolicy {
    const { nodes, hasLocks, lockSetsOfNodes } = service;
    return hasLocks ? new MajorityPolicy(tip, nodes, lockSetsOfNodes) : responsePolicy(tip, false);
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
    // One success is enough for what ends a script, and it cannot wait for the script to end.
    const isUrgent = spec.responsePolicy === 'one_succeeded';
    this.sendParts(session, service, merge, spec.write, isUrgent, start, end);
  }

  private sendInfo(session: Session, service: Service, start: number, end: number): void {
    const { arena, reader, pendings, now } = this.context;
    const facts = () => this.context.facts(service);
    const sections: string[] = [];
    for (let index = 1; index < reader.argumentCount; index++) sections.push(this.argument(index));
    const ours = asksForOurs(sections);
    if (ours === 'only') {
      session.reply(ownInfo(facts(), session.protocol));
      return;
    }
    const key = `${service.number} ${session.protocol} ${session.database} ${Buffer.from(arena.bytes.subarray(start, end)).toString('latin1')}`;
    const open = this.shared.get(key);
    // Not for who awaits replies: the round may go out before what that session asked earlier.
    if (open?.isUnsent === true && session.isIdle) {
      const head = pendings.take(session, now(), false);
      session.track(head, end - start);
      open.addSession(session, head);
      return;
    }
    const merge = this.begin(session, new InfoPolicy(facts, ours === 'also'), true, end - start);
    this.shared.set(key, merge);
    this.sendParts(session, service, merge, false, false, start, end);
  }

  private sendRandomKey(session: Session, { nodes }: Service, start: number, end: number): void {
    const { arena, now } = this.context;
    const merge = this.begin(session, this.randomKey, false, end - start);
    const parts = nodes.map(({ index, label }) => {
      return { index, size: merge.addPart(label, now(), false), key: merge.addPart(label, now(), false) };
    });
    const block = arena.allocate(DBSIZE.length);
    if (block < 0) {
      merge.failUnsent();
      return;
    }
    arena.bytes.set(DBSIZE, block);
    for (const { index, size, key } of parts) {
      const channel = this.channel(session, index);
      merge.sendPart(channel, size, block, block + DBSIZE.length);
      merge.sendPart(channel, key, start, end);
    }
    arena.settle();
    arena.release(block, DBSIZE.length);
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
      const channel = isUrgent ? pool.urgent(node) : this.channel(session, node.index);
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
