/**
 * Commands for all shards as part of a transaction, which one shard carries out:
 *
 *   its own node     MULTI  SET a  FLUSHALL  SET b  EXEC  ->  [OK OK OK]
 *   the others                                                          FLUSHALL  ->  OK
 *
 * The node has each in its place among the others. The other shards get them when it has said that EXEC was carried out, also where the client
 * has gone meanwhile; nothing that the client sends later comes before. A command that has failed at the node does not go to the others, but
 * for those of which one success is enough. So the transaction is one on its own shard, and not over all of them.
 */
import type { Lane, LaneChannel } from '../backend/lane.js';
import type { Pending } from '../backend/pending.js';
import type { BackendPool } from '../backend/pool.js';
import { errorBytes } from '../base/errors.js';
import type { NodeSnapshot } from '../messages.js';
import type { Arena } from '../transport/arena.js';
import { type ExecPolicy, repliesOf } from './exec-policy.js';
import type { Merge } from './merge.js';
import type { Service } from './service.js';
import type { Session } from './session.js';
import type { ShardPlan } from './shard-plans.js';
import type { SpreadCommand, Transaction } from './transaction.js';

export interface SpreadsContext {
  arena: Arena;
  pool: BackendPool;
  now: () => number;
  serviceOf: (session: Session) => Service;
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
    const { nodes } = this.context.serviceOf(session);
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
      for (const { command, plan } of spread) {
        if (!policy.goesOn(command.place, merge.bytes, start)) continue;
        const parts = new Map(others.map((node) => [node, this.addParts(merge, node, plan)]));
        policy.onSpread(
          command.place,
          nodes.map((node) => parts.get(node)?.[0]?.part ?? -1),
        );
        if (plan.isWrite) for (const { index } of others) session.noteWrite(index);
        this.send(session.isClosed ? sharedLane : lane, merge, parts, command, plan);
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
    parts: ReadonlyMap<NodeSnapshot, readonly Pending[]>,
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
      for (const part of [...parts.values()].flat()) merge.onFailure(part, refusal);
      return;
    }
    if (before !== null) arena.bytes.set(before, block);
    arena.bytes.set(frame, block + beforeBytes);
    for (const [node, [first, second]] of parts) {
      const channel = isUrgent ? pool.urgent(node, lane.identity) : (lane.channels[node.index] as LaneChannel);
      if (second !== undefined) merge.sendPart(channel, first as Pending, block, block + beforeBytes);
      merge.sendPart(channel, second ?? (first as Pending), block + beforeBytes, block + bytes);
    }
    arena.settle();
    arena.release(block, bytes);
  }
}
