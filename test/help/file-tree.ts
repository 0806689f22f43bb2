/** A made-up file system for what reads /proc and /sys. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Test } from 'tap';

/** Writes `files`, path to content, into a folder of that test's own, and returns the folder. */
export function fileTree(test: Test, files: Readonly<Record<string, string>>): string {
  const root = test.testdir({});
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  return root;
}
