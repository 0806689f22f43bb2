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
import { fileNameOf } from '../base/file-name.js';
import { DEFAULT_NODE_LIMITS, type NodeLimits } from '../base/limits.js';
import type { Counts } from '../base/metrics.js';
import type { NodeSnapshot } from '../messages.js';
import { HintLog } from './hint-log.js';

type HintLimits = Pick<NodeLimits, 'hintBytesMax' | 'hintAgeMaxMs'>;

interface Kept {
  readonly pool: string;
  readonly node: string;
  readonly log: HintLog;
  /** Hints that were dropped since that was told last, by the limit that they were over. */
  readonly dropped: Record<keyof HintLimits, number>;
  /** Why hints were set aside, as it was told last, and when. */
  setAside: { why: string; toldMs: number };
  /** See HintCare. */
  latenessMs: number | null;
}

/** What is kept for a node. */
export interface HintCare {
  bytes: number;
  /** When the oldest was made, in milliseconds since 1970; null: there is none. */
  oldestMs: number | null;
  /** How long before it was given what it was given last that had been written, by the clock of who wrote it; null: this process has given it nothing. */
  latenessMs: number | null;
}

/** Between looks at what is too old, and at what was dropped. */
const LOOK_MS = 1_000;
/** What goes on for the same reason is told so often. */
const TELL_MS = 60_000;

export class Hints {
  /** What the process has done with those that it was given. */
  readonly counts: Pick<Counts, 'replicatedHintsDropped' | 'replicatedHintsSetAside'> = {
    replicatedHintsDropped: 0,
    replicatedHintsSetAside: 0,
  };
  private readonly folder: string | null;
  private readonly log: Logger;
  private readonly clock: () => number;
  /** By pool and node. */
  private readonly kept = new Map<string, Kept>();
  /** By pool. */
  private limits = new Map<string, HintLimits>();
  private readonly timer: NodeJS.Timeout;
  private looking: Promise<void> | null = null;
  private trouble = '';

  /** `dataDir`: null for none. */
  constructor(dataDir: string | null, log: Logger, clock: () => number = Date.now) {
    this.folder = dataDir === null ? null : join(dataDir, 'hints');
    this.log = log;
    this.clock = clock;
    this.timer = setInterval(() => {
      this.looking ??= this.look().finally(() => {
        this.looking = null;
      });
    }, LOOK_MS).unref();
  }

  /** Resolves when what was kept before is known. Rejects as HintLog.open does. */
  async open(): Promise<void> {
    const { folder } = this;
    if (folder === null || !existsSync(folder)) return;
    for (const pool of await foldersIn(folder)) {
      for (const node of await foldersIn(join(folder, pool))) {
        const names = [decodeURIComponent(pool), decodeURIComponent(node)] as const;
        this.keep(...names, await HintLog.open(this.optionsOf(...names)));
      }
    }
  }

  /** Their limits hold from now on. */
  configure(nodes: readonly Pick<NodeSnapshot, 'pool' | 'limits'>[]): void {
    this.limits = new Map(nodes.map(({ pool, limits }) => [pool, limits]));
  }

  /** So many hints of a node, from a worker. Resolves when they are kept, or were dropped: false. */
  async take(pool: string, node: string, parcel: Uint8Array, count: number): Promise<boolean> {
    const kept = this.keptOf(pool, node) ?? this.keep(pool, node, new HintLog(this.optionsOf(pool, node)));
    if (kept.log.bytes + parcel.length > this.limitsOf(pool).hintBytesMax) {
      this.drop(kept, 'hintBytesMax', count);
      return false;
    }
    const isKept = await kept.log.append(parcel, count, this.clock());
    // Why not was told.
    if (!isKept) this.counts.replicatedHintsDropped += count;
    return isKept;
  }

  /** Null: there is nothing for that node. */
  of(pool: string, node: string): HintLog | null {
    const log = this.keptOf(pool, node)?.log;
    return log === undefined || log.isEmpty ? null : log;
  }

  /** A hint of it was left out: it is too old. */
  onOld(pool: string, node: string): void {
    const kept = this.keptOf(pool, node);
    if (kept !== undefined) this.drop(kept, 'hintAgeMaxMs', 1);
  }

  /** The node has now what was written then, in milliseconds since 1970. */
  onGiven(pool: string, node: string, writtenAtMs: number): void {
    const kept = this.keptOf(pool, node);
    if (kept !== undefined) kept.latenessMs = Math.max(0, this.clock() - writtenAtMs);
  }

  /** The node does not take so many hints now; they stand behind all others again. */
  onSetAside(pool: string, node: string, hints: number, why: string): void {
    const kept = this.keptOf(pool, node);
    if (kept === undefined) return;
    this.counts.replicatedHintsSetAside += hints;
    const { setAside } = kept;
    const nowMs = this.clock();
    if (setAside.why === why && nowMs - setAside.toldMs < TELL_MS) return;
    kept.setAside = { why, toldMs: nowMs };
    this.log.warn({ pool, node, hints, reason: why }, 'hints-set-aside');
  }

  care(pool: string, node: string): HintCare {
    const log = this.of(pool, node);
    const latenessMs = this.keptOf(pool, node)?.latenessMs ?? null;
    return { bytes: log?.bytes ?? 0, oldestMs: log?.oldestMs ?? null, latenessMs };
  }

  /** The oldest that a hint may be, in milliseconds since 1970. */
  oldestOf(pool: string): number {
    return this.clock() - this.limitsOf(pool).hintAgeMaxMs;
  }

  /** Resolves when all is on the disk. */
  async close(): Promise<void> {
    clearInterval(this.timer);
    await this.looking;
    await Promise.all(Array.from(this.kept.values(), ({ log }) => log.close()));
  }

  private async look(): Promise<void> {
    for (const kept of this.kept.values()) {
      const { log, pool, node, dropped } = kept;
      this.drop(kept, 'hintAgeMaxMs', await log.dropOlder(this.oldestOf(pool)));
      for (const name of ['hintBytesMax', 'hintAgeMaxMs'] as const) {
        const hints = dropped[name];
        dropped[name] = 0;
        if (hints === 0) continue;
        this.log.warn({ pool, node, limit: `${name} ${this.limitsOf(pool)[name]}`, hints }, 'hints-dropped');
      }
    }
  }

  /** It is told at the next look. */
  private drop({ dropped }: Kept, limit: keyof HintLimits, hints: number): void {
    dropped[limit] += hints;
    this.counts.replicatedHintsDropped += hints;
  }

  private keep(pool: string, node: string, log: HintLog): Kept {
    const dropped = { hintBytesMax: 0, hintAgeMaxMs: 0 };
    const kept = { pool, node, log, dropped, setAside: { why: '', toldMs: 0 }, latenessMs: null };
    this.kept.set(`${pool}/${node}`, kept);
    return kept;
  }

  private keptOf(pool: string, node: string): Kept | undefined {
    return this.kept.get(`${pool}/${node}`);
  }

  private limitsOf(pool: string): HintLimits {
    return this.limits.get(pool) ?? DEFAULT_NODE_LIMITS;
  }

  private optionsOf(pool: string, node: string) {
    const { folder } = this;
    const own = folder === null ? null : join(folder, fileNameOf(pool), fileNameOf(node));
    return { folder: own, onTrouble: (reason: string) => this.onTrouble(reason) };
  }

  private onTrouble(reason: string): void {
    if (reason !== this.trouble) this.log.error({ reason }, 'hints-not-kept');
    this.trouble = reason;
  }
}

async function foldersIn(path: string): Promise<string[]> {
  const entries = await readdir(path, { withFileTypes: true });
  return entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
}
