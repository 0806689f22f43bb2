/**
 * Those of one worker who want locks: who wants the same one stands in line, and only the first tries. Of the first ones of several
 * workers (base/lock-turns) who came first tries at once, and the others when he has had his turn.
 *
 *   first: tries --granted, or out of time--> leaves, and the next is first
 *            └── held, contended --> waits: for a message that it was freed, until it expires, or a while --> tries
 *
 * A lock that is freed is told by those of its nodes that somebody who waits has asked for it; when a majority has said so, the first in line tries at
 * once. Others do not even hear of it. Who may not wait does not stand in line: where somebody waits already, the lock is his next.
 *
 * All modes stand in one line: so who wants all of a lock is not kept from it by readers that come after him. Who has got a share of it leaves the
 * next a share, perhaps: if he wants one of the same kind, he tries at once. They do not try at the same time: each acquisition
 * has its own ballot, and that of the second would bar the first's.
 */
import type { LockTurns } from '../base/lock-turns.js';
import type { Timer } from '../base/timers.js';
import type { Ballot } from '../replica/ballot.js';
import { Wakes } from '../replica/wakes.js';
import type { AcquireOutcome, GiveBack, LockMode, LockOrder } from './lock.js';
import type { LockNodes, LockPlace, MarkedOrder } from './lock-nodes.js';
import { AWAITED_MS } from './lock-scripts.js';
import type { AcquisitionOutcome } from './redlock.js';
import { areCompatible, kindOf, type Share } from './share.js';
import { releaseOutcome } from './verdicts.js';

export interface LockLinesContext {
  nodes: LockNodes;
  turns: LockTurns;
  random: () => number;
  limits: { lockQueueMax: number };
  counts: { locksAcquired: number; locksContended: number; locksWaiting: number; locksCrowded: number };
}

/**
 * A message may be lost with a connection: then the first in line tries all the same. That also has the nodes remember that somebody waits: they tell
 * nobody else of a lock that is freed.
 */
const LOOK_MS = 1000;
/** A worker leaves the lock to another one whose client came before, and looks so often, and so many times, whether he has had his turn. */
const PASS_MS = 5;
const PASSES_MAX = 200;
/** Who may not wait leaves it so often to one who wants a share of it as he does. */
const HASTY_PASSES_MAX = 4;
/** What a node's time left is rounded by. */
const EXPIRY_MS = 2;
/** A lock that several want at the same moment is tried again after a random part of that, which doubles. */
const BACKOFF_MIN_MS = 4;
const BACKOFF_MAX_MS = 256;
/** So often by who may not wait. */
const TRIES_MAX = 4;

/** What is known of who has got a lock. */
interface Granted {
  readonly token: string;
  readonly ballot: Ballot;
  readonly fence: number;
}

export class LockLines {
  readonly context: LockLinesContext;
  readonly wakes: Wakes;
  /** By name, those of different pools. */
  private readonly lines = new Map<string, Line[]>();

  constructor(context: LockLinesContext) {
    this.context = context;
    const { transport, replicas } = context.nodes.context;
    this.wakes = new Wakes(transport);
    replicas.whenWoken((message) => this.onWake(message));
  }

  /**
   * Takes the lock, and waits for it for so long if others have it. `told` is called once, maybe within the call; what is
   * returned ends that: `told` is told nothing any more, and what was got is given back.
   */
  begin(place: LockPlace, order: LockOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    const line = this.lineOf(place);
    const { counts, limits, nodes } = this.context;
    const max = limits.lockQueueMax;
    if (line.wishes.length >= max) {
      counts.locksCrowded++;
      told({ kind: 'crowded', max });
      return nothingToGiveBack;
    }
    if (waitMs === 0 && !line.isPassing(order.mode)) {
      told({ kind: 'out-of-time' });
      return nothingToGiveBack;
    }
    if (waitMs > 0) nodes.context.replicas.listen();
    return line.join(place, { ...order, mark: this.wakes.nextMark() }, waitMs, told);
  }

  /** What was so granted is nobody's; unless the token has been granted again since. */
  giveBack(place: LockPlace, { token, ballot, fence }: Granted, done: () => void): void {
    const step = { kind: 'take-back', ballot, token, fence, mark: this.wakes.nextMark() } as const;
    this.context.nodes.ask(place, step, releaseOutcome, done);
  }

  /** Nobody stands there any more. */
  drop(line: Line): void {
    const { name } = line;
    const left = (this.lines.get(name) ?? []).filter((other) => other !== line);
    if (left.length === 0) this.lines.delete(name);
    else this.lines.set(name, left);
  }

  private lineOf({ name, pool }: LockPlace): Line {
    const lines = this.lines.get(name) ?? [];
    const known = lines.find((line) => line.pool === pool);
    if (known !== undefined) return known;
    const line = new Line(this, name, pool);
    this.lines.set(name, [...lines, line]);
    return line;
  }

  /** A node says that a lock was freed, or something else; null: any may have been. */
  private onWake(message: string | null): void {
    if (message === null) {
      for (const line of [...this.lines.values()].flat()) line.wake();
      return;
    }
    const wake = this.wakes.read(message);
    for (const line of this.lines.get(wake.key) ?? []) {
      const onWoken = () => line.wake();
      this.wakes.gather(wake, line.copies, onWoken, onWoken);
    }
  }
}

class Line {
  readonly name: string;
  readonly pool: string;
  readonly wishes: Wish[] = [];
  private readonly lines: LockLines;
  /** Gives up the attempt of the first; null: there is none under way. */
  private giveUp: GiveBack | null = null;
  /** The first has found that others have it, or that too few nodes count. */
  private isHeld = false;
  /** It was freed while that was under way. */
  private wasWoken = false;
  /** Several want it at the same moment: what they give back wakes nobody, or all would try at the same moment again. */
  private isBackingOff = false;
  private tries = 0;
  private passes = 0;
  /** Of a counted lock: behind the one that was got last, or any. */
  private slot: number | null = null;
  private timer: Timer | null = null;
  /** When somebody who may wait has last found that others have it. */
  private awaitedMs = Number.NEGATIVE_INFINITY;

  constructor(lines: LockLines, name: string, pool: string) {
    this.lines = lines;
    this.name = name;
    this.pool = pool;
  }

  /** Nodes of the lock. */
  get copies(): number {
    return this.wishes[0]?.place.nodes.length ?? 1;
  }

  join(place: LockPlace, order: MarkedOrder, waitMs: number, told: (outcome: AcquireOutcome) => void): GiveBack {
    const { counts, nodes } = this.lines.context;
    const { transport } = nodes.context;
    const ticket = this.lines.context.turns.draw();
    const wish: Wish = { place, order, told, ticket, mayWait: waitMs > 0, timer: null, lack: null, isLast: false };
    if (wish.mayWait) {
      counts.locksWaiting++;
      wish.timer = transport.timers.set(transport.now + waitMs, () => this.onTimeOver(wish));
    }
    this.wishes.push(wish);
    if (this.wishes.length === 1) this.takeTurn();
    return (done = () => {}) => this.leave(wish, done);
  }

  /** Whether who joins with that mode is not kept waiting, but for as long as those before him try: nobody has found that others have it. */
  isPassing(mode: LockMode): boolean {
    const { wishes } = this;
    if (wishes.length === 0) return true;
    return !this.isHeld && wishes.every(({ order }) => areCompatible(order.mode, mode));
  }

  /** The lock may be free. */
  wake(): void {
    if (this.giveUp !== null) this.wasWoken = true;
    else if (!this.isBackingOff) this.takeTurn();
  }

  /** The first tries: at once, or when who came before, at another worker, has had his turn; or does not take it. */
  private takeTurn(): void {
    const [first] = this.wishes;
    if (first === undefined || this.giveUp !== null) return;
    const { turns, nodes } = this.lines.context;
    const kind = kindOf(first.order.mode);
    const passesMax = first.mayWait ? PASSES_MAX : HASTY_PASSES_MAX;
    turns.show(this.name, first.ticket, kind);
    if (!first.mayWait && !turns.isFirst(this.name, first.ticket, kind)) {
      this.endInVain(first);
      return;
    }
    if (this.passes >= passesMax || turns.isFirst(this.name, first.ticket)) {
      this.attempt();
      return;
    }
    if (!turns.isFirst(this.name, first.ticket, kind)) this.endHasty();
    this.passes++;
    const { timers, now } = nodes.context.transport;
    timers.cancel(this.timer);
    this.timer = timers.set(now + PASS_MS, () => this.takeTurn());
  }

  private attempt(): void {
    const [first] = this.wishes;
    if (first === undefined || this.giveUp !== null) return;
    if (!first.order.isWanted()) {
      this.endInVain(first);
      return;
    }
    const { nodes } = this.lines.context;
    nodes.context.transport.timers.cancel(this.timer);
    this.wasWoken = false;
    this.passes = 0;
    this.isBackingOff = false;
    const order = { ...first.order, slot: this.firstSlot(first.order.mode), waits: first.mayWait };
    this.giveUp = nodes.acquire(first.place, order, (outcome) => {
      this.giveUp = null;
      this.onOutcome(first, outcome);
    });
  }

  private onOutcome(wish: Wish, outcome: AcquisitionOutcome): void {
    const { counts, nodes } = this.lines.context;
    const mayTryOn = wish.mayWait && !wish.isLast;
    this.tries++;
    this.isHeld = outcome.kind !== 'granted' && outcome.kind !== 'contended';
    if (outcome.kind === 'granted') {
      counts.locksAcquired++;
      const { share, fence, validityMs, ballot } = outcome;
      const { token, mode } = wish.order;
      const giveBack = (done = () => {}) => this.lines.giveBack(wish.place, { token, ballot, fence }, done);
      this.onShare(mode, share);
      this.finish(wish, { kind: 'granted', fence, validityMs, giveBack });
      const [next] = this.wishes;
      if (next !== undefined && (areCompatible(next.order.mode, mode) || !this.isAwaited())) this.takeTurn();
      else this.waitOn(validityMs);
      return;
    }
    if (outcome.kind === 'held' && wish.mayWait) this.awaitedMs = nodes.context.transport.now;
    wish.lack = outcome.kind === 'no-quorum' || outcome.kind === 'late' ? outcome : null;
    if (outcome.kind === 'contended') {
      counts.locksContended++;
      if (!mayTryOn && (wish.isLast || this.tries >= TRIES_MAX)) this.endInVain(wish);
      else {
        if (this.tries >= TRIES_MAX) this.endHasty();
        this.wasWoken = false;
        this.waitOn(this.backoffMs());
        this.isBackingOff = true;
      }
    } else if (!mayTryOn) this.endInVain(wish);
    else {
      this.endHasty();
      this.waitOn(outcome.kind === 'held' ? outcome.ttlMs + EXPIRY_MS : BACKOFF_MAX_MS);
    }
  }

  /** The first waits: those behind him who may not do so do not get it, for the same reason. */
  private endHasty(): void {
    const [first, ...others] = this.wishes;
    const outcome = first?.lack ?? { kind: 'out-of-time' };
    for (const wish of others) if (!wish.mayWait) this.finish(wish, outcome);
  }

  /** Whether the nodes know, until somebody looks again, that they are to tell when it is free. */
  private isAwaited(): boolean {
    return this.lines.context.nodes.context.transport.now - this.awaitedMs < AWAITED_MS - 2 * LOOK_MS;
  }

  private firstSlot(mode: LockMode): number {
    if (mode.kind !== 'limit') return 0;
    this.slot ??= Math.floor(this.lines.context.random() * mode.max);
    return this.slot % mode.max;
  }

  private onShare(mode: LockMode, share: Share): void {
    if (mode.kind === 'limit') this.slot = Number(share) + 1;
  }

  /** The first is out of time, and the next, who has not tried yet, does. */
  private endInVain(wish: Wish): void {
    this.finish(wish, wish.lack ?? { kind: 'out-of-time' });
    this.takeTurn();
  }

  private onTimeOver(wish: Wish): void {
    wish.timer = null;
    // What is under way may get it, and has its own time.
    if (this.wishes[0] === wish && this.giveUp !== null) wish.isLast = true;
    else if (this.wishes[0] === wish) this.endInVain(wish);
    else this.finish(wish, { kind: 'out-of-time' });
  }

  /** Nobody wants to be told. */
  private leave(wish: Wish, done: () => void): void {
    const isFirst = this.wishes[0] === wish;
    if (isFirst && this.giveUp !== null) {
      this.giveUp(done);
      this.giveUp = null;
    } else done();
    if (!this.wishes.includes(wish)) return;
    this.remove(wish);
    if (isFirst) this.takeTurn();
  }

  private finish(wish: Wish, outcome: AcquireOutcome): void {
    this.remove(wish);
    wish.told(outcome);
  }

  private remove(wish: Wish): void {
    const { counts, nodes, turns } = this.lines.context;
    nodes.context.transport.timers.cancel(wish.timer);
    if (wish.mayWait) counts.locksWaiting--;
    const isFirst = this.wishes[0] === wish;
    this.wishes.splice(this.wishes.indexOf(wish), 1);
    if (!isFirst) return;
    this.tries = 0;
    this.isHeld = false;
    const [next] = this.wishes;
    if (next === undefined) turns.show(this.name, 0);
    else turns.show(this.name, next.ticket, kindOf(next.order.mode));
    if (this.wishes.length === 0) this.lines.drop(this);
  }

  /** The first tries again after that, at the latest. */
  private waitOn(ms: number): void {
    if (this.wishes.length === 0) return;
    if (this.wasWoken) {
      this.takeTurn();
      return;
    }
    const { timers, now } = this.lines.context.nodes.context.transport;
    timers.cancel(this.timer);
    this.timer = timers.set(now + Math.min(ms, LOOK_MS), () => this.takeTurn());
  }

  private backoffMs(): number {
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(this.tries, 10));
    return 1 + Math.floor(this.lines.context.random() * most);
  }
}

function nothingToGiveBack(done: () => void = () => {}): void {
  done();
}

/** Somebody who wants the lock. */
interface Wish {
  readonly place: LockPlace;
  readonly order: MarkedOrder;
  readonly told: (outcome: AcquireOutcome) => void;
  readonly ticket: number;
  readonly mayWait: boolean;
  /** Ends its waiting. */
  timer: Timer | null;
  /** Why it has not got it, where that is not that others have it. */
  lack: Extract<AcquisitionOutcome, { kind: 'no-quorum' | 'late' }> | null;
  /** The attempt under way is its last. */
  isLast: boolean;
}
