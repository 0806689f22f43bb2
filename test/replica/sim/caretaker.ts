/** A proxy's care for the pool: it admits nodes, repairs them, and collects what was deleted, as the deciders say. */
import { planAdmission } from '../../../src/replica/admission.js';
import { type Ballot, largest, NEVER } from '../../../src/replica/ballot.js';
import { Register } from '../../../src/replica/register.js';
import {
  type RepairAction,
  type RepairAnswer,
  type RepairOutcome,
  type RepairPlan,
  type RepairReply,
  type RepairRequest,
  repairNode,
} from '../../../src/replica/repair.js';
import { type Asker, Round } from '../../../src/replica/round.js';
import type { KeyState, Step, ViewAnswer } from '../../../src/replica/step.js';
import { type Acts, NOTHING, type Outcome } from './language.js';
import type { Message, Value } from './node.js';
import type { SimProxy } from './proxy.js';
import { EPOCH_KEY } from './world.js';

const BACKOFF_MS = 20;
/** What a message may take. */
const WAY_MS = 1_000;
const BACKOFF_MS_MAX = 600;

type Action = RepairAction<string, Value>;
type Answers = readonly RepairAnswer<string, Value>[];

export class Caretaker {
  private readonly proxy: SimProxy;
  private isStopped = false;
  /** By node. */
  private readonly repairs = new Map<
    number,
    { failures: number; epochSeen: number; isRunning: boolean; fromMs: number }
  >();

  /** By key, a deletion that all copies had. */
  private readonly known = new Map<string, { accepted: Ballot; sinceMs: number }>();

  constructor(proxy: SimProxy) {
    this.proxy = proxy;
    this.later();
    if (proxy.world.schedule.collectMs > 0) this.collectLater();
  }

  stop(): void {
    this.isStopped = true;
  }

  private later(): void {
    const { agenda, random, schedule } = this.proxy.world;
    agenda.after(1 + random.below(schedule.careMs), () => this.lookAround());
  }

  private lookAround(): void {
    if (this.isStopped) return;
    const { links } = this.proxy;
    // Of a member a push tells when it is none any more.
    const unsure = links.filter(({ membership }) => membership.record === null);
    let out = unsure.length;
    if (out === 0) this.later();
    for (const link of unsure) {
      link.look(() => {
        out--;
        if (out > 0 || this.isStopped) return;
        this.plan();
        this.later();
      });
    }
  }

  private plan(): void {
    const { proxy } = this;
    const { world, links } = proxy;
    const views = world.nodes.map(({ name }, node) => ({
      name,
      facts: links[node]?.facts ?? null,
      durabilityFault: null,
      keysFound: 0,
    }));
    const newClusterId = `c${proxy.name}`;
    const verdicts = planAdmission(views, { keepsData: world.schedule.keepsData, newClusterId, wasBegun: false });
    for (const [node, verdict] of verdicts.entries()) {
      const facts = views[node]?.facts;
      if (facts === null || facts === undefined) continue;
      if (verdict.kind === 'admit') {
        const { expected, record } = verdict;
        const step = { kind: 'admit', expected, process: facts.process, record, epoch: null } as const;
        links[node]?.ask({ kind: 'member', step, record: expected }, () => links[node]?.look());
      } else if (verdict.kind === 'stranger' && proxy.index >= world.schedule.proxies - world.schedule.repairers) {
        this.repair(node, facts.record);
      }
    }
  }

  private repair(node: number, found: string): void {
    const { world, links } = this.proxy;
    const { agenda, random } = world;
    const state = this.repairs.get(node) ?? { failures: 0, epochSeen: 0, isRunning: false, fromMs: 0 };
    this.repairs.set(node, state);
    if (state.isRunning || state.fromMs > agenda.nowMs) return;
    const members = new Map<number, string>();
    let clusterId = '';
    for (const [other, { membership }] of links.entries()) {
      const { now } = membership;
      if (now?.kind !== 'member' || other === node) continue;
      members.set(other, now.record);
      clusterId = now.clusterId;
    }
    if (clusterId === '') return;
    const copySets = new Map<string, readonly number[]>();
    for (const key of [...world.keys, EPOCH_KEY]) {
      const copies = world.copiesOf(key);
      if (copies.includes(node)) copySets.set(copies.join(), copies);
    }
    const plan: RepairPlan<string> = {
      node,
      name: world.nodes[node]?.name as string,
      clusterId,
      found,
      epochSeen: state.epochSeen,
      members,
      copySets: [...copySets.values()],
      copiesOf: (key) => world.copiesOf(key),
      isWeak: (key) => key !== EPOCH_KEY && world.schedule.quorums?.isHomed === true,
      ...(world.schedule.quorums?.isEventual === true
        ? { isMerged: (key: string) => key !== EPOCH_KEY, isEventual: !world.schedule.isShared }
        : {}),
      pageKeys: 2,
      bytesMax: 2,
    };
    state.isRunning = true;
    const numbers = links.map(({ number }) => number);
    world.judge.trace(() => `${this.proxy.name} begins to repair ${plan.name}`);
    this.run(node, repairNode<string, Value>(plan), numbers, (outcome) => {
      world.judge.trace(() => `${this.proxy.name} repaired ${plan.name}: ${JSON.stringify(outcome)}`);
      state.isRunning = false;
      state.failures = outcome.kind === 'done' ? 0 : state.failures + 1;
      if (outcome.kind === 'failed') state.epochSeen = Math.max(state.epochSeen, outcome.epochSeen);
      const backoffMs = Math.min(BACKOFF_MS * 2 ** state.failures, BACKOFF_MS_MAX);
      state.fromMs = agenda.nowMs + backoffMs / 2 + random.below(backoffMs);
      links[node]?.look();
    });
  }

  /** Obeys a repair until it ends. */
  private run(
    node: number,
    repair: Generator<Action, RepairOutcome, RepairReply<string, Value>>,
    numbers: readonly number[],
    onEnd: (outcome: RepairOutcome) => void,
  ): void {
    const resume = (reply: RepairReply<string, Value> | null) => {
      if (this.isStopped) return;
      const result = reply === null ? repair.next() : repair.next(reply);
      if (result.done === true) {
        onEnd(result.value);
        return;
      }
      const action = result.value;
      if (action.kind === 'ask')
        this.ask(node, action.requests, numbers, (answers) => resume({ kind: 'answers', answers }));
      else if (action.kind === 'draw') this.draw(node, action.above, (epoch) => resume({ kind: 'epoch', epoch }));
      else if (action.kind === 'settle') this.settle(action, (state) => resume({ kind: 'settled', state }));
      else this.pause(() => resume({ kind: 'go', isStopped: false }));
    };
    resume(null);
  }

  private pause(go: () => void): void {
    const { agenda, random } = this.proxy.world;
    // Slow repairs beside fast clients, and the other way about.
    agenda.after(random.chance(20) ? random.below(200) : 0, go);
  }

  private ask(
    own: number,
    requests: readonly RepairRequest<string, Value>[],
    numbers: readonly number[],
    done: (answers: Answers) => void,
  ): void {
    const answers: RepairAnswer<string, Value>[] = [];
    let out = requests.length;
    for (const [index, { node, record, step }] of requests.entries()) {
      const link = this.proxy.links[node];
      const onAnswer = (message: Message | null) => {
        // Of members a fact counts as a vote does; the node under repair is none.
        const isMember = node === own || link?.membership.record === record;
        const isLost = message === null || link?.number !== numbers[node] || !isMember;
        const answer = isLost || message.kind === 'push' || message.kind === 'tracking' ? null : message.answer;
        answers[index] = (answer ?? { kind: 'lost' }) as RepairAnswer<string, Value>;
        out--;
        if (out === 0) done(answers);
      };
      if (step.kind === 'snapshot') link?.ask({ kind: 'step', key: step.key, step, record }, onAnswer);
      else link?.ask({ kind: 'member', step, record }, onAnswer);
    }
  }

  /** One above all that the register has had. */
  private draw(_node: number, above: number, done: (epoch: number | null) => void): void {
    this.proxy.submit(
      EPOCH_KEY,
      {
        reads: null,
        readReply: (outcome) => outcome,
        plan: (_, found) => {
          if (found === null) return { kind: 'read', commands: [{ do: 'get' }] };
          const text = String(Math.max(Number(found[0] ?? 0), above) + 1);
          return { kind: 'all', commands: [{ do: 'set', text, at: 0, flag: '' }], setsExpiry: 0, reply: () => [text] };
        },
      },
      (fate) => done(fate.kind === 'done' ? Number(fate.reply[0]) : null),
    );
  }

  private settle(
    { key, epoch }: Extract<Action, { kind: 'settle' }>,
    done: (state: KeyState<Value> | null) => void,
  ): void {
    new Settler(this.proxy, key, epoch, done).begin();
  }

  private collectLater(): void {
    const { agenda, random, schedule } = this.proxy.world;
    agenda.after(1 + random.below(schedule.collectMs), () => {
      if (this.isStopped) return;
      const { keys } = this.proxy.world;
      this.collect(random.pick(keys));
      this.collectLater();
    });
  }

  /** Since when that state has been known to be that of all copies. */
  private sinceMs(key: string, accepted: Ballot): number {
    const { nowMs } = this.proxy.world.agenda;
    const known = this.known.get(key);
    if (known?.accepted === accepted) return known.sinceMs;
    this.known.set(key, { accepted, sinceMs: nowMs });
    return nowMs;
  }

  /** T1: only when all copies have been seen with the same ballot, and not live. */
  private collect(key: string): void {
    const { world, links } = this.proxy;
    const { agenda } = world;
    const copies = world.copiesOf(key);
    const askAll = (step: Step<Acts, Value>, done: (views: (ViewAnswer<Outcome, Value> | null)[]) => void) => {
      const views: (ViewAnswer<Outcome, Value> | null)[] = [];
      for (const node of copies) {
        links[node]?.askStep({ kind: 'step', key, step }, (message) => {
          views.push(message?.kind === 'step' ? (message.answer as ViewAnswer<Outcome, Value>) : null);
          if (views.length === copies.length && !this.isStopped) done(views);
        });
      }
    };
    askAll({ kind: 'peek' }, (views) => {
      const [first] = views;
      if (first?.kind !== 'view' || first.live || Number(first.accepted) === 0) return;
      // A deletion of consistency eventual is remembered for longer than hints are kept, and for longer than anything is under way.
      if (world.missed.some((kept) => kept.some((one) => one.key === key))) return;
      const isEverywhere = views.every((view) => view?.kind === 'view' && view.accepted === first.accepted);
      if (!isEverywhere) return;
      const { requestMs, stallMs, quorums } = world.schedule;
      const leastMs = quorums?.isEventual === true ? Math.max(requestMs, stallMs) + WAY_MS : 0;
      if (agenda.nowMs - this.sinceMs(key, first.accepted) < leastMs) return;
      world.forgotten.set(key, largest(first.accepted, world.forgotten.get(key) ?? NEVER));
      askAll({ kind: 'collect', ballot: first.accepted }, () => {});
    });
  }
}

/** An identity round of repair's own, and the state that it made chosen. */
class Settler {
  private readonly proxy: SimProxy;
  private readonly register: Register;
  private readonly done: (state: KeyState<Value> | null) => void;
  private isDone = false;
  private asker: Asker<Outcome, Value> | null = null;

  constructor(proxy: SimProxy, key: string, epoch: number, done: (state: KeyState<Value> | null) => void) {
    this.proxy = proxy;
    this.done = done;
    // A proposer of its own: the key's ballots of the proxy's proposer are not known here.
    const { random } = proxy.world;
    const number = `1${String(random.below(2 ** 31)).padStart(19, '0')}`;
    this.register = new Register(key, proxy.world.copiesOf(key), {
      proposer: number,
      epoch,
      counterFloor: 0,
    });
  }

  begin(): void {
    const { proxy, register } = this;
    const { world } = proxy;
    const { agenda, schedule, random } = world;
    const deadlineMs = agenda.nowMs + schedule.requestMs;
    const operation = {
      reads: NOTHING,
      readReply: (outcome: Outcome) => outcome,
      plan: () => ({ kind: 'all', commands: NOTHING, setsExpiry: 0, reply: (outcome: Outcome) => outcome }) as const,
    };
    const round = new Round<Acts, Outcome, Value>(
      register,
      operation,
      { deadlineMs, patienceMs: schedule.stepMs },
      {
        quorum: Math.floor(schedule.copies / 2) + 1,
        none: NOTHING,
        now: () => agenda.nowMs,
        clock: () => proxy.clock(),
        random: () => random.below(1000) / 1000,
        send: (asker, copy, tag, step) => proxy.send(asker, copy, tag, step),
        isReachable: () => true,
        finish: (_, outcome) => {
          if (outcome.kind === 'done') this.fetch();
          else this.end(null);
        },
        count: () => {},
        onBehind: () => {},
        areEqual: () => true,
        onDifference: () => {},
      },
    );
    this.asker = round;
    round.begin();
    this.tick();
  }

  private tick(): void {
    const { agenda } = this.proxy.world;
    agenda.after(3, () => {
      if (this.isDone || !this.proxy.isAlive || this.asker === null) return;
      if (this.asker.dueMs <= agenda.nowMs) this.asker.onTime();
      this.tick();
    });
  }

  /** From one that has it. */
  private fetch(): void {
    const { register, proxy } = this;
    this.asker = null;
    const node = register.nodes[31 - Math.clz32(register.holders & -register.holders)] as number;
    proxy.links[node]?.askStep({ kind: 'step', key: register.key, step: { kind: 'snapshot' } }, (message) => {
      const view = message?.kind === 'step' ? (message.answer as ViewAnswer<Outcome, Value>) : null;
      if (view?.kind !== 'view' || view.accepted !== register.chosen) return this.end(null);
      const { accepted, lineage, live, expireAt, value } = view;
      this.end({ accepted, lineage, live, expireAt, value });
    });
  }

  private end(state: KeyState<Value> | null): void {
    if (this.isDone) return;
    this.isDone = true;
    this.proxy.world.agenda.after(0, () => this.done(state));
  }
}
