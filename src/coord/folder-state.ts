/** One folder of a store that is kept by one process: what a change makes of it. Pure; the model that all drivers are held to. */
import type { Attempt, Stored, StoredFolder } from './driver.js';

export interface FolderState extends StoredFolder {
  /** The largest version that was ever given here. */
  readonly last: number;
  /** Of the change that last added or removed a name. */
  readonly mark: string;
}

export const EMPTY_FOLDER: FolderState = { last: 0, version: 0, mark: '', entries: new Map() };

export function storedIn({ version, mark, entries }: FolderState, name: string): Stored {
  return entries.get(name) ?? { version, mark, value: null };
}

/** What came of the change, and the folder after it: the same one where it was a conflict. */
export function changeFolder(
  folder: FolderState,
  name: string,
  expected: number,
  mark: string,
  value: string | null,
): { attempt: Attempt; folder: FolderState } {
  const found = storedIn(folder, name);
  // There is nothing to remove.
  const isNothing = found.value === null && value === null;
  if (found.version !== expected || isNothing) return { attempt: { kind: 'conflict', found }, folder };
  const version = folder.last + 1;
  const entries = new Map(folder.entries);
  if (value === null) entries.delete(name);
  else entries.set(name, { version, mark, value });
  const isNameChange = found.value === null || value === null;
  const names = isNameChange ? { version, mark } : { version: folder.version, mark: folder.mark };
  return { attempt: { kind: 'done', version }, folder: { last: version, ...names, entries } };
}
