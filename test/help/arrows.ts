/**
 * Which source file imports which, held against ranks and planes. A decider: sources in, complaints out, so that the
 * checker itself can be tested on made-up trees.
 */
import { posix } from 'node:path';
import ts from 'typescript';

export interface Rules {
  /** Of each folder under src/ and of each file that lies there itself. An import goes to a lower rank, or stays in its folder. */
  ranks: Readonly<Record<string, number>>;
  /** Of the same, and of single files (`transport/system.ts`) that are not of their folder's plane. */
  planes: Readonly<Record<string, Plane>>;
}

/** Files of different planes never import each other; shared ones are imported by both and import only shared ones. */
export type Plane = 'data' | 'control' | 'shared';

/** Source text by path relative to src/: `routing/ring.ts`. */
export type Sources = ReadonlyMap<string, string>;

/** A sentence for each import, or place of a file, that breaks the rules. Empty when all is well. */
export function arrowFaults(sources: Sources, rules: Rules): string[] {
  const faults: string[] = [];
  const arrows = new Map<string, string[]>();
  for (const [path, text] of sources) {
    faults.push(...placeFaults(path, rules));
    const targets = importedPaths(path, text);
    arrows.set(path, targets);
    for (const target of targets) faults.push(...arrowFault(path, target, sources, rules));
  }
  for (const file of Object.keys(rules.planes)) {
    if (file.includes('/') && !sources.has(file)) faults.push(`the rules name ${file}, which does not exist`);
  }
  return [...faults, ...cycles(arrows)];
}

/** The folder of a file, or the file itself where it lies in src/: what has a rank. */
function placeOf(path: string): string {
  const [first = ''] = path.split('/');
  return first;
}

function placeFaults(path: string, { ranks, planes }: Rules): string[] {
  const place = placeOf(path);
  if (path.split('/').length > 2) return [`${path} lies deeper than one folder`];
  if (ranks[place] === undefined || planes[place] === undefined)
    return [`${place} has no rank or no plane: give it both`];
  return [];
}

function arrowFault(source: string, target: string, sources: Sources, { ranks, planes }: Rules): string[] {
  if (!sources.has(target)) return [`${source} imports ${target}, which is not in src/`];
  const [sourcePlace, targetPlace] = [placeOf(source), placeOf(target)];
  if (sourcePlace !== targetPlace && !((ranks[targetPlace] ?? 0) < (ranks[sourcePlace] ?? 0))) {
    return [`${source} imports ${target}: ${targetPlace} is not below ${sourcePlace}`];
  }
  const [sourcePlane, targetPlane] = [source, target].map((path) => planes[path] ?? planes[placeOf(path)]);
  if (sourcePlane !== targetPlane && targetPlane !== 'shared') {
    return [`${source} (${sourcePlane}) imports ${target} (${targetPlane}): planes do not import each other`];
  }
  return [];
}

/** Own files that a file imports or exports from, types and `import()` included. */
function importedPaths(path: string, text: string): string[] {
  const specifiers = ts.preProcessFile(text, true, true).importedFiles.map(({ fileName }) => fileName);
  return specifiers
    .filter((specifier) => specifier.startsWith('.'))
    .map((specifier) => posix.join(posix.dirname(path), specifier).replace(/\.js$/, '.ts'));
}

/** Each cycle once, as `a imports b imports a`. */
function cycles(arrows: ReadonlyMap<string, readonly string[]>): string[] {
  const found: string[] = [];
  const done = new Set<string>();
  const walk = (file: string, trail: readonly string[]) => {
    const start = trail.indexOf(file);
    if (start !== -1) found.push(`a cycle: ${[...trail.slice(start), file].join(' imports ')}`);
    if (start !== -1 || done.has(file)) return;
    for (const target of arrows.get(file) ?? []) walk(target, [...trail, file]);
    done.add(file);
  };
  for (const file of arrows.keys()) walk(file, []);
  return found;
}
