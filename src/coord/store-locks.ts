/**
 * Locks on the coordination store, for all workers of one process (docs/LOCKS.md, `provider: store`).
 *
 *   acquire ──> lock-line: one after the other ──> attempt: lock-entry decides, compare-and-set by the version that was seen
 *                   ^                                  │ conflict: decided again on what was found
 *                   └── a change, or time ── lock-sightings <── the watch, and the answers to what is written
 *
 * What is asked of a lock by one token is carried out in the order of asking (token-turns): of two changes under way at once the later one could
 * be applied first, and be undone by the other.
 *
 * What is unknown (StoreError) is settled by looking: each acquisition and each renewal carries a name that is used once, and a change goes by its
 * version, so that it is there or can be sent again. What cannot be settled in time is given back, until its ttl is over.
 */
import type { Clock } from '../base/clock.js';
import { pause } from '../base/pause.js';
import type { Watch } from './driver.js';
import { newHolder } from './lease.js';
import {
  acquireIn,
  type Change,
  encodeLock,
  entryNameOf,
  extendIn,
  holderIn,
  type LockEntry,
  type LockHolder,
  releaseIn,
} from './lock-entry.js';
import { type EndWish, type LineLocks, LockLine } from './lock-line.js';
import type { Attempted, LockView, LockWish, NotHeldLock, Told, Trouble } from './lock-outcomes.js';
import { LockSettler } from './lock-settler.js';
import { heldUntilMs, LockSightings } from './lock-sightings.js';
import type { Entry, Folder, Store } from './store.js';
import { StoreError } from './store-error.js';
import { TokenTurns } from './token-turns.js';

const FOLDER = 'locks';
/** Changes that others were faster with, one after the other. */
const TRIES_MAX = 200;
/** From the third on, a random part of so many milliseconds for each is waited. */
const CALM_TRIES = 3;
const PAUSE_MS_MAX = 50;
/** Until what could not be done is tried again. */
const RETRY_MS = 250;
/** An entry that nobody holds is removed after a while: to make it anew takes longer, since it contends with other names. */
const UNUSED_MS = 60_000;
const TIDY_MS = 10_000;
/** In one go; while there are as many the next one follows at once: new names may come faster than that. */
const TIDY_MAX = 100;

export class StoreLocks implements LineLocks {
  readonly clock: Clock;
  private readonly store: Store;
  private readonly random: () => number;
  private readonly onTrouble: (reason: string) => void;
  private readonly sightings = new LockSightings();
  private readonly turns = new TokenTurns();
  private readonly settler: LockSettler;
  /** By the name of the lock, and of its entry. */
  private readonly lines = new Map<string, LockLine>();
  private readonly linesOfEntries = new Map<string, LockLine>();
  private readonly closing = new AbortController();
  private watch: Watch | null = null;
  private callOffTidy = () => {};

  /** Watches from the first call on. `random`: a number in [0, 1). `onTrouble`: the store does not tell, and why. */
  constructor(store: Store, random: () => number, onTrouble: (reason: string) => void) {
    this.store = store;
    this.clock = store.clock;
    this.random = random;
    this.onTrouble = onTrouble;
    const free = (name: string, ids: ReadonlySet<string>) => this.free(name, ids);
    this.settler = new LockSettler({ clock: this.clock, closed: this.closing.signal, random, free });
  }

  /** Nobody is told anything any more. Who has the store closes it. */
  close(): void {
    this.closing.abort();
    this.watch?.close();
    this.callOffTidy();
    for (const line of this.lines.values()) line.end();
    this.lines.clear();
    this.linesOfEntries.clear();
  }

  /** `told` is called once, maybe at once; not any more after what is returned was, which gives back what was got. */
  acquire(name: string, wish: LockWish, told: (outcome: Told) => void): EndWish {
    this.begin();
    let line = this.lines.get(name);
    if (line === undefined) {
      line = new LockLine(this, name);
      this.lines.set(name, line);
      this.linesOfEntries.set(entryNameOf(name), line);
    }
    return line.join(wish, told);
  }

  /** Frees what was granted by that id. Resolves when that is so, or cannot be known; then it is tried again until its time is over. Never rejects. */
  async giveBack(name: string, id: string): Promise<void> {
    if ((await this.free(name, new Set([id]))) !== null) return;
    const entryName = entryNameOf(name);
    const own = this.sightings.of(entryName).entry?.holders.find((holder) => holder.id === id);
    if (own !== undefined) this.settler.add(name, id, 0, this.sightings.untilMs(entryName, own));
  }

  async extend(
    name: string,
    token: string,
    ttlMs: number,
  ): Promise<{ kind: 'extended'; untilMs: number } | NotHeldLock | Trouble> {
    const renewal = newHolder();
    const changed = await this.turns.take(name, token, () =>
      this.change(
        name,
        (entry) => extendIn(entry, token, ttlMs, renewal),
        (entry) => holderIn(entry, token)?.renewal === renewal,
      ),
    );
    if (changed.kind !== 'done') return changed;
    const untilMs = heldUntilMs(ttlMs, changed.sentMs);
    if (untilMs > this.clock.nowMs()) return { kind: 'extended', untilMs };
    return { kind: 'trouble', isUnknown: true, reason: 'the store took longer to answer than the ttl' };
  }

  async release(name: string, token: string): Promise<{ kind: 'done' } | NotHeldLock | Trouble> {
    let held: string | null = null;
    return await this.turns.take(name, token, () =>
      this.change(
        name,
        (entry) => {
          held = holderIn(entry, token)?.id ?? held;
          return releaseIn(entry, (holder) => holder.token === token);
        },
        (entry) => held !== null && (entry?.holders.every(({ id }) => id !== held) ?? true),
      ),
    );
  }

  /** Frees it, whoever holds it. */
  async break(name: string): Promise<{ kind: 'broken'; holders: number } | Trouble> {
    const entryName = entryNameOf(name);
    let holders = 0;
    // Those that were to lose it: what may have been done already is about nobody who got it since.
    let ids = new Set<string>();
    const changed = await this.change(
      name,
      (entry, isInDoubt) => {
        const found = entry?.holders ?? [];
        if (!isInDoubt) {
          holders = found.filter((holder) => !this.isOver(entryName, holder)).length;
          ids = new Set(found.map(({ id }) => id));
        }
        return releaseIn(entry, ({ id }) => ids.has(id));
      },
      (entry) => entry?.holders.every(({ id }) => !ids.has(id)) ?? true,
    );
    if (changed.kind === 'trouble') return changed;
    return { kind: 'broken', holders: changed.kind === 'done' ? holders : 0 };
  }

  /** Those that somebody holds, of the names that are wanted, by the store itself. */
  async list(
    isWanted: (name: string) => boolean,
  ): Promise<{ kind: 'views'; views: (readonly [name: string, view: LockView])[] } | Trouble> {
    this.begin();
    try {
      const trouble = this.onFolder(await this.store.list(FOLDER));
      if (trouble !== null) return troubleOf(trouble, false);
    } catch (error) {
      return troubleOf(error, false);
    }
    const names = this.sightings.names().filter(isWanted);
    const views = names.map((name) => [name, this.view(name)] as const);
    return { kind: 'views', views: views.filter(([, { holders }]) => holders.length > 0) };
  }

  /** Who holds it, by the store itself. */
  async look(name: string): Promise<{ kind: 'view'; view: LockView } | Trouble> {
    this.begin();
    try {
      await this.refresh(entryNameOf(name));
    } catch (error) {
      return troubleOf(error, false);
    }
    return { kind: 'view', view: this.view(name) };
  }

  /** See LineLocks. */
  attempt(name: string, wish: LockWish, isWanted: () => boolean): Promise<Attempted> {
    return this.turns.take(name, wish.token, () => this.tryToAcquire(name, wish, isWanted));
  }

  private async tryToAcquire(name: string, wish: LockWish, isWanted: () => boolean): Promise<Attempted> {
    const { clock, sightings } = this;
    const entryName = entryNameOf(name);
    const id = newHolder();
    // What is believed to be held may be free already: who does not wait for news asks for them.
    let isFresh = wish.waitMs > 0;
    let sentMs = Number.POSITIVE_INFINITY;
    let isInDoubt = false;
    let versionMax = 0;
    const settle = () => this.settler.add(name, id, versionMax, clock.nowMs() + wish.ttlMs);
    try {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        if (tries >= CALM_TRIES) await this.calm(tries);
        const { version, entry } = sightings.of(entryName);
        const own = entry?.holders.find((holder) => holder.id === id);
        if (own !== undefined) return this.granted(name, own, sentMs);
        const change = acquireIn(entry, name, { ...wish, id }, (holder) => this.isOver(entryName, holder));
        if (change.kind === 'stay') {
          if (isFresh) return { kind: 'held', untilMs: this.firstOver(entryName, change.because) };
          await this.refresh(entryName);
          isFresh = true;
          continue;
        }
        if (!isWanted() && !isInDoubt) return { kind: 'late' };
        sentMs = isInDoubt ? Math.min(sentMs, clock.nowMs()) : clock.nowMs();
        versionMax = Math.max(versionMax, version);
        const outcome = await this.write(entryName, version, change.entry);
        // What was done, and is gone by now, may come once more: of both under one renewal others count from the first.
        if (outcome !== 'conflict') isInDoubt = true;
        if (outcome === null) await this.refresh(entryName);
        isFresh = true;
      }
    } catch (error) {
      if (isInDoubt) settle();
      return troubleOf(error, false);
    }
    if (isInDoubt) settle();
    return { kind: 'trouble', isUnknown: false, reason: 'others were faster each time' };
  }

  /** See LineLocks. */
  retryMs(): number {
    return RETRY_MS * (1 + this.random());
  }

  /** See LineLocks. */
  drop(name: string, line: LockLine): void {
    if (this.lines.get(name) !== line) return;
    this.lines.delete(name);
    this.linesOfEntries.delete(entryNameOf(name));
  }

  private begin(): void {
    if (this.watch !== null || this.closing.signal.aborted) return;
    this.watch = this.store.watch(FOLDER, {
      onFolder: (folder) => {
        const trouble = this.onFolder(folder);
        if (trouble !== null) this.onTrouble(trouble.message);
      },
      onTrouble: (error) => this.onTrouble(error.message),
    });
    this.tidyLater();
  }

  /**
   * Has what `decide` says written; it is told whether something that it said before may have been done. `isDone` says of what is there
   * whether it is so already. The answer `not-held` is the store's own, and not what was seen before.
   */
  private async change(
    name: string,
    decide: (entry: LockEntry | null, isInDoubt: boolean) => Change<null>,
    isDone: (entry: LockEntry | null) => boolean,
  ): Promise<{ kind: 'done'; sentMs: number } | NotHeldLock | Trouble> {
    this.begin();
    const entryName = entryNameOf(name);
    let isFresh = false;
    let sentMs = Number.POSITIVE_INFINITY;
    let isInDoubt = false;
    try {
      for (let tries = 0; tries < TRIES_MAX; tries++) {
        if (tries >= CALM_TRIES) await this.calm(tries);
        const { version, entry } = this.sightings.of(entryName);
        if (isInDoubt && isDone(entry)) return { kind: 'done', sentMs };
        const change = decide(entry, isInDoubt);
        if (change.kind === 'stay') {
          if (isFresh) return { kind: 'not-held', view: this.view(name) };
          await this.refresh(entryName);
          isFresh = true;
          continue;
        }
        sentMs = isInDoubt ? Math.min(sentMs, this.clock.nowMs()) : this.clock.nowMs();
        const outcome = await this.write(entryName, version, change.entry);
        if (outcome === 'done') return { kind: 'done', sentMs };
        if (outcome === null) {
          isInDoubt = true;
          await this.refresh(entryName);
        }
        isFresh = true;
      }
    } catch (error) {
      return troubleOf(error, isInDoubt);
    }
    return { kind: 'trouble', isUnknown: isInDoubt, reason: 'others were faster each time' };
  }

  /** What is there then is seen. Null: it is not known whether that was done. Throws a StoreError for what was not done. */
  private async write(entryName: string, version: number, entry: LockEntry): Promise<'done' | 'conflict' | null> {
    const value = encodeLock(entry);
    try {
      const written = await this.store.compareAndSet({ folder: FOLDER, name: entryName }, version, value);
      const found = written.kind === 'done' ? { version: written.version, value } : written.found;
      this.onEntry(entryName, found);
      return written.kind;
    } catch (error) {
      if (error instanceof StoreError && error.fault === 'unknown') return null;
      throw error;
    }
  }

  private async refresh(entryName: string): Promise<void> {
    this.onEntry(entryName, await this.store.get({ folder: FOLDER, name: entryName }));
  }

  private onEntry(entryName: string, found: Entry): void {
    if (this.sightings.onEntry(entryName, found, this.clock.nowMs())) this.linesOfEntries.get(entryName)?.wake();
  }

  /** What is wrong with an entry; null: nothing is. */
  private onFolder(folder: Folder): StoreError | null {
    const { news, trouble } = this.sightings.onFolder(folder, this.clock.nowMs());
    for (const name of news) this.linesOfEntries.get(name)?.wake();
    return trouble;
  }

  private granted(name: string, { id, fence, ttlMs }: LockHolder, sentMs: number): Attempted {
    const untilMs = heldUntilMs(ttlMs, sentMs);
    if (untilMs > this.clock.nowMs()) return { kind: 'granted', id, fence, untilMs };
    void this.giveBack(name, id);
    return { kind: 'late' };
  }

  /** See SettlerContext. */
  private async free(name: string, ids: ReadonlySet<string>): Promise<number | null> {
    const changed = await this.change(
      name,
      (entry) => releaseIn(entry, (holder) => ids.has(holder.id)),
      (entry) => entry?.holders.every((holder) => !ids.has(holder.id)) ?? true,
    );
    return changed.kind === 'trouble' ? null : this.sightings.of(entryNameOf(name)).version;
  }

  private isOver(entryName: string, holder: LockHolder): boolean {
    return this.sightings.untilMs(entryName, holder) <= this.clock.nowMs();
  }

  private firstOver(entryName: string, holders: readonly LockHolder[]): number {
    return Math.min(...holders.map((holder) => this.sightings.untilMs(entryName, holder)));
  }

  private view(name: string): LockView {
    const entryName = entryNameOf(name);
    const nowMs = this.clock.nowMs();
    const { entry } = this.sightings.of(entryName);
    const holders = (entry?.holders ?? []).flatMap((holder) => {
      const leftMs = Math.ceil(this.sightings.untilMs(entryName, holder) - nowMs);
      return leftMs > 0 ? [{ ...holder, leftMs }] : [];
    });
    return { entry, holders };
  }

  private calm(tries: number): Promise<void> {
    return pause(this.random() * Math.min(tries, PAUSE_MS_MAX), this.closing.signal, this.clock);
  }

  private tidyLater(): void {
    if (this.closing.signal.aborted) return;
    // Processes that have seen the same are to look at different times.
    this.callOffTidy = this.clock.after(TIDY_MS * (1 + this.random()), () => void this.tidy());
  }

  private async tidy(): Promise<void> {
    try {
      for (let count = TIDY_MAX; count === TIDY_MAX; ) {
        const unused = this.sightings.unused(UNUSED_MS, this.clock.nowMs());
        const removable = unused.filter(({ name }) => !this.linesOfEntries.has(name)).slice(0, TIDY_MAX);
        for (const { name, version } of removable) {
          if (this.closing.signal.aborted) return;
          const written = await this.store.compareAndSet({ folder: FOLDER, name }, version, null);
          this.onEntry(name, written.kind === 'done' ? { version: written.version, value: null } : written.found);
        }
        count = removable.length;
      }
    } catch (error) {
      // What is left over is seen again.
      if (!(error instanceof StoreError)) throw error;
    }
    this.tidyLater();
  }
}

/** Throws what is no StoreError. */
function troubleOf(error: unknown, isUnknown: boolean): Trouble {
  if (!(error instanceof StoreError)) throw error;
  return { kind: 'trouble', isUnknown, reason: error.message };
}
