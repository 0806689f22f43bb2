/**
 * All operations of one worker on the keys of one keyspace of consistency quorum, or weak (docs/CONSISTENCY.md). Those on one key are carried
 * out in the order in which they came, but for reads, which are so together:
 *
 *   submit ──> line of the key ──> QuorumRead, any number │ QuorumWrite │ QuorumChange ──> QuorumWrite
 *   copies that missed a write, or were found behind ──> lagging, a few at a time ──> QuorumRead, for nobody
 *
 * It decides; whoever runs it sends the steps, tells the answers, and calls `onTime` now and then. Nothing is remembered of a key on which
 * nothing is under way, but that a copy is behind.
 */
import { Fifo } from '../base/fifo.js';
import type { Operation } from './operation.js';
import type { ProposerContext } from './proposer.js';
import { type ChangeContext, QuorumChange } from './quorum-change.js';
import {
  HOME_AWAITED,
  homeOf,
  type PassableAsker,
  type QuorumAsker,
  type QuorumContext,
  type QuorumJob,
  type WritingJob,
} from './quorum-context.js';
import { QuorumRead } from './quorum-read.js';
import { putOf, QuorumWrite, stateOf } from './quorum-write.js';
import { type ProposerNumbers, Register } from './register.js';
import { Roster } from './roster.js';
import { type Client, type Outcome, Round, type RoundContext } from './round.js';
import { VersionClock } from './version-clock.js';

type Context<C, R, V> = Omit<ProposerContext<C, R, V>, 'quorum' | 'areEqual' | 'onDifference'>;

/** What it needs besides what every proposer does. */
export interface QuorumRules<C, R, V>
  extends Pick<
    QuorumContext<C, R, V>,
    'reads' | 'writes' | 'isHomed' | 'isAwaited' | 'repairs' | 'isEventual' | 'onMissed' | 'alone' | 'fuller'
  > {
  /** Of the copies. */
  readonly majority: number;
  /** That versions are made of: milliseconds since 1970, of any clock. */
  versionClock(): number;
}

interface Waiting<C, R> {
  readonly operation: Operation<C, R>;
  readonly client: Client<R>;
  readonly deadlineMs: number;
}

/** What is under way on one key, and what waits for that, in the order in which it came. */
class Line<C, R, V> {
  readonly key: string;
  readonly nodes: readonly number[];
  writer: QuorumAsker<R, V> | null = null;
  readers = 0;
  /** Those that wait for silent copies, and that writes do not wait for. Null where there was none yet. */
  overstaying: Set<PassableAsker<R, V>> | null = null;
  /** Null where nothing has waited yet. */
  waiting: Fifo<Waiting<C, R>> | null = null;
  isAdvancing = false;

  constructor(key: string, nodes: readonly number[]) {
    this.key = key;
    this.nodes = nodes;
  }

  mayBegin({ reads }: Operation<C, R>): boolean {
    return this.writer === null && (reads !== null || this.readers === 0);
  }

  get isIdle(): boolean {
    return (
      this.writer === null &&
      this.readers === 0 &&
      (this.overstaying?.size ?? 0) === 0 &&
      (this.waiting?.length ?? 0) === 0
    );
  }
}

/** A key of which copies are behind. */
interface Lag {
  readonly nodes: readonly number[];
  /** Bit i: copy i. */
  copies: number;
  fromMs: number;
}

/** Between two attempts to bring the copies of one key up to date, and before the first: what is late may still come. */
const MEND_PAUSE_MS = 100;
/** Before what came to nothing is tried again. */
const MEND_AGAIN_MS = 1_000;
/** Under way at a time. */
const MENDS_MAX = 16;
/** Looked at for one to begin with. */
const LOOKED_AT_MAX = 64;

export class QuorumProposer<C, R, V> {
  private readonly context: Context<C, R, V>;
  private readonly own: ChangeContext<C, R, V>;
  private readonly rounds: RoundContext<C, R, V>;
  /** Of rounds: they are another proposer than who makes versions. */
  private readonly numbers: ProposerNumbers;
  private readonly jobs = new Map<Round<C, R, V>, QuorumJob<R>>();
  private readonly lines = new Map<string, Line<C, R, V>>();
  private readonly active = new Roster<QuorumAsker<R, V>>();
  private readonly lagging = new Map<string, Lag>();
  private mending = 0;
  private readsBegun = 0;

  constructor(context: Context<C, R, V>, rules: QuorumRules<C, R, V>) {
    this.context = context;
    this.own = {
      ...context,
      ...rules,
      versions: new VersionClock(rules.versionClock, context.proposer),
      onLagging: (key, nodes, copies) => {
        if (rules.repairs) this.onLagging(key, nodes, copies);
      },
      onStuck: (read, operation, job) => this.settle(read, operation, job),
      onMade: (change, copy, state, reply) => {
        this.active.remove(change);
        const { job } = change;
        const write = new QuorumWrite(job, stateOf<C, R, V>(state, reply, rules.isEventual), this.own);
        job.writer = write;
        const line = this.lines.get(job.key);
        if (line?.writer === change) line.writer = write;
        this.active.add(write);
        write.beginAt(state.accepted, copy);
      },
      onOverstayed: (change) => {
        const line = this.lines.get(change.key) as Line<C, R, V>;
        line.writer = null;
        this.advance(line);
      },
      onOverstaying: (read) => {
        const line = this.lines.get(read.key) as Line<C, R, V>;
        line.readers--;
        line.overstaying ??= new Set();
        line.overstaying.add(read);
        this.advance(line);
      },
    };
    this.rounds = {
      ...context,
      quorum: rules.majority,
      areEqual: () => true,
      onBehind: () => {},
      onDifference: () => {},
      finish: (round, outcome) => this.onSettled(round, outcome),
    };
    this.numbers = { proposer: neighbour(context.proposer), epoch: 0, counterFloor: 0 };
  }

  /** `key`: its bytes, a character each. `nodes`: those of its copies, always the same for a key. */
  submit(key: string, nodes: readonly number[], operation: Operation<C, R>, client: Client<R>): void {
    const { context } = this;
    let line = this.lines.get(key);
    if (line === undefined) {
      line = new Line(key, nodes);
      this.lines.set(key, line);
    }
    const { waiting } = line;
    const asked = { operation, client, deadlineMs: context.now() + context.timeoutMs };
    if ((waiting === null || waiting.length === 0) && line.mayBegin(operation)) {
      this.begin(line, asked);
    } else if (waiting !== null && waiting.length >= context.keyQueueMax) {
      this.tell(client, { kind: 'crowded', max: context.keyQueueMax });
    } else {
      line.waiting ??= new Fifo();
      line.waiting.push(asked);
    }
  }

  /** To be called every few milliseconds while anything is active. */
  onTime(): void {
    const now = this.context.now();
    this.active.each((asker) => {
      if (asker.dueMs <= now) asker.onTime();
    });
    if (this.lagging.size > 0) this.mendSome();
  }

  get isActive(): boolean {
    return this.active.size > 0 || this.lagging.size > 0;
  }

  /** What is there is known to nobody who has not asked. */
  hasValue(): boolean {
    return false;
  }

  onOvertaken(): void {}

  /** The nodes of keys may be others from now on, or be known by other numbers: reads find out who is behind. */
  renew(): void {
    this.lagging.clear();
  }

  private begin(line: Line<C, R, V>, { operation, client, deadlineMs }: Waiting<C, R>): void {
    const { key, nodes } = line;
    const { context, own } = this;
    if (own.isHomed && homeOf(nodes, 0, nodes.length, own) === HOME_AWAITED) {
      this.onEnded(line, client, { kind: 'no-quorum' });
      return;
    }
    const times = { deadlineMs, patienceMs: context.patienceMs };
    if (operation.reads !== null) {
      const finish = (outcome: Outcome<R>) => {
        if (read.place >= 0) this.active.remove(read);
        if (line.overstaying?.delete(read) !== true) line.readers--;
        this.onEnded(line, client, outcome);
      };
      const first = own.isHomed || own.isEventual ? 0 : this.readsBegun++ % nodes.length;
      const read = new QuorumRead({ key, nodes, times, finish }, operation, first, own);
      line.readers++;
      this.active.add(read);
      read.begin();
      return;
    }
    const finish = (outcome: Outcome<R>) => {
      this.active.remove(job.writer as QuorumAsker<R, V>);
      if (line.writer === job.writer) line.writer = null;
      if (outcome.kind === 'done') context.count('write');
      this.onEnded(line, client, outcome);
    };
    const job: WritingJob<R, V> = { key, nodes, times, finish, writer: null };
    const writer =
      operation.isPut === true
        ? new QuorumWrite(job, putOf<C, R, V>(operation, context.clock), own)
        : new QuorumChange(job, operation, own);
    job.writer = writer;
    line.writer = writer;
    for (const read of line.overstaying ?? []) read.onPassed();
    this.active.add(writer);
    writer.begin();
  }

  /** What waits has its turn before the client is told, who may submit more. */
  private onEnded(line: Line<C, R, V>, client: Client<R>, outcome: Outcome<R>): void {
    this.advance(line);
    this.tell(client, outcome);
  }

  private advance(line: Line<C, R, V>): void {
    // What ends as soon as it begins comes back here.
    if (line.isAdvancing) return;
    const { waiting } = line;
    line.isAdvancing = true;
    for (let next = waiting?.peek(); next !== undefined && line.mayBegin(next.operation); next = waiting?.peek()) {
      waiting?.shift();
      if (next.deadlineMs < this.context.now()) this.tell(next.client, { kind: 'overdue' });
      else this.begin(line, next);
    }
    line.isAdvancing = false;
    if (line.isIdle && this.lines.get(line.key) === line) this.lines.delete(line.key);
  }

  /** As strong keys are read where copies differ: the largest state is chosen under a new ballot, which no write that is acknowledged is below. */
  private settle(read: PassableAsker<R, V>, operation: Operation<C, R>, job: QuorumJob<R>): void {
    this.active.remove(read);
    read.place = -1;
    // It reads what is there then: what came behind waits for it.
    const line = this.lines.get(read.key) as Line<C, R, V>;
    if (line.overstaying?.delete(read) === true) line.readers++;
    this.context.count('slow-read');
    const round = new Round(new Register(job.key, job.nodes, this.numbers), operation, job.times, this.rounds);
    this.jobs.set(round, job);
    this.active.add(round);
    round.begin();
  }

  private onSettled(round: Round<C, R, V>, outcome: Outcome<R>): void {
    this.active.remove(round);
    // Its ballots are not used again.
    round.register.forget();
    const job = this.jobs.get(round) as QuorumJob<R>;
    this.jobs.delete(round);
    // Nobody was promised that it is carried out once: it has only read.
    job.finish(outcome.kind === 'unknown' ? { kind: 'no-quorum' } : outcome);
  }

  private tell(client: Client<R>, outcome: Outcome<R>): void {
    if (outcome.kind !== 'done') this.context.count(outcome.kind);
    client.onOutcome(outcome);
  }

  // Copies that are behind

  private onLagging(key: string, nodes: readonly number[], copies: number, pauseMs = MEND_PAUSE_MS): void {
    const { lagging, context } = this;
    const known = lagging.get(key);
    if (known !== undefined) {
      known.copies |= copies;
      return;
    }
    if (lagging.size >= context.linesMax) {
      const [oldest] = lagging.keys();
      lagging.delete(oldest as string);
      context.count('forgotten');
    }
    lagging.set(key, { nodes, copies, fromMs: context.now() + pauseMs });
  }

  private mendSome(): void {
    const { lagging, context } = this;
    const now = context.now();
    // Not one twice: who is put behind the others comes up again.
    let left = Math.min(LOOKED_AT_MAX, lagging.size);
    for (const [key, lag] of lagging) {
      if (left-- === 0 || this.mending >= MENDS_MAX) return;
      // Behind the others: each has its turn.
      lagging.delete(key);
      const isThere = lag.nodes.some((node, copy) => (lag.copies & (1 << copy)) !== 0 && context.isReachable(node));
      if (!isThere || lag.fromMs > now) lagging.set(key, lag);
      else this.mend(key, lag.nodes);
    }
  }

  /** What cannot be reached then is found by who reads; of consistency eventual by nobody who asks for the key, so that it is tried again. */
  private mend(key: string, nodes: readonly number[]): void {
    const { context } = this;
    this.mending++;
    context.count('mend');
    const times = { deadlineMs: context.now() + context.timeoutMs, patienceMs: context.patienceMs };
    const finish = () => {
      this.active.remove(read);
      this.mending--;
      if (this.own.isEventual && read.lacking !== 0) this.onLagging(key, nodes, read.lacking, MEND_AGAIN_MS);
    };
    const read = new QuorumRead<C, R, V>({ key, nodes, times, finish }, null, 0, this.own);
    this.active.add(read);
    read.begin();
  }
}

/** Another number that nobody else has. */
function neighbour(proposer: string): string {
  return proposer.slice(0, -1) + ((Number(proposer.slice(-1)) + 1) % 10);
}
