/** From the runs of a ladder of rates to its steps: medians of the rounds. */
import { median } from '../compare/rounds.js';

export interface LatencyRun {
  readonly label: string;
  /** Offered: requests a second. */
  readonly rate: number;
  readonly round: number;
  /** Answered within the time of measurement, or as soon as all were: requests a second. */
  readonly achievedRate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly p9999Ms: number;
  /** The generator's own part. */
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  /** Why the figures are not the endpoint's alone; null where they are. */
  readonly lateness: string | null;
  /** Requests that got no reply. */
  readonly unanswered: number;
}

/** An endpoint at a rate. */
export interface Step {
  readonly label: string;
  readonly rate: number;
  readonly achievedRate: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
  readonly p9999Ms: number;
  readonly lagP50Ms: number;
  readonly lagP99Ms: number;
  /** In most rounds the endpoint kept up, and the generator too. */
  readonly isReliable: boolean;
}

/** What a chart is drawn from; a file of results has it as `chart`. */
export interface LatencyResults {
  readonly title: string;
  readonly subtitle: string;
  readonly steps: readonly Step[];
}

/** Of the offered load; below it the endpoint does not keep up. */
const ACHIEVED_SHARE_MIN = 0.95;

export function keptUp({ achievedRate, rate, unanswered }: LatencyRun): boolean {
  return unanswered === 0 && achievedRate >= ACHIEVED_SHARE_MIN * rate;
}

/** In the order in which rates and labels first appear in `runs`. */
export function stepsOf(runs: readonly LatencyRun[]): Step[] {
  const groups = new Map<string, LatencyRun[]>();
  for (const run of runs) {
    const key = `${run.rate} ${run.label}`;
    groups.set(key, [...(groups.get(key) ?? []), run]);
  }
  return [...groups.values()].map((group) => {
    const [{ label, rate }] = group as [LatencyRun];
    const of = (figure: (run: LatencyRun) => number) => median(group.map(figure));
    const good = group.filter((run) => keptUp(run) && run.lateness === null).length;
    return {
      label,
      rate,
      achievedRate: of((run) => run.achievedRate),
      p50Ms: of((run) => run.p50Ms),
      p99Ms: of((run) => run.p99Ms),
      p999Ms: of((run) => run.p999Ms),
      p9999Ms: of((run) => run.p9999Ms),
      lagP50Ms: of((run) => run.lagP50Ms),
      lagP99Ms: of((run) => run.lagP99Ms),
      isReliable: good > group.length / 2,
    };
  });
}

/** A table for each rate. */
export function printSteps(steps: readonly Step[]): void {
  const titles = ['achieved', 'p50 ms', 'p99', 'p99.9', 'p99.99', 'own lag p50', 'p99'];
  for (const rate of new Set(steps.map((step) => step.rate))) {
    console.log(`\n${`${rate} requests per second`.padEnd(28)}${titles.map((title) => title.padStart(12)).join('')}`);
    for (const step of steps.filter((one) => one.rate === rate)) {
      const times = [step.p50Ms, step.p99Ms, step.p999Ms, step.p9999Ms, step.lagP50Ms, step.lagP99Ms];
      const cells = [step.achievedRate.toFixed(0), ...times.map((ms) => ms.toFixed(3))];
      const note = step.isReliable ? '' : '  (not kept up with, or the generator was late)';
      console.log(`${step.label.padEnd(28)}${cells.map((cell) => cell.padStart(12)).join('')}${note}`);
    }
  }
}
