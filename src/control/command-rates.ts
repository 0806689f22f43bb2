/** How many commands each worker takes in a second now, from the counters that workers publish. */
import { performance } from 'node:perf_hooks';
import { readWorkerMetrics } from '../base/metrics.js';

/** Workers publish twice a second: over a shorter time a rate would jump. */
const INTERVAL_MS = 1_000;
const SAMPLES_MAX = 3;

interface Sample {
  atMs: number;
  commands: readonly number[];
}

export class CommandRates {
  private readonly metrics: SharedArrayBuffer;
  private readonly workers: number;
  private readonly now: () => number;
  /** Oldest first. */
  private readonly samples: Sample[] = [];
  private readonly timer: NodeJS.Timeout;

  /** `now` is in milliseconds; a test has its own. */
  constructor(metrics: SharedArrayBuffer, workers: number, now: () => number = () => performance.now()) {
    this.metrics = metrics;
    this.workers = workers;
    this.now = now;
    this.sample();
    this.timer = setInterval(() => this.sample(), INTERVAL_MS).unref();
  }

  /** Commands per second by worker, over the last two seconds; 0 until there is enough to tell. */
  rates(): number[] {
    const [oldest] = this.samples;
    const newest = this.samples.at(-1);
    if (oldest === undefined || newest === undefined || newest === oldest) return new Array(this.workers).fill(0);
    const seconds = (newest.atMs - oldest.atMs) / 1_000;
    return newest.commands.map((commands, worker) => (commands - (oldest.commands[worker] as number)) / seconds);
  }

  sample(): void {
    const commands = Array.from({ length: this.workers }, (_, worker) => {
      return readWorkerMetrics(this.metrics, worker).commands;
    });
    this.samples.push({ atMs: this.now(), commands });
    if (this.samples.length > SAMPLES_MAX) this.samples.shift();
  }

  stop(): void {
    clearInterval(this.timer);
  }
}
