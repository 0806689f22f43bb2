/**
 * Has the nodes of a lock asked, by the connections on which their votes count, and the deciders told what they answer and what time it is.
 */

import type { Timer } from '../base/timers.js';
import type { Replicas } from '../replica/replicas.js';
import type { LockSets } from '../routing/copy-sets.js';
import type { Transport } from '../transport/transport.js';
import { type AttemptBallots, LockBallots } from './ballots.js';
import type { GiveBack, LockOrder } from './lock.js';
import type { LockReply, LockStep } from './lock-step.js';
import { NodeLockStep } from './node-lock-step.js';
import { Acquisition, type AcquisitionOutcome, type LockAction } from './redlock.js';
import { Replies, releaseOutcome } from './verdicts.js';

export interface LockNodesContext {
  transport: Transport;
  replicas: Replicas;
  drawProposer: () => string;
  /** Milliseconds since 1970. */
  clock: () => number;
  random: () => number;
}

/** One lock. */
export interface LockPlace {
  /** A character a byte. */
  readonly name: string;
  readonly pool: string;
  /** By the numbers that they have as voters. */
  readonly nodes: readonly number[];
  /** Of its keyspace. */
  readonly ttlMaxMs: number;
}

export interface MarkedOrder extends LockOrder {
  /** See LockStep. */
  readonly mark: string;
}

/** See AcquisitionPlan. */
export interface AttemptOrder extends MarkedOrder {
  readonly slot: number;
  readonly waits: boolean;
}

export class LockNodes {
  readonly context: LockNodesContext;
  /** By pool: epochs are a pool's own. */
  private readonly ballots = new Map<string, LockBallots>();

  constructor(context: LockNodesContext) {
    this.context = context;
  }

  /** Where the lock bytes[start, end) is. */
  placeOf(sets: LockSets, bytes: Uint8Array, start: number, end: number): LockPlace {
    const { replicas } = this.context;
    return {
      name: Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('latin1'),
      pool: replicas.poolOf(sets),
      nodes: replicas.numbersOf(sets, sets.find(bytes, start, end)),
      ttlMaxMs: sets.ttlMaxMs,
    };
  }

  /** Makes one attempt. `told` is called once, never within the call; what it returns has it given up, and `told` of nothing. */
  acquire(place: LockPlace, order: AttemptOrder, told: (outcome: AcquisitionOutcome) => void): GiveBack {
    const attempt = new Attempt(this.context, place, order, this.ballotsOf(place.pool).begin(), told);
    attempt.begin();
    return (done = () => {}) => attempt.cancel(done);
  }

  /**
   * Asks all nodes of the lock. `judge` makes of their replies what `told` is told, once, never within the call; null: not yet known. `follow` says
   * what else single nodes are to be asked for, also after that; what they answer is not waited for.
   */
  ask<O>(
    place: LockPlace,
    step: LockStep,
    judge: (replies: Replies) => O | null,
    told: (outcome: O) => void,
    follow?: Follow,
  ): void {
    new Inquiry(this.context, place, step, judge, told, follow).begin();
  }

  private ballotsOf(pool: string): LockBallots {
    let ballots = this.ballots.get(pool);
    if (ballots === undefined) {
      ballots = new LockBallots(this.context.drawProposer, this.context.clock);
      this.ballots.set(pool, ballots);
    }
    return ballots;
  }
}

/** Asks the copies in a set (bit i: copy i). */
function send(
  { replicas }: LockNodesContext,
  { name, nodes, ttlMaxMs }: LockPlace,
  asker: { key: string; onAnswer(copy: number, tag: number, reply: LockReply): void },
  copies: number,
  tag: number,
  step: LockStep,
): void {
  const nodeStep = new NodeLockStep(step, name, ttlMaxMs);
  for (const [copy, node] of nodes.entries()) {
    if ((copies & (1 << copy)) !== 0) replicas.askNode(node, asker, copy, tag, nodeStep);
  }
}

class Attempt {
  readonly key: string;
  private readonly context: LockNodesContext;
  private readonly place: LockPlace;
  private readonly told: (outcome: AcquisitionOutcome) => void;
  private readonly acquisition: Acquisition;
  private timer: Timer | null = null;
  private isOver = false;

  constructor(
    context: LockNodesContext,
    place: LockPlace,
    order: AttemptOrder,
    ballots: AttemptBallots,
    told: (outcome: AcquisitionOutcome) => void,
  ) {
    this.context = context;
    this.place = place;
    this.told = told;
    this.key = place.name;
    this.acquisition = new Acquisition({
      ...order,
      copies: place.nodes.length,
      timeoutMs: Math.min(context.replicas.limitsOf(place.pool).replicatedPatienceMs, order.ttlMs),
      freshBallot: () => ballots.fresh(),
      onSeen: (promised, epochFloor) => ballots.onSeen(promised, epochFloor),
      random: context.random,
    });
  }

  begin(): void {
    this.obey(this.acquisition.begin(performance.now()));
  }

  cancel(done: () => void): void {
    this.isOver = true;
    const takeBack = this.acquisition.cancel().find((action) => action.kind === 'ask');
    this.setTimer();
    if (takeBack === undefined) done();
    else new Inquiry(this.context, this.place, takeBack.step, releaseOutcome, done).begin();
  }

  onAnswer(copy: number, tag: number, reply: LockReply): void {
    this.obey(this.acquisition.onAnswer(copy, tag, reply, performance.now()));
  }

  private obey(actions: readonly LockAction[]): void {
    const { context, place } = this;
    for (const action of actions) {
      if (action.kind === 'ask') send(context, place, this, action.copies, action.tag, action.step);
      else if (action.kind === 'end') this.end(action.outcome);
    }
    if (actions.length > 0) this.setTimer();
  }

  private end(outcome: AcquisitionOutcome): void {
    if (this.isOver) return;
    this.isOver = true;
    this.told(outcome);
  }

  private setTimer(): void {
    const { transport } = this.context;
    transport.timers.cancel(this.timer);
    this.timer = null;
    const waitMs = this.acquisition.dueMs - performance.now();
    if (!Number.isFinite(waitMs)) return;
    this.timer = transport.timers.set(transport.now + Math.ceil(waitMs), () => {
      this.obey(this.acquisition.onTime(performance.now()));
      // The worker's clock and this one are not the same.
      if (Number.isFinite(this.acquisition.dueMs)) this.setTimer();
    });
  }
}

type Follow = (replies: Replies) => { copy: number; step: LockStep }[];

function followNothing(): { copy: number; step: LockStep }[] {
  return [];
}

class Inquiry<O> {
  readonly key: string;
  private readonly context: LockNodesContext;
  private readonly place: LockPlace;
  private readonly step: LockStep;
  private readonly judge: (replies: Replies) => O | null;
  private readonly told: (outcome: O) => void;
  private readonly follow: Follow;
  private readonly replies: Replies;
  private timer: Timer | null = null;
  private isOver = false;

  constructor(
    context: LockNodesContext,
    place: LockPlace,
    step: LockStep,
    judge: (replies: Replies) => O | null,
    told: (outcome: O) => void,
    follow: Follow = followNothing,
  ) {
    this.context = context;
    this.place = place;
    this.follow = follow;
    this.step = step;
    this.judge = judge;
    this.told = told;
    this.key = place.name;
    this.replies = new Replies(place.nodes.length);
  }

  begin(): void {
    const { context, place, step } = this;
    const { transport, replicas } = context;
    send(context, place, this, 2 ** place.nodes.length - 1, 0, step);
    this.timer = transport.timers.set(transport.now + replicas.limitsOf(place.pool).requestTimeoutMs, () => {
      this.replies.end();
      this.look();
    });
  }

  onAnswer(copy: number, _tag: number, reply: LockReply): void {
    this.replies.add(copy, reply);
    this.look();
    for (const next of this.follow(this.replies)) send(this.context, this.place, this, 1 << next.copy, 0, next.step);
  }

  private look(): void {
    if (this.isOver) return;
    const outcome = this.judge(this.replies);
    if (outcome === null) return;
    this.isOver = true;
    this.context.transport.timers.cancel(this.timer);
    this.told(outcome);
  }
}
