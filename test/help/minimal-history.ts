/**
 * Histories judged key by key, and of one that is not linearizable the few calls that show it, as text.
 *
 * A call is left out only if that cannot make a good history bad: what changed nothing may go, and of any call may be forgotten
 * what was answered and when ("it took effect at some time, or not at all"). Beyond that any call may go as long as the
 * culprit's answer alone is to blame: were it free to take effect at any time, all would be well. (Otherwise a read whose write
 * was left out would pass for a fault.)
 */
import { byKey, type Call, checkCalls, LIMITS, type Limits, type Model } from './linearizability.js';

/** Spent in all to make a history smaller: seconds. */
const STEPS_MAX = 15_000_000;
/** A candidate that takes longer to judge is not taken. */
const ATTEMPT_LIMITS: Limits = { configurationsMax: 50_000, stepsMax: 500_000 };
const STATES_SHOWN_MAX = 5;
/** Beyond, calls whose end does not matter are told in one line. */
const OPEN_ROWS_MAX = 12;

export interface Fault<I, O> {
  key: string;
  /** What is left, in the order of asking. */
  calls: readonly Call<I, O>[];
  /** Those of `calls` whose answers and ends do not matter. */
  forgotten: ReadonlySet<Call<I, O>>;
  /** The first answer that nothing explains. */
  culprit: Call<I, O>;
  /** What the key could be by then. */
  states: readonly string[];
  text: string;
}

/** What it makes a model of: the calls on one key. */
export type ModelOf<I, O> = (calls: readonly Call<I, O>[]) => Model<I, O>;

/** The faults of all keys, as texts: none for a linearizable history. One that cannot be decided is a fault as well. */
export function historyFaults<I, O>(
  calls: readonly Call<I, O>[],
  modelOf: ModelOf<I, O>,
  limits: Limits = LIMITS,
): string[] {
  const faults: string[] = [];
  for (const [key, those] of byKey(calls)) {
    const verdict = checkCalls(those, modelOf(those), limits);
    if (verdict.kind === 'undecided') faults.push(`${key}: cannot be decided: ${verdict.why}`);
    if (verdict.kind === 'not-linearizable') faults.push(minimalFault(those, modelOf).text);
  }
  return faults;
}

/** Of the calls on one key that are not linearizable. Throws if they are. */
export function minimalFault<I, O>(calls: readonly Call<I, O>[], modelOf: ModelOf<I, O>): Fault<I, O> {
  const shrinking = new Shrinking(calls, modelOf);
  shrinking.leaveOut();
  shrinking.forget();
  // What is forgotten may have been what something else was needed for.
  shrinking.leaveOut();
  return shrinking.fault();
}

interface Item<I, O> {
  call: Call<I, O>;
  isForgotten: boolean;
}

/** A bad history that ends with its culprit. */
interface Bad<I, O> {
  items: Item<I, O>[];
  culprit: Call<I, O>;
}

class Shrinking<I, O> {
  private readonly modelOf: ModelOf<I, O>;
  private readonly size: number;
  private steps = 0;
  private items: Item<I, O>[];
  private culprit: Call<I, O>;
  /** Whether the culprit alone is to blame. */
  private readonly isExcused: boolean;

  constructor(calls: readonly Call<I, O>[], modelOf: ModelOf<I, O>) {
    this.modelOf = modelOf;
    this.size = calls.length;
    const all = calls.filter(({ outcome }) => outcome.kind !== 'failed').map((call) => ({ call, isForgotten: false }));
    const bad = this.untilCulprit(all, LIMITS);
    if (bad === null) throw new Error('a fault was to be shown of a history that has none');
    this.items = bad.items;
    this.culprit = bad.culprit;
    this.isExcused = this.excuses(bad);
  }

  leaveOut(): void {
    const model = this.model();
    this.reduce(
      ({ call }) => this.isExcused || model.changedNothing(call),
      (chunk) => this.items.filter((item) => !chunk.has(item)),
    );
  }

  forget(): void {
    this.reduce(
      ({ isForgotten, call }) => !isForgotten && call.outcome.kind === 'answered',
      (chunk) => this.items.map((item) => (chunk.has(item) ? { call: item.call, isForgotten: true } : item)),
    );
  }

  fault(): Fault<I, O> {
    const items = [...this.items].sort((one, other) => one.call.askedAt - other.call.askedAt);
    const calls = items.map(({ call }) => call);
    const forgotten = new Set(items.filter(({ isForgotten }) => isForgotten).map(({ call }) => call));
    const before = this.judge(
      items.filter(({ call }) => call !== this.culprit),
      LIMITS,
    );
    const states = before.kind === 'linearizable' ? before.states : [];
    const fault = { key: this.culprit.key, calls, forgotten, culprit: this.culprit, states };
    return { ...fault, text: describeFault(fault, this.model(), this.size) };
  }

  /** Changes what `may` be changed, in chunks of all, of half of that, … of one, as long as the history stays bad. */
  private reduce(may: (item: Item<I, O>) => boolean, change: (chunk: Set<Item<I, O>>) => Item<I, O>[]): void {
    const candidates = () => this.items.filter((item) => item.call !== this.culprit && may(item));
    for (let size = candidates().length; size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      // From the end: what came before may be what is needed least, but what is needed is near the culprit.
      const all = candidates();
      for (let at = 0; at < all.length; at += size) {
        const chunk = new Set(all.slice(at, at + size).filter((item) => this.items.includes(item)));
        if (chunk.size > 0) this.attempt(change(chunk));
      }
    }
  }

  private attempt(items: Item<I, O>[]): void {
    if (this.steps > STEPS_MAX) return;
    const bad = this.untilCulprit(items, ATTEMPT_LIMITS);
    if (bad === null || (this.isExcused && !this.excuses(bad))) return;
    this.items = bad.items;
    this.culprit = bad.culprit;
  }

  private excuses({ items, culprit }: Bad<I, O>): boolean {
    const others = items.filter(({ call }) => call !== culprit);
    const free = { ...culprit, askedAt: Number.NEGATIVE_INFINITY, endedAt: Number.POSITIVE_INFINITY };
    return this.judge([...others, { call: free, isForgotten: false }], ATTEMPT_LIMITS).kind === 'linearizable';
  }

  /** Its shortest beginning that is bad; null if nothing is, or nobody can tell. */
  private untilCulprit(items: readonly Item<I, O>[], limits: Limits): Bad<I, O> | null {
    const verdict = this.judge(items, limits);
    if (verdict.kind !== 'not-linearizable') return null;
    const isBad = (end: Call<I, O>) => this.judge(untilEnd(items, end), limits).kind === 'not-linearizable';
    let culprit = verdict.culprit;
    if (!isBad(culprit)) {
      // The model knew of answers that came later. The first of those is between here and the end.
      const ends = items.filter((item) => !item.isForgotten && item.call.outcome.kind === 'answered');
      const sorted = ends.map(({ call }) => call).sort((one, other) => one.endedAt - other.endedAt);
      let from = sorted.indexOf(culprit) + 1;
      for (let to = sorted.length - 1; from < to; ) {
        const middle = (from + to) >> 1;
        if (isBad(sorted[middle] as Call<I, O>)) to = middle;
        else from = middle + 1;
      }
      culprit = sorted[from] as Call<I, O>;
    }
    return { items: untilEnd(items, culprit), culprit };
  }

  private judge(items: readonly Item<I, O>[], limits: Limits) {
    const calls = items.map(({ call, isForgotten }) => (isForgotten ? unknown(call) : call));
    const verdict = checkCalls(calls, this.modelOf(calls), limits);
    this.steps += verdict.steps;
    return verdict;
  }

  private model(): Model<I, O> {
    return this.modelOf(this.items.map(({ call }) => call));
  }
}

/** What had been asked by then; what was not answered by then is as good as never answered. */
function untilEnd<I, O>(items: readonly Item<I, O>[], { endedAt }: Call<I, O>): Item<I, O>[] {
  return items
    .filter(({ call }) => call.askedAt <= endedAt)
    .map((item) => (item.call.endedAt > endedAt ? { call: item.call, isForgotten: true } : item));
}

function unknown<I, O>(call: Call<I, O>): Call<I, O> {
  return { ...call, outcome: { kind: 'unknown' } };
}

type Shown<I, O> = Omit<Fault<I, O>, 'text'>;

function describeFault<I, O>({ key, calls, forgotten, culprit, states }: Shown<I, O>, model: Model<I, O>, of: number) {
  const isOpen = (call: Call<I, O>) => forgotten.has(call) || call.outcome.kind === 'unknown';
  const told = (call: Call<I, O>) => model.describe(forgotten.has(call) ? unknown(call) : call);
  const open = calls.filter(isOpen);
  const isCrowd = open.length > OPEN_ROWS_MAX;
  const rows = calls
    .filter((call) => !isCrowd || !isOpen(call))
    .map((call) => {
      const end = isOpen(call) ? '' : formatTime(call.endedAt);
      return [call === culprit ? '>' : ' ', call.client, formatTime(call.askedAt), end, told(call)];
    });
  const widths = [0, 1, 2, 3].map((column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  '));
  if (isCrowd) lines.push(`and each at some time after it was asked, or never: ${counted(open.map(told)).join(', ')}`);
  const possible = states.slice(0, STATES_SHOWN_MAX).map((state) => model.describeState(state));
  if (states.length === 0) possible.push('(too many to tell)');
  if (states.length > possible.length) possible.push(`${states.length - possible.length} more`);
  return [
    `${key}: not linearizable, as these ${calls.length} of ${of} calls show (client, asked, answered, what):`,
    ...lines,
    `before the answer marked > it could only be: ${possible.join(' | ')}`,
  ].join('\n');
}

/** `INCR × 12` for what is there so often. */
function counted(texts: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of texts) counts.set(text, (counts.get(text) ?? 0) + 1);
  return [...counts].map(([text, count]) => (count === 1 ? text : `${text} × ${count}`));
}

function formatTime(time: number): string {
  return Number.isInteger(time) ? `${time}` : time.toFixed(3);
}
