/**
 * The leases in one folder, as somebody sees them who holds none or one of them: who is there, and since which version. A lease that is
 * not renewed is ended by whoever sees it first; who is late has a conflict, and nothing happens.
 */
import type { Watch } from './driver.js';
import { decodeLease, SeenLeases } from './lease.js';
import type { Folder, Store } from './store.js';
import { StoreError } from './store-error.js';

export interface SeenLease {
  readonly version: number;
  readonly lengthMs: number;
  readonly holder: string;
  readonly value: string;
}

export interface LeaseWatcher {
  /** Who is there, by name; and the version that a change goes by that adds a name. Told as often as a lease is renewed. */
  onLeases(leases: ReadonlyMap<string, SeenLease>, version: number): void;
  /** See DriverWatcher. */
  onTrouble(error: StoreError): void;
}

/** Until what could not be ended is tried again. */
const RETRY_MS = 500;

export class LeaseWatch {
  private readonly store: Store;
  private readonly folder: string;
  private readonly watcher: LeaseWatcher;
  private readonly seen = new SeenLeases();
  private readonly watch: Watch;
  private callOffLook = () => {};
  /** What is overdue is being ended. */
  private isEnding = false;
  private isClosed = false;

  constructor(store: Store, folder: string, watcher: LeaseWatcher) {
    this.store = store;
    this.folder = folder;
    this.watcher = watcher;
    this.watch = store.watch(folder, {
      onFolder: (folder) => this.onFolder(folder),
      onTrouble: (error) => watcher.onTrouble(error),
    });
  }

  close(): void {
    this.isClosed = true;
    this.watch.close();
    this.callOffLook();
  }

  private onFolder({ version, entries }: Folder): void {
    const leases = new Map<string, SeenLease>();
    try {
      for (const [name, entry] of entries) {
        leases.set(name, { version: entry.version, ...decodeLease(entry.value ?? '') });
      }
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      this.watcher.onTrouble(error);
      return;
    }
    this.seen.onSeen(leases, this.store.clock.nowMs());
    if (!this.isEnding) this.lookAt(this.seen.nextMs);
    this.watcher.onLeases(leases, version);
  }

  private lookAt(timeMs: number): void {
    const { clock } = this.store;
    this.callOffLook();
    if (this.isClosed || this.store.isClosed || timeMs === Number.POSITIVE_INFINITY) return;
    this.callOffLook = clock.after(Math.max(0, timeMs - clock.nowMs()), () => void this.look());
  }

  private async look(): Promise<void> {
    const { store, folder, seen } = this;
    const overdue = seen.overdue(store.clock.nowMs());
    if (overdue.length === 0) {
      this.lookAt(seen.nextMs);
      return;
    }
    this.isEnding = true;
    try {
      // What became of it is seen by the watch.
      await Promise.all(overdue.map(({ name, version }) => store.compareAndSet({ folder, name }, version, null)));
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (!this.isClosed && !this.store.isClosed) this.watcher.onTrouble(error);
    }
    this.isEnding = false;
    // What is still there by then is tried again.
    this.lookAt(Math.max(seen.nextMs, store.clock.nowMs() + RETRY_MS));
  }
}
