/**
 * A pool on a table, for histories that are played by hand: every message arrives when the history says so. Nodes are numbered
 * from 1, as in those histories; the key is `k`.
 */
import { type Ballot, makeBallot } from '../../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../../src/replica/lineage.js';
import { judgeNode } from '../../../src/replica/member.js';
import type { MemberAnswer, MemberStep, NodeFacts, ProcessId } from '../../../src/replica/member-step.js';
import { formatNodeRecord } from '../../../src/replica/node-record.js';
import { Proposer } from '../../../src/replica/proposer.js';
import {
  type RepairAction,
  type RepairAnswer,
  type RepairOutcome,
  type RepairReply,
  type RepairRequest,
  repairNode,
} from '../../../src/replica/repair.js';
import type { Asker } from '../../../src/replica/round.js';
import type { Answer, KeyState, Step } from '../../../src/replica/step.js';
import { Acceptor } from '../../help/acceptor.js';
import { type Act, type Acts, NOTHING, type Outcome, operationOf, perform } from './language.js';

const KEY = 'k';
const CLUSTER = 'c1';
const NOW_MS = 1_000_000;

type Node = Acceptor<Acts, Outcome, string>;
type Action = RepairAction<string, string>;

/** `1.2.P`: epoch, counter, and a proposer's letter: the later in the alphabet, the larger. */
export function ballotOf(text: string): Ballot {
  const [epoch, counter, letter] = text.split('.') as [string, string, string];
  return makeBallot(Number(epoch), Number(counter), numberOf(letter));
}

function numberOf(letter: string): string {
  return String(letter.charCodeAt(0)).padStart(20, '0');
}

export class Table {
  readonly nodes: readonly Node[];
  /** Nodes whose configuration allows DEBUG. */
  readonly debuggable = new Set<number>();
  private lives = 0;

  constructor(count: number) {
    this.nodes = Array.from({ length: count }, (_, index) => {
      const node: Node = new Acceptor({
        engine: {
          apply: (acts, stored) => apply(acts, stored),
          read: (acts, stored) => apply(acts, stored).replies,
        },
        clock: () => NOW_MS,
        process: this.newProcess(),
      });
      node.data.record = this.memberRecord(index + 1, node.process);
      return node;
    });
  }

  node(number: number): Node {
    return this.nodes[number - 1] as Node;
  }

  memberRecord(number: number, process: ProcessId, epoch = 0): string {
    const admission = epoch > 0 ? { epoch, count: 0 } : { epoch: 0, count: 1 };
    return formatNodeRecord({
      clusterId: CLUSTER,
      name: nameOf(number),
      admission,
      process,
      status: { kind: 'member' },
    });
  }

  prepare(ballot: string, numbers: readonly number[]): string {
    return this.ask(numbers, { kind: 'prepare', ballot: ballotOf(ballot) });
  }

  accept(ballot: string, act: Act, numbers: readonly number[], base: string | null = null, next = ballot): string {
    return this.ask(numbers, {
      kind: 'accept',
      ballot: ballotOf(ballot),
      base: base === null ? makeBallot(0, 0, '0'.repeat(20)) : ballotOf(base),
      expected: null,
      lineage: NO_LINEAGE,
      expired: false,
      commands: [act],
      setsExpiry: 0,
      next: ballotOf(next),
    });
  }

  /** What has that node's state is given to others. */
  install(from: number, numbers: readonly number[]): string {
    const view = this.perform(from, { kind: 'snapshot' });
    if (view.kind !== 'view') throw new Error(`node ${from} has no state to give: ${view.kind}`);
    const { accepted, lineage, live, expireAt, value } = view;
    return this.ask(numbers, { kind: 'install', state: { accepted, lineage, live, expireAt, value }, next: accepted });
  }

  /** Its process dies, and another starts with nothing. */
  lose(number: number): void {
    this.node(number).restart(this.newProcess());
  }

  /** Made a replica of one that has these data, and a master again. */
  resync(number: number, data: ReturnType<Node['save']>): void {
    this.lives++;
    this.node(number).resync(data, `m${this.lives}`);
  }

  look(number: number): NodeFacts {
    const facts = this.member(number, { kind: 'look' }, '') as Extract<MemberAnswer<string>, { kind: 'facts' }>;
    return this.debuggable.has(number) ? { ...facts, debugCommand: 'yes' } : facts;
  }

  member(number: number, step: MemberStep<string, string>, record: string): MemberAnswer<string> {
    return this.node(number).performMember(step, record);
  }

  /** What a step of the key comes to at these nodes: a word each. */
  private ask(numbers: readonly number[], step: Step<Acts, string>): string {
    return numbers.map((number) => this.perform(number, step).kind).join(' ');
  }

  private perform(number: number, step: Step<Acts, string>): Answer<Outcome, string> {
    const node = this.node(number);
    return node.perform(step, KEY, node.data.record);
  }

  private newProcess(): ProcessId {
    this.lives++;
    return { runId: `r${this.lives}`, replId: `m${this.lives}` };
  }
}

/** A proxy with new connections to all nodes, of which only some answer: those that M1 makes count. */
export class Hand {
  /** Nodes that answer, by number. */
  reach: readonly number[] = [];
  private readonly table: Table;
  private readonly proposer: Proposer<Acts, Outcome, string>;
  private readonly sent: { asker: Asker<Outcome, string>; copy: number; tag: number; step: Step<Acts, string> }[] = [];
  private nowMs = 0;
  private result: string | null = null;
  /** Steps that are held back, to be handed over later by `release`. */
  holds: (number: number, step: Step<Acts, string>) => boolean = () => false;
  private readonly held: typeof this.sent = [];

  constructor(table: Table, letter: string) {
    this.table = table;
    this.proposer = new Proposer<Acts, Outcome, string>({
      quorum: Math.floor(table.nodes.length / 2) + 1,
      none: NOTHING,
      proposer: numberOf(letter),
      timeoutMs: 1_000,
      patienceMs: 100,
      linesMax: 10,
      keyQueueMax: 100,
      now: () => this.nowMs,
      clock: () => NOW_MS,
      random: () => 0,
      isReachable: (node) => this.reach.includes(node + 1),
      isSlow: () => false,
      processOf: () => 0,
      areEqual: () => true,
      onDifference: () => {},
      send: (asker, copy, tag, step) => this.sent.push({ asker, copy, tag, step }),
      count: () => {},
    });
  }

  /** The reply, or what became of it instead; `held` when it waits for what is held back. */
  submit(act: Act, reach: readonly number[]): string {
    this.reach = reach;
    this.result = null;
    const nodes = this.table.nodes.map((_, index) => index);
    this.proposer.submit(KEY, nodes, operationOf(act), {
      onOutcome: (fate) => {
        this.result = fate.kind === 'done' ? String(fate.reply[0]) : fate.kind;
      },
    });
    return this.run();
  }

  /** What was held back arrives. */
  release(): string {
    this.holds = () => false;
    this.sent.push(...this.held.splice(0));
    return this.run();
  }

  private run(): string {
    while (this.result === null) {
      const next = this.sent.shift();
      if (next === undefined) {
        if (this.held.length > 0) return 'held';
        this.nowMs += 10;
        this.proposer.onTime();
        continue;
      }
      const { asker, copy, tag, step } = next;
      if (this.holds(copy + 1, step)) this.held.push(next);
      else asker.onAnswer(copy, tag, this.answer(copy + 1, step));
    }
    return this.result;
  }

  private answer(number: number, step: Step<Acts, string>): Answer<Outcome, string> | null {
    if (!this.reach.includes(number)) return null;
    const standing = judgeNode(nameOf(number), this.table.look(number));
    if (standing.kind !== 'member') return null;
    return this.table.node(number).perform(step, KEY, standing.record);
  }
}

/** A repair that is taken on by hand. */
export class RepairByHand {
  outcome: RepairOutcome | null = null;
  /** Members that a RAISE reaches and whose answer comes back. */
  raised: readonly number[];
  private readonly table: Table;
  private readonly run: Generator<Action, RepairOutcome, RepairReply<string, string>>;
  private readonly epoch: number;
  private action: Action | null = null;

  constructor(table: Table, number: number, epoch: number, raised: readonly number[]) {
    this.table = table;
    this.epoch = epoch;
    this.raised = raised;
    const all = table.nodes.map((_, index) => index);
    const members = new Map(
      all.filter((one) => one !== number - 1).map((one) => [one, table.node(one + 1).data.record] as const),
    );
    this.run = repairNode<string, string>({
      node: number - 1,
      name: nameOf(number),
      clusterId: CLUSTER,
      found: table.node(number).data.record,
      epochSeen: 0,
      members,
      copySets: [all],
      copiesOf: () => all,
      isWeak: () => false,
      pageKeys: 100,
      bytesMax: 1_000,
    });
    this.take(null);
  }

  /** Goes on until that kind of step is about to be asked of that node; to the end if it is not. */
  until(kind: string, number: number): this {
    while (this.action !== null && !this.isAt(kind, number)) this.obey(this.action);
    return this;
  }

  /** To the end: `done`, or why not. */
  finish(): string {
    while (this.action !== null) this.obey(this.action);
    const outcome = this.outcome as RepairOutcome;
    return outcome.kind === 'failed' ? outcome.reason : outcome.kind;
  }

  /** The first request of what is about to be asked: to have a copy of it arrive later. */
  get pending(): RepairRequest<string, string> {
    if (this.action?.kind !== 'ask') throw new Error(`nothing is asked now: ${this.action?.kind}`);
    return this.action.requests[0] as RepairRequest<string, string>;
  }

  private isAt(kind: string, number: number): boolean {
    if (this.action?.kind !== 'ask') return false;
    return this.action.requests.some(({ node, step }) => node === number - 1 && step.kind === kind);
  }

  private obey(action: Action): void {
    if (action.kind === 'draw') this.take({ kind: 'epoch', epoch: this.epoch });
    else if (action.kind === 'pace') this.take({ kind: 'go', isStopped: false });
    else if (action.kind === 'settle') this.take({ kind: 'settled', state: this.settle() });
    else this.take({ kind: 'answers', answers: action.requests.map((request) => this.answer(request)) });
  }

  private take(reply: RepairReply<string, string> | null): void {
    const result = reply === null ? this.run.next() : this.run.next(reply);
    this.action = result.done === true ? null : result.value;
    if (result.done === true) this.outcome = result.value;
  }

  private answer({ node, record, step }: RepairRequest<string, string>): RepairAnswer<string, string> {
    const { table } = this;
    if (step.kind === 'raise' && !this.raised.includes(node + 1)) return { kind: 'lost' };
    if (step.kind === 'snapshot')
      return table.node(node + 1).perform(step, KEY, record) as RepairAnswer<string, string>;
    return table.member(node + 1, step, record);
  }

  /** An identity round at the members that were raised. */
  private settle(): KeyState<string> | null {
    const { table, raised } = this;
    const hand = new Hand(table, 'R');
    // A read that the nodes do not agree on makes the largest state chosen.
    hand.submit({ do: 'get' }, raised);
    for (const number of raised) {
      const view = table.node(number).perform({ kind: 'snapshot' }, KEY, table.node(number).data.record);
      if (view.kind !== 'view') continue;
      const { accepted, lineage, live, expireAt, value } = view;
      if (accepted >= makeBallot(this.epoch, 0, '0'.repeat(20))) return { accepted, lineage, live, expireAt, value };
    }
    return null;
  }
}

function nameOf(number: number): string {
  return `n${number}`;
}

function apply(acts: Acts, stored: { value: string; expireAt: number } | null) {
  let content = stored === null ? null : { text: stored.value, expireAt: stored.expireAt };
  const replies: (string | null)[] = [];
  for (const act of acts) {
    const [after, reply] = perform(content, act, () => 0);
    content = after;
    replies.push(reply);
  }
  return { stored: content === null ? null : { value: content.text, expireAt: content.expireAt }, replies };
}
