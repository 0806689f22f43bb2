/**
 * One operation on one key, under a ballot: the protocol of REPLICATION.md, W1 to W8, R2 and X1, X2. It decides; whoever
 * runs it sends the steps, and tells it the answers and the time.
 *
 *             ride                          found
 *   begin ───────────────┐            ┌── reading <──┐ what is there decides what to do
 *     │                  v            v              │
 *     └─> preparing ─> plan ─────> accepting ─q OK─> finished
 *            ^    q promises          │  ^ │
 *            │                        │  └─┘ install on those that were behind (W3)
 *            └──────── backoff <──────┘ q cannot be had: settle what was sent (W6), or try again
 *
 * Invariant: `sent` holds every ballot under which this operation, or an identity that finishes it, was sent and may have been
 * accepted anywhere.
 */
import { Attempt, type Role } from './attempt.js';
import { type Ballot, floorOf, largest, NEVER } from './ballot.js';
import { bits } from './copies.js';
import { lineageOn, NO_LINEAGE, standsOn } from './lineage.js';
import type { BaseFacts, Operation, Plan } from './operation.js';
import type { Register, Ride } from './register.js';
import type { Member } from './roster.js';
import type { AcceptAnswer, Answer, KeyFacts, KeyState, PrepareAnswer, Step, ViewAnswer } from './step.js';

/** What became of an operation. */
export type Outcome<R> =
  /** `ballot`: that of the state that it left, or read. */
  | { kind: 'done'; reply: R; ballot: Ballot }
  /** It was carried out, or will be, or neither. */
  | { kind: 'unknown'; why: string }
  /** Not carried out: fewer nodes can be reached than have to agree, */
  | { kind: 'no-quorum' }
  /** others kept overtaking it, */
  | { kind: 'overtaken' }
  /** the copy that it was to be read at is gone, or has another state than most, */
  | { kind: 'cursor-lost' }
  /** so many wait for the key already that it may not, */
  | { kind: 'crowded'; max: number }
  /** its time was up before its turn came, */
  | { kind: 'overdue' }
  /** or nodes refused to, with that error reply. */
  | { kind: 'unable'; error: Uint8Array };

/** What a round has done, by its number of round trips and the like: for counters. */
export type RoundEvent = 'prepare' | 'refused' | 'settle' | 'install' | 'expired' | 'impatient' | 'alone';

export interface RoundContext<C, R, V> {
  /** Of `Register.nodes`, how many have to agree. */
  readonly quorum: number;
  /** Commands of an identity. */
  readonly none: C;
  /** Milliseconds that never go back. */
  now(): number;
  /** The proposer's clock: milliseconds since 1970. */
  clock(): number;
  /** From [0, 1). */
  random(): number;
  /**
   * Has copy number `copy` of the key carry out a step. What comes of it is told once, later, with the same tag: an answer, or null
   * when none will come.
   */
  send(round: Asker<R, V>, copy: number, tag: number, step: Step<C, V>): void;
  /** Once. The round takes no more part, but answers may still be told. */
  finish(round: Round<C, R, V>, outcome: Outcome<R>): void;
  /** A late answer has shown that a copy does not have the state that was chosen last. */
  onBehind(register: Register): void;
  /** Whether the node can be asked now, as far as is known. */
  isReachable(node: number): boolean;
  /** Whether nodes have given the same replies. */
  areEqual(one: R, other: R): boolean;
  /** Copies have done the same on the same base, and replied differently. `register.differing`: those that differ from most; 0 while nobody knows. */
  onDifference(register: Register): void;
  count(event: RoundEvent): void;
}

/** Who wants an operation carried out. */
export interface Client<R> {
  onOutcome(outcome: Outcome<R>): void;
}

/** Who has steps on a key carried out, and is told what comes of them. */
export interface Asker<R, V> {
  /** The key's bytes, a character each (latin1), and the nodes of its copies. */
  readonly key: string;
  readonly nodes: readonly number[];
  /** When `onTime` is to be called, in milliseconds of `now`. */
  readonly dueMs: number;
  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void;
  onTime(): void;
}

export interface RoundTimes {
  /** After that the client is told that it is not known, in milliseconds of `now`. */
  readonly deadlineMs: number;
  /** For how long the slowest copies are waited for before another way is tried. */
  readonly patienceMs: number;
}

const BACKOFF_MIN_MS = 1;
const BACKOFF_MAX_MS = 64;
const BACKOFFS_MAX = 6;

interface Tag<R> {
  readonly kind: 'prepare' | 'read' | 'accept' | 'snapshot';
  readonly attempt: Attempt<R> | null;
}

type Phase = 'new' | 'preparing' | 'reading' | 'accepting' | 'backoff' | 'finished';

/** Nearly all rounds have one attempt, of one tag: their lists come to be with what is in them, and take a third of the memory. */
const NONE: readonly never[] = [];

const NOTHING: KeyFacts = { accepted: NEVER, lineage: NO_LINEAGE, live: false, expireAt: 0 };

export class Round<C, R, V> implements Asker<R, V>, Member {
  readonly key: string;
  readonly nodes: readonly number[];
  dueMs: number;
  place = -1;
  readonly register: Register;
  private readonly context: RoundContext<C, R, V>;
  private readonly operation: Operation<C, R>;
  private readonly times: RoundTimes;
  private readonly all: number;
  private phase: Phase = 'new';
  private tags: readonly Tag<R>[] = NONE;
  /** What the current phase waits for: answers with another tag come too late. */
  private tag = -1;
  private ballot: Ballot = NEVER;
  private sent: readonly Attempt<R>[] = NONE;
  /** Ballots of cleanings: they are begun where nothing of what was sent before is. */
  private cleanings: readonly Ballot[] = NONE;
  private backoffs = 0;
  /** The error of a node that could not do what it was asked to (rule W8), and all that could not so far. */
  private error: Uint8Array | null = null;
  private couldNot = 0;

  /** What the operation starts from, the copies that have it, and whether its value is there no more. */
  private base: KeyFacts = NOTHING;
  /** The largest ballot that may have been there before, where nothing is. */
  private horizon: Ballot = NEVER;
  private holders = 0;
  private isExpired = false;
  /** A node's clock has passed the expiry that the operation sets. */
  private isOwnExpired = false;

  // Of the phase; copies are bits, bit i for copy i:
  /** those that have not answered, */
  private out = 0;
  /** whether one has promised more to another proposer; */
  private wasRefused = false;
  /** preparing: those that could not (rule W8), the promises, and who made them; */
  private unable = 0;
  private promises: readonly Extract<PrepareAnswer, { kind: 'ok' }>[] = NONE;
  private promisers: readonly number[] = NONE;
  /** reading: what, and who else can be asked; */
  private toRead: C;
  private others = 0;
  /** accepting: what, and the state that it made; */
  private attempt: Attempt<R> | null = null;
  private made: KeyFacts = NOTHING;
  /** those that have it, and of these those that have promised the next ballot, */
  private yes = 0;
  private rides = 0;
  /** those that had another state than the base: they can be given the new one, */
  private behind = 0;
  /** and, of those that have it, those that were asked for it. */
  private asked = 0;
  private isAsking = false;

  constructor(register: Register, operation: Operation<C, R>, times: RoundTimes, context: RoundContext<C, R, V>) {
    this.key = register.key;
    this.nodes = register.nodes;
    this.register = register;
    this.operation = operation;
    this.times = times;
    this.context = context;
    this.toRead = context.none;
    this.all = (1 << register.nodes.length) - 1;
    this.dueMs = times.deadlineMs;
  }

  begin(): void {
    const { ride } = this.register;
    // What the few that are left had accepted would have happened as soon as others are back: who only asks them has changed nothing.
    if (ride === null || !this.isQuorumReachable()) this.prepare();
    else this.takeRide(ride);
  }

  private isQuorumReachable(): boolean {
    let count = 0;
    for (const node of this.nodes) if (this.context.isReachable(node)) count++;
    return count >= this.context.quorum;
  }

  onAnswer(copy: number, tag: number, answer: Answer<R, V> | null): void {
    const { kind, attempt } = this.tags[tag] as Tag<R>;
    const bit = 1 << copy;
    if (kind === 'accept') {
      const accepted = answer as AcceptAnswer<R> | null;
      this.note(attempt as Attempt<R>, bit, accepted);
      if (this.phase === 'accepting' && attempt === this.attempt) this.onAccepted(bit, accepted);
      else this.onLate(attempt as Attempt<R>);
    } else if (tag !== this.tag || this.phase === 'finished') {
      if (answer?.kind === 'refused') this.register.onSeen(answer.promised, answer.epochFloor);
    } else if (kind === 'prepare') {
      this.onPrepared(copy, answer as PrepareAnswer | null);
    } else if (kind === 'read') {
      this.onRead(bit, answer as ViewAnswer<R, V> | null);
    } else {
      this.onState(answer as ViewAnswer<R, V> | null);
    }
  }

  onTime(): void {
    const { deadlineMs } = this.times;
    if (this.context.now() >= deadlineMs) {
      this.giveUp();
      return;
    }
    this.dueMs = deadlineMs;
    if (this.phase === 'backoff') {
      this.prepare();
    } else if (this.phase === 'reading') {
      this.context.count('impatient');
      this.read();
    } else if (this.phase === 'accepting') {
      // The slow may still answer; the new state may do for those that are behind; else what was sent is to be settled, by those that do
      // answer. While these are too few, there is nobody else.
      this.isAsking = false;
      const isAsking = this.askForState();
      if (!isAsking && bits(this.all & ~this.out) < this.context.quorum) {
        this.dueMs = this.untilImpatient();
        return;
      }
      this.context.count('impatient');
      if (!isAsking) this.again();
    }
    // Preparing: all were asked, and there is nobody else.
  }

  // Preparing

  private prepare(): void {
    const { register, context } = this;
    register.ride = null;
    this.phase = 'preparing';
    this.ballot = register.freshBallot();
    this.promises = NONE;
    this.promisers = NONE;
    context.count('prepare');
    this.open('prepare', null, this.all);
    const step: Step<C, V> = { kind: 'prepare', ballot: this.ballot };
    for (let copy = 0; copy < this.nodes.length; copy++) context.send(this, copy, this.tag, step);
  }

  private onPrepared(copy: number, answer: PrepareAnswer | null): void {
    const bit = 1 << copy;
    this.out &= ~bit;
    if (answer?.kind === 'ok') {
      this.promises = withOne(this.promises, answer);
      this.promisers = withOne(this.promisers, copy);
      this.register.onSeen(answer.accepted, answer.epochFloor);
    } else if (answer?.kind === 'refused') {
      this.register.onSeen(answer.promised, answer.epochFloor);
      this.onRefused();
    } else if (answer?.kind === 'unable') {
      this.unable |= bit;
      this.error = answer.error;
    }
    const { quorum } = this.context;
    if (this.promises.length >= quorum) this.onPromised();
    else if (this.promises.length + bits(this.out) < quorum) this.again();
  }

  /** q copies take no older ballot any more: the largest that one of them accepted is the base. */
  private onPromised(): void {
    let largest: KeyFacts = this.promises[0] as KeyFacts;
    for (const promise of this.promises) if (promise.accepted > largest.accepted) largest = promise;
    const { accepted, lineage, live, expireAt } = largest;
    this.holders = 0;
    for (const [at, promise] of this.promises.entries()) {
      if (promise.accepted === accepted) this.holders |= 1 << (this.promisers[at] as number);
    }
    this.base = { accepted, lineage, live, expireAt };
    this.horizon = this.forgotten();
    this.isExpired = this.hasExpired();
    this.dropNowhere();
    if (this.sent.length === 0) this.proceed(null);
    else this.settle();
  }

  /** The largest ballot that a copy may have had of which it says that there is nothing: its meta was collected, or lost with its node. */
  private forgotten(): Ballot {
    let ballot = NEVER;
    for (const { accepted, collected, epochFloor } of this.promises) {
      if (accepted === NEVER) ballot = largest(ballot, largest(collected, floorOf(epochFloor)));
    }
    return ballot;
  }

  /** Rule W6, with q promises and the largest accepted ballot among them. */
  private settle(): void {
    const { base, context, sent } = this;
    context.count('settle');
    const own = sent.find(({ ballot }) => standsOn(base, ballot) === true);
    const isChosen = bits(this.holders) >= context.quorum;
    if (own !== undefined) {
      this.finishOwn(own.finishes ?? own, isChosen);
      return;
    }
    const neverHappened = sent.every(({ ballot }) => this.isApart(ballot) && this.horizon < ballot);
    if (!neverHappened) {
      const why = 'other writes followed, and whether they were on top of this one cannot be told';
      this.finish({ kind: 'unknown', why });
      return;
    }
    const wereUnable = sent.reduce((mask, { unable }) => mask | unable, 0);
    // And never will: what is not below a chosen state will not be below any that comes after it. What is above it, or where that
    // state is not chosen, only once this ballot is: until then a copy that these q do not know of may have it, and others may find
    // it there.
    if (isChosen) this.sent = sent.filter(({ ballot }) => ballot > base.accepted);
    if (!this.preventsQuorum(wereUnable)) {
      this.proceed(null);
    } else if (this.sent.length === 0) {
      this.finish({ kind: 'unable', error: this.error as Uint8Array });
    } else {
      const error = Buffer.from(this.error as Uint8Array)
        .toString()
        .trimEnd();
      this.finish({ kind: 'unknown', why: `some of its nodes could not: ${error}` });
    }
  }

  /** What is there is that attempt's, or was made on top of it: once that is chosen, it has happened. */
  private finishOwn(own: Attempt<R>, isChosen: boolean): void {
    const { base, ballot, context, holders, register } = this;
    if (!isChosen) {
      this.accept(context.none, 0, 'identity', this.all, same);
      (this.attempt as Attempt<R>).finishes = own;
      return;
    }
    register.onChosen(base.accepted, base.lineage, holders, 0);
    // q copies have promised this ballot, for which nothing was sent.
    register.ride = { ballot, base };
    this.answer(own, base.accepted);
  }

  /**
   * Whether what is there was not made on top of that ballot, which was sent. A cleaning of this round was begun on what was not: what
   * was made on top of the cleaning is not, either.
   */
  private isApart(ballot: Ballot): boolean {
    const { base, cleanings } = this;
    return standsOn(base, ballot) === false || cleanings.some((cleaning) => standsOn(base, cleaning) === true);
  }

  // Planning

  private takeRide({ ballot, base }: Ride): void {
    this.register.ride = null;
    this.ballot = ballot;
    this.base = base;
    this.holders = this.register.holders;
    this.isExpired = this.hasExpired();
    this.proceed(null);
  }

  private hasExpired(): boolean {
    const { base, register, context } = this;
    if (!base.live) return false;
    return register.knownExpired === base.accepted || (base.expireAt > 0 && base.expireAt <= context.clock());
  }

  private proceed(found: R | null): void {
    const { base, operation, all, context } = this;
    const hasValue = base.live && !this.isExpired;
    const facts: BaseFacts = {
      accepted: base.accepted,
      live: hasValue,
      expireAt: hasValue ? base.expireAt : 0,
      nowMs: context.clock(),
      isOwnExpired: this.isOwnExpired,
    };
    const plan: Plan<C, R> = operation.plan(facts, found);
    const role = operation.reads === null ? 'operation' : 'read';
    if (plan.kind === 'all') {
      this.accept(plan.commands, plan.setsExpiry, role, all, plan.reply);
    } else if (plan.kind === 'one') {
      context.count('alone');
      this.accept(plan.commands, 0, role, this.chooseOne(), plan.reply);
    } else if (this.isExpired) {
      // A node by whose clock it has not would show what is there no more.
      this.accept(context.none, 0, 'cleaning', all, same);
    } else {
      this.phase = 'reading';
      this.toRead = plan.commands;
      this.others = this.holders;
      this.read();
    }
  }

  /** A copy that has the base, rather one that can do what others could not, and whose replies were those of most. */
  private chooseOne(): number {
    const { holders } = this;
    const able = holders & ~this.couldNot;
    const best = able & ~this.register.differing;
    const choice = best !== 0 ? best : able !== 0 ? able : holders;
    return choice & -choice;
  }

  /** Has one of the copies that have the base read what the plan depends on. */
  private read(): void {
    const bit = this.others & -this.others;
    if (bit === 0) {
      this.again();
      return;
    }
    this.others &= ~bit;
    this.open('read', null, bit);
    this.dueMs = this.untilImpatient();
    this.context.send(this, 31 - Math.clz32(bit), this.tag, { kind: 'read', commands: this.toRead });
  }

  private onRead(bit: number, answer: ViewAnswer<R, V> | null): void {
    if (answer?.kind === 'unable') {
      this.couldNot |= bit;
      this.error = answer.error;
    }
    if (answer?.kind !== 'view' || answer.accepted !== this.base.accepted) {
      this.read();
      return;
    }
    if (answer.isExpired) this.onExpired(this.base.accepted);
    this.proceed(answer.replies);
  }

  // Accepting

  private accept(commands: C, setsExpiry: number, role: Role, copies: number, reply: (replies: R) => R): void {
    const { ballot, isExpired: expired, context } = this;
    const base = this.base.accepted;
    const lineage = lineageOn(this.base, ballot, this.horizon);
    const next = this.register.freshBallot();
    const attempt = new Attempt(role, { ballot, base, lineage, next }, copies, reply);
    if (role === 'operation' || role === 'identity') this.sent = withOne(this.sent, attempt);
    else if (role === 'cleaning') this.cleanings = withOne(this.cleanings, ballot);
    this.attempt = attempt;
    this.phase = 'accepting';
    this.yes = 0;
    this.rides = 0;
    // Who is not asked to carry it out is given what it makes.
    this.behind = this.all & ~copies;
    this.asked = 0;
    this.isAsking = false;
    this.dueMs = this.untilImpatient();
    this.open('accept', attempt, copies);
    const expected = this.base;
    const step: Step<C, V> = { kind: 'accept', ballot, base, expected, lineage, expired, commands, setsExpiry, next };
    for (let copy = 0; copy < this.nodes.length; copy++) {
      if ((copies & (1 << copy)) !== 0) context.send(this, copy, this.tag, step);
    }
  }

  /** What an answer says of its attempt, whenever it comes. */
  private note(attempt: Attempt<R>, bit: number, answer: AcceptAnswer<R> | null): void {
    const { register } = this;
    const isChosen = register.chosen === attempt.ballot;
    switch (answer?.kind) {
      case 'ok':
      case 'already':
        attempt.accepted |= bit;
        if (answer.kind === 'ok' && answer.replies !== null) this.compare(attempt, bit, answer.replies);
        if (isChosen) register.holders |= bit;
        return;
      case 'refused':
        register.onSeen(answer.promised, answer.epochFloor);
        attempt.denied |= bit;
        return;
      case 'unsent':
        attempt.denied |= bit;
        return;
      case 'stale':
      case 'expired':
        attempt.denied |= bit;
        if (!isChosen) return;
        register.behind |= bit;
        this.context.onBehind(register);
        return;
      case 'unable':
        attempt.denied |= bit;
        attempt.unable |= bit;
        this.couldNot |= bit;
        this.error = answer.error;
    }
  }

  /** Rule W9: who has done the same on equal states has equal replies. */
  private compare(attempt: Attempt<R>, bit: number, replies: R): void {
    const { context, operation, register } = this;
    const isComparable = attempt.role === 'operation' && operation.repliesAgree === true;
    const differing = attempt.onReplies(bit, replies, isComparable ? context.areEqual : null, context.quorum);
    if (differing === null) return;
    if (differing !== 0) register.differing = differing;
    context.onDifference(register);
  }

  private onAccepted(bit: number, answer: AcceptAnswer<R> | null): void {
    const attempt = this.attempt as Attempt<R>;
    this.out &= ~bit;
    switch (answer?.kind) {
      case 'ok':
      case 'already':
        this.yes |= bit;
        if (answer.promised === attempt.next) this.rides |= bit;
        if (this.made.accepted !== attempt.ballot) {
          const { live, expireAt } = answer;
          this.made = { accepted: attempt.ballot, lineage: attempt.lineage, live, expireAt };
        }
        break;
      case 'stale':
        this.behind |= bit;
        break;
      case 'expired':
        if (answer.what === 'own') this.isOwnExpired = true;
        else this.onExpired(attempt.base);
        this.behind |= bit;
        break;
      case 'refused':
        this.onRefused();
        break;
    }
    this.decide();
  }

  /** Enough may have accepted an attempt that was given up for lost: then it is chosen, whatever was tried since (rule W2). */
  private onLate(attempt: Attempt<R>): void {
    const { context, register } = this;
    if (this.phase === 'finished' || attempt.role === 'cleaning' || bits(attempt.accepted) < context.quorum) return;
    const { replies, reply } = attempt.finishes ?? attempt;
    if (replies === null) return;
    register.onChosen(attempt.ballot, attempt.lineage, attempt.accepted, 0);
    this.finish({ kind: 'done', reply: reply(replies), ballot: attempt.ballot });
  }

  private decide(): void {
    const { quorum } = this.context;
    const possible = this.yes | this.out;
    if (bits(this.yes) >= quorum) this.onChosen();
    else if (bits(possible) >= quorum || this.isAsking) return;
    // Nobody has it yet: once all have said that they never will, there is nothing to settle.
    else if (this.yes === 0 && this.out !== 0) return;
    else if (bits(possible | this.behind) < quorum || !this.askForState()) this.again();
  }

  /** Asks one of those that have the new state for it, to give it to those that were behind (rule W3). Returns whether there is one. */
  private askForState(): boolean {
    const others = this.yes & ~this.asked;
    const bit = others & -others;
    if (bit === 0 || this.behind === 0) return false;
    this.asked |= bit;
    this.isAsking = true;
    this.dueMs = this.untilImpatient();
    this.newTag('snapshot', null);
    this.context.send(this, 31 - Math.clz32(bit), this.tag, { kind: 'snapshot' });
    return true;
  }

  private onState(answer: ViewAnswer<R, V> | null): void {
    const { context, behind } = this;
    const attempt = this.attempt as Attempt<R>;
    this.isAsking = false;
    if (answer?.kind !== 'view' || answer.accepted !== attempt.ballot) {
      if (!this.askForState()) this.decide();
      return;
    }
    const { accepted, lineage, live, expireAt, value } = answer;
    const state: KeyState<V> = { accepted, lineage, live, expireAt, value };
    attempt.sentTo |= behind;
    attempt.denied &= ~behind;
    this.out |= behind;
    this.behind = 0;
    this.newTag('accept', attempt);
    const step: Step<C, V> = { kind: 'install', state, next: attempt.next };
    for (let copy = 0; copy < this.nodes.length; copy++) {
      if ((behind & (1 << copy)) === 0) continue;
      context.count('install');
      context.send(this, copy, this.tag, step);
    }
  }

  private onChosen(): void {
    const { register, made } = this;
    const attempt = this.attempt as Attempt<R>;
    register.onChosen(attempt.ballot, attempt.lineage, this.yes, this.behind);
    // One copy's state is that of all.
    if (this.asked !== 0) register.differing = 0;
    const ride = bits(this.rides) >= this.context.quorum ? { ballot: attempt.next, base: made } : null;
    register.ride = ride;
    if (attempt.role === 'cleaning') {
      if (ride === null) this.prepare();
      else this.takeRide(ride);
      return;
    }
    this.answer(attempt.finishes ?? attempt, attempt.ballot);
  }

  /** The attempt has happened, and `ballot` is that of the state now. */
  private answer({ replies, reply }: Attempt<R>, ballot: Ballot): void {
    if (replies === null) this.finish({ kind: 'unknown', why: 'it was carried out, but its reply was lost' });
    else this.finish({ kind: 'done', reply: reply(replies), ballot });
  }

  // Failing

  private onExpired(ballot: Ballot): void {
    this.context.count('expired');
    this.register.knownExpired = ballot;
    if (ballot === this.base.accepted) this.isExpired = true;
  }

  private onRefused(): void {
    this.wasRefused = true;
    this.context.count('refused');
  }

  /** Of what was sent, that which no copy has accepted, nor will. */
  private dropNowhere(): void {
    if (this.sent.length > 0) this.sent = this.sent.filter((attempt) => !attempt.isNowhere);
  }

  /** The phase has failed: another ballot. */
  private again(): void {
    const wereUnable = this.phase === 'preparing' ? this.unable : this.couldNot;
    this.dropNowhere();
    if (this.sent.length === 0) {
      if (this.preventsQuorum(wereUnable)) {
        this.finish({ kind: 'unable', error: this.error as Uint8Array });
        return;
      }
      if (this.phase === 'preparing' && !this.wasRefused) {
        this.finish({ kind: 'no-quorum' });
        return;
      }
    }
    const isFirst = this.backoffs === 0;
    const longestMs = Math.min(BACKOFF_MIN_MS << this.backoffs, BACKOFF_MAX_MS);
    this.backoffs = Math.min(this.backoffs + 1, BACKOFFS_MAX);
    if (isFirst && this.phase !== 'preparing' && !this.wasRefused) {
      this.prepare();
      return;
    }
    this.phase = 'backoff';
    this.dueMs = Math.min(this.times.deadlineMs, this.context.now() + longestMs * this.context.random());
  }

  /** Whether, without these copies, too few are left. */
  private preventsQuorum(copies: number): boolean {
    return bits(this.all & ~copies) < this.context.quorum;
  }

  /** The time is up. */
  private giveUp(): void {
    this.dropNowhere();
    if (this.sent.length > 0) this.finish({ kind: 'unknown', why: 'too few of its nodes answered in time' });
    else this.finish({ kind: this.wasRefused ? 'overtaken' : 'no-quorum' });
  }

  private finish(outcome: Outcome<R>): void {
    this.phase = 'finished';
    this.dueMs = Number.POSITIVE_INFINITY;
    this.context.finish(this, outcome);
  }

  private open(kind: Tag<R>['kind'], attempt: Attempt<R> | null, copies: number): void {
    this.newTag(kind, attempt);
    this.out = copies;
    this.unable = 0;
    this.wasRefused = false;
  }

  private newTag(kind: Tag<R>['kind'], attempt: Attempt<R> | null): void {
    this.tag = this.tags.length;
    this.tags = withOne(this.tags, { kind, attempt });
  }

  private untilImpatient(): number {
    return Math.min(this.times.deadlineMs, this.context.now() + this.times.patienceMs);
  }
}

function withOne<T>(list: readonly T[], one: T): readonly T[] {
  return list.length === 0 ? [one] : [...list, one];
}

function same<R>(replies: R): R {
  return replies;
}
