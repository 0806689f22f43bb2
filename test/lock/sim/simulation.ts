/**
 * Locks in a time that is made up: clients that contend for one lock, by the decider of the product, over models of nodes. Messages are
 * late, lost, doubled and overtake each other; clients stand still; clocks go at rates of their own; nodes lose all they had, and are repaired.
 *
 * Where the assumptions hold, no two clients have the lock at once, but for readers, and for as many as a counted lock has slots. Where clocks jump they may, and what holds is that of two
 * acquisitions, one of which was over before the other was asked for, the later one has the larger fence; and no two have the same. The same
 * where all nodes lose all they had at once, while the clocks of those who draw ballots go forward, and differ by less than that takes.
 */

import { BEGIN_MS, LockBallots } from '../../../src/lock/ballots.js';
import { EXCLUSIVE, type LockMode } from '../../../src/lock/lock.js';
import type { LockReply, LockStep } from '../../../src/lock/lock-step.js';
import { Acquisition, type LockAction, quorumOf } from '../../../src/lock/redlock.js';
import { Retakes } from '../../../src/lock/retakes.js';
import { areCompatible, type Share } from '../../../src/lock/share.js';
import { extendOutcome, Replies } from '../../../src/lock/verdicts.js';
import { type Ballot, makeBallot, proposerNumber } from '../../../src/replica/ballot.js';
import { Random } from '../../help/random.js';
import { ModelNode, NOTHING, type Omission } from '../model-node.js';

export interface ScheduleOptions {
  copies: number;
  seed: number;
  /** Clocks of nodes jump, forwards and back. */
  jumps: boolean;
  /** All nodes lose all they had at once, now and then, and are admitted as at a first start. */
  totalLosses?: boolean;
  /** One of these is drawn for each acquisition. */
  modes?: readonly LockMode[];
  /**
   * Nodes are started anew one after the other, each when the one before has had time to take part again, and the first client holds the lock for good;
   * else there are no troubles.
   */
  rolling?: boolean;
  /** What is held is mostly extended. */
  extending?: boolean;
  /** What is held is given back, and its token is used again, by another proxy, while that is under way. */
  repeats?: boolean;
  without?: readonly Omission[];
}

export interface Ruling {
  /** What was broken; empty if nothing. */
  faults: string[];
  grants: number;
}

interface Grant {
  client: number;
  token: string;
  mode: LockMode;
  share: Share;
  /** By the world's count of events: when its votes were asked for, when it was granted, and when the last extension of it was asked for. */
  asked: number;
  granted: number;
  extended: number;
  /** In true time; several spans, where it was extended late. */
  held: Span[];
  fence: number;
}

interface Span {
  fromMs: number;
  untilMs: number;
}

const NAME = 'lock';
const EVENTS_MAX = 3_000;
const CLIENTS = 4;
/** Rates differ by less than a hundredth. */
const RATE_MAX = 0.0045;
/** In one millisecond a lock is taken less often: its fences do not run ahead of the clocks that they go on by when all nodes have lost theirs. */
const COUNTS_PER_MS = 1000;
/** What clocks that draw ballots may be behind by, in milliseconds; the smaller one where all nodes may be lost, which takes longer. */
const BEHIND_MAX_MS = 100_000;
const BEHIND_SLIGHTLY_MAX_MS = 20;

/** Runs one schedule. */
export function simulate(options: ScheduleOptions): Ruling {
  return new World(options).run();
}

/** A clock that goes at its own rate, from a time of its own on. */
class Clock {
  private readonly rate: number;
  private offsetMs: number;

  constructor(random: Random) {
    this.rate = 1 + ((random.below(2001) - 1000) / 1000) * RATE_MAX;
    this.offsetMs = random.below(1_000_000);
  }

  at(trueMs: number): number {
    return trueMs * this.rate + this.offsetMs;
  }

  /** How long, in true time, `ms` of it are. */
  trueLength(ms: number): number {
    return ms / this.rate;
  }

  jump(ms: number): void {
    this.offsetMs += ms;
  }
}

class World {
  readonly random: Random;
  readonly options: ScheduleOptions;
  readonly ttlMaxMs: number;
  readonly grants: Grant[] = [];
  nowMs = 0;
  /** So many so far. */
  events = 0;
  private readonly nodes: ModelNode[];
  private readonly clocks: Clock[];
  private readonly agenda: { atMs: number; order: number; event: () => void }[] = [];
  private order = 0;
  private readonly latencyMs: number;
  private readonly troubles: number;
  /** Nodes that were started anew one after the other. */
  private rolled = 0;
  /** When the last was. */
  private rolledMs = 0;
  readonly lost: string[] = [];
  /** Total losses so far. */
  private losses = 0;

  constructor(options: ScheduleOptions) {
    this.options = options;
    const random = new Random(options.seed);
    this.random = random;
    this.ttlMaxMs = (options.rolling === true ? 500 : 50) + random.below(1000);
    this.latencyMs = options.rolling === true ? 2 : random.size(Math.ceil(this.ttlMaxMs / 3));
    // In a thousand messages.
    this.troubles = options.rolling === true ? 0 : random.pick([0, 20, 100]);
    this.nodes = Array.from({ length: options.copies }, () => new ModelNode(options.without));
    this.clocks = this.nodes.map(() => new Clock(random));
  }

  run(): Ruling {
    for (let client = 0; client < CLIENTS; client++) new Client(this, client).begin();
    this.after(this.options.rolling === true ? 0 : this.random.below(this.ttlMaxMs * 2), () => this.trouble());
    for (; this.events < EVENTS_MAX; this.events++) {
      const next = this.takeNext();
      if (next === null) break;
      this.nowMs = next.atMs;
      next.event();
    }
    return { faults: [...this.judge(), ...this.lost], grants: this.grants.length };
  }

  after(ms: number, event: () => void): void {
    this.agenda.push({ atMs: this.nowMs + ms, order: this.order++, event });
  }

  /** Has a step carried out; `answer` is told, maybe never, maybe twice. */
  send(copy: number, step: LockStep, answer: (reply: LockReply) => void): void {
    const { losses } = this;
    for (let times = this.copiesOfMessage(); times > 0; times--) {
      this.after(this.delay(), () => {
        const reply = losses === this.losses ? this.perform(copy, step) : NOT_MEMBER;
        for (let count = this.copiesOfMessage(); count > 0; count--) this.after(this.delay(), () => answer(reply));
      });
    }
  }

  private perform(copy: number, step: LockStep): LockReply {
    const nowMs = (this.clocks[copy] as Clock).at(this.nowMs);
    return (this.nodes[copy] as ModelNode).perform(step, NAME, this.ttlMaxMs, nowMs);
  }

  private copiesOfMessage(): number {
    const drawn = this.random.below(1000);
    return drawn < this.troubles ? 0 : drawn < this.troubles * 1.5 ? 2 : 1;
  }

  private delay(): number {
    const isLate = this.random.below(1000) < this.troubles / 2;
    return isLate ? this.random.below(this.ttlMaxMs * 3) : this.random.below(this.latencyMs);
  }

  private takeNext(): { atMs: number; event: () => void } | null {
    let best = 0;
    for (let at = 1; at < this.agenda.length; at++) {
      const [one, other] = [this.agenda[at], this.agenda[best]] as [(typeof this.agenda)[0], (typeof this.agenda)[0]];
      if (one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order)) best = at;
    }
    return this.agenda.splice(best, 1)[0] ?? null;
  }

  /** Whether it was got so long before that all nodes that took part were given it. */
  isEverywhere({ held }: Grant): boolean {
    return (held[0] as Span).fromMs + this.ttlMaxMs * 2 < this.rolledMs;
  }

  private trouble(): void {
    const { random, nodes } = this;
    if (this.options.rolling === true) {
      this.forget(this.rolled++ % nodes.length);
      this.rolledMs = this.nowMs;
      // It is repaired, and in quarantine from when the first lock is asked for; then the lock is extended a few times.
      this.after(this.ttlMaxMs * 6, () => this.trouble());
      return;
    }
    const copy = random.below(nodes.length);
    if (this.options.jumps && random.chance(60)) {
      (this.clocks[copy] as Clock).jump(random.below(this.ttlMaxMs * 4) - this.ttlMaxMs);
    } else if (this.options.totalLosses === true && random.chance(30)) this.forgetAll();
    else this.forget(copy);
    this.after(random.below(this.ttlMaxMs * 2), () => this.trouble());
  }

  /** The node is started anew, with nothing, and is repaired after a while: see REPLICATION.md, P1 to P4. */
  private forget(copy: number): void {
    const { nodes, random } = this;
    const others = nodes.filter((node, at) => node.isMember && at !== copy);
    // What too few remember nobody can repair.
    if (others.length < quorumOf(nodes.length)) return;
    const node = nodes[copy] as ModelNode;
    empty(node);
    const { losses } = this;
    this.after(random.below(this.ttlMaxMs), () => {
      if (losses === this.losses) this.repair(node);
    });
  }

  /** All nodes are started anew, with nothing: see REPLICATION.md, M2. */
  private forgetAll(): void {
    const { nodes, random } = this;
    const losses = ++this.losses;
    for (const node of nodes) empty(node);
    this.after(1 + BEHIND_SLIGHTLY_MAX_MS + random.below(this.ttlMaxMs), () => {
      if (losses !== this.losses) return;
      for (const node of nodes) {
        node.epochFloor = 0;
        node.isMember = true;
        node.mayHaveForgotten = false;
      }
    });
  }

  private repair(node: ModelNode): void {
    const { nodes } = this;
    const members = nodes.filter(({ isMember }) => isMember);
    const epoch = Math.max(...nodes.map(({ epochFloor }) => epochFloor)) + 1;
    const found = members.map(({ registers }) => registers.get(NAME) ?? NOTHING);
    let largest = found[0] as typeof NOTHING;
    for (const register of found) if (register.accepted > largest.accepted) largest = register;
    const ballot = makeBallot(epoch, 1, proposerNumber(0, 99));
    const settled = { ...largest, promised: ballot, accepted: ballot };
    for (const member of members) {
      member.epochFloor = epoch;
      if (largest.text !== '') member.registers.set(NAME, { ...settled });
    }
    if (largest.text !== '') node.registers.set(NAME, { ...settled });
    node.epochFloor = epoch;
    node.isMember = true;
    node.mayHaveForgotten = true;
    node.quarantinedSinceMs = null;
  }

  private judge(): string[] {
    const { grants } = this;
    const mayBeTwo = this.options.jumps || this.options.totalLosses === true;
    const faults: string[] = [];
    for (const [at, one] of grants.entries()) {
      for (const other of grants.slice(at + 1)) {
        const both = () => `${JSON.stringify(one)} and ${JSON.stringify(other)}`;
        if (one.fence === other.fence) faults.push(`one fence twice: ${both()}`);
        const [early, late] = one.granted <= other.asked ? [one, other] : [other, one];
        if (early.granted <= late.asked && early.fence >= late.fence) faults.push(`fences go back: ${both()}`);
        this.judgeExtensions(one, other, faults);
        this.judgeExtensions(other, one, faults);
        if (mayBeTwo || one.token === other.token || areCompatible(one.mode, other.mode)) continue;
        if (one.held.some(({ fromMs, untilMs }) => overlaps(other, fromMs, untilMs)))
          faults.push(`two at once: ${both()}`);
      }
      if (!mayBeTwo) this.count(one, faults);
    }
    return faults;
  }

  /** What somebody else has got, who cannot have it beside the first, was lost by that one, and stays so. */
  private judgeExtensions(one: Grant, next: Grant, faults: string[]): void {
    const isTheirs = one.token !== next.token && (next.share === one.share || !areCompatible(one.mode, next.mode));
    // Nodes whose clocks jump do not know for how long a share is held elsewhere.
    const mayBe = this.options.jumps && one.mode.kind !== 'exclusive';
    if (!isTheirs || mayBe || (areCompatible(one.mode, next.mode) && one.mode.kind === 'shared')) return;
    if (next.fence > one.fence && next.granted < one.extended)
      faults.push(`extended after it was lost: ${JSON.stringify(one)} and ${JSON.stringify(next)}`);
  }

  /** Of a counted lock no more have a slot than there are when this one is got, or got again. */
  private count({ mode, held }: Grant, faults: string[]): void {
    if (mode.kind !== 'limit') return;
    for (const { fromMs } of held) {
      const others = this.grants.filter((grant) => areCompatible(grant.mode, mode) && isHeldAt(grant, fromMs));
      if (others.length > mode.max) faults.push(`${others.length} of ${mode.max} slots: ${JSON.stringify(others)}`);
    }
  }
}

function overlaps({ held }: Grant, fromMs: number, untilMs: number): boolean {
  return held.some((span) => span.fromMs < untilMs && fromMs < span.untilMs);
}

function isHeldAt({ held }: Grant, atMs: number): boolean {
  return held.some(({ fromMs, untilMs }) => fromMs <= atMs && atMs < untilMs);
}

/** As which process a step was for is known: one for an earlier one is not carried out. */
const NOT_MEMBER: LockReply = { kind: 'not-member' };

function empty(node: ModelNode): void {
  node.isMember = false;
  node.locks.clear();
  node.registers.clear();
}

/** Takes the lock again and again, and holds it for a while. */
class Client {
  private readonly world: World;
  private readonly number: number;
  private readonly clock: Clock;
  private readonly ballots: LockBallots;
  private attempts = 0;
  private tokens = 0;
  /** Until then it stands still: what comes is seen after that. */
  private stoppedUntilMs = 0;

  constructor(world: World, number: number) {
    this.world = world;
    this.number = number;
    this.clock = new Clock(world.random);
    // Of the clock that ballots are drawn by.
    const behindMs = world.random.below(
      world.options.totalLosses === true ? BEHIND_SLIGHTLY_MAX_MS : world.random.size(BEHIND_MAX_MS),
    );
    this.ballots = new LockBallots(
      () => proposerNumber(number + 1, ++this.attempts),
      () => BEGIN_MS + Math.floor((world.nowMs - behindMs) * COUNTS_PER_MS),
    );
  }

  begin(token = `${this.number}.${this.tokens++}`): void {
    const { world } = this;
    const { copies } = world.options;
    const { random, ttlMaxMs } = world;
    const ttlMs = random.chance(50) ? ttlMaxMs : Math.min(ttlMaxMs, 20 + random.below(ttlMaxMs));
    const mode = random.pick(world.options.modes ?? [EXCLUSIVE]);
    let begun = world.events;
    const ballots = this.ballots.begin();
    const acquisition = new Acquisition({
      copies,
      ttlMs,
      token,
      client: `c${this.number}`,
      mode,
      slot: mode.kind === 'limit' ? random.below(mode.max) : 0,
      random: () => random.below(1000) / 1000,
      mark: 'm',
      waits: false,
      isWanted: () => true,
      timeoutMs: 1 + random.below(ttlMs),
      freshBallot: () => ballots.fresh(),
      onSeen: (promised, epochFloor) => ballots.onSeen(promised, epochFloor),
    });
    const ask = ({ step, tag, copies: asked }: Extract<LockAction, { kind: 'ask' }>) => {
      if (step.kind === 'acquire' || step.kind === 'acquire-share') begun = world.events;
      for (let copy = 0; copy < copies; copy++) {
        if ((asked & (1 << copy)) === 0) continue;
        world.send(copy, step, (reply) => {
          this.later(0, () => obey(acquisition.onAnswer(copy, tag, reply, this.clock.at(world.nowMs))));
        });
      }
    };
    const obey = (actions: readonly LockAction[]) => {
      for (const action of actions) {
        if (action.kind === 'end') {
          const { outcome } = action;
          if (outcome.kind !== 'granted') {
            // One is there the moment it is free, or nearly.
            const restMs = world.options.rolling === true ? ttlMaxMs * 2 : this.number === 0 ? 20 : ttlMs;
            this.later(random.below(restMs), () => this.begin());
            continue;
          }
          const grant = {
            client: this.number,
            token,
            mode,
            share: outcome.share,
            asked: begun,
            granted: world.events,
            extended: 0,
            held: [],
            fence: outcome.fence,
          };
          world.grants.push(grant);
          this.hold(grant, ttlMs, outcome);
          continue;
        }
        if (action.kind === 'ask') ask(action);
        const waitMs = acquisition.dueMs - this.clock.at(world.nowMs);
        if (!Number.isFinite(waitMs)) continue;
        this.later(1 + this.clock.trueLength(waitMs), () => {
          obey(acquisition.onTime(this.clock.at(world.nowMs)));
        });
      }
    };
    obey(acquisition.begin(this.clock.at(world.nowMs)));
  }

  /** It holds the lock for good. */
  private get isLasting(): boolean {
    return this.world.options.rolling === true && this.number === 0;
  }

  /** It is held for so long from now on. */
  private hold(grant: Grant, ttlMs: number, { validityMs, ballot }: { validityMs: number; ballot: Ballot }): void {
    const { world } = this;
    const { random } = world;
    const { token, fence } = grant;
    const heldMs = this.clock.trueLength(validityMs);
    const span = { fromMs: world.nowMs, untilMs: world.nowMs + heldMs };
    const last = grant.held.at(-1);
    if (last !== undefined && last.untilMs >= span.fromMs) last.untilMs = span.untilMs;
    else grant.held.push(span);
    if (this.isLasting) {
      this.later(heldMs / 3, () => this.extend(grant, ttlMs, ballot));
      return;
    }
    const isForgotten = random.chance(40);
    if (random.chance(world.options.extending === true ? 85 : 30)) {
      this.later(random.below(Math.ceil(heldMs * 1.2)), () => this.extend(grant, ttlMs, ballot));
      return;
    }
    this.later(isForgotten ? heldMs : random.below(Math.ceil(heldMs)), () => {
      if (!isForgotten) {
        // From here on it is not held.
        const held = grant.held.at(-1) as Span;
        held.untilMs = Math.min(held.untilMs, world.nowMs);
        const { repeats = false, copies } = world.options;
        const step: LockStep = repeats
          ? { kind: 'take-back', ballot, token, fence, mark: 'm' }
          : { kind: 'release', token, mark: 'm' };
        // The proxy sees that the client has gone when that has asked elsewhere already.
        this.later(repeats ? random.below(world.ttlMaxMs) : 0, () => {
          for (let copy = 0; copy < copies; copy++) world.send(copy, step, () => {});
        });
        if (repeats) {
          this.later(random.below(20), () => this.begin(token));
          return;
        }
      }
      this.later(random.below(20), () => this.begin());
    });
  }

  private extend(grant: Grant, ttlMs: number, ballot: Ballot): void {
    const { world } = this;
    const { token } = grant;
    const { copies } = world.options;
    const replies = new Replies(copies);
    const askedMs = this.clock.at(world.nowMs);
    const asked = world.events;
    const retakes = new Retakes(token, ttlMs, askedMs);
    let isOver = false;
    const look = () => {
      if (isOver) return;
      const outcome = extendOutcome(replies, ttlMs, askedMs, this.clock.at(world.nowMs));
      isOver = outcome !== null;
      if (outcome === null) return;
      if (outcome.kind === 'extended') {
        grant.extended = asked;
        this.hold(grant, ttlMs, { ...outcome, ballot });
        return;
      }
      if (this.isLasting && world.isEverywhere(grant)) world.lost.push(`lost: ${JSON.stringify(grant)}`);
      if (outcome.kind === 'unknown') this.later(world.random.below(ttlMs), () => this.extend(grant, ttlMs, ballot));
      else this.later(world.random.below(20), () => this.begin());
    };
    const ask = (copy: number, step: LockStep) => {
      world.send(copy, step, (reply) => {
        this.later(0, () => {
          replies.add(copy, reply);
          look();
          for (const next of retakes.next(replies, this.clock.at(world.nowMs))) ask(next.copy, next.step);
        });
      });
    };
    for (let copy = 0; copy < copies; copy++) ask(copy, { kind: 'extend', token, ttlMs });
    this.later(ttlMs, () => {
      replies.end();
      look();
    });
  }

  /** Unless it stands still then. */
  private later(ms: number, event: () => void): void {
    const { world } = this;
    world.after(ms, () => {
      if (world.random.below(1000) < 5 && world.options.rolling !== true)
        this.stoppedUntilMs = world.nowMs + world.random.below(world.ttlMaxMs * 2);
      const restMs = this.stoppedUntilMs - world.nowMs;
      if (restMs > 0) world.after(restMs, event);
      else event();
    });
  }
}
