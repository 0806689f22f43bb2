/**
 * The folder for what must survive a restart. One process at a time has it.
 *
 *   DATA-DIR/lock            who has it; the kernel locks the folder itself, too, which is seen from other containers
 *   DATA-DIR/coordination/   the coordination store of one process: see coord/file-driver.ts
 *   DATA-DIR/hints/          what nodes have missed of keys of consistency eventual: see hints.ts
 */
import { closeSync, openSync } from 'node:fs';
import { EAGAIN, system } from '../transport/system.js';
import { TransportError } from '../transport/transport.js';
import { FolderInUseError, type FolderLock, lockFolder } from './folder-lock.js';
import { makeFolder } from './make-folder.js';

/** Of flock(2). */
const LOCK_EX = 2;
const LOCK_NB = 4;

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
    return new DataDir(path, lock, descriptor);
  }

  /** Leaves the folder to others. */
  close(): void {
    if (this.descriptor === null) return;
    this.lock.release();
    closeSync(this.descriptor);
    this.descriptor = null;
  }
}

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

function words(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
