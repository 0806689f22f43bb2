/**
 * What may have been got although nobody has it, and what could not be given back: it is given back again and again until that is known to be so, or its
 * time is over. One at a time for each lock, however many acquisitions of it are in doubt.
 *
 * Invariant: an acquisition that is not there, where the version is past all those that it was written by, never comes (driver.ts: a change by a
 * version that is past is a conflict).
 */
import type { Clock } from '../base/clock.js';
import { pause } from '../base/pause.js';

export interface SettlerContext {
  readonly clock: Clock;
  readonly closed: AbortSignal;
  /** A number in [0, 1). */
  random(): number;
  /** Frees what was granted by these ids. The version at which none of them is there; null: that is not known. Never rejects. */
  free(name: string, ids: ReadonlySet<string>): Promise<number | null>;
}

interface Doubt {
  /** The largest that it was written by. */
  readonly version: number;
  readonly untilMs: number;
}

/** In doubt at a time, of all locks. Beyond, their time alone ends them. */
const DOUBTS_MAX = 10_000;
/** Between two times, doubled each time, and up to as long again by chance. */
const PAUSE_MS_MIN = 250;
const PAUSE_MS_MAX = 4_000;

export class LockSettler {
  private readonly context: SettlerContext;
  /** By lock and id. */
  private readonly doubts = new Map<string, Map<string, Doubt>>();
  private count = 0;

  constructor(context: SettlerContext) {
    this.context = context;
  }

  /** `version`: the largest that it may have been written by, 0 where that is over; `untilMs`: when its time is over. */
  add(name: string, id: string, version: number, untilMs: number): void {
    if (this.count >= DOUBTS_MAX) return;
    this.count++;
    const known = this.doubts.get(name);
    if (known !== undefined) {
      known.set(id, { version, untilMs });
      return;
    }
    const doubts = new Map([[id, { version, untilMs }]]);
    this.doubts.set(name, doubts);
    void this.settle(name, doubts);
  }

  private async settle(name: string, doubts: Map<string, Doubt>): Promise<void> {
    const { clock, closed, random, free } = this.context;
    for (let pauseMs = PAUSE_MS_MIN; doubts.size > 0; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      await pause(pauseMs * (1 + random()), closed, clock);
      if (closed.aborted) return;
      const ids = new Set(doubts.keys());
      const version = await free(name, ids);
      const nowMs = clock.nowMs();
      for (const id of ids) {
        const doubt = doubts.get(id) as Doubt;
        const isSettled = version !== null && version > doubt.version;
        if (isSettled || doubt.untilMs <= nowMs) this.end(doubts, id);
      }
    }
    this.doubts.delete(name);
  }

  private end(doubts: Map<string, Doubt>, id: string): void {
    doubts.delete(id);
    this.count--;
  }
}
