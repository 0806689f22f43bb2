/**
 * The hints of all nodes that this process has: what workers could not give a node is kept here until it can be (`hint-replay`), within bounds.
 * In `dataDir` they survive the process; without one they are in memory.
 *
 *   DATA-DIR/hints/POOL/NODE/   one HintLog, by names as in an address
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from 'pino';
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../base/limits.js';
import type { NodeSnapshot } from '../messages.js';
import { HintLog } from './hint-log.js';

type HintLimits = Pick<NodeLimits, 'hintBytesMax' | 'hintAgeMaxMs'>;

interface Kept {
  readonly pool: string;
  readonly node: string;
  readonly log: HintLog;
  /** Hints that there was no room for, since that was told last. */
  dropped: number;
}

/** What is kept for a node. */
export interface HintCare {
  bytes: number;
  /** When the oldest was taken, in milliseconds since 1970; null: there is none. */
  oldestMs: number | null;
}

/** Between looks at what is too old, and at what was dropped. */
const LOOK_MS = 1_000;

export class Hints {
  private readonly folder: string | null;
  private readonly log: Logger;
  private readonly clock: () => number;
  /** By pool and node. */
  private readonly kept = new Map<string, Kept>();
  /** By pool. */
  private limits = new Map<string, HintLimits>();
  private readonly timer: NodeJS.Timeout;
  private trouble = '';

  /** `dataDir`: null for none. */
  constructor(dataDir: string | null, log: Logger, clock: () => number = Date.now) {
    this.folder = dataDir === null ? null : join(dataDir, 'hints');
    this.log = log;
    this.clock = clock;
    this.timer = setInterval(() => this.look(), LOOK_MS).unref();
  }

  /** Resolves when what was kept before is known. Rejects with the system's error. */
  async open(): Promise<void> {
    const { folder } = this;
    if (folder === null || !existsSync(folder)) return;
    for (const pool of await readdir(folder)) {
      for (const node of await readdir(join(folder, pool))) {
        const names = [decodeURIComponent(pool), decodeURIComponent(node)] as const;
        const log = await HintLog.open(this.optionsOf(...names));
        this.kept.set(names.join('/'), { pool: names[0], node: names[1], log, dropped: 0 });
      }
    }
  }

  /** Their limits hold from now on. */
  configure(nodes: readonly Pick<NodeSnapshot, 'pool' | 'limits'>[]): void {
    this.limits = new Map(nodes.map(({ pool, limits }) => [pool, limits]));
  }

  /** So many hints of a node, from a worker. Returns how many of them there was no room for. */
  take(pool: string, node: string, parcel: Uint8Array, count: number): number {
    const id = `${pool}/${node}`;
    let kept = this.kept.get(id);
    if (kept === undefined) {
      kept = { pool, node, log: new HintLog(this.optionsOf(pool, node)), dropped: 0 };
      this.kept.set(id, kept);
    }
    if (kept.log.bytes + parcel.length > this.limitsOf(pool).hintBytesMax) {
      if (kept.dropped === 0) this.tellDropped(kept, 'hintBytesMax', { hints: count });
      kept.dropped += count;
      return count;
    }
    kept.log.append(parcel, this.clock());
    return 0;
  }

  /** Null: there is nothing for that node. */
  of(pool: string, node: string): HintLog | null {
    const log = this.kept.get(`${pool}/${node}`)?.log;
    return log === undefined || log.isEmpty ? null : log;
  }

  care(pool: string, node: string): HintCare {
    const log = this.of(pool, node);
    return { bytes: log?.bytes ?? 0, oldestMs: log?.oldestMs ?? null };
  }

  /** The oldest that a hint may be, in milliseconds since 1970. */
  oldestOf(pool: string): number {
    return this.clock() - this.limitsOf(pool).hintAgeMaxMs;
  }

  /** Resolves when all is on the disk. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await Promise.all(Array.from(this.kept.values(), ({ log }) => log.close()));
  }

  private look(): void {
    for (const kept of this.kept.values()) {
      const { log, pool } = kept;
      if (kept.dropped > 0) this.tellDropped(kept, 'hintBytesMax', { hints: kept.dropped });
      kept.dropped = 0;
      const { firstEndsMs, bytes } = log;
      if (firstEndsMs === null || firstEndsMs >= this.oldestOf(pool)) continue;
      void log.removeFirst();
      this.tellDropped(kept, 'hintAgeMaxMs', { bytes: bytes - log.bytes });
    }
  }

  private tellDropped({ pool, node }: Kept, name: keyof HintLimits, what: { hints?: number; bytes?: number }): void {
    this.log.warn({ pool, node, limit: `${name} ${this.limitsOf(pool)[name]}`, ...what }, 'hints-dropped');
  }

  private limitsOf(pool: string): HintLimits {
    return this.limits.get(pool) ?? DEFAULT_NODE_LIMITS;
  }

  private optionsOf(pool: string, node: string) {
    const { folder } = this;
    const own = folder === null ? null : join(folder, encodeURIComponent(pool), encodeURIComponent(node));
    return { folder: own, onTrouble: (reason: string) => this.onTrouble(reason) };
  }

  private onTrouble(reason: string): void {
    if (reason !== this.trouble) this.log.error({ reason }, 'hints-not-kept');
    this.trouble = reason;
  }
}
