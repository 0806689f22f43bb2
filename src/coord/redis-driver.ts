/**
 * The coordination store on Redis servers: each folder is one register of the protocol of replicated keys (Registers), so that a change of
 * an entry is one round on the whole folder, and a version is a count that the folder keeps.
 */
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from './driver.js';
import { FollowedWatches } from './followed-watches.js';
import { FOLDER_ENTRIES_MAX, type Key } from './key.js';
import { changeFields, decodeFolder, decodeStored, FOLDER_FIELD } from './redis-folder.js';
import { RedisWatch } from './redis-watch.js';
import type { FieldChanges, Found, Registers } from './registers.js';
import { StoreError } from './store-error.js';

const NO_CHANGES: FieldChanges = new Map();

export class RedisDriver implements Driver {
  readonly isPersistent = true;
  private readonly registers: Registers;
  private readonly entriesMax: number;
  private readonly watches = new FollowedWatches();

  /** Closes the registers with itself. */
  constructor(registers: Registers, entriesMax = FOLDER_ENTRIES_MAX) {
    this.entriesMax = entriesMax;
    this.registers = registers;
  }

  async get({ folder, name }: Key, timeoutMs: number): Promise<Stored> {
    return decodeStored(await this.registers.read(folder, [FOLDER_FIELD, name], timeoutMs), name);
  }

  async list(folder: string, timeoutMs: number): Promise<StoredFolder> {
    const { version, entries } = decodeFolder(await this.registers.readAll(folder, timeoutMs));
    return { version, entries };
  }

  async compareAndSet(
    { folder, name }: Key,
    expected: number,
    mark: string,
    value: string | null,
    timeoutMs: number,
  ): Promise<Attempt> {
    const changed = (found: Found) => changeFields(found, name, expected, mark, value, this.entriesMax);
    const decide = (found: Found): FieldChanges => {
      try {
        return changed(found).changes;
      } catch (error) {
        if (!(error instanceof StoreError)) throw error;
        // It is said below, by the same that was found.
        return NO_CHANGES;
      }
    };
    return changed(await this.registers.change(folder, [FOLDER_FIELD, name], decide, timeoutMs)).attempt;
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const watch = new RedisWatch(this.registers, folder, watcher);
    const attempt = (onWell: () => void, signal: AbortSignal) => watch.run(signal, onWell);
    return this.watches.begin(attempt, watcher);
  }

  async close(): Promise<void> {
    this.watches.close();
    await this.registers.close();
  }
}
