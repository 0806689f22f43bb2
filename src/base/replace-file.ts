/**
 * Files that must survive a crash are replaced as a whole: written aside, brought to the disk, renamed, and the folder brought to
 * the disk. Whenever the process or the machine stops, the file is the one of before or the new one.
 */
import { open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';

/** Of what is written aside. One name: there is one writer, who may remove it when nothing is being written. */
export const DRAFT = '.new';

/**
 * Resolves when `text` is at `path`, on the disk, for this user alone. Rejects with the system's error; then the file is the one of
 * before or, where the folder could not be brought to the disk, the new one.
 */
export async function replaceFile(path: string, text: string): Promise<void> {
  const draft = `${path}${DRAFT}`;
  try {
    const file = await open(draft, 'w', 0o600);
    try {
      await file.writeFile(text);
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(draft, path);
  } catch (error) {
    await rm(draft, { force: true });
    throw error;
  }
  await syncFolder(dirname(path));
}

/** Brings a renaming to the disk. Windows has no such thing for folders. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return;
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
