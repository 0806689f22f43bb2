/** What entries of the coordination store are called: FOLDER/NAME, one level of folders. */
import { StoreError } from './store-error.js';

export interface Key {
  readonly folder: string;
  readonly name: string;
}

/**
 * Of a value in UTF-8. etcd takes 1.5 MiB in one request, ZooKeeper 1,048,575 bytes in one packet, each with what belongs to a
 * value besides.
 */
export const VALUE_BYTES_MAX = 1_000_000;

/** Of one folder: each change of it is told as a whole to who watches it. */
export const FOLDER_ENTRIES_MAX = 10_000;

const FOLDER = /^[a-z][a-z0-9-]{0,31}$/;
/** Printable ASCII but for the slash; ZooKeeper has no nodes named . and .. */
const NAME = /^(?!\.{1,2}$)[!-.0-~]{1,200}$/;

/** Throws a StoreError, `refused`, for what is no name of a folder. */
export function checkFolder(folder: string): void {
  if (!FOLDER.test(folder)) throw new StoreError('refused', `"${folder}" cannot be the name of a folder`);
}

/** Throws a StoreError, `refused`, for what is no key. */
export function checkKey({ folder, name }: Key): void {
  checkFolder(folder);
  if (!NAME.test(name)) throw new StoreError('refused', `"${name}" cannot be the name of an entry`);
}

/** Throws a StoreError, `refused`, for a value that is too large for one of the stores. */
export function checkValue(value: string): void {
  const bytes = Buffer.byteLength(value);
  if (bytes <= VALUE_BYTES_MAX) return;
  throw new StoreError('refused', `a value has at most ${VALUE_BYTES_MAX} bytes, this one has ${bytes}`);
}

/** Throws a StoreError, `refused`, where one more entry is too many in a folder that has so many. */
export function checkRoom(entries: number, entriesMax: number): void {
  if (entries >= entriesMax) throw new StoreError('refused', `a folder has at most ${entriesMax} entries`);
}
