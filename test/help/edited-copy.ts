/**
 * Compiled files with a few words changed, loaded from a copy: how a test breaks one rule of the product on purpose. An edit that
 * finds no place, or more than one, is an error: who breaks a rule has to follow the source.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

export interface Edit {
  /** In dist/, without `.js`. */
  file: string;
  from: string;
  to: string;
}

export interface Copied {
  /** Folders of dist/ in which there is something to edit, or that import what is. */
  copied: readonly string[];
  /** What they import that is as it was. */
  linked: readonly string[];
}

const DIST = fileURLToPath(new URL('../../', import.meta.url));

/** The file of that name (in dist/, without `.js`), with all edits made. `name` says whose they are where one cannot be made. */
export async function loadEdited(
  name: string,
  edits: readonly Edit[],
  { copied, linked }: Copied,
  file: string,
): Promise<unknown> {
  const folder = mkdtempSync(join(tmpdir(), 'ringleader-mutant-'));
  try {
    writeFileSync(join(folder, 'package.json'), '{ "type": "module" }\n');
    symlinkSync(join(DIST, '..', 'node_modules'), join(folder, 'node_modules'));
    for (const place of copied) cpSync(join(DIST, place), join(folder, place), { recursive: true });
    for (const place of linked) {
      mkdirSync(join(folder, place, '..'), { recursive: true });
      symlinkSync(join(DIST, place), join(folder, place));
    }
    for (const edit of edits) applyEdit(folder, name, edit);
    return await import(pathToFileURL(join(folder, `${file}.js`)).href);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function applyEdit(folder: string, name: string, { file, from, to }: Edit): void {
  const path = join(folder, `${file}.js`);
  const text = readFileSync(path, 'utf8');
  const places = text.split(from).length - 1;
  if (places !== 1) throw new Error(`mutant "${name}": ${places} places in ${file}.js say: ${from}`);
  writeFileSync(
    path,
    text.replace(from, () => to),
  );
}
