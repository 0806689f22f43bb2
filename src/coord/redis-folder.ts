/**
 * How a folder lies in a map of texts (Registers), and what a change makes of it:
 *
 *   /       { "format": 1, "last": 7, "version": 3, "mark": "…", "names": 2, "bytes": 120 }     the folder itself: no entry has a slash in its name
 *   NAME    7 MARK VALUE                                                            the entry, with its version
 *
 * `names` are how many entries it has, `bytes` those of all together. A folder is one key of Redis: it is copied as a whole to who has missed a change.
 */
import { z } from 'zod';
import { decodeBody, encodeBody } from './body.js';
import type { Attempt, Stored, StoredFolder } from './driver.js';
import { changeFolder, EMPTY_FOLDER, type FolderState } from './folder-state.js';
import { checkRoom, FOLDER_ENTRIES_MAX } from './key.js';
import type { FieldChanges, Found } from './registers.js';
import { StoreError } from './store-error.js';

export const FOLDER_FIELD = '/';
/** Of all names and entries of a folder. Eight of the largest values have room. */
export const FOLDER_BYTES_MAX = 8 * 1024 * 1024;

const FORMAT = 1;
const COUNT = z.int().nonnegative();
const HEAD = z.strictObject({
  format: z.literal(FORMAT),
  last: COUNT,
  version: COUNT,
  mark: z.string(),
  names: COUNT,
  bytes: COUNT,
});

/** What is known of a folder without its entries. */
export interface FolderHead extends Omit<FolderState, 'entries'> {
  readonly names: number;
  readonly bytes: number;
}

const NO_HEAD: FolderHead = { last: 0, version: 0, mark: '', names: 0, bytes: 0 };
const NO_CHANGES: FieldChanges = new Map();

/** Throws a StoreError, `refused`, for what somebody else wrote; so do all below. */
export function decodeHead(text: string | null): FolderHead {
  if (text === null) return NO_HEAD;
  let written: unknown;
  try {
    written = JSON.parse(text);
  } catch (error) {
    throw foreign(FOLDER_FIELD, error);
  }
  const { data, error } = HEAD.safeParse(written);
  if (data === undefined) throw foreign(FOLDER_FIELD, error);
  const { format: _, ...head } = data;
  return head;
}

/** What is there under a name, by the fields of the folder and of that name. */
export function decodeStored([head = null, entry = null]: Found, name: string): Stored {
  if (entry !== null) return decodeEntry(entry, name);
  const { version, mark } = decodeHead(head);
  return { version, mark, value: null };
}

export function decodeFolder(fields: ReadonlyMap<string, string>): StoredFolder & Pick<FolderState, 'last'> {
  const { last, version } = decodeHead(fields.get(FOLDER_FIELD) ?? null);
  const entries = new Map<string, Stored>();
  for (const [name, text] of fields) if (name !== FOLDER_FIELD) entries.set(name, decodeEntry(text, name));
  return { last, version, entries };
}

/** What comes of a change of that name, and of its fields and the folder's. */
export function changeFields(
  found: Found,
  name: string,
  expected: number,
  mark: string,
  value: string | null,
  entriesMax = FOLDER_ENTRIES_MAX,
): { attempt: Attempt; changes: FieldChanges } {
  const { names, bytes, ...rest } = decodeHead(found[0] ?? null);
  const before = found[1] ?? null;
  const entries = before === null ? EMPTY_FOLDER.entries : new Map([[name, decodeEntry(before, name)]]);
  const state: FolderState = { ...rest, entries };
  const { attempt, folder } = changeFolder(state, name, expected, mark, value);
  if (folder === state) return { attempt, changes: NO_CHANGES };
  if (before === null) checkRoom(names, entriesMax);
  const after = value === null ? null : `${folder.last} ${encodeBody(mark, value)}`;
  const bytesAfter = bytes - bytesOf(name, before) + bytesOf(name, after);
  if (bytesAfter > FOLDER_BYTES_MAX && bytesAfter > bytes) {
    throw new StoreError(
      'refused',
      `a folder has at most ${FOLDER_BYTES_MAX} bytes, this one would have ${bytesAfter}`,
    );
  }
  const { last, version, mark: folderMark } = folder;
  const namesAfter = names + Number(after !== null) - Number(before !== null);
  const head: FolderHead = { last, version, mark: folderMark, names: namesAfter, bytes: bytesAfter };
  const written: z.infer<typeof HEAD> = { format: FORMAT, ...head };
  const changes = new Map([
    [FOLDER_FIELD, JSON.stringify(written)],
    [name, after],
  ]);
  return { attempt, changes };
}

function decodeEntry(text: string, name: string): Stored {
  const end = text.indexOf(' ');
  const version = Number(text.slice(0, Math.max(0, end)));
  if (!(Number.isSafeInteger(version) && version > 0)) throw foreign(name);
  return { version, ...decodeBody(text.slice(end + 1), `the field ${name} of a register`) };
}

function bytesOf(name: string, text: string | null): number {
  return text === null ? 0 : name.length + Buffer.byteLength(text);
}

function foreign(field: string, cause?: unknown): StoreError {
  return new StoreError(
    'refused',
    `the field ${field} of a register was not written by this program, or by another version of it`,
    cause,
  );
}
