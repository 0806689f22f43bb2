/**
 * Commands that concern all shards. Most go to every node as they are, and the replies are merged; besides:
 *
 *   INFO        many who ask before anything was sent share one round; the proxy has a section of its own
 *   CONFIG SET  is set back where one node refuses what others have set (config-set.ts)
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
import type { CommandSpec } from '../resp/commands.js';
import { errorReply } from '../resp/reply.js';
import { NO_CLUSTER } from './cluster.js';
import { setConfiguration } from './config-set.js';
import { asksForOurs, InfoPolicy, ownInfo } from './introspection.js';
import type { Walk } from './key-walk.js';
import type { Merge, MergePool } from './merge.js';
import { runSteps } from './node-steps.js';
import { requestWords } from './request-words.js';
import { type ResponsePolicy, responsePolicy } from './response-policy.js';
import { scanOptions } from './scan-options.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import type { ShardPlan, ShardPlans, ShardPlansContext } from './shard-plans.js';
import { slotQuestion } from './slot-question.js';

export interface AllShardsContext extends ShardPlansContext {
  pendings: PendingPool;
  now: () => number;
  /** Milliseconds since 1970. */
  clock: () => number;
}

/** What changes users at nodes: it is not sent twice, and may be half done. */
const CHANGES_USERS: ReadonlySet<string> = new Set(['acl|setuser', 'acl|deluser', 'acl|load', 'acl|save']);
/** How answers to ACL are merged that all nodes give, but for those that all_succeeded is for; '': one after the other. */
const ACL_POLICIES: ReadonlyMap<string, string> = new Map([
  ['acl|deluser', 'agg_max'],
  ['acl|log', ''],
]);
/** What is a walk where some keys have copies, or the proxy keeps keys of its own beside them. */
const WALKS: ReadonlySet<string> = new Set(['keys', 'scan', 'dbsize', 'randomkey']);

export class AllShards {
  private readonly context: AllShardsContext;
  private readonly merges: MergePool;
  private readonly plans: ShardPlans;
  /** INFO requests whose merge may be shared, by service, protocol, database and arguments. */
  private readonly shared = new Map<string, Merge>();

  constructor(context: AllShardsContext, merges: MergePool, plans: ShardPlans) {
    this.context = context;
    this.merges = merges;
    this.plans = plans;
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

  /** ACL, whose users are those of the nodes: what changes them goes to all. False: it asks of them, and is for any node. */
  sendAcl(session: Session, service: Service, spec: CommandSpec, start: number, end: number): boolean {
    if (!/^acl\|(deluser|load|log|save|setuser)$/.test(spec.name)) return false;
    const isReset =
      spec.name === 'acl|log' && this.context.reader.argumentCount > 2 && /^reset$/i.test(this.argument(2));
    const name = isReset ? 'all_succeeded' : (ACL_POLICIES.get(spec.name) ?? 'all_succeeded');
    const policy = responsePolicy(name === '' ? null : name, false);
    const isWrite = CHANGES_USERS.has(spec.name);
    this.sendPlan(session, service, { policy, before: null, isWrite, isUrgent: false }, start, end);
    return true;
  }

  /** Carries out the command last read, whose frame is arena bytes [start, end). */
  send(session: Session, service: Service, spec: CommandSpec, start: number, end: number): void {
    const refusal = this.plans.refusal(session, service, spec);
    if (refusal !== null) session.reply(refusal);
    else if (service.hasOwnKeys && WALKS.has(spec.name)) this.sendWalk(session, service, spec, end - start);
    else if (spec.name === 'info') this.sendInfo(session, service, start, end);
    else if (spec.name === 'config|set' && service.nodes.length > 1)
      this.setConfiguration(session, service, end - start);
    else if (spec.name === 'scan') this.sendScan(session, service, start, end);
    else {
      this.sendPlan(session, service, this.plans.plan(session, service, spec), start, end);
      // What is shown behind it is not what it flushes.
      if (spec.name === 'script|flush') session.waitForReplies();
    }
  }

  /** The plan for the command last read as part of a transaction, or why it cannot be one. */
  planInTransaction(session: Session, service: Service, spec: CommandSpec): ShardPlan | Uint8Array {
    const refusal = this.plans.refusal(session, service, spec);
    if (refusal !== null) return refusal;
    const shown = spec.name.toUpperCase().replace('|', ' ');
    if (service.hasOwnKeys && WALKS.has(spec.name)) {
      const why = 'the nodes of this service have keys of the proxy besides, which it looks through one by one';
      return errorReply(`ERR ${shown} inside MULTI is not supported by this proxy here: ${why}`);
    }
    return this.plans.plan(session, service, spec);
  }

  /** What is of all keys, where some have copies, or are the proxy's own. */
  private sendWalk(session: Session, service: Service, spec: CommandSpec, requestBytes: number): void {
    const { reader, random, clock } = this.context;
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
          return;
        }
        walk = service.walks.scan(this.argument(1), options, clock());
        break;
      }
      default:
        throw new Error(`${spec.name} is no walk`);
    }
    runSteps(this.context, session, walk, requestBytes);
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
    const refusal = question instanceof Uint8Array ? question : this.plans.refusal(session, service, spec);
    if (question instanceof Uint8Array || refusal !== null) {
      session.reply(refusal as Uint8Array);
      return true;
    }
    if (!session.isIdle) return false;
    const walk = service.walks.slot(question, service.nodeOfSlot(question.slot), clock);
    runSteps(this.context, session, walk, requestBytes);
    session.waitForReplies();
    return true;
  }

  /** Nothing that the session asks later comes between what is set and what is set back. */
  private setConfiguration(session: Session, { nodes }: Service, requestBytes: number): void {
    const { reader, arena } = this.context;
    for (const { index } of nodes) session.noteWrite(index);
    const steps = setConfiguration(nodes, requestWords(reader, arena.bytes));
    runSteps(this.context, session, steps, requestBytes, { isWrite: true });
    session.waitForReplies();
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
    const parts = service.nodes.map(({ label }) => merge.addPart(label, now(), false));
    for (const [place, { index }] of service.nodes.entries())
      merge.sendPart(this.channel(session, index), parts[place] as Pending, start, end);
  }

  /** The frame to every node, behind what goes before it. */
  private sendPlan(session: Session, { nodes }: Service, plan: ShardPlan, start: number, end: number): void {
    const { arena, pool, now } = this.context;
    const { policy, before, isWrite, isUrgent } = plan;
    const merge = this.begin(session, policy, false, end - start);
    const parts = nodes.map(({ label }) => {
      const first = before === null ? null : merge.addPart(label, now(), isWrite);
      return { first, second: merge.addPart(label, now(), isWrite) };
    });
    const beforeBytes = before?.length ?? 0;
    const block = beforeBytes === 0 ? 0 : arena.allocate(beforeBytes);
    if (block < 0) {
      merge.failUnsent();
      return;
    }
    if (before !== null) arena.bytes.set(before, block);
    for (const [place, node] of nodes.entries()) {
      const { first, second } = parts[place] as { first: Pending | null; second: Pending };
      if (isWrite) session.noteWrite(node.index);
      const channel = isUrgent ? pool.urgent(node, session.lane.identity) : this.channel(session, node.index);
      if (first !== null) merge.sendPart(channel, first, block, block + beforeBytes);
      merge.sendPart(channel, second, start, end);
    }
    if (before !== null) {
      arena.settle();
      arena.release(block, beforeBytes);
    }
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
