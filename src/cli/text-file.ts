/** Files that a user named. */
import { readFileSync, writeFileSync } from 'node:fs';

/** Throws an error that names the file. */
export function readText(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    throw new Error(`${path} cannot be read: ${error instanceof Error ? error.message : error}`);
  }
}

/** Writes the file that `option` names. Throws an error that names both, and says what to do. */
export function writeText(option: string, path: string, text: string): void {
  try {
    writeFileSync(path, text);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new Error(`--${option}: ${path} cannot be written: ${WRITE_FAILURES[code ?? ''] ?? message}`);
  }
}

const WRITE_FAILURES: Readonly<Record<string, string>> = {
  ENOENT: 'its folder is not there; make it, or name a file in another',
  ENOTDIR: 'what should be its folder is a file; name a file in another folder',
  EISDIR: 'it is a folder; name a file in it',
  EACCES: 'permission denied; name a file in a folder of your own',
  EROFS: 'the file system is read-only; name a file on another',
};
