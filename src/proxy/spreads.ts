/**
 * Commands for all shards as part of a transaction, which one shard carries out:
 *
 *   its own node     MULTI  SET a  FLUSHALL  SET b  EXEC  ->  [OK OK OK]
 *   the others                                                          FLUSHALL  ->  OK
 *
 * The node has each in its place among the others. The other shards get them when it has said that EXEC was carried out, also where the client
 * has gone meanwhile; nothing that the client sends later comes before. A command that has failed at the node does not go to the others, but
 * for those of which one success is enough. So the transaction is one on its own shard, and not over all of them.
 *
 * The others are those that the service had when EXEC was sent. The topology may change before it is answered: then each is looked for by its
 * pool and its name, and what the service does not have any more gets nothing.
 */
import type { Lane, LaneChannel } from '../backend/lane.js';
import type { Pending } from '../backend/pending.js';
import { type BackendPool, nodeKey } from '../backend/pool.js';
import { errorBytes } from '../base/errors.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import type { Arena } from '../transport/arena.js';
import { type ExecPolicy, repliesOf } from './exec-policy.js';
import type { Merge } from './merge.js';
import type { Session } from './session.js';
import type { ShardPlan } from './shard-plans.js';
import type { SpreadCommand, Transaction } from './transaction.js';

export interface SpreadsContext {
  arena: Arena;
  pool: BackendPool;
  counts: Counts;
  now: () => number;
  /** Those of its service, as they are now; none where that is no more. */
  nodesOf: (session: Session) => readonly NodeSnapshot[];
}

/** A command for all shards that EXEC is to carry out, and how. */
export interface Planned {
  readonly command: SpreadCommand;
  readonly plan: ShardPlan;
}

/** A transaction that is about to be sent. */
export interface SpreadTransaction {
  readonly session: Session;
  readonly transaction: Transaction;
  readonly policy: ExecPolicy;
  readonly merge: Merge;
  /** The index of its node. */
  readonly own: number;
  readonly spread: readonly Planned[];
}

/** Another shard, as it was when EXEC was sent and as it is now, null where it is no more; and what it is to answer. */
interface Asked {
  readonly node: NodeSnapshot;
  readonly now: NodeSnapshot | null;
  readonly parts: readonly Pending[];
}

export class Spreads {
  private readonly context: SpreadsContext;

  constructor(context: SpreadsContext) {
    this.context = context;
  }

  /**
   * Tells the policy of what is for all shards. What is returned sends that to the others, and is to be called when the reply to EXEC, at
   * `start` of the arena, says that it was carried out.
   */
  prepare({ session, transaction, policy, merge, own, spread }: SpreadTransaction): (start: number) => void {
    const nodes = this.context.nodesOf(session);
    const ownPlaces = new Set(transaction.own.map(({ place }) => place));
    const plans = new Map(spread.map(({ command, plan }) => [command.place, plan]));
    const names = nodes.map(({ label }) => label);
    const at = nodes.findIndex(({ index }) => index === own);
    let repliesBefore = 0;
    for (let place = 0; place < transaction.commandCount; place++) {
      const plan = plans.get(place);
      if (plan !== undefined) policy.addSpread(place, { plan, nodes: names, own: at, repliesBefore });
      if (!ownPlaces.has(place)) repliesBefore += plan === undefined ? 1 : repliesOf(plan);
    }
    const others = nodes.filter(({ index }) => index !== own);
    // A tracking client's own lane goes with it.
    const { lane, sharedLane } = session;
    return (start) => {
      const going = policy.goingOn(merge.bytes, start);
      const byKey = new Map(this.context.nodesOf(session).map((node) => [nodeKey(node), node]));
      const places = others.map((node) => ({ node, now: byKey.get(nodeKey(node)) ?? null }));
      for (const { command, plan } of spread) {
        if (!going.has(command.place)) continue;
        const asked = places.map((place) => ({ ...place, parts: this.addParts(merge, place.node, plan) }));
        const firstParts = asked.map(({ parts }) => (parts[0] as Pending).part);
        policy.onSpread(command.place, firstParts.toSpliced(at, 0, -1));
        if (plan.isWrite) for (const { now } of asked) if (now !== null) session.noteWrite(now.index);
        this.send(session.isClosed ? sharedLane : lane, merge, asked, command, plan);
      }
    };
  }

  /** What that node is to answer. */
  private addParts(merge: Merge, { label }: NodeSnapshot, plan: ShardPlan): Pending[] {
    const { now } = this.context;
    return Array.from({ length: repliesOf(plan) }, () => merge.addPart(label, now(), plan.isWrite));
  }

  private send(
    lane: Lane,
    merge: Merge,
    asked: readonly Asked[],
    { frame, before }: SpreadCommand,
    { isUrgent }: ShardPlan,
  ): void {
    const { arena, pool } = this.context;
    const beforeBytes = before?.length ?? 0;
    const bytes = beforeBytes + frame.length;
    const block = arena.allocate(bytes);
    if (block < 0) {
      const refusal = errorBytes(
        'OVERLOADED',
        'no buffer memory is left for this command; other shards than that of the transaction did not get it',
      );
      for (const part of asked.flatMap(({ parts }) => parts)) merge.onFailure(part, refusal);
      return;
    }
    if (before !== null) arena.bytes.set(before, block);
    arena.bytes.set(frame, block + beforeBytes);
    for (const { node, now, parts } of asked) {
      if (now === null) {
        const refusal = this.noLongerThere(node);
        for (const part of parts) merge.onFailure(part, refusal);
        continue;
      }
      const [first, second] = parts;
      const channel = isUrgent ? pool.urgent(now, lane.identity) : (lane.channels[now.index] as LaneChannel);
      if (second !== undefined) merge.sendPart(channel, first as Pending, block, block + beforeBytes);
      merge.sendPart(channel, second ?? (first as Pending), block + beforeBytes, block + bytes);
    }
    arena.settle();
    arena.release(block, bytes);
  }

  private noLongerThere({ label }: NodeSnapshot): Uint8Array {
    this.context.counts.commandsNodeDown++;
    const why = 'the service does not have it any more, by a change of the topology since EXEC was sent';
    return errorBytes('NODEDOWN', `node ${label}: ${why}; the command had no effect`);
  }
}
