/**
 * One way to keep entries that a fleet agrees on: a file, etcd, ZooKeeper. `Store` is what others use; a driver says of one attempt
 * what came of it. All drivers are held to one contract (test/coord/contract.ts).
 *
 * Versions. Each entry has one, and so has each folder: that of the last time that a name came into it or left it. What is *not*
 * in a folder has the folder's version. A version is a whole number, drawn by the store; no two changes in one folder have the same
 * one, and it only grows, also when an entry is removed and made again. So a change that names the version that it goes by is
 * carried out at most once, however late it arrives and however often it was sent.
 */
import type { Key } from './key.js';
import type { StoreError } from './store-error.js';

/** What is there under a key; `value` is null where nothing is. */
export interface Stored {
  /** Of the entry; where nothing is, the folder's: 0 for one that never had entries. */
  readonly version: number;
  /** Of the change that made it so; of what is not there, of the change that last added or removed a name. '' before the first. */
  readonly mark: string;
  readonly value: string | null;
}

export interface StoredFolder {
  /** What a change goes by that adds a name. */
  readonly version: number;
  /** What is there, by name; no value is null. */
  readonly entries: ReadonlyMap<string, Stored>;
}

/** `conflict`: nothing was changed; `found` was there at some moment of the call. */
export type Attempt = { kind: 'done'; version: number } | { kind: 'conflict'; found: Stored };

export interface DriverWatcher {
  /**
   * What the folder has: first what it had when the watch began or later, then again after each change. Changes that come close
   * together may be told as one; the last one is told always. It never goes back to what was before.
   */
  onFolder(folder: StoredFolder): void;
  /** The store has stopped telling. The next `onFolder` says that it tells again, with what came meanwhile. */
  onTrouble(error: StoreError): void;
}

export interface Watch {
  /** Nothing is told after that. */
  close(): void;
}

export interface Driver {
  /**
   * It leaves silent servers for others within an attempt, and finds out itself what became of what it sent: an attempt is given all the
   * time that there is, since a second one would know less.
   */
  readonly isPersistent?: true;
  /** Linearizable: what is there at some moment of the call. Rejects with a StoreError, never `unknown`. */
  get(key: Key, timeoutMs: number): Promise<Stored>;
  /**
   * Each entry as `get` has it. Rejects likewise. They need not all be of one moment, but the folder's version is not newer than they are:
   * who adds a name by that version knows all that were added before.
   */
  list(folder: string, timeoutMs: number): Promise<StoredFolder>;
  /**
   * Changes the entry to `value`, or removes it (null), if its version is `expected`. Atomic and durable when it is done: a majority
   * of the servers has it on the disk. Rejects with a StoreError.
   */
  compareAndSet(key: Key, expected: number, mark: string, value: string | null, timeoutMs: number): Promise<Attempt>;
  /** Lasts until it is closed, over all that happens to the store. */
  watch(folder: string, watcher: DriverWatcher): Watch;
  /** Ends watches, and what is under way: `unavailable` or `unknown`. Resolves when no connection is left. */
  close(): Promise<void>;
}
