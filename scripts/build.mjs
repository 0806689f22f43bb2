/**
 * Compiles the TypeScript of the checkout to dist/, when it is older than the sources. Run as a script it always compiles.
 *
 * A stamp file, not the compiler's own notes, says when dist/ was last whole: a compilation that failed leaves no stamp.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from './root.mjs';

const SOURCES = ['src', 'test', 'native-bench'];
const STAMP = join(ROOT, 'dist', '.built');

/** True when a source, or what the compiler is told, is newer than the last whole build. */
export function buildIsStale() {
  if (!existsSync(STAMP)) return true;
  const built = statSync(STAMP).mtimeMs;
  const inputs = ['tsconfig.json', 'package-lock.json'].map((name) => join(ROOT, name));
  // A folder's own time changes when a file in it is removed or renamed.
  for (const folder of SOURCES) inputs.push(...walk(join(ROOT, folder)));
  return inputs.some((path) => statSync(path).mtimeMs > built);
}

/** Compiles. Returns false, after the compiler has printed why, when the sources have errors. */
export function build() {
  const started = new Date();
  const compiler = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
  const result = spawnSync(process.execPath, [compiler, '-p', ROOT], { stdio: ['ignore', 'inherit', 'inherit'] });
  if (result.status !== 0) return false;
  removeOrphans();
  mkdirSync(join(ROOT, 'dist'), { recursive: true });
  writeFileSync(STAMP, `${started.toISOString()}\n`);
  return true;
}

/** Removes compiled files whose source is gone: a deleted test must not run on. */
function removeOrphans() {
  for (const folder of SOURCES) {
    for (const path of walk(join(ROOT, 'dist', folder))) {
      const match = /^(.*)\.js(\.map)?$/.exec(path);
      if (match === null) continue;
      const source = `${join(ROOT, match[1].slice(join(ROOT, 'dist').length))}.ts`;
      if (!existsSync(source)) rmSync(path, { force: true });
    }
  }
}

/** The folder and all that is in it but packages, or nothing if it does not exist. */
function walk(folder) {
  if (!existsSync(folder)) return [];
  const paths = [folder];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    if (entry.name === 'node_modules') continue;
    const path = join(folder, entry.name);
    if (entry.isDirectory()) paths.push(...walk(path));
    else paths.push(path);
  }
  return paths;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href && !build()) process.exitCode = 1;
