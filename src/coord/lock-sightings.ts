/**
 * What one process knows of the locks in the store: the newest version that it has seen of each, and since when it sees each holder as it is.
 *
 * Invariant: a holder's time is over for others when they have seen its last renewal for its ttl, by a clock that may be too fast. That renewal was
 * sent before it was seen, and the holder counts from then, by a clock that may be too slow: so it has stopped by itself before. Whether the
 * watch tells of anything meanwhile does not matter: who takes over goes by the version that was seen, and a renewal makes another one.
 */
import { DRIFT } from './lease.js';
import { decodeLock, type LockEntry, type LockHolder } from './lock-entry.js';
import type { Entry, Folder } from './store.js';
import { StoreError } from './store-error.js';

interface Sighting {
  readonly version: number;
  readonly entry: LockEntry;
  /** When this version was seen first. */
  readonly sinceMs: number;
  /** By renewal, when the time of that holder is over. */
  readonly untilMs: ReadonlyMap<string, number>;
}

const ABSENT_MAX = 10_000;

/** Until when its holder may believe what was sent at `sentMs`. A moment, and no length: whoever stands still on the way to him has it over sooner. */
export function heldUntilMs(ttlMs: number, sentMs: number): number {
  return sentMs + ttlMs * (1 - DRIFT);
}

export class LockSightings {
  /** By the name of the entry. */
  private readonly seen = new Map<string, Sighting>();
  /** Of the whole folder, as it was told last: what it did not have then has it. */
  private toldVersion = 0;
  /** By name, what is known since not to be there. What is known of one name says nothing of others: an entry has the version of its folder, too. */
  private readonly absent = new Map<string, number>();
  /** By name, what is there and no lock. */
  private readonly strange = new Map<string, { version: number; error: StoreError }>();

  /** What a change goes by. */
  of(entryName: string): { version: number; entry: LockEntry | null } {
    const known = this.seen.get(entryName);
    return known ?? { version: Math.max(this.toldVersion, this.absent.get(entryName) ?? 0), entry: null };
  }

  /** Returns whether that is news. Throws a StoreError, `refused`, for what is no lock. */
  onEntry(entryName: string, { version, value }: Entry, nowMs: number): boolean {
    const before = this.seen.get(entryName);
    const strange = this.strange.get(entryName);
    if (strange?.version === version && value !== null) throw strange.error;
    if (Math.max(before?.version ?? -1, strange?.version ?? -1) >= version) return false;
    if (value === null) {
      this.strange.delete(entryName);
      // Who forgets it has a conflict, and asks again.
      if (this.absent.size >= ABSENT_MAX) this.absent.clear();
      if (version > this.toldVersion) this.absent.set(entryName, version);
      return this.seen.delete(entryName);
    }
    // It has been removed since.
    if (before === undefined && version <= this.of(entryName).version) return false;
    this.absent.delete(entryName);
    const entry = this.decode(entryName, version, value);
    const untilMs = new Map<string, number>();
    for (const { renewal, ttlMs } of entry.holders)
      untilMs.set(renewal, before?.untilMs.get(renewal) ?? nowMs + ttlMs * (1 + DRIFT));
    this.seen.set(entryName, { version, entry, sinceMs: nowMs, untilMs });
    return true;
  }

  /** Returns the names of the entries of which something is news, and what is wrong with one that is no lock, which says nothing of others. */
  onFolder({ version, entries }: Folder, nowMs: number): { news: string[]; trouble: StoreError | null } {
    const news: string[] = [];
    let trouble: StoreError | null = null;
    for (const [name, entry] of entries) {
      try {
        if (this.onEntry(name, entry, nowMs)) news.push(name);
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        trouble ??= error;
      }
    }
    for (const [name, known] of this.seen) {
      // Versions of a folder only grow, also where names leave it: what was seen since is newer than this folder.
      if (entries.has(name) || known.version > version) continue;
      this.seen.delete(name);
      news.push(name);
    }
    for (const [name, known] of this.strange)
      if (!entries.has(name) && known.version <= version) this.strange.delete(name);
    this.toldVersion = Math.max(this.toldVersion, version);
    for (const [name, absentVersion] of this.absent) if (absentVersion <= version) this.absent.delete(name);
    return { news, trouble };
  }

  /** Of the locks that have entries. */
  names(): string[] {
    return [...this.seen.values()].map(({ entry }) => entry.name);
  }

  /** When the time of a holder of that entry is over. */
  untilMs(entryName: string, { renewal }: LockHolder): number {
    return this.seen.get(entryName)?.untilMs.get(renewal) ?? Number.NEGATIVE_INFINITY;
  }

  private decode(entryName: string, version: number, value: string): LockEntry {
    try {
      const entry = decodeLock(version, value);
      this.strange.delete(entryName);
      return entry;
    } catch (error) {
      if (error instanceof StoreError) {
        this.strange.set(entryName, { version, error });
        this.seen.delete(entryName);
      }
      throw error;
    }
  }

  /** Entries that nobody has held for so long, with the version that was seen. */
  unused(forMs: number, nowMs: number): { name: string; version: number }[] {
    const found: { name: string; version: number }[] = [];
    for (const [name, { version, sinceMs, untilMs }] of this.seen) {
      if (Math.max(sinceMs, ...untilMs.values()) + forMs <= nowMs) found.push({ name, version });
    }
    return found;
  }
}
