/** One life of a proxy's process: its connections, its proposer, and its care for the nodes. It can be killed at any moment. */
import { makeBallot, proposerNumber } from '../../../src/replica/ballot.js';
import type { Operation } from '../../../src/replica/operation.js';
import { Proposer, type ProposerContext } from '../../../src/replica/proposer.js';
import { QuorumProposer } from '../../../src/replica/quorum-proposer.js';
import type { Asker, Outcome as Fate } from '../../../src/replica/round.js';
import type { Answer, Step } from '../../../src/replica/step.js';
import { Caretaker } from './caretaker.js';
import { short } from './judge.js';
import { type Acts, NOTHING, type Outcome, type Reply } from './language.js';
import { Mender } from './mender.js';
import type { Message, Value } from './node.js';
import { NodeLink } from './node-link.js';
import { START_MS } from './schedule.js';
import { EPOCH_KEY, type World } from './world.js';

/** Milliseconds between two looks at what is due. */
const TICK_MS = 3;
const LINES_MAX = 3;
/** Times of versions begin there. */
const VERSIONS_BEGIN_MS = Date.UTC(2020, 0, 1);

export class SimProxy {
  readonly name: string;
  readonly index: number;
  readonly links: readonly NodeLink[];
  readonly world: World;
  /** 20 digits. */
  readonly number: string;
  isAlive = true;
  skewMs: number;
  private readonly proposer: Proposer<Acts, Outcome, Value> | QuorumProposer<Acts, Outcome, Value>;
  /** Of the register of epochs: it is strong, whatever the keys are. Null: the proposer is, or serves. */
  private readonly registers: Proposer<Acts, Outcome, Value> | null;
  private readonly caretaker: Caretaker;
  private readonly startedMs: number;
  private readonly mender: Mender | null;
  private isTicking = false;

  constructor(world: World, index: number, life: number, skewMs: number) {
    const { random, schedule } = world;
    this.world = world;
    this.startedMs = world.agenda.nowMs;
    this.index = index;
    this.name = `p${index + 1}${life > 0 ? `.${life}` : ''}`;
    this.skewMs = skewMs;
    this.number = proposerNumber(random.below(2 ** 31), random.below(2 ** 31));
    world.judge.trace(() => `${this.name} starts: proposer ${short(makeBallot(0, 1, this.number))}`);
    // What a link names its node's process by must not change when the proxy is killed: partitions are by index.
    this.links = world.nodes.map((_, node) => new NodeLink(world, `p${index}`, node, schedule.stallMs));
    const context: Omit<ProposerContext<Acts, Outcome, Value>, 'quorum'> = {
      none: NOTHING,
      proposer: this.number,
      timeoutMs: schedule.requestMs,
      patienceMs: schedule.stepMs,
      linesMax: LINES_MAX,
      keyQueueMax: Number.POSITIVE_INFINITY,
      now: () => world.agenda.nowMs,
      clock: () => this.clock(),
      random: () => random.below(1000) / 1000,
      isReachable: (node) => this.links[node]?.membership.record !== null,
      isSlow: () => random.chance(schedule.slowPercent),
      processOf: () => 0,
      areEqual: () => true,
      onDifference: () => {},
      send: (asker, copy, tag, step) => this.send(asker, copy, tag, step),
      count: () => {},
    };
    const { quorums } = schedule;
    const majority = Math.floor(schedule.copies / 2) + 1;
    this.proposer =
      quorums === null
        ? new Proposer({ ...context, quorum: majority })
        : new QuorumProposer(context, {
            ...quorums,
            onMissed: (key, nodes, copies, step) => this.onMissed(key, nodes, copies, step),
            majority,
            versionClock: () => VERSIONS_BEGIN_MS + this.clock(),
            isAwaited: (node) => this.isAwaited(node),
            alone: (commands) => commands,
            fuller: (one) => one,
          });
    const isEventual = quorums?.isEventual === true;
    this.registers = isEventual ? new Proposer({ ...context, quorum: majority }) : null;
    this.caretaker = new Caretaker(this);
    this.mender = isEventual ? new Mender(this) : null;
  }

  clock(): number {
    const timeMs = START_MS + this.world.agenda.nowMs + this.skewMs;
    this.world.judge.onClock(timeMs);
    return timeMs;
  }

  /** It was not found a member yet, and there was not time enough. */
  private isAwaited(node: number): boolean {
    const { agenda, schedule } = this.world;
    return this.links[node]?.membership.record === null && agenda.nowMs - this.startedMs <= schedule.stepMs;
  }

  /** `done` is not told after a kill. */
  submit(key: string, operation: Operation<Acts, Outcome>, done: (fate: Fate<Outcome>) => void): void {
    const onOutcome = (fate: Fate<Outcome>) => {
      if (this.isAlive) done(fate);
    };
    const proposer = key === EPOCH_KEY && this.registers !== null ? this.registers : this.proposer;
    proposer.submit(key, this.world.copiesOf(key), operation, { onOutcome });
    this.tick();
  }

  /** Has a node carry out a step of a key; null when no answer will come, or one that does not count. */
  send(asker: Asker<Outcome, Value>, copy: number, tag: number, step: Step<Acts, Value>): void {
    const node = asker.nodes[copy] as number;
    const link = this.links[node] as NodeLink;
    link.askStep({ kind: 'step', key: asker.key, step }, (message: Message | null) => {
      if (!this.isAlive) return;
      const answer = message?.kind === 'step' ? message.answer : null;
      asker.onAnswer(copy, tag, answer as Answer<readonly Reply[], Value> | null);
      this.tick();
    });
  }

  kill(): void {
    this.isAlive = false;
    this.caretaker.stop();
    this.mender?.stop();
    for (const link of this.links) link.close();
  }

  private onMissed(key: string, nodes: readonly number[], copies: number, step: Step<Acts, Value>): void {
    const version = step.kind === 'accept' ? step.ballot : step.kind === 'merge' ? step.state.accepted : null;
    if (version === null) throw new Error(`no write consists of a step ${step.kind}`);
    for (const [copy, node] of nodes.entries())
      if ((copies & (1 << copy)) !== 0) this.world.missed[this.index]?.push({ node, key, step, version });
  }

  private tick(): void {
    if (this.isTicking || !(this.proposer.isActive || this.registers?.isActive === true)) return;
    this.isTicking = true;
    this.world.agenda.after(TICK_MS, () => {
      this.isTicking = false;
      if (!this.isAlive) return;
      this.proposer.onTime();
      this.registers?.onTime();
      this.tick();
    });
  }
}
