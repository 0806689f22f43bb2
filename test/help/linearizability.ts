/**
 * Whether what concurrent clients were told can be explained by calls that took effect one at a time, each at one moment
 * between its being asked and its being answered (Herlihy and Wing 1990): linearizability, of one key.
 *
 * The search is that of Wing and Gong with Lowe's memory of configurations ("Testing for linearizability", 2017), as far ahead
 * as his just-in-time variant: it walks along the history and keeps every configuration that explains it so far.
 *
 *   asked     a new call is pending: it may take effect from now on
 *   answered  it must have: from every configuration, pending calls take effect until this one has; the others are dropped
 *
 * None left: not linearizable, and this answer is the first that nothing explains. A call of unknown outcome stays pending for
 * ever. Of two configurations that differ only in such calls, the one that has used fewer explains all that the other does.
 */

export type Outcome<O> =
  | { kind: 'answered'; output: O }
  /** It took effect, or will at any later time, or never: a time-out, a closed connection, -UNKNOWN. */
  | { kind: 'unknown' }
  /** It had no effect and never will. */
  | { kind: 'failed' };

/** One call, as its client saw it. Times have one clock and any unit; the model may ask for a certain one. */
export interface Call<I, O> {
  client: string;
  key: string;
  input: I;
  outcome: Outcome<O>;
  askedAt: number;
  /** When the outcome was there; of an unknown one, when the client gave up, which binds nobody. */
  endedAt: number;
}

/** What one client alone would see. States are texts: equal ones are equal texts. */
export interface Model<I, O> {
  readonly initial: string;
  /**
   * The states that may follow if `call` takes effect in `state`, at the time `by` at the latest, and answers what it did
   * (anything, if that is unknown).
   */
  step(state: string, call: Call<I, O>, by: number): readonly string[];
  /** Calls of equal texts have the same effects on any state, whatever they answer. */
  effect(call: Call<I, O>): string;
  /** Whether a call that answered what it did left any state as it was. */
  changedNothing(call: Call<I, O>): boolean;
  /** False for a state that no explanation of this history goes through. It saves time only. */
  isPossible?(state: string): boolean;
  /** `SET 5 -> OK`, for people. */
  describe(call: Call<I, O>): string;
  describeState(state: string): string;
}

export interface Limits {
  /** Configurations kept at a time. */
  configurationsMax: number;
  /** Calls tried on a state, in all. */
  stepsMax: number;
}

export const LIMITS: Limits = { configurationsMax: 200_000, stepsMax: 50_000_000 };
/** Answered calls under way at one time: they are bits of a number. */
const PENDING_MAX = 30;

/** `steps`: calls tried on a state. */
export type Verdict<I, O> = { steps: number } & Finding<I, O>;

type Finding<I, O> =
  /** `states`: those that the key can be in after it all, and before any call of unknown outcome takes effect later. */
  | { kind: 'linearizable'; states: readonly string[] }
  /** `culprit`: the first answer that nothing explains; one before it, if the model knows of later answers (`isPossible`). */
  | { kind: 'not-linearizable'; culprit: Call<I, O> }
  /** A limit was reached. To a test this is a failure. */
  | { kind: 'undecided'; why: string };

/** A state that explains the history so far. */
interface Configuration {
  /** The pending calls, of those that were answered later, that have taken effect: bits of their places. */
  done: number;
  /** The calls of unknown outcome that have: bits of their numbers. */
  used: bigint;
  state: string;
  /** Another one, that has used less, explains as much. */
  isDominated: boolean;
}

interface Unknown<I, O> {
  call: Call<I, O>;
  bit: bigint;
  /** The one of the same effect that was asked before: it takes effect first, since nobody can tell them apart. */
  twin: bigint;
}

class LimitReached extends Error {}

/** Judges the calls on one key; their order does not matter. */
export function checkCalls<I, O>(
  calls: readonly Call<I, O>[],
  model: Model<I, O>,
  limits: Limits = LIMITS,
): Verdict<I, O> {
  const search = new Search(model, limits);
  const finding = find(search, calls);
  return { ...finding, steps: search.steps };
}

function find<I, O>(search: Search<I, O>, calls: readonly Call<I, O>[]): Finding<I, O> {
  try {
    for (const { call, isEnd } of eventsOf(calls)) {
      if (!isEnd) search.ask(call);
      else if (!search.answer(call)) return { kind: 'not-linearizable', culprit: call };
    }
  } catch (error) {
    if (!(error instanceof LimitReached)) throw error;
    return { kind: 'undecided', why: error.message };
  }
  return { kind: 'linearizable', states: search.states() };
}

/** By key, in the order of their first calls. */
export function byKey<I, O>(calls: readonly Call<I, O>[]): Map<string, Call<I, O>[]> {
  const keys = new Map<string, Call<I, O>[]>();
  for (const call of calls) {
    const those = keys.get(call.key);
    if (those === undefined) keys.set(call.key, [call]);
    else those.push(call);
  }
  return keys;
}

interface Event<I, O> {
  call: Call<I, O>;
  isEnd: boolean;
  time: number;
}

/** What happens at the same time is concurrent: asked first, then answered. */
function eventsOf<I, O>(calls: readonly Call<I, O>[]): Event<I, O>[] {
  const events: Event<I, O>[] = [];
  for (const call of calls) {
    if (call.outcome.kind === 'failed') continue;
    if (call.endedAt < call.askedAt) throw new RangeError(`a call of ${call.client} ended before it was asked`);
    events.push({ call, isEnd: false, time: call.askedAt });
    if (call.outcome.kind === 'answered') events.push({ call, isEnd: true, time: call.endedAt });
  }
  return events.sort((one, other) => one.time - other.time || Number(one.isEnd) - Number(other.isEnd));
}

class Search<I, O> {
  steps = 0;
  private readonly model: Model<I, O>;
  private readonly limits: Limits;
  private readonly pending: (Call<I, O> | null)[] = [];
  private readonly unknown: Unknown<I, O>[] = [];
  private readonly lastTwins = new Map<string, bigint>();
  private kept: Configuration[];
  /** The time of the answer that is being explained: what is before it takes effect by then. */
  private now = Number.NEGATIVE_INFINITY;

  constructor(model: Model<I, O>, limits: Limits) {
    this.model = model;
    this.limits = limits;
    this.kept = [{ done: 0, used: 0n, state: model.initial, isDominated: false }];
  }

  ask(call: Call<I, O>): void {
    if (call.outcome.kind === 'unknown') {
      const bit = 1n << BigInt(this.unknown.length);
      const effect = this.model.effect(call);
      this.unknown.push({ call, bit, twin: this.lastTwins.get(effect) ?? 0n });
      this.lastTwins.set(effect, bit);
      return;
    }
    const free = this.pending.indexOf(null);
    const place = free < 0 ? this.pending.length : free;
    if (place >= PENDING_MAX) throw new LimitReached(`more than ${PENDING_MAX} calls at the same time`);
    this.pending[place] = call;
  }

  /** False when nothing explains that answer. */
  answer(call: Call<I, O>): boolean {
    this.now = call.endedAt;
    const place = this.pending.indexOf(call);
    const next = new Closure(this.limits);
    for (const { done, used, state } of this.kept) this.add(next, done, used, state);
    const found: Configuration[] = [];
    for (let at = 0; at < next.all.length; at++) {
      const configuration = next.all[at] as Configuration;
      if (configuration.isDominated) continue;
      if ((configuration.done & (1 << place)) !== 0) found.push(configuration);
      else this.expand(next, configuration);
    }
    const kept = found.filter(({ isDominated }) => !isDominated);
    if (kept.length === 0) return false;
    for (const configuration of kept) configuration.done &= ~(1 << place);
    this.kept = kept;
    this.pending[place] = null;
    return true;
  }

  states(): string[] {
    return [...new Set(this.kept.map(({ state }) => state))];
  }

  private expand(next: Closure, { done, used, state }: Configuration): void {
    for (const [place, call] of this.pending.entries()) {
      if (call === null || (done & (1 << place)) !== 0) continue;
      for (const after of this.step(state, call)) this.add(next, done | (1 << place), used, after);
    }
    for (const { call, bit, twin } of this.unknown) {
      if ((used & bit) !== 0n || (used & twin) !== twin) continue;
      for (const after of this.step(state, call)) if (after !== state) this.add(next, done, used | bit, after);
    }
  }

  /** Pending calls that changed nothing take effect at once where they can: later they could do no more. */
  private add(next: Closure, before: number, used: bigint, state: string): void {
    if (this.model.isPossible?.(state) === false) return;
    let done = before;
    for (const [place, call] of this.pending.entries()) {
      if (call === null || (done & (1 << place)) !== 0 || !this.model.changedNothing(call)) continue;
      if (this.step(state, call).includes(state)) done |= 1 << place;
    }
    next.add(done, used, state);
  }

  private step(state: string, call: Call<I, O>): readonly string[] {
    if (++this.steps > this.limits.stepsMax) throw new LimitReached(`more than ${this.limits.stepsMax} steps`);
    return this.model.step(state, call, this.now);
  }
}

/** The configurations that are reached while one answer is explained. */
class Closure {
  readonly all: Configuration[] = [];
  private readonly limits: Limits;
  private readonly groups = new Map<string, Configuration[]>();

  constructor(limits: Limits) {
    this.limits = limits;
  }

  add(done: number, used: bigint, state: string): void {
    const group = `${done} ${state}`;
    const rivals = this.groups.get(group) ?? [];
    if (rivals.some((rival) => (rival.used & used) === rival.used)) return;
    const left = rivals.filter((rival) => {
      rival.isDominated = (rival.used & used) === used;
      return !rival.isDominated;
    });
    const configuration = { done, used, state, isDominated: false };
    left.push(configuration);
    this.groups.set(group, left);
    if (this.all.push(configuration) > this.limits.configurationsMax) {
      throw new LimitReached(`more than ${this.limits.configurationsMax} configurations`);
    }
  }
}
