/**
 * All operations of one worker on the keys of one replicated keyspace: in what order they are carried out, and what is
 * remembered of each key between them.
 *
 *   submit ──> line of the key ──> Round, one at a time     (writes, and reads that the nodes did not agree on)
 *          └─> ReadRound, any number, where nothing is written
 *
 * It decides; whoever runs it sends the steps, tells the answers, and calls `onTime` now and then. A key's line is forgotten,
 * the oldest first, when there are too many and nothing happens in it: its next write takes a PREPARE more.
 */
import { Fifo } from '../base/fifo.js';
import { epochOf } from './ballot.js';
import { Mend } from './mend.js';
import type { Operation, Reader } from './operation.js';
import { type ReadContext, ReadRound } from './read-round.js';
import { type Agreement, type ProposerNumbers, Register } from './register.js';
import { Roster } from './roster.js';
import { type Client, type Outcome, Round, type RoundContext, type RoundTimes } from './round.js';

export interface ProposerContext<C, R, V>
  extends Omit<RoundContext<C, R, V>, 'finish' | 'onBehind' | 'onDifference' | 'count'> {
  /** See `proposerNumber`. */
  readonly proposer: string;
  /** Milliseconds from an operation's submission until its client is told that it is not known. */
  readonly timeoutMs: number;
  /** Milliseconds for which the slowest nodes are waited for where there is another way. */
  readonly patienceMs: number;
  /** Keys of which something is remembered. */
  readonly linesMax: number;
  /** Operations that may wait for their turn on one key. */
  readonly keyQueueMax: number;
  /** These copies of a key (bit i: copy i; 0: nobody knows which) were found to differ from the others (rule W9), and are given the others' state. */
  onDifference(key: string, nodes: readonly number[], copies: number): void;
  /** Of its process: see Reader.process. */
  processOf(node: number): number;
  /** Whether others should rather be asked. */
  isSlow(node: number): boolean;
  count(event: ProposerEvent): void;
}

/**
 * For counters: what happens in rounds, what they come to, and `fast-read`, a read in one round trip; `mend`: copies that are behind
 * are given a chosen state.
 */
export type ProposerEvent =
  | Parameters<RoundContext<never, never, never>['count']>[0]
  | Exclude<Outcome<never>['kind'], 'done'>
  | 'fast-read'
  | 'slow-read'
  | 'write'
  | 'mend'
  | 'difference'
  | 'forgotten';

interface Job<C, R> {
  readonly operation: Operation<C, R>;
  readonly client: Client<R>;
  readonly times: RoundTimes;
}

/** What is remembered of one key, and its operations, in the order in which they came. */
class Line<C, R, V> extends Register {
  /** What is being done; `job` is null for what nobody waits for. */
  running: Round<C, R, V> | Mend<C, R, V> | null = null;
  job: Job<C, R> | null = null;
  readonly waiting = new Fifo<Job<C, R>>();
  /** Reads on which the nodes did not agree: they come before what came after them. */
  readonly disagreed = new Fifo<Job<C, R>>();
  /** Its copies are those of a topology that is past. */
  isPast = false;
  /** Copies that are behind are not mended before; and for how long not after an attempt that does not bring them all up. */
  mendFromMs = 0;
  mendPauseMs = MEND_PAUSE_MS_MIN;
  /** Since it was last looked at to be forgotten. */
  wasUsed = true;

  get isIdle(): boolean {
    return this.running === null && this.waiting.length === 0 && this.disagreed.length === 0;
  }

  /** Whether one that waits had to have its turn before `now`. */
  hasOverdue(now: number): boolean {
    const first = this.disagreed.peek();
    const next = this.waiting.peek();
    return (first !== undefined && first.times.deadlineMs < now) || (next !== undefined && next.times.deadlineMs < now);
  }
}

/** Where it makes no difference which copy reads. */
const NOT_TOLD: Reader = { copy: -1, process: -1 };
/** Between two attempts to mend the copies of one key: twice as long after each, until one has brought them up. */
const MEND_PAUSE_MS_MIN = 100;
const MEND_PAUSE_MS_MAX = 3_200;
/** Lines looked at for one to be forgotten: their number may exceed the maximum by those that are busy. */
const LOOKED_AT_MAX = 8;

export class Proposer<C, R, V> {
  private readonly context: ProposerContext<C, R, V>;
  private readonly numbers: ProposerNumbers;
  private readonly roundContext: RoundContext<C, R, V>;
  private readonly readContext: ReadContext<C, R, V>;
  private readonly lines = new Map<string, Line<C, R, V>>();
  /** All that wait for answers. */
  private readonly active = new Roster<Round<C, R, V> | ReadRound<C, R, V> | Mend<C, R, V>>();
  /** By key, how many reads in one round trip are under way. */
  private readonly reading = new Map<string, number>();
  private readsBegun = 0;

  constructor(context: ProposerContext<C, R, V>) {
    this.context = context;
    this.numbers = { proposer: context.proposer, epoch: 0, counterFloor: 0 };
    this.roundContext = {
      ...context,
      finish: (round, outcome) => this.onFinished(round, outcome),
      onBehind: ({ key }) => this.onBehind(key),
      onDifference: (register) => this.onDifference(register),
    };
    this.readContext = {
      ...context,
      onAgreement: (round, reply, agreement) => this.onAgreement(round, reply, agreement),
      onDisagreement: (round, expired) => this.onDisagreement(round, expired),
    };
  }

  /** `key`: its bytes, a character each. `nodes`: those of its copies, always the same for a key. */
  submit(key: string, nodes: readonly number[], operation: Operation<C, R>, client: Client<R>): void {
    const { context } = this;
    const times = { deadlineMs: context.now() + context.timeoutMs, patienceMs: context.patienceMs };
    const line = this.lines.get(key);
    if (operation.reads !== null && (line === undefined || line.isIdle))
      this.read(key, nodes, operation, client, times);
    else if (line !== undefined && line.waiting.length >= context.keyQueueMax)
      this.tell(client, { kind: 'crowded', max: context.keyQueueMax });
    else this.enqueue(line ?? this.openLine(key, nodes), { operation, client, times });
  }

  /** Whether the last that is known of the key is a write of this proposer's, which has left a value. */
  hasValue(key: string): boolean {
    return this.lines.get(key)?.ride?.base.live === true;
  }

  /** Somebody else has written the key: what was promised for the next write is worth nothing any more. */
  onOvertaken(key: string): void {
    const line = this.lines.get(key);
    if (line !== undefined) line.ride = null;
  }

  /** To be called every few milliseconds while anything is active. */
  onTime(): void {
    const now = this.context.now();
    this.active.each((asker) => {
      if (asker.dueMs <= now) asker.onTime();
    });
  }

  get isActive(): boolean {
    return this.active.size > 0;
  }

  private read(
    key: string,
    nodes: readonly number[],
    operation: Operation<C, R>,
    client: Client<R>,
    times: RoundTimes,
    isRepeated = false,
  ): void {
    const { context } = this;
    const reader = operation.walk?.reader ?? null;
    if (reader !== null && !this.isThere(nodes, reader)) {
      this.tell(client, { kind: 'cursor-lost' });
      return;
    }
    const first = reader === null ? this.readsBegun++ : reader.copy;
    const copies: number[] = [];
    const slow: number[] = [];
    for (let place = 0; place < nodes.length; place++) {
      const copy = (first + place) % nodes.length;
      const node = nodes[copy] as number;
      if (!context.isReachable(node)) continue;
      if (context.isSlow(node) && copy !== reader?.copy) slow.push(copy);
      else copies.push(copy);
    }
    copies.push(...slow);
    if (copies.length < context.quorum) {
      this.tell(client, { kind: 'no-quorum' });
      return;
    }
    const round = new ReadRound(key, nodes, operation, client, times, isRepeated, this.readContext);
    this.active.add(round);
    this.reading.set(key, (this.reading.get(key) ?? 0) + 1);
    const copy = copies[0] as number;
    round.begin(
      copies,
      operation.walk === undefined ? NOT_TOLD : { copy, process: context.processOf(nodes[copy] as number) },
    );
  }

  /** Whether the copy is reachable, and that of the same process. */
  private isThere(nodes: readonly number[], { copy, process }: Reader): boolean {
    const node = nodes[copy];
    return node !== undefined && this.context.isReachable(node) && this.context.processOf(node) === process;
  }

  private onAgreement(round: ReadRound<C, R, V>, reply: R, agreement: Agreement): void {
    const { key, nodes, client } = round;
    const { ballot, behind, isLate } = agreement;
    this.context.count(isLate ? 'slow-read' : 'fast-read');
    const line = this.lines.get(key) ?? (behind === 0 ? null : this.openLine(key, nodes));
    line?.onFound(agreement);
    this.onReadEnded(round);
    if (behind !== 0) this.onBehind(key);
    client.onOutcome({ kind: 'done', reply, ballot });
  }

  /** A write that came after the last read under way may begin. */
  private onReadEnded(round: ReadRound<C, R, V>): void {
    const { key } = round;
    this.active.remove(round);
    const left = (this.reading.get(key) as number) - 1;
    if (left > 0) {
      this.reading.set(key, left);
      return;
    }
    this.reading.delete(key);
    const line = this.lines.get(key);
    if (line !== undefined && line.running === null && line.waiting.length > 0) this.next(line);
  }

  private onDisagreement(round: ReadRound<C, R, V>, expired: string): void {
    const { key, nodes, operation, client, times } = round;
    const line = this.lines.get(key) ?? this.openLine(key, nodes);
    if (expired !== '') line.knownExpired = expired;
    if (!round.isRepeated) line.disagreed.push({ operation, client, times });
    this.onReadEnded(round);
    if (round.isRepeated) this.tell(client, { kind: 'cursor-lost' });
    else if (line.running === null) this.next(line);
  }

  private openLine(key: string, nodes: readonly number[]): Line<C, R, V> {
    if (this.lines.size >= this.context.linesMax) this.forgetOne();
    const line = new Line<C, R, V>(key, nodes, this.numbers);
    this.lines.set(key, line);
    return line;
  }

  /** One of the oldest, in which nothing happens and has not for long. */
  private forgetOne(): void {
    let rest = LOOKED_AT_MAX;
    for (const [key, line] of this.lines) {
      if (rest-- === 0) return;
      this.lines.delete(key);
      if (line.isIdle && !line.wasUsed) {
        line.forget();
        this.context.count('forgotten');
        return;
      }
      line.wasUsed = false;
      this.lines.set(key, line);
    }
  }

  private enqueue(line: Line<C, R, V>, job: Job<C, R>): void {
    line.wasUsed = true;
    line.waiting.push(job);
    if (line.running === null) this.next(line);
  }

  private next(line: Line<C, R, V>): void {
    if (!line.hasOverdue(this.context.now())) {
      this.advance(line);
      return;
    }
    const overdue = this.takeOverdue(line);
    this.advance(line);
    // Afterwards, since who is told may submit more.
    for (const { client } of overdue) this.tell(client, { kind: 'overdue' });
  }

  /** Those whose time is up: begun now they would be given up at once, and nobody could tell what became of them. */
  private takeOverdue({ disagreed, waiting }: Line<C, R, V>): Job<C, R>[] {
    const now = this.context.now();
    const overdue: Job<C, R>[] = [];
    for (const queue of [disagreed, waiting]) {
      for (let job = queue.peek(); job !== undefined && job.times.deadlineMs < now; job = queue.peek()) {
        overdue.push(job);
        queue.shift();
      }
    }
    return overdue;
  }

  private advance(line: Line<C, R, V>): void {
    line.job = null;
    if (line.behind !== 0 && this.context.now() >= line.mendFromMs) {
      this.mend(line);
      return;
    }
    line.running = null;
    const { waiting, disagreed } = line;
    for (;;) {
      const job = disagreed.peek() ?? waiting.peek();
      if (job === undefined) {
        if (line.isPast) this.forget(line);
        return;
      }
      const { operation, client, times } = job;
      const isRead = operation.reads !== null && disagreed.length === 0;
      // A read under way may have to be carried out as a round yet, and came before.
      if (!isRead && disagreed.length === 0 && this.reading.has(line.key)) return;
      if (disagreed.shift() === undefined) waiting.shift();
      if (!isRead) {
        line.job = job;
        this.run(line, new Round(line, operation, times, this.roundContext));
        return;
      }
      this.read(line.key, line.nodes, operation, client, times);
      if (line.running !== null) return;
    }
  }

  /** The nodes of keys may be others from now on, or be known by other numbers. */
  renew(): void {
    for (const line of this.lines.values()) {
      line.isPast = true;
      if (line.isIdle) this.forget(line);
    }
  }

  private forget(line: Line<C, R, V>): void {
    line.forget();
    this.lines.delete(line.key);
  }

  private run(line: Line<C, R, V>, asker: Round<C, R, V> | Mend<C, R, V>): void {
    line.running = asker;
    this.active.add(asker);
    asker.begin();
  }

  private mend(line: Line<C, R, V>): void {
    const { context, numbers, roundContext } = this;
    context.count('mend');
    const deadlineMs = context.now() + context.patienceMs;
    if (epochOf(line.chosen) === numbers.epoch) {
      this.run(line, new Mend(line, deadlineMs, roundContext, (mend) => this.onMended(mend)));
    } else {
      // A node may have promised to take no ballots of that epoch any more.
      const times = { deadlineMs, patienceMs: context.patienceMs };
      this.run(line, new Round(line, identity(context.none), times, roundContext));
    }
  }

  /** What is busy sees to it before it goes on. */
  private onBehind(key: string): void {
    const line = this.lines.get(key);
    if (line !== undefined && line.running === null) this.next(line);
  }

  /** Rule W9: under a new ballot all have the state of one copy whose replies were those of most. */
  private onDifference({ key, nodes, differing }: Register): void {
    const { context } = this;
    const line = this.lines.get(key);
    if (line === undefined) return;
    context.count('difference');
    context.onDifference(key, nodes, differing);
    if (differing === 0) return;
    const times = { deadlineMs: context.now() + context.timeoutMs, patienceMs: context.patienceMs };
    const client = { onOutcome: () => {} };
    this.enqueue(line, { operation: levelled(context.none), client, times });
  }

  private onMended(mend: Mend<C, R, V>): void {
    const line = mend.register as Line<C, R, V>;
    this.active.remove(mend);
    this.pauseMends(line);
    this.next(line);
  }

  /** From the end of an attempt on: however long one takes, what waits has its turn before the next. */
  private pauseMends(line: Line<C, R, V>): void {
    line.mendFromMs = this.context.now() + line.mendPauseMs;
    line.mendPauseMs = line.behind === 0 ? MEND_PAUSE_MS_MIN : Math.min(line.mendPauseMs * 2, MEND_PAUSE_MS_MAX);
  }

  private onFinished(round: Round<C, R, V>, outcome: Outcome<R>): void {
    this.active.remove(round);
    const line = round.register as Line<C, R, V>;
    const { job } = line;
    if (job === null) this.pauseMends(line);
    // The next is on its way before the client is told, who may submit more.
    this.next(line);
    if (job === null) return;
    if (job.operation.walk !== undefined && (outcome.kind === 'done' || outcome.kind === 'unknown')) {
      this.read(round.key, round.nodes, job.operation, job.client, job.times, true);
      return;
    }
    if (outcome.kind === 'done') this.context.count(job.operation.reads === null ? 'write' : 'slow-read');
    this.tell(job.client, outcome);
  }

  private tell(client: Client<R>, outcome: Outcome<R>): void {
    if (outcome.kind !== 'done') this.context.count(outcome.kind);
    client.onOutcome(outcome);
  }
}

/** Nothing changes, but that the state is chosen under a new ballot. */
function identity<C, R>(none: C): Operation<C, R> {
  const same = (replies: R) => replies;
  return {
    reads: none,
    readReply: same,
    plan: () => ({ kind: 'all', commands: none, setsExpiry: 0, reply: same }),
  };
}

/** One copy's state is given to the others, under a new ballot. */
function levelled<C, R>(none: C): Operation<C, R> {
  const same = (replies: R) => replies;
  return { reads: null, readReply: same, plan: () => ({ kind: 'one', commands: none, reply: same }) };
}
