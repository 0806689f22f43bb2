/**
 * One watch of a folder in registers. What wakes it is a hint alone; what it tells is read linearizably:
 *
 *   read all, tell what is newer <──newer than what was told── read what the folder says of itself
 *      │      ^                                                    │             ^
 *      │      └─── nodes say that something changed <── wait <─────┘ the same    │
 *      └──────────────────────────────────────────────> wait ── two seconds ────┘
 */
import type { DriverWatcher, Watch } from './driver.js';
import { decodeFolder, decodeHead, FOLDER_FIELD } from './redis-folder.js';
import type { Registers } from './registers.js';
import { StoreError } from './store-error.js';

/** Hints come with every change; one may be lost with a connection. */
const LOOK_MS = 2_000;
const LOOK_TIMEOUT_MS = 2_000;

export class RedisWatch {
  private readonly registers: Registers;
  private readonly folder: string;
  private readonly watcher: DriverWatcher;
  /** The last version that the folder had given, when it was told. */
  private told = 0;

  constructor(registers: Registers, folder: string, watcher: DriverWatcher) {
    this.registers = registers;
    this.folder = folder;
    this.watcher = watcher;
  }

  /** Resolves when `signal` says to stop; rejects with a StoreError when the folder cannot be read. To be called again then. */
  async run(signal: AbortSignal, onWell: () => void): Promise<void> {
    const { registers, folder, watcher } = this;
    const wake = new Wake();
    const hints: Watch = registers.watch(folder, () => wake.up());
    try {
      // Who was told of trouble is told that it is over.
      for (let isFirst = true, isHinted = false; !signal.aborted; isFirst = false) {
        if (isFirst || isHinted || (await this.isNewer())) {
          const { last, version, entries } = decodeFolder(await registers.readAll(folder, LOOK_TIMEOUT_MS));
          this.refuseOlder(last);
          if (signal.aborted) return;
          const isNews = isFirst || last > this.told;
          this.told = last;
          if (isNews) watcher.onFolder({ version, entries });
        }
        onWell();
        isHinted = await wake.wait(LOOK_MS, signal);
      }
    } finally {
      hints.close();
    }
  }

  private async isNewer(): Promise<boolean> {
    const [head = null] = await this.registers.read(this.folder, [FOLDER_FIELD], LOOK_TIMEOUT_MS);
    const { last } = decodeHead(head);
    this.refuseOlder(last);
    return last > this.told;
  }

  private refuseOlder(last: number): void {
    if (last >= this.told) return;
    throw new StoreError(
      'refused',
      `the nodes have lost changes of the folder ${this.folder} that were there: they have ${last} of ${this.told}`,
    );
  }
}

/** Somebody sleeps, and is woken; what comes while nobody sleeps is not missed. */
class Wake {
  private isDue = false;
  private end: () => void = () => {};

  up(): void {
    this.isDue = true;
    this.end();
  }

  /** Resolves after `ms`, or when it is woken: then with true. At once when `signal` says so. */
  async wait(ms: number, signal: AbortSignal): Promise<boolean> {
    if (!this.isDue) await this.sleep(ms, signal);
    const { isDue } = this;
    this.isDue = false;
    return isDue;
  }

  private async sleep(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', end);
        this.end = () => {};
        resolve();
      };
      const timer = setTimeout(end, ms);
      this.end = end;
      signal.addEventListener('abort', end, { once: true });
    });
  }
}
