/** A file of the checkout that is made of others, and is checked in so that people can read it. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './root.mjs';

/** Writes `text` to the file; with `isCheck` says whether it is there already, by the exit code and where it is not. */
export function putDerived(path, text, isCheck) {
  if (!isCheck) {
    writeFileSync(join(ROOT, path), text);
    return;
  }
  const present = readFileSync(join(ROOT, path), 'utf8');
  if (present === text) return;
  const presentLines = present.split('\n');
  const wanted = text.split('\n');
  const line = wanted.findIndex((words, index) => words !== presentLines[index]);
  console.error(`${path}:${line + 1} is out of date.\n  is:     ${presentLines[line]}\n  should: ${wanted[line]}`);
  process.exitCode = 1;
}
