/**
 * When the nodes of a pool are compared: again and again, and soon after a node has come back or a copy was found behind. One process of a
 * fleet does it, its leader.
 */
import type { Logger } from 'pino';
import type { NodeLimits } from '../base/limits.js';
import { pause } from '../base/pause.js';
import { type Compared, type ComparisonOptions, compareNodes } from './comparison.js';

export interface ComparisonsOptions extends ComparisonOptions {
  pool: string;
  limits: ComparisonOptions['limits'] & Pick<NodeLimits, 'compareIntervalMs'>;
  isLeader: () => boolean;
  /** What was known before; null: nothing. */
  before: ComparisonCare | null;
  log: Logger;
}

/** The last one, and since when all is known to be equal. Times are ISO 8601, in UTC. */
export interface ComparisonCare extends Compared {
  beganAt: string;
  tookMs: number;
  /** When the last began that asked all nodes, and left no copy behind: what was written before is on all copies. Null: there was none. */
  equalAt: string | null;
}

/** What has just come back is not all there yet, and what has just been written not everywhere. */
const SOON_MS = 1_000;
/** Between looks at whether there is something to do. */
const LOOK_MS = 250;

export class Comparisons {
  /** Null: there was none yet. */
  care: ComparisonCare | null;
  private readonly options: ComparisonsOptions;
  private dueMs: number;

  constructor(options: ComparisonsOptions) {
    this.options = options;
    this.care = options.before;
    this.dueMs = performance.now() + SOON_MS;
  }

  soon(leastMs = 0): void {
    this.dueMs = Math.min(this.dueMs, performance.now() + Math.max(SOON_MS, leastMs));
  }

  /** Until it is stopped. */
  async run(): Promise<void> {
    const { stopped, isLeader, limits } = this.options;
    while (!stopped.aborted) {
      if (performance.now() < this.dueMs || !isLeader()) {
        await pause(Math.min(LOOK_MS, limits.compareIntervalMs), stopped);
        continue;
      }
      this.dueMs = performance.now() + limits.compareIntervalMs * (1 - Math.random() / 2);
      await this.compare();
    }
  }

  private async compare(): Promise<void> {
    const { pool, log, stopped } = this.options;
    const startMs = performance.now();
    const beganAt = new Date().toISOString();
    const compared = await compareNodes(this.options);
    if (stopped.aborted) return;
    const tookMs = Math.round(performance.now() - startMs);
    const equalAt = compared.copies === 'equal' ? beganAt : (this.care?.equalAt ?? null);
    this.care = { ...compared, beganAt, tookMs, equalAt };
    if (compared.behind > 0) {
      log.info({ pool, ...compared, tookMs }, 'compared');
      // Whether all is equal now is to be known soon, and nodes are not to be asked all the time.
      if (compared.mended > 0) this.soon(tookMs);
    }
  }
}
