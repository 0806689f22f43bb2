/**
 * One process at a time uses a folder: a file in it names who does. The file of a process that is gone, however it ended,
 * holds nobody up.
 */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { isRunning, markOf, type ProcessMark } from './process-start.js';

export class FolderInUseError extends Error {
  /** Who uses the folder. */
  readonly pid: number;

  constructor(folder: string, pid: number) {
    super(`another process (${pid}) uses ${folder}`);
    this.pid = pid;
  }
}

export interface FolderLock {
  release(): void;
}

const FILE = 'lock';
/** Each time that another process comes first costs one; more than two or three at once there are hardly ever. */
const ATTEMPTS_MAX = 20;

/** Takes the folder, which exists, for this process. Throws a FolderInUseError when another one has it. */
export function lockFolder(folder: string): FolderLock {
  const path = join(folder, FILE);
  const own = markOf(process.pid);
  if (own === null) throw new Error('this process cannot be found in the list of processes');
  // Written aside and linked, so that the file is never seen half written.
  const draft = `${path}.${process.pid}`;
  writeFileSync(draft, JSON.stringify(own));
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (attemptIs('EEXIST', () => linkSync(draft, path))) return { release: () => release(path, own) };
      const holder = readMark(path);
      if (holder !== null && isRunning(holder)) throw new FolderInUseError(folder, holder.pid);
      removeStale(folder, path);
    }
    throw new Error(`${path} cannot be taken: others take it again and again`);
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Takes a stale file out of the way: by a new name, since another process may have put a good one in its place meanwhile. */
function removeStale(folder: string, path: string): void {
  const aside = `${path}.stale.${process.pid}`;
  if (!attemptIs('ENOENT', () => renameSync(path, aside))) return;
  const holder = readMark(aside);
  const isGood = holder !== null && isRunning(holder);
  if (isGood) attemptIs('EEXIST', () => linkSync(aside, path));
  rmSync(aside, { force: true });
  if (isGood) throw new FolderInUseError(folder, holder.pid);
}

function release(path: string, own: ProcessMark): void {
  const holder = readMark(path);
  if (holder?.pid === own.pid && holder.start === own.start) rmSync(path, { force: true });
}

/** Null when there is no file, or none that names a process. */
function readMark(path: string): ProcessMark | null {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessMark;
  } catch {
    return null;
  }
}

/** True when `work` was done, false when it failed with that code; other errors are thrown. */
function attemptIs(code: string, work: () => void): boolean {
  try {
    work();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === code) return false;
    throw error;
  }
}
