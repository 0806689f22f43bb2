/**
 * The coordination store of one process: files in a folder that this process alone has, or its memory.
 *
 *   DATA-DIR/coordination/FOLDER.json    { "format": 1, "last": 7, "version": 3, "mark": "…", "entries": [["name", 7, "mark", "value"]] }
 *
 * A change is told when its file is on the disk. When that fails, the disk is asked what it has before anything else is said of
 * the folder.
 */
import { existsSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { z } from 'zod';
import { DRAFT, replaceFile } from '../base/replace-file.js';
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from './driver.js';
import { changeFolder, EMPTY_FOLDER, type FolderState, storedIn } from './folder-state.js';
import { FollowedWatches } from './followed-watches.js';
import { checkRoom, FOLDER_ENTRIES_MAX, type Key } from './key.js';
import { StoreError } from './store-error.js';

const FORMAT = 1;
/** What to do about a file that is damaged. */
const ADVICE =
  'start the version that wrote it, or, if the nodes, pools and keyspaces of the configuration are those of the last time, remove the file ' +
  'and start again: it is made anew';
const LOCKS_ADVICE =
  'start the version that wrote it; without the file locks are forgotten that are held, and fences begin anew, below those that were given: see ' +
  'docs/LOCKS.md, "A store that has gone back"';
const VERSION = z.int().nonnegative();
const DOCUMENT = z.strictObject({
  format: z.literal(FORMAT),
  last: VERSION,
  version: VERSION,
  mark: z.string(),
  entries: z.array(z.tuple([z.string(), VERSION, z.string(), z.string()])),
});

interface Slot {
  /** Null: what the disk has is not known. */
  state: FolderState | null;
  /** A write failed: what is read next may not be durable. */
  isInDoubt: boolean;
  /** The `last` of the state that watchers were told of. */
  told: number;
  /** The last of those that wait for each other. */
  turn: Promise<unknown>;
  readonly watchers: Set<DriverWatcher>;
}

export class FileDriver implements Driver {
  private readonly path: string | null;
  private readonly entriesMax: number;
  private readonly slots = new Map<string, Slot>();
  private readonly watches = new FollowedWatches();
  private isClosed = false;

  /** `path`: a folder that no other process uses, and that is made if need be in one that is there; null: nothing outlives the process. */
  constructor(path: string | null, entriesMax = FOLDER_ENTRIES_MAX) {
    this.path = path;
    this.entriesMax = entriesMax;
    if (path === null) return;
    if (!existsSync(path)) mkdirSync(path, { mode: 0o700 });
    for (const name of readdirSync(path)) if (name.endsWith(DRAFT)) rmSync(join(path, name));
  }

  get({ folder, name }: Key): Promise<Stored> {
    return this.inTurn(folder, async (slot) => storedIn(await this.load(folder, slot), name));
  }

  list(folder: string): Promise<StoredFolder> {
    return this.inTurn(folder, (slot) => this.load(folder, slot));
  }

  compareAndSet(key: Key, expected: number, mark: string, value: string | null): Promise<Attempt> {
    return this.inTurn(key.folder, async (slot) => {
      const before = await this.load(key.folder, slot);
      const { attempt, folder } = changeFolder(before, key.name, expected, mark, value);
      if (folder === before) return attempt;
      if (folder.entries.size > before.entries.size) checkRoom(before.entries.size, this.entriesMax);
      slot.state = null;
      await this.write(key.folder, slot, folder, 'unknown');
      return attempt;
    });
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    const { watchers } = this.slotOf(folder);
    const begin = async (slot: Slot, signal: AbortSignal) => {
      const state = await this.load(folder, slot);
      if (signal.aborted) return;
      watchers.add(watcher);
      signal.addEventListener('abort', () => watchers.delete(watcher), { once: true });
      watcher.onFolder(state);
    };
    const attempt = (_onWell: () => void, signal: AbortSignal) => this.inTurn(folder, (slot) => begin(slot, signal));
    return this.watches.begin(attempt, watcher);
  }

  async close(): Promise<void> {
    this.isClosed = true;
    this.watches.close();
    await Promise.allSettled([...this.slots.values()].map(({ turn }) => turn));
  }

  private slotOf(folder: string): Slot {
    let slot = this.slots.get(folder);
    if (slot === undefined) {
      const state = this.path === null ? EMPTY_FOLDER : null;
      slot = { state, isInDoubt: false, told: 0, turn: Promise.resolve(), watchers: new Set() };
      this.slots.set(folder, slot);
    }
    return slot;
  }

  /** One after another in each folder. */
  private async inTurn<A>(folder: string, work: (slot: Slot) => Promise<A>): Promise<A> {
    if (this.isClosed) throw new StoreError('unavailable', 'the store is closed');
    const slot = this.slotOf(folder);
    const before = slot.turn;
    const own = before.then(() => work(slot));
    // Who waits for it hears of its error.
    slot.turn = own.catch(() => {});
    return own;
  }

  private async load(folder: string, slot: Slot): Promise<FolderState> {
    if (slot.state !== null) return slot.state;
    const state = await readState(this.pathOf(folder));
    // What a failed write left may be gone after a crash: it is believed when it was written again.
    if (slot.isInDoubt) await this.write(folder, slot, state, 'unavailable');
    accept(slot, state);
    return state;
  }

  /** Throws a StoreError with that fault. */
  private async write(folder: string, slot: Slot, state: FolderState, fault: 'unavailable' | 'unknown'): Promise<void> {
    if (this.path !== null) {
      const path = this.pathOf(folder);
      try {
        slot.isInDoubt = true;
        await replaceFile(path, textOf(state));
      } catch (error) {
        throw new StoreError(fault, `${path} cannot be written: ${(error as Error).message}`, error);
      }
      slot.isInDoubt = false;
    }
    accept(slot, state);
  }

  private pathOf(folder: string): string {
    return join(this.path as string, `${folder}.json`);
  }
}

/** It is what the disk has; who watches is told what is new in it. */
function accept(slot: Slot, state: FolderState): void {
  slot.state = state;
  if (slot.told === state.last) return;
  slot.told = state.last;
  for (const watcher of slot.watchers) watcher.onFolder(state);
}

async function readState(path: string): Promise<FolderState> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return EMPTY_FOLDER;
    throw new StoreError('unavailable', `${path} cannot be read: ${(error as Error).message}`, error);
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (error) {
    throw damaged(path, error);
  }
  const { data, error } = DOCUMENT.safeParse(document);
  if (data === undefined) throw damaged(path, error);
  const { last, version, mark, entries } = data;
  const stored = entries.map(([name, version, mark, value]) => [name, { version, mark, value }] as const);
  return { last, version, mark, entries: new Map(stored) };
}

function damaged(path: string, cause: unknown): StoreError {
  const advice = basename(path) === 'locks.json' ? LOCKS_ADVICE : ADVICE;
  return new StoreError('refused', `${path} is damaged, or was written by another version: ${advice}`, cause);
}

function textOf({ last, version, mark, entries }: FolderState): string {
  const list = [...entries].map(([name, { version, mark, value }]) => [name, version, mark, value]);
  return `${JSON.stringify({ format: FORMAT, last, version, mark, entries: list })}\n`;
}
