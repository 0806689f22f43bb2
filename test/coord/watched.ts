/** What a watch has told a test, to wait for. */
import type { Driver, StoredFolder } from '../../src/coord/driver.js';
import type { Folder, Store } from '../../src/coord/store.js';
import type { StoreError } from '../../src/coord/store-error.js';
import { within } from '../help/wait-for.js';

export class Watched {
  /** The last that was told. */
  folder: Folder | StoredFolder | null = null;
  /** How often it was told. */
  told = 0;
  /** Why nothing is told now; null: it is. */
  trouble: StoreError | null = null;
  /** All that ever was wrong. */
  readonly troubles: string[] = [];
  /** What was wrong with what was told: it may never go back. */
  readonly faults: string[] = [];
  private readonly watch: { close(): void };
  private readonly waiting = new Set<() => void>();

  constructor(store: Store | Driver, folder: string) {
    this.watch = store.watch(folder, {
      onFolder: (folder: Folder | StoredFolder) => {
        this.check(folder);
        this.folder = folder;
        this.trouble = null;
        this.told++;
        this.wake();
      },
      onTrouble: (error: StoreError) => {
        this.trouble = error;
        this.troubles.push(error.message);
        this.wake();
      },
    });
  }

  /** `name=value`, sorted. */
  get values(): string[] {
    return [...(this.folder?.entries ?? [])].map(([name, { value }]) => `${name}=${value}`).sort();
  }

  versionOf(name: string): number {
    return this.folder?.entries.get(name)?.version ?? 0;
  }

  /** Resolves when `isSo` says yes, now or after what is told next. */
  until(what: string, isSo: () => boolean, timeoutMs?: number): Promise<void> {
    let look = () => {};
    const come = new Promise<void>((resolve) => {
      look = () => {
        if (isSo()) resolve();
      };
    });
    this.waiting.add(look);
    look();
    return within(`${what} (told: ${this.told}, trouble: ${this.trouble?.message})`, come, timeoutMs).finally(() =>
      this.waiting.delete(look),
    );
  }

  close(): void {
    this.watch.close();
  }

  private check(folder: Folder | StoredFolder): void {
    const before = this.folder;
    if (before === null) return;
    if (folder.version < before.version) this.faults.push(`folder ${before.version} -> ${folder.version}`);
    for (const [name, { version }] of folder.entries) {
      const last = before.entries.get(name)?.version ?? 0;
      if (version < last) this.faults.push(`${name} ${last} -> ${version}`);
    }
  }

  private wake(): void {
    for (const look of [...this.waiting]) look();
  }
}
