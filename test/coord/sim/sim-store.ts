/** The store itself, as one that never forgets and does one thing after another; it is away now and then. */
import type { Attempt, Stored } from '../../../src/coord/driver.js';
import { changeFolder, EMPTY_FOLDER, type FolderState, storedIn } from '../../../src/coord/folder-state.js';
import type { Key } from '../../../src/coord/key.js';
import type { World } from './world.js';

/** A change that was carried out. */
export interface Change {
  readonly key: Key;
  readonly before: Stored;
  readonly after: Stored;
}

export class SimStore {
  isAway = false;
  /** By the mark. */
  readonly changes = new Map<string, Change>();
  private readonly world: World;
  private readonly folders = new Map<string, FolderState>();
  private readonly watching = new Map<string, Set<() => void>>();
  private readonly onChange: (change: Change) => void;

  constructor(world: World, onChange: (change: Change) => void) {
    this.world = world;
    this.onChange = onChange;
  }

  folder(name: string): FolderState {
    return this.folders.get(name) ?? EMPTY_FOLDER;
  }

  get({ folder, name }: Key): Stored {
    return storedIn(this.folder(folder), name);
  }

  compareAndSet(key: Key, expected: number, mark: string, value: string | null): Attempt {
    const before = this.folder(key.folder);
    const { attempt, folder } = changeFolder(before, key.name, expected, mark, value);
    if (attempt.kind === 'conflict') return attempt;
    this.folders.set(key.folder, folder);
    const after = { version: attempt.version, mark, value };
    const change = { key, before: storedIn(before, key.name), after };
    this.changes.set(mark, change);
    this.world.say(() => `${key.folder}/${key.name}: ${expected} -> ${attempt.version} ${value}`);
    this.onChange(change);
    for (const tell of this.watching.get(key.folder) ?? []) tell();
    return attempt;
  }

  /** Calls `tell` after each change, until what it returns is called. */
  watch(folder: string, tell: () => void): () => void {
    const watching = this.watching.get(folder) ?? new Set();
    this.watching.set(folder, watching);
    watching.add(tell);
    return () => watching.delete(tell);
  }
}
