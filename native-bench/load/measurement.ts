/**
 * What became of the requests of one run. Those that are due before `fromUs` or from `untilUs` on are asked too, but not counted.
 * Times are whole µs; the histograms are Node's own HDR histograms, exact to three figures.
 */
import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';

const LONGEST_US = 3_600e6;
const PERCENTILES = { p50: 50, p90: 90, p99: 99, p999: 99.9, p9999: 99.99 } as const;

export type Percentiles = Readonly<Record<keyof typeof PERCENTILES | 'max', number>>;

export interface MeasurementSummary {
  /** Requests that were due. */
  readonly due: number;
  readonly answered: number;
  /** Replies of each kind of error, by its first word, and what was not answered. */
  readonly errors: Readonly<Record<string, number>>;
  /** Replies that there is no such value. */
  readonly nulls: number;
  /** Replies a second, counted until the last one came. */
  readonly achievedRate: number;
  /** From when a request was due to its reply. */
  readonly latencyUs: Percentiles;
  /** From when a request was due until it was sent: the generator's own lateness, which is part of the latency. */
  readonly lagUs: Percentiles;
}

export class Measurement {
  /** Requests that were asked, and of these the ones not yet answered, whether they are counted below or not. */
  asked = 0;
  inFlight = 0;
  private readonly fromUs: number;
  private readonly untilUs: number;
  private readonly latency = histogram();
  private readonly lag = histogram();
  private readonly errors = new Map<string, number>();
  private due = 0;
  private answered = 0;
  private nulls = 0;
  private lastReplyUs = 0;

  constructor(fromUs: number, untilUs: number) {
    this.fromUs = fromUs;
    this.untilUs = untilUs;
    this.lastReplyUs = fromUs;
  }

  onAsked(dueUs: number, nowUs: number): void {
    this.asked++;
    this.inFlight++;
    if (!this.counts(dueUs)) return;
    this.due++;
    record(this.lag, nowUs - dueUs);
  }

  /** `error` is the first word of an error reply, or null. */
  onReply(dueUs: number, nowUs: number, error: string | null, isNull: boolean): void {
    this.inFlight--;
    if (!this.counts(dueUs)) return;
    this.answered++;
    this.lastReplyUs = nowUs;
    record(this.latency, nowUs - dueUs);
    if (error !== null) this.noteError(error);
    if (isNull) this.nulls++;
  }

  /** No reply came, and none will. The time that was waited for one is a latency, too: it would have been longer. */
  onLost(dueUs: number, nowUs: number, reason: string): void {
    this.inFlight--;
    if (!this.counts(dueUs)) return;
    record(this.latency, nowUs - dueUs);
    this.noteError(reason);
  }

  /** It was due, and not sent. */
  onUnsent(dueUs: number, reason: string): void {
    if (!this.counts(dueUs)) return;
    this.due++;
    this.noteError(reason);
  }

  summary(): MeasurementSummary {
    const end = Number.isFinite(this.untilUs) ? Math.max(this.untilUs, this.lastReplyUs) : this.lastReplyUs;
    return {
      due: this.due,
      answered: this.answered,
      errors: Object.fromEntries(this.errors),
      nulls: this.nulls,
      achievedRate: (this.answered * 1e6) / (end - this.fromUs),
      latencyUs: percentilesOf(this.latency),
      lagUs: percentilesOf(this.lag),
    };
  }

  private counts(dueUs: number): boolean {
    return dueUs >= this.fromUs && dueUs < this.untilUs;
  }

  private noteError(word: string): void {
    this.errors.set(word, (this.errors.get(word) ?? 0) + 1);
  }
}

function histogram(): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LONGEST_US, figures: 3 });
}

/** A histogram takes nothing below 1. */
function record(into: RecordableHistogram, us: number): void {
  into.record(Math.min(Math.max(us, 1), LONGEST_US));
}

/** NaN of nothing. */
function percentilesOf(from: RecordableHistogram): Percentiles {
  const at = (percent: number) => (from.count === 0 ? Number.NaN : from.percentile(percent));
  const all = Object.entries(PERCENTILES).map(([name, percent]) => [name, at(percent)]);
  return { ...Object.fromEntries(all), max: from.count === 0 ? Number.NaN : from.max };
}
