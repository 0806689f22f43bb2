/**
 * Commands of drop-in clients on their way to the nodes of a lock and back: `lock-keyspace-forms` says how they are asked for,
 * `lock-keyspace-votes` what comes of the answers.
 *
 *   ask --> all nodes --votes--> decide --> reply --late votes--> take back (late-votes)
 *    ^                             ├──> take back, on the connections that it went by: so behind it, and before what the client does next
 *    └────── later: a read that nodes did not agree about
 */
import { errorBytes } from '../base/errors.js';
import type { NodeLimits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { Timer } from '../base/timers.js';
import type { Replicas } from '../replica/replicas.js';
import { nullsToResp2 } from '../replica/reply-shape.js';
import type { NotMember, Unable, Unsent } from '../replica/step.js';
import { errorReply, integerReply, nullReply } from '../resp/reply.js';
import type { LockSets } from '../routing/copy-sets.js';
import type { Transport } from '../transport/transport.js';
import { type Latecomer, LateVotes } from './late-votes.js';
import type { LockForm } from './lock-keyspace-forms.js';
import { type DropInAnswer, dropInStep, KnownNodes, takeBackStep } from './lock-keyspace-steps.js';
import { decide, type TakeBack, type Verdict, type Vote, type Written } from './lock-keyspace-votes.js';
import { quorumOf } from './redlock.js';
import { ScriptProbe } from './script-probe.js';
import { withTimes } from './times.js';

export interface LockKeyspaceContext {
  transport: Transport;
  replicas: Replicas;
  counts: Counts;
  /** A number in [0, 1). */
  random: () => number;
}

/** What is wanted of the locks whose nodes lie at `at` in `sets`. */
export interface LockOrder {
  readonly sets: LockSets;
  readonly at: number;
  readonly form: LockForm;
  /** The client: see late-votes. */
  readonly asker: { readonly isClosed: boolean };
  readonly protocol: 2 | 3;
}

type Answered = DropInAnswer | NotMember | Unable | Unsent | null;

/** Times that a read is asked for while nodes do not agree: others are taking the lock, and one of them will have it soon, or none. */
const READS_MAX = 4;
/** Between two of them, a random part of it more. */
const READ_PAUSE_MS = 10;

export class LockKeyspace {
  private readonly context: LockKeyspaceContext;
  private readonly known = new KnownNodes();
  private readonly late = new LateVotes();

  constructor(context: LockKeyspaceContext) {
    this.context = context;
  }

  /**
   * `told` is told the reply once, never within the call. Returns whether nodes are asked something else first: what the same client asks next
   * could come before its command then, and has to wait for the reply.
   */
  ask(order: LockOrder, told: (reply: Uint8Array) => void): boolean {
    const { context, known, late } = this;
    const { form, asker } = order;
    const poll = new Poll(context, known, late, order, told);
    if (!isRead(form)) late.onAsked(poll);
    if (form.kind !== 'script' || form.sha === null || form.whole !== null) return poll.begin();
    const probe = new ScriptProbe({ ...context, known }, poll.nodes, poll.limits, form.sha, (refusal) => {
      if (refusal !== null) told(refusal);
      // Nobody would give back what it takes.
      else if (asker.isClosed) told(GONE);
      else poll.begin();
    });
    if (probe.isKnown) return poll.begin();
    probe.begin();
    return true;
  }
}

const GONE = errorReply('ERR the client has gone');

class Poll implements Latecomer {
  /** Of no matter: what is asked is no step on one key. */
  readonly key = '';
  readonly keys: readonly string[];
  readonly asker: object;
  readonly text: string;
  /** Their numbers as voters. */
  readonly nodes: readonly number[];
  readonly limits: NodeLimits;
  private readonly context: LockKeyspaceContext;
  private readonly known: KnownNodes;
  private readonly late: LateVotes;
  private readonly order: LockOrder;
  private readonly told: (reply: Uint8Array) => void;
  private votes: (Vote | null | undefined)[] = [];
  private quarantinedMs: number[] = [];
  /** Why a node could not, in its own words. */
  private error: Uint8Array | null = null;
  /** Some node may have carried it out. */
  private mayBeDone = false;
  /** Copies that were asked first whether they count. */
  private readonly askedFirst = new Set<number>();
  private beganMs = 0;
  private round = 1;
  private timer: Timer | null = null;
  private isOver = false;
  /** What the client was told, as a node says it; null where that was none's word. */
  private outcome: Uint8Array | null = null;
  private isForgone = false;

  constructor(
    context: LockKeyspaceContext,
    known: KnownNodes,
    late: LateVotes,
    order: LockOrder,
    told: (reply: Uint8Array) => void,
  ) {
    this.context = context;
    this.known = known;
    this.late = late;
    this.keys = keysOf(order.form).map(latin1);
    this.asker = order.asker;
    this.text = order.form.kind === 'script' ? JSON.stringify(order.form.words.map(latin1)) : '';
    this.order = order;
    this.told = told;
    const { replicas } = context;
    this.nodes = replicas.numbersOf(order.sets, order.at);
    this.limits = replicas.limitsOf(replicas.poolOf(order.sets));
  }

  /** Returns whether a node is asked first whether it counts. */
  begin(): boolean {
    const { nodes, limits, context } = this;
    const { transport } = context;
    this.votes = nodes.map(() => undefined);
    this.quarantinedMs = [];
    this.error = null;
    this.beganMs = performance.now();
    for (const copy of nodes.keys()) this.askCopy(copy, false);
    const patienceMs = Math.min(limits.replicatedPatienceMs, limits.requestTimeoutMs);
    this.timer = transport.timers.set(transport.now + patienceMs, () => this.look(true));
    return this.askedFirst.size > 0;
  }

  /** `round`: in which it was asked. */
  onAnswer(copy: number, round: number, answer: Answered): void {
    if (round !== this.round) return;
    this.askedFirst.delete(copy);
    if (this.isOver) {
      this.onLate(copy, answer);
      return;
    }
    switch (answer?.kind) {
      case 'vote':
        this.mayBeDone = true;
        this.votes[copy] = answer;
        break;
      case 'open':
      case 'lacking':
      case 'full':
        this.askCopy(copy, answer.kind === 'full');
        return;
      case 'unsent':
      case 'not-member':
        this.votes[copy] = null;
        break;
      case 'quarantined':
        this.quarantinedMs.push(answer.leftMs);
        this.votes[copy] = null;
        break;
      case 'unable':
        this.error = answer.error;
        this.votes[copy] = null;
        break;
      default:
        this.mayBeDone = true;
        this.votes[copy] = null;
    }
    this.look(false);
  }

  forgo(): void {
    this.isForgone = true;
    this.late.remove(this);
  }

  /** The client has been told. */
  private onLate(copy: number, answer: Answered): void {
    const hasDoneNothing = answer?.kind === 'open' || answer?.kind === 'lacking' || answer?.kind === 'full';
    const hasTaken = this.votes.some((vote) => (vote?.written.length ?? 0) > 0);
    // What was given back is to be free at all nodes. What was taken may have been given back by others meanwhile.
    if (hasDoneNothing && !hasTaken && !this.isForgone) {
      this.askCopy(copy, answer.kind === 'full');
      return;
    }
    const vote = answer?.kind === 'vote' ? answer : null;
    this.votes[copy] = vote;
    if (!this.votes.includes(undefined)) this.late.remove(this);
    if (vote === null || vote.written.length === 0 || this.isForgone) return;
    if (this.outcome === null || Buffer.compare(vote.reply, this.outcome) !== 0) {
      this.takeBack([{ copy, written: vote.written }]);
    }
  }

  private askCopy(copy: number, isFull: boolean): void {
    const { context, nodes, order, known } = this;
    const node = nodes[copy] as number;
    const { questions } = known;
    const step = dropInStep(order.form, node, order.sets.ttlMaxMs, known, isFull);
    context.replicas.askNode(node, this, copy, this.round, step);
    if (known.questions > questions) this.askedFirst.add(copy);
  }

  /** `isOver`: who has not answered is not waited for any longer. */
  private look(isOver: boolean): void {
    const { votes, order, nodes, context } = this;
    // It would get the command after what the client asks next.
    if (!isOver && this.askedFirst.size > 0) return;
    const elapsedMs = performance.now() - this.beganMs;
    const verdict = decide(votes, { quorum: quorumOf(nodes.length), elapsedMs, unsaid: takenBy(order.form), isOver });
    if (verdict === null) return;
    // It was sent to those that have not answered.
    this.mayBeDone ||= votes.includes(undefined);
    context.transport.timers.cancel(this.timer);
    this.takeBack(verdict.takeBack);
    if (verdict.kind === 'split' && isRead(order.form) && this.round < READS_MAX) {
      const pauseMs = Math.ceil(READ_PAUSE_MS * (1 + context.random()));
      this.round++;
      context.transport.timers.set(context.transport.now + pauseMs, () => this.begin());
      return;
    }
    this.isOver = true;
    this.outcome = verdict.kind === 'majority' ? verdict.reply : null;
    // What else is taken back was sent behind the command.
    if (order.form.kind === 'script' && verdict.takeBack.length === 0 && votes.includes(undefined)) this.late.add(this);
    else this.isForgone = true;
    this.told(this.replyTo(verdict));
  }

  private takeBack(takeBack: readonly TakeBack[]): void {
    const { context, order, nodes } = this;
    const keys = keysOf(order.form);
    for (const { copy, written } of takeBack) {
      const step = takeBackStep(keys, written, order.form.kind === 'command');
      context.counts.locksTakenBack++;
      context.replicas.askNode(nodes[copy] as number, NOBODY, copy, 0, step);
    }
  }

  private replyTo(verdict: Verdict): Uint8Array {
    const { form, protocol, sets } = this.order;
    switch (verdict.kind) {
      case 'majority': {
        const { reply, times } = verdict;
        if (form.kind === 'time') return timeReply(reply, times[0] as number, form.unitMs);
        const whole = times.length === 0 ? reply : withTimes(reply, times);
        return protocol === 3 ? whole : nullsToResp2(whole, false);
      }
      case 'overlong': {
        const why = `a script set a lock to expire later than ttlMaxMs ${sets.ttlMaxMs}, or never`;
        return errorReply(
          `ERR ${why}: what it took was given back, and what was held before is held for no longer than that`,
        );
      }
      case 'split':
        if (takenBy(form).length > 0) return nullReply(protocol);
        return this.undecided('the nodes of the lock do not agree');
      case 'too-few': {
        const { length } = this.nodes;
        return this.undecided(`${verdict.votes} of ${length} nodes of the lock answered and count${this.reasons()}`);
      }
    }
  }

  /** `why`: there is no majority. */
  private undecided(why: string): Uint8Array {
    const { context, order, mayBeDone } = this;
    const { form } = order;
    context.counts.locksNoQuorum++;
    // What a SET took is taken back.
    const hasNoEffect = !mayBeDone || isRead(form) || takenBy(form).length > 0;
    if (hasNoEffect) return errorBytes('NOQUORUM', `${why}; the command had no effect`);
    return errorBytes('UNKNOWN', `${why}; some may have carried out the command`);
  }

  private reasons(): string {
    const { quarantinedMs, error } = this;
    const texts: string[] = [];
    if (quarantinedMs.length > 0) {
      const soon = Math.min(...quarantinedMs);
      texts.push(`${quarantinedMs.length} may have forgotten locks, and count again in ${soon} ms or later`);
    }
    if (error !== null) texts.push(`one says ${Buffer.from(error).toString('latin1').slice(1).trim()}`);
    return texts.length === 0 ? '' : ` (${texts.join('; ')})`;
  }
}

/** What is taken back is not waited for. */
const NOBODY = { key: '', onAnswer: () => {} };
const NOTHING: readonly Written[] = [];
const NONE_THERE = -2;

function takenBy(form: LockForm): readonly Written[] {
  return form.kind === 'command' && form.takes !== null ? [form.takes] : NOTHING;
}

function isRead(form: LockForm): boolean {
  return form.kind === 'time' || (form.kind === 'command' && form.isRead);
}

function keysOf(form: LockForm): readonly Uint8Array[] {
  if (form.kind === 'script') return form.keys;
  return form.kind === 'time' ? [form.key] : form.words.slice(1, 1 + form.keys);
}

/** As TTL rounds. What says that it holds nothing is not there, whatever it says of the time. */
function timeReply(holds: Uint8Array, remainingMs: number, unitMs: number): Uint8Array {
  if (holds[0] === NULL) return integerReply(NONE_THERE);
  return integerReply(remainingMs < 0 || unitMs === 1 ? remainingMs : Math.floor((remainingMs + unitMs / 2) / unitMs));
}

const NULL = 0x5f;

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
