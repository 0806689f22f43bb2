/**
 * The folder for what must survive a restart: the last layout, so that a configuration that would look for existing keys
 * elsewhere is refused at a start as it is at a reload. One process at a time has it.
 *
 *   DATA-DIR/lock            who has it; the kernel locks the folder itself, too, which is seen from other containers
 *   DATA-DIR/layout.json     { "format": 1, "version": "0.1.0", "layout": { … } }
 */
import { closeSync, openSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { DRAFT, replaceFile } from '../base/replace-file.js';
import { packageVersion } from '../base/version.js';
import { EAGAIN, system } from '../transport/system.js';
import { TransportError } from '../transport/transport.js';
import { FolderInUseError, type FolderLock, lockFolder } from './folder-lock.js';
import { LAYOUT, type Layout } from './layout.js';
import { makeFolder } from './make-folder.js';

const FORMAT = 1;
const LAYOUT_FILE = 'layout.json';

/** Of flock(2). */
const LOCK_EX = 2;
const LOCK_NB = 4;

const DOCUMENT = z.strictObject({ format: z.literal(FORMAT), version: z.string(), layout: LAYOUT });

/** The folder cannot be used; the message says why, and what to do. */
export class DataDirError extends Error {
  override name = 'DataDirError';
}

export class DataDir {
  readonly path: string;
  private readonly lock: FolderLock;
  /** The folder, open; null when it has been left. */
  private descriptor: number | null;

  private constructor(path: string, lock: FolderLock, descriptor: number) {
    this.path = path;
    this.lock = lock;
    this.descriptor = descriptor;
  }

  /** Makes the folder if need be, for this user alone, and takes it. Throws a DataDirError. */
  static open(path: string): DataDir {
    try {
      makeFolder(path);
    } catch (error) {
      throw new DataDirError(`dataDir ${path} cannot be made: ${words(error)}`, { cause: error });
    }
    let lock: FolderLock;
    try {
      lock = lockFolder(path);
    } catch (error) {
      if (error instanceof FolderInUseError) throw inUse(path, `${error.pid}`, error);
      throw new DataDirError(`dataDir ${path} cannot be written: ${words(error)}`, { cause: error });
    }
    const descriptor = openSync(path, 'r');
    if (isLockedByAnother(descriptor)) {
      closeSync(descriptor);
      lock.release();
      throw inUse(path, 'in another container');
    }
    rmSync(join(path, `${LAYOUT_FILE}${DRAFT}`), { force: true });
    return new DataDir(path, lock, descriptor);
  }

  /** The layout of the last time, or null when there was none. Throws a DataDirError for a file that is not ours. */
  readLayout(): Layout | null {
    const path = join(this.path, LAYOUT_FILE);
    let text: string;
    try {
      text = readFileSync(path, 'utf8');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
      throw new DataDirError(`${path} cannot be read: ${words(error)}`, { cause: error });
    }
    const document = parseJson(text);
    const { format } = z.looseObject({ format: z.int() }).safeParse(document).data ?? {};
    if (format !== undefined && format > FORMAT) {
      const reason = `it was written by a newer version (format ${format}, this one knows ${FORMAT})`;
      throw new DataDirError(`${path} cannot be read: ${reason}. Start that version, or ${ADVICE}`);
    }
    const { data } = DOCUMENT.safeParse(document);
    if (data === undefined)
      throw new DataDirError(`${path} is damaged: it is not what this program writes. ${capital(ADVICE)}`);
    return data.layout;
  }

  /** Resolves when the layout is on the disk. Rejects with a DataDirError; then the one of before is there still. */
  async writeLayout(layout: Layout): Promise<void> {
    const document = { format: FORMAT, version: packageVersion(), layout };
    const path = join(this.path, LAYOUT_FILE);
    try {
      await replaceFile(path, `${JSON.stringify(document, null, 2)}\n`);
    } catch (error) {
      throw new DataDirError(`${path} cannot be written: ${words(error)}`, { cause: error });
    }
  }

  /** Leaves the folder to others. */
  close(): void {
    if (this.descriptor === null) return;
    this.lock.release();
    closeSync(this.descriptor);
    this.descriptor = null;
  }
}

const ADVICE =
  'if the nodes, pools and keyspaces of the configuration are those of the last time, remove the file and start again: ' +
  'it is made anew';

function inUse(path: string, who: string, cause?: Error): DataDirError {
  const text = `dataDir ${path} is used by another process (${who}): each proxy needs a dataDir of its own`;
  return new DataDirError(text, { cause });
}

/** Takes the kernel's lock of the folder, which ends with the process. A file system that has none is nobody's. */
function isLockedByAnother(descriptor: number): boolean {
  try {
    const calls = system();
    return calls.flock(descriptor, LOCK_EX | LOCK_NB) < 0 && calls.errno() === EAGAIN;
  } catch (error) {
    // Without libc the file `lock` alone has to do.
    if (error instanceof TransportError) return false;
    throw error;
  }
}

/** Undefined for what is no JSON. */
function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function capital(text: string): string {
  return `${text.charAt(0).toUpperCase()}${text.slice(1)}`;
}
