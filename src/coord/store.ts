/**
 * What a fleet agrees on: few small entries, and changes that all members see in one order. Nothing here is on the path of a command.
 *
 *   const { version, value } = await store.get(key)
 *   await store.compareAndSet(key, version, changed(value))      -> done | conflict: somebody was faster; throws: see StoreError
 *
 * A driver attempts; the store tries again until the time is up, and settles what it cannot know at first. Each change carries a mark
 * of its own, and goes by a version that is used once: sent again it is carried out at most once, and whether what is there now
 * was made by it can be seen. What still cannot be told is `unknown`.
 */
import { randomBytes } from 'node:crypto';
import { CLOCK, type Clock } from '../base/clock.js';
import { pause } from '../base/pause.js';
import type { Attempt, Driver, Stored, StoredFolder, Watch } from './driver.js';
import { checkFolder, checkKey, checkValue, type Key } from './key.js';
import { StoreError } from './store-error.js';

export interface Entry {
  /** What a change of it goes by: see driver.ts. */
  readonly version: number;
  /** Null: nothing is there. */
  readonly value: string | null;
}

export interface Folder {
  /** What a change goes by that adds a name. */
  readonly version: number;
  /** What is there, by name; no value is null. */
  readonly entries: ReadonlyMap<string, Entry>;
}

/** `conflict`: nothing was changed; `found` was there at some moment of the call, and has another version, or nothing to remove. */
export type Written = { kind: 'done'; version: number } | { kind: 'conflict'; found: Entry };

/** See DriverWatcher. What is told may be past already: what is done about it goes by its version. */
export interface Watcher {
  onFolder(folder: Folder): void;
  onTrouble(error: StoreError): void;
}

export interface StoreTimes {
  /** Of one call, all its attempts together. */
  timeoutMs: number;
  /** Of one attempt: a server that is silent for so long is left for another one. Not for drivers that are persistent. */
  attemptMs: number;
}

const TIMES: StoreTimes = { timeoutMs: 5_000, attemptMs: 1_000 };
/** Between two attempts, and up to half less: about the time in which etcd and ZooKeeper answer when they are well. */
const PAUSE_MS_MIN = 10;
const PAUSE_MS_MAX = 200;

export class Store {
  /** What stands on the store goes by them, too. */
  readonly clock: Clock;
  /** A number in [0, 1): jitter. */
  readonly random: () => number;
  private readonly driver: Driver;
  private readonly times: StoreTimes;
  private readonly id = randomBytes(9).toString('base64url');
  private readonly closing = new AbortController();
  private changes = 0;

  constructor(driver: Driver, times: StoreTimes = TIMES, clock: Clock = CLOCK, random = Math.random) {
    this.driver = driver;
    this.times = times;
    this.clock = clock;
    this.random = random;
  }

  get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Linearizable: what is there at some moment of the call. Throws a StoreError, never `unknown`. */
  async get(key: Key): Promise<Entry> {
    checkKey(key);
    return entryOf(await this.read((timeoutMs) => this.driver.get(key, timeoutMs)));
  }

  /** Each entry as `get` has it, not all of one moment; the version is not newer than they are. Throws likewise. */
  async list(folder: string): Promise<Folder> {
    checkFolder(folder);
    return folderOf(await this.read((timeoutMs) => this.driver.list(folder, timeoutMs)));
  }

  /** Changes the entry to `value`, or removes it (null), if its version is `expected`. Throws a StoreError. */
  async compareAndSet(key: Key, expected: number, value: string | null): Promise<Written> {
    checkKey(key);
    if (value !== null) checkValue(value);
    const mark = `${this.id}.${++this.changes}`;
    let doubt: StoreError | null = null;
    const attempt = await this.insist(
      (timeoutMs) => this.driver.compareAndSet(key, expected, mark, value, timeoutMs),
      (error) => {
        if (error.fault === 'unknown') doubt = error;
      },
      () => doubt,
    );
    return judge(attempt, mark, doubt);
  }

  /** Tells what the folder has, now and after each change, until it is closed. */
  watch(folder: string, watcher: Watcher): Watch {
    checkFolder(folder);
    return this.driver.watch(folder, {
      onFolder: (stored) => watcher.onFolder(folderOf(stored)),
      onTrouble: (error) => watcher.onTrouble(error),
    });
  }

  /** Ends watches, and what is under way: `unavailable` or `unknown`. Resolves when no connection is left. */
  async close(): Promise<void> {
    this.closing.abort();
    await this.driver.close();
  }

  private read<A>(attempt: (timeoutMs: number) => Promise<A>): Promise<A> {
    return this.insist(
      attempt,
      () => {},
      () => null,
    );
  }

  /** Attempts until one is answered, or the time is up. */
  private async insist<A>(
    attempt: (timeoutMs: number) => Promise<A>,
    onError: (error: StoreError) => void,
    doubt: () => StoreError | null,
  ): Promise<A> {
    const { clock } = this;
    const { timeoutMs } = this.times;
    const attemptMs = this.driver.isPersistent === true ? timeoutMs : this.times.attemptMs;
    const deadlineMs = clock.nowMs() + timeoutMs;
    for (let pauseMs = PAUSE_MS_MIN; ; pauseMs = Math.min(pauseMs * 2, PAUSE_MS_MAX)) {
      let failure: StoreError;
      try {
        return await attempt(Math.min(attemptMs, deadlineMs - clock.nowMs()));
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        failure = error;
        onError(error);
      }
      // What was in doubt before is so still, whatever is said of the last attempt.
      if (failure.fault === 'refused') throw inDoubt(doubt(), failure);
      if (clock.nowMs() + pauseMs >= deadlineMs) throw inDoubt(doubt(), failure);
      // Who lost the same server does not come back together with all others.
      await pause(pauseMs * (1 - this.random() / 2), this.closing.signal, clock);
      if (this.closing.signal.aborted)
        throw inDoubt(doubt(), new StoreError('unavailable', 'the store is being closed', failure));
    }
  }
}

/** What is thrown where `last` is how it ended; `doubt`: that of an attempt before, or of the last. */
function inDoubt(doubt: StoreError | null, last: StoreError): StoreError {
  if (doubt === null || doubt === last) return last;
  return new StoreError('unknown', `${doubt.message}; at last: ${last.message}`, last);
}

/** `doubt`: that of an attempt before, which may have been carried out. */
function judge(attempt: Attempt, mark: string, doubt: StoreError | null): Written {
  if (attempt.kind === 'done') return attempt;
  const { found } = attempt;
  if (found.mark === mark) return { kind: 'done', version: found.version };
  if (doubt === null) return { kind: 'conflict', found: entryOf(found) };
  throw new StoreError('unknown', 'it may have been carried out, but something else is there by now', doubt);
}

function entryOf({ version, value }: Stored): Entry {
  return { version, value };
}

function folderOf({ version, entries }: StoredFolder): Folder {
  return { version, entries: new Map([...entries].map(([name, stored]) => [name, entryOf(stored)])) };
}
