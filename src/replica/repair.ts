/**
 * The repair of one node that may have forgotten (REPLICATION.md, P1-P5), decided purely: a generator that yields what is to
 * be done and is resumed with what came of it. It knows no clock, no socket and no chance.
 *
 *   look at A -> an epoch e -> `repairing e` on A -> RAISE(e) on members -> the keys of q of these, page by page:
 *      metas of q members and of A -> (an identity round, where they differ) -> what A lacks is replaced, what is too much dropped
 *   -> the same for what A itself has -> `member (e, 0)` on A
 *
 * Invariant: what is written to A was chosen, and by members that had all been raised to e before any of their metas was read.
 * Of a weak key nothing is ever chosen: A is given the largest version that one of the members asked has, and these keep what they have.
 *
 * Whatever goes wrong ends it; it is begun again with another epoch, and what A has by then is not sent again.
 */
import type { Ballot } from './ballot.js';
import { NEVER } from './ballot.js';
import { serverFault } from './member.js';
import {
  type MemberAnswer,
  type MemberStep,
  type NodeFacts,
  type NodeRecord,
  type ProcessId,
  SCAN_START,
} from './member-step.js';
import { NO_FACTS } from './meta.js';
import { formatNodeRecord, parseNodeRecord } from './node-record.js';
import type { KeyFacts, KeyState, ViewAnswer } from './step.js';

/** Nodes are numbered as the pool numbers them. */
export interface RepairPlan<K> {
  /** A. */
  node: number;
  name: string;
  clusterId: string;
  /** The record that A had when it was found a stranger. */
  found: string;
  /** The largest epoch that a repair before this one came upon; 0 for none. */
  epochSeen: number;
  /** The members, each with the record that all steps of this repair carry to it. */
  members: ReadonlyMap<number, string>;
  /** The sets of nodes that A is in, itself among them; that of the epochs' register, too, if A is in it. */
  copySets: readonly (readonly number[])[];
  /** The nodes of that key; null: it is no replicated one. */
  copiesOf: (key: K) => readonly number[] | null;
  /** Whether that key is of consistency weak. */
  isWeak: (key: K) => boolean;
  /**
   * P5's way out, the operator's word alone: where a set has fewer than q members, those that there are are enough, and what others
   * had chosen may be lost. Then what is copied is the largest that one of them has, and what A has that is larger stays; where there
   * is none at all, A keeps all that it has by a ballot.
   */
  acceptsLoss?: boolean;
  /**
   * Keys of which the larger version stays, wherever it is found: A is given the largest that one of the members has, and keeps what is
   * larger. Nothing of them is chosen anew.
   */
  isMerged?: (key: K) => boolean;
  /**
   * All keys are merged, but the register of epochs. Then no floor is raised: members take what was begun before, so that time alone says which
   * version is larger, and not who has heard of this repair.
   */
  isEventual?: boolean;
  pageKeys: number;
  /** Values under way at once may be as large, as far as that is known beforehand; a single one may be larger. */
  bytesMax: number;
}

export interface RepairRequest<K, V> {
  node: number;
  /** That the step carries. */
  record: string;
  step: MemberStep<K, V> | { kind: 'snapshot'; key: K };
}

/** `lost`: it did not come, or the connection is not the one that this repair began on. */
export type RepairAnswer<K, V> = MemberAnswer<K> | ViewAnswer<unknown, V> | { kind: 'lost' };

export type RepairAction<K, V> =
  /** To be resumed with `answers`, in the order of the requests, which may be carried out in any order. */
  | { kind: 'ask'; requests: readonly RepairRequest<K, V>[] }
  /** An epoch larger than any drawn before and than `above`, of the register: `epoch`, or null where it has no quorum. */
  | { kind: 'draw'; above: number }
  /** An identity round, in an epoch not below `epoch`: the `state` that it made chosen, or null. Members only. */
  | { kind: 'settle'; key: K; epoch: number }
  /** What was done since the last time: to be resumed with `go`, when it may go on, or to stop. */
  | { kind: 'pace'; progress: RepairProgress };

export type RepairReply<K, V> =
  | { kind: 'answers'; answers: readonly RepairAnswer<K, V>[] }
  | { kind: 'epoch'; epoch: number | null }
  | { kind: 'settled'; state: KeyState<V> | null }
  | { kind: 'go'; isStopped: boolean };

export interface RepairProgress {
  epoch: number;
  /** Whose keys are gone through. */
  source: number;
  /** Since the repair began. A key may be compared more than once. */
  keysCompared: number;
  keysReplaced: number;
  keysDropped: number;
  /** That took an identity round. */
  keysSettled: number;
}

export type RepairOutcome =
  | { kind: 'done'; epoch: number; progress: RepairProgress }
  /** `reason`: a sentence. `epochSeen`: the largest that it came upon. */
  | { kind: 'failed'; reason: string; epochSeen: number }
  /** P5: fewer than q members in these sets. */
  | { kind: 'no-quorum'; sets: readonly (readonly number[])[] }
  /** It was told to. */
  | { kind: 'stopped' };

/** How often a key that is written to all the while is looked at anew, before an identity round says what is chosen. */
const LOOKS_MAX = 3;
/** And how often that is tried. */
const SETTLES_MAX = 8;

type Run<K, V, Result> = Generator<RepairAction<K, V>, Result, RepairReply<K, V>>;

/** How many of so many nodes are a quorum. */
export function quorumOf(count: number): number {
  return Math.floor(count / 2) + 1;
}

/** The sets in which too few are members for any service or repair (P5). */
export function setsWithoutQuorum(
  sets: readonly (readonly number[])[],
  isMember: (node: number) => boolean,
): (readonly number[])[] {
  return sets.filter((set) => set.filter(isMember).length < quorumOf(set.length));
}

/** Runs until the node is a member, or something went wrong. */
export function* repairNode<K, V>(plan: RepairPlan<K>): Run<K, V, RepairOutcome> {
  const lacking = lackingSets(plan, (node) => plan.members.has(node));
  if (lacking.length > 0) return { kind: 'no-quorum', sets: lacking };
  try {
    return yield* new Repair<K, V>(plan).run();
  } catch (error) {
    if (error instanceof Ended) return error.outcome;
    throw error;
  }
}

/** In which this repair cannot go on. */
function lackingSets<K>({ copySets, acceptsLoss, members }: RepairPlan<K>, isThere: (node: number) => boolean) {
  if (acceptsLoss !== true) return setsWithoutQuorum(copySets, isThere);
  return copySets.filter((set) => set.some((node) => members.has(node)) && !set.some(isThere));
}

/** The wait before a repair is begun again: doubled with each failure, and cut by up to a half. `random`: 0 … 1. */
export function repairBackOffMs(failures: number, random: number): number {
  const whole = Math.min(BACK_OFF_MS_MAX, BACK_OFF_MS_MIN * 2 ** Math.min(failures - 1, 20));
  return whole * (1 - random / 2);
}

const BACK_OFF_MS_MIN = 500;
const BACK_OFF_MS_MAX = 60_000;

/** Thrown and caught here alone: what ends a repair comes from deep inside. */
class Ended extends Error {
  readonly outcome: RepairOutcome;

  constructor(outcome: RepairOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** A key to be brought up to date. */
interface Task<K> {
  key: K;
  /** Members, of whom q are asked. */
  voters: readonly number[];
  /** They are fewer than q, and loss is accepted; or it is merged. */
  isLossy: boolean;
  isWeak: boolean;
  isMerged: boolean;
  /** A has its value, whatever its meta says. */
  hasValue: boolean;
}

class Repair<K, V> {
  private readonly plan: RepairPlan<K>;
  private epoch = 0;
  /** Of A, after P2. */
  private record = '';
  /** Members that have answered RAISE. */
  private readonly raised = new Set<number>();
  private readonly progress: RepairProgress;

  constructor(plan: RepairPlan<K>) {
    this.plan = plan;
    this.progress = { epoch: 0, source: 0, keysCompared: 0, keysReplaced: 0, keysDropped: 0, keysSettled: 0 };
  }

  *run(): Run<K, V, RepairOutcome> {
    const { plan } = this;
    const facts = yield* this.look();
    const { process } = facts;
    this.epoch = yield* this.draw(parseNodeRecord(facts.record));
    this.progress.epoch = this.epoch;
    yield* this.begin(facts);
    yield* this.raise();
    const isSource = (node: number) =>
      plan.isMerged !== undefined || plan.copySets.some((set) => this.votersOf(set).includes(node));
    const sources = [...this.raised].filter(isSource);
    for (const source of sources) yield* this.goThrough(source, 'metas');
    yield* this.goThrough(plan.node, 'metas');
    yield* this.goThrough(plan.node, 'values');
    yield* this.finish(process);
    return { kind: 'done', epoch: this.epoch, progress: this.progress };
  }

  /** P1: before the epoch is drawn. */
  private *look(): Run<K, V, NodeFacts> {
    const { found } = this.plan;
    const [answer] = yield* this.ask([{ ...this.own(found), step: { kind: 'look' } }]);
    if (answer?.kind !== 'facts') throw failed(`it did not say what it is: ${answer?.kind}`);
    if (answer.record !== found) throw failed('its record has changed meanwhile');
    const fault = serverFault(answer);
    if (fault !== null) throw failed(fault);
    return answer;
  }

  private *draw(record: NodeRecord | null): Run<K, V, number> {
    const { admission, status } = record ?? { admission: { epoch: 0 }, status: { kind: 'joining' } as const };
    const above = Math.max(admission.epoch, status.kind === 'repairing' ? status.epoch : 0, this.plan.epochSeen);
    const reply = yield { kind: 'draw', above };
    if (reply.kind !== 'epoch') throw new TypeError(`draw was answered ${reply.kind}`);
    if (reply.epoch === null) throw failed('the register of epochs could not be asked');
    return reply.epoch;
  }

  /** P2, on A. */
  private *begin({ process, record }: NodeFacts): Run<K, V, void> {
    const { name, clusterId } = this.plan;
    const admission = parseNodeRecord(record)?.admission ?? { epoch: 0, count: 0 };
    const status = { kind: 'repairing', epoch: this.epoch } as const;
    this.record = formatNodeRecord({ clusterId, name, admission, process, status });
    yield* this.admit(record, process, this.record, this.plan.isEventual === true ? null : this.epoch);
  }

  /** P2, on members. */
  private *raise(): Run<K, V, void> {
    const { plan, epoch } = this;
    const nodes = [...plan.members.keys()].filter((node) => plan.copySets.some((set) => set.includes(node)));
    const floor = plan.isEventual === true ? 0 : epoch;
    const answers = yield* this.ask(
      nodes.map((node) => ({ node, record: this.recordOf(node), step: { kind: 'raise', epoch: floor } })),
    );
    for (const [index, answer] of answers.entries()) {
      if (answer.kind !== 'raised') continue;
      if (answer.epochFloor > epoch)
        throw failed(`a repair in epoch ${answer.epochFloor} has begun since`, answer.epochFloor);
      this.raised.add(nodes[index] as number);
    }
    const lacking = lackingSets(plan, (node) => this.raised.has(node));
    if (lacking.length > 0) throw new Ended({ kind: 'no-quorum', sets: lacking });
  }

  /** P3, for the keys that this node has: a member, or A itself. */
  private *goThrough(source: number, what: 'metas' | 'values'): Run<K, V, void> {
    const { plan } = this;
    this.progress.source = source;
    let cursor = SCAN_START;
    do {
      const step = { kind: 'scan', what, cursor, count: plan.pageKeys, idleSecondsMin: 0 } as const;
      const [page] = yield* this.ask([{ node: source, record: this.recordOf(source), step }]);
      if (page?.kind !== 'page') throw failed(`its keys could not be listed: ${page?.kind}`);
      const tasks: Task<K>[] = [];
      for (const key of page.keys) {
        const set = plan.copiesOf(key);
        if (set === null || !set.includes(plan.node)) continue;
        const isMerged = plan.isMerged?.(key) === true;
        const voters = isMerged ? set.filter((node) => this.raised.has(node)) : this.votersOf(set);
        if (source !== plan.node && !voters.includes(source)) continue;
        const isLossy = isMerged || voters.length < quorumOf(set.length);
        tasks.push({ key, voters, isLossy, isWeak: plan.isWeak(key), isMerged, hasValue: what === 'values' });
      }
      yield* this.mend(tasks);
      yield* this.pace();
      cursor = page.cursor;
    } while (cursor !== SCAN_START);
  }

  /** Brings these keys up to date on A. */
  private *mend(tasks: readonly Task<K>[]): Run<K, V, void> {
    let rest = tasks;
    for (let look = 0; rest.length > 0 && look < LOOKS_MAX; look++) rest = yield* this.mendWhatAgrees(rest);
    for (const { key, isWeak, isMerged } of rest) {
      if (isWeak || isMerged)
        throw failed('a key on which nothing is chosen was forgotten by its members again and again');
      yield* this.settle(key);
    }
  }

  /** Those that could not be brought up to date by what the members have now: their metas differ, or are changing. */
  private *mendWhatAgrees(tasks: readonly Task<K>[]): Run<K, V, Task<K>[]> {
    const { bytesMax, node } = this.plan;
    const metas = yield* this.metasOf(tasks);
    const own = metas.get(node) as Map<K, Meta>;
    const differing: Task<K>[] = [];
    const excess: K[] = [];
    const lacking: Lack<K>[] = [];
    for (const task of tasks) {
      const { key, voters, isLossy, isWeak, hasValue } = task;
      const mine = own.get(key) as Meta;
      let source = voters[0] ?? node;
      let theirs = voters.length === 0 ? NO_META : (metas.get(source)?.get(key) as Meta);
      let isAgreed = true;
      for (const node of voters) {
        const meta = metas.get(node)?.get(key) as Meta;
        if (meta.accepted !== theirs.accepted) isAgreed = false;
        if (meta.accepted > theirs.accepted) [source, theirs] = [node, meta];
      }
      const { accepted, bytes } = theirs;
      // What A has left may be all that there is.
      if (isLossy && mine.accepted > accepted) continue;
      if (!isAgreed && !isLossy && !isWeak) differing.push(task);
      else if (accepted !== NEVER && accepted !== mine.accepted) lacking.push({ task, source, accepted, bytes });
      else if (accepted === NEVER && (hasValue || mine.accepted !== NEVER)) excess.push(key);
    }
    this.progress.keysCompared += tasks.length;
    yield* this.write(excess.map((key) => ({ kind: 'drop', key })));
    for (const batch of batchesOf(lacking, bytesMax)) differing.push(...(yield* this.copy(batch)));
    return differing;
  }

  /** What the voters of each key and A have, by node and key. */
  private *metasOf(tasks: readonly Task<K>[]): Run<K, V, Map<number, Map<K, Meta>>> {
    const { plan } = this;
    const keys = new Map<number, K[]>([[plan.node, []]]);
    const sources = new Set<number>();
    for (const { key, voters, isLossy, isWeak } of tasks) {
      for (const node of isLossy || isWeak ? voters : voters.slice(0, 1)) sources.add(node);
      for (const node of [...voters, plan.node]) {
        const list = keys.get(node);
        if (list === undefined) keys.set(node, [key]);
        else list.push(key);
      }
    }
    const requests = [...keys].map(([node, keys]) => {
      return { node, record: this.recordOf(node), step: { kind: 'metas', keys, sizes: sources.has(node) } as const };
    });
    const answers = yield* this.ask(requests);
    const metas = new Map<number, Map<K, Meta>>();
    for (const [index, { node, step }] of requests.entries()) {
      const answer = answers[index];
      if (answer?.kind !== 'metas') throw failed(`the metas of node ${node} could not be read: ${answer?.kind}`);
      const { facts, sizes } = answer;
      const entries = step.keys.map((key, at): [K, Meta] => {
        return [key, { ...(facts[at] as KeyFacts), bytes: sizes?.[at] ?? 0 }];
      });
      metas.set(node, new Map(entries));
    }
    return metas;
  }

  /** Copies what q members were seen with to A; those that have another state by now are returned. */
  private *copy(batch: readonly Lack<K>[]): Run<K, V, Task<K>[]> {
    const answers = yield* this.ask(
      batch.map(({ task: { key }, source: node }) => {
        return { node, record: this.recordOf(node), step: { kind: 'snapshot', key } };
      }),
    );
    const changed: Task<K>[] = [];
    const writes: MemberStep<K, V>[] = [];
    for (const [index, { task, accepted }] of batch.entries()) {
      const answer = answers[index];
      if (answer?.kind !== 'view') throw failed(`a value could not be read: ${answer?.kind}`);
      const { lineage, live, expireAt, value } = answer;
      // Where the larger version stays one that has a larger version by now is as good.
      const isAsSeen = answer.accepted === accepted || ((task.isWeak || task.isMerged) && answer.accepted > accepted);
      if (!isAsSeen) changed.push(task);
      else {
        const state = { accepted: answer.accepted, lineage, live, expireAt, value };
        writes.push({ kind: 'replace', key: task.key, state });
      }
    }
    yield* this.write(writes);
    return changed;
  }

  /** Makes a state of the key chosen, and gives it to A. */
  private *settle(key: K): Run<K, V, void> {
    for (let attempt = 0; attempt < SETTLES_MAX; attempt++) {
      const reply = yield { kind: 'settle', key, epoch: this.epoch };
      if (reply.kind !== 'settled') throw new TypeError(`settle was answered ${reply.kind}`);
      if (reply.state === null) continue;
      this.progress.keysSettled++;
      yield* this.write([{ kind: 'replace', key, state: reply.state }]);
      return;
    }
    throw failed('a key on whose state its members differ could not be settled');
  }

  /** Replaces and drops on A. */
  private *write(steps: readonly MemberStep<K, V>[]): Run<K, V, void> {
    const answers = yield* this.ask(steps.map((step) => ({ ...this.own(this.record), step })));
    for (const [index, answer] of answers.entries()) {
      if (answer.kind !== 'done') throw failed(`it did not take what it lacks: ${answer.kind}`);
      if (steps[index]?.kind === 'drop') this.progress.keysDropped++;
      else this.progress.keysReplaced++;
    }
  }

  /** P4. `process` is that of P1. */
  private *finish(process: ProcessId): Run<K, V, void> {
    const { name, clusterId } = this.plan;
    const admission = { epoch: this.epoch, count: 0 };
    const record = formatNodeRecord({ clusterId, name, admission, process, status: { kind: 'member' } });
    yield* this.admit(this.record, process, record, null);
  }

  private *admit(expected: string, process: ProcessId, record: string, epoch: number | null): Run<K, V, void> {
    const step = { kind: 'admit', expected, process, record, epoch } as const;
    const [answer] = yield* this.ask([{ ...this.own(expected), step }]);
    if (answer?.kind === 'admitted') return;
    if (answer?.kind !== 'changed') throw failed(`its record could not be written: ${answer?.kind}`);
    const isOther = answer.process.runId !== process.runId || answer.process.replId !== process.replId;
    throw failed(
      isOther ? 'it was restarted, or was a replica meanwhile' : 'another repair has taken over',
      answer.epochFloor,
    );
  }

  private *pace(): Run<K, V, void> {
    const reply = yield { kind: 'pace', progress: { ...this.progress } };
    if (reply.kind !== 'go') throw new TypeError(`pace was answered ${reply.kind}`);
    if (reply.isStopped) throw new Ended({ kind: 'stopped' });
  }

  private *ask(requests: readonly RepairRequest<K, V>[]): Run<K, V, readonly RepairAnswer<K, V>[]> {
    if (requests.length === 0) return [];
    const reply = yield { kind: 'ask', requests };
    if (reply.kind !== 'answers') throw new TypeError(`ask was answered ${reply.kind}`);
    return reply.answers;
  }

  /** The q members of a set that are asked about its keys; fewer only where loss is accepted. */
  private votersOf(set: readonly number[]): number[] {
    return set.filter((node) => this.raised.has(node)).slice(0, quorumOf(set.length));
  }

  private own(record: string): { node: number; record: string } {
    return { node: this.plan.node, record };
  }

  private recordOf(node: number): string {
    if (node === this.plan.node) return this.record;
    return this.plan.members.get(node) as string;
  }
}

interface Meta extends KeyFacts {
  bytes: number;
}

const NO_META: Meta = { ...NO_FACTS, bytes: 0 };

/** A key that A has not as the members have it. */
interface Lack<K> {
  task: Task<K>;
  /** Who has it. */
  source: number;
  accepted: Ballot;
  bytes: number;
}

/** In their order, each of at most `bytesMax` bytes or of one key. */
function* batchesOf<K>(lacking: readonly Lack<K>[], bytesMax: number): Generator<Lack<K>[]> {
  let batch: Lack<K>[] = [];
  let total = 0;
  for (const lack of lacking) {
    if (batch.length > 0 && total + lack.bytes > bytesMax) {
      yield batch;
      batch = [];
      total = 0;
    }
    batch.push(lack);
    total += lack.bytes;
  }
  if (batch.length > 0) yield batch;
}

function failed(reason: string, epochSeen = 0): Ended {
  return new Ended({ kind: 'failed', reason, epochSeen });
}
