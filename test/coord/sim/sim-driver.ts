/**
 * The driver of one process: what it sends, and what it is sent, takes a while, overtakes, or is lost. A watch looks when
 * something has changed, and each second; looks overtake each other, too.
 */
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from '../../../src/coord/driver.js';
import type { FolderState } from '../../../src/coord/folder-state.js';
import type { Key } from '../../../src/coord/key.js';
import { StoreError, type StoreFault } from '../../../src/coord/store-error.js';
import type { Host } from './host.js';
import type { SimStore } from './sim-store.js';
import type { World } from './world.js';

const LOOK_MS = 1_000;

export class SimDriver implements Driver {
  /** It does not reach the store. */
  isCut = false;
  /** The store does not reach it. */
  isDeaf = false;
  private readonly world: World;
  private readonly host: Host;
  private readonly store: SimStore;
  private readonly watches = new Set<SimWatch>();
  private isClosed = false;

  constructor(world: World, host: Host, store: SimStore) {
    this.world = world;
    this.host = host;
    this.store = store;
  }

  get(key: Key, timeoutMs: number): Promise<Stored> {
    return this.ask(() => this.store.get(key), timeoutMs, 'unavailable');
  }

  list(folder: string, timeoutMs: number): Promise<StoredFolder> {
    return this.ask(() => this.store.folder(folder), timeoutMs, 'unavailable');
  }

  compareAndSet(key: Key, expected: number, mark: string, value: string | null, timeoutMs: number): Promise<Attempt> {
    return this.ask(() => this.store.compareAndSet(key, expected, mark, value), timeoutMs, 'unknown');
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const watch = new SimWatch(this.host, this.store, this, folder, watcher);
    this.watches.add(watch);
    return watch;
  }

  async close(): Promise<void> {
    this.isClosed = true;
    for (const watch of this.watches) watch.close();
  }

  /** Does `work` at the store, and then hands over what came of it; or neither, or only the first. False: it is known not to be sent. */
  send<A>(work: () => A, onAnswer: (answer: A) => void): boolean {
    const { world, host, store } = this;
    const { agenda, random } = world;
    if ((this.isCut || store.isAway) && random.chance(50)) return false;
    agenda.after(world.delayMs(), () => {
      if (this.isCut || store.isAway || this.isLost()) return;
      const answer = work();
      agenda.after(world.delayMs(), () => {
        if (!this.isCut && !this.isDeaf && !this.isLost()) host.deliver(() => onAnswer(answer));
      });
    });
    return true;
  }

  private isLost(): boolean {
    return !this.world.isCalm && this.world.random.chance(2);
  }

  private ask<A>(work: () => A, timeoutMs: number, silence: StoreFault): Promise<A> {
    return new Promise((resolve, reject) => {
      if (this.isClosed) throw new StoreError('unavailable', 'the store is closed');
      const callOff = this.host.after(timeoutMs, () => reject(new StoreError(silence, 'no answer')));
      const isSent = this.send(work, (answer) => {
        callOff();
        resolve(answer);
      });
      if (isSent) return;
      callOff();
      this.host.after(1, () => reject(new StoreError('unavailable', 'no connection')));
    });
  }
}

class SimWatch implements Watch {
  private readonly host: Host;
  private readonly store: SimStore;
  private readonly driver: SimDriver;
  private readonly folder: string;
  private readonly watcher: DriverWatcher;
  private told = -1;
  private isWell = true;
  private isClosed = false;
  /** What changes before it begins is seen by it. */
  private isLookPlanned = false;
  private readonly unwatch: () => void;

  constructor(host: Host, store: SimStore, driver: SimDriver, folder: string, watcher: DriverWatcher) {
    this.host = host;
    this.store = store;
    this.driver = driver;
    this.folder = folder;
    this.watcher = watcher;
    this.unwatch = store.watch(folder, () => {
      if (!this.isLookPlanned) this.look();
    });
    this.lookAgain();
  }

  close(): void {
    this.isClosed = true;
    this.unwatch();
  }

  private lookAgain(): void {
    if (this.isClosed) return;
    this.look();
    this.host.after(LOOK_MS, () => this.lookAgain());
  }

  private look(): void {
    this.isLookPlanned = true;
    const read = () => {
      this.isLookPlanned = false;
      return this.store.folder(this.folder);
    };
    if (this.driver.send(read, (folder) => this.onLook(folder))) return;
    this.isLookPlanned = false;
    this.host.deliver(() => this.onFailure());
  }

  private onLook(folder: FolderState): void {
    const isNews = folder.last > this.told || (!this.isWell && folder.last === this.told);
    if (this.isClosed || !isNews) return;
    this.told = folder.last;
    this.isWell = true;
    this.watcher.onFolder(folder);
  }

  private onFailure(): void {
    if (this.isClosed || !this.isWell) return;
    this.isWell = false;
    this.watcher.onTrouble(new StoreError('unavailable', 'no connection'));
  }
}
