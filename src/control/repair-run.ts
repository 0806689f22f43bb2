/**
 * Carries out the repair of one node as `replica/repair` decides it: asks the nodes, keeps to the pace that the operator allows,
 * tells others that it is at work, and can be stopped.
 */

import { pause } from '../base/pause.js';
import type { Replies, Value } from '../replica/commands.js';
import { encodeMemberStep } from '../replica/node-member-step.js';
import { encodeStep } from '../replica/node-step.js';
import {
  type RepairAction,
  type RepairAnswer,
  type RepairOutcome,
  type RepairPlan,
  type RepairProgress,
  type RepairReply,
  type RepairRequest,
  repairNode,
} from '../replica/repair.js';
import { REPAIRER_KEY } from '../replica/repairer.js';
import type { Answer } from '../replica/step.js';
import { encodeCommand } from '../resp/reply.js';
import type { Asked, NodeLink } from './node-link.js';
import { LOOKED_AT_WEIGHT, Pace } from './pace.js';
import type { PoolRounds } from './pool-rounds.js';

type Key = Uint8Array;

/** For how long others leave a node to who says that it is at work there, milliseconds. */
const REPAIRER_MS = 15_000;
const TELL_MS = REPAIRER_MS / 3;

export interface RepairRunOptions {
  plan: RepairPlan<Key>;
  /** By the node's index. */
  links: ReadonlyMap<number, NodeLink>;
  rounds: Pick<PoolRounds, 'drawEpoch' | 'settle'>;
  /** Copied, dropped or settled; of keys that are only compared ten count as one. */
  keysPerSecond: number;
  stopped: AbortSignal;
  onProgress: (progress: RepairProgress) => void;
}

export async function runRepair(options: RepairRunOptions): Promise<RepairOutcome> {
  return new RepairRun(options).run();
}

class RepairRun {
  private readonly options: RepairRunOptions;
  private readonly paced: Pace;
  private workDone = 0;
  /** Of each node that is concerned, the connection that the repair began on. */
  private readonly connections = new Map<number, number>();
  private toldMs = Number.NEGATIVE_INFINITY;

  constructor(options: RepairRunOptions) {
    const { plan, links, keysPerSecond } = options;
    this.options = options;
    this.paced = new Pace(keysPerSecond);
    for (const node of [plan.node, ...plan.members.keys()]) {
      this.connections.set(node, links.get(node)?.connection ?? -1);
    }
  }

  async run(): Promise<RepairOutcome> {
    const repair = repairNode<Key, Value>(this.options.plan);
    let step = repair.next();
    while (step.done !== true) step = repair.next(await this.perform(step.value));
    const { kind } = step.value;
    // Whoever wants to go on from here need not wait. Where another has taken over it is the other's word.
    if (kind === 'done' || kind === 'stopped') await this.askOwn(['DEL', REPAIRER_KEY]);
    return step.value;
  }

  private async perform(action: RepairAction<Key, Value>): Promise<RepairReply<Key, Value>> {
    const { plan, rounds } = this.options;
    switch (action.kind) {
      case 'ask':
        return { kind: 'answers', answers: await Promise.all(action.requests.map((request) => this.ask(request))) };
      case 'draw':
        return { kind: 'epoch', epoch: await rounds.drawEpoch(action.above) };
      case 'settle': {
        const nodes = plan.copiesOf(action.key);
        return { kind: 'settled', state: nodes && (await rounds.settle(action.key, nodes, action.epoch)) };
      }
      case 'pace':
        return { kind: 'go', isStopped: !(await this.pace(action.progress)) };
    }
  }

  private async ask({ node, record, step }: RepairRequest<Key, Value>): Promise<RepairAnswer<Key, Value>> {
    const link = this.options.links.get(node);
    const connection = this.connections.get(node);
    if (link === undefined || link.connection !== connection) return { kind: 'lost' };
    const bytes = Buffer.from(record);
    const asked: Asked<RepairAnswer<Key, Value> | Answer<Replies, Value>> =
      step.kind === 'snapshot' ? encodeStep(step, step.key, bytes) : encodeMemberStep(step, bytes);
    // Of members a fact counts as a vote does; the node under repair is none, and its record says whose repair it is in.
    const isOwn = node === this.options.plan.node;
    const answer = isOwn ? await link.ask(asked) : await link.askMember(record, asked);
    if (answer === null || link.connection !== connection) return { kind: 'lost' };
    // What a snapshot and the steps of members are answered is no other answer.
    return answer as RepairAnswer<Key, Value>;
  }

  /** False: it is to stop. */
  private async pace(progress: RepairProgress): Promise<boolean> {
    const { stopped, onProgress } = this.options;
    onProgress(progress);
    const { keysCompared, keysReplaced, keysDropped } = progress;
    const work = keysReplaced + keysDropped + keysCompared * LOOKED_AT_WEIGHT;
    const dueMs = performance.now() + this.paced.note(work - this.workDone);
    this.workDone = work;
    for (;;) {
      await this.tellOthers(progress.epoch);
      const restMs = dueMs - performance.now();
      if (restMs <= 0 || stopped.aborted) return !stopped.aborted;
      await pause(Math.min(restMs, TELL_MS), stopped);
    }
  }

  /** Nothing depends on it: who does not hear of it begins a repair of its own, and one of both goes on. */
  private async tellOthers(epoch: number): Promise<void> {
    const nowMs = performance.now();
    if (nowMs - this.toldMs < TELL_MS) return;
    this.toldMs = nowMs;
    await this.askOwn(['SET', REPAIRER_KEY, `${epoch}`, 'PX', `${REPAIRER_MS}`]);
  }

  private async askOwn(words: readonly string[]): Promise<void> {
    const { plan, links } = this.options;
    await links.get(plan.node)?.ask({ frames: encodeCommand(words), replyCount: 1, decode: () => null });
  }
}
