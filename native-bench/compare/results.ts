/** What a benchmark has measured, with what and on what, as a file of native-bench/results. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { machineFacts, versions } from './machine.js';
import { type Programs, root } from './programs.js';

export interface Measured {
  /** Of the file, behind its date and the commit: '' or as in '-fleet'. */
  suffix: string;
  raisedPriority: boolean;
  programs: Programs;
  /** By label: the Node that ran it. */
  nodeOf: ReadonlyMap<string, string>;
}

/** Writes `results` to a new file, says which one, and returns its path. */
export function saveResults({ suffix, raisedPriority, programs, nodeOf }: Measured, results: object): string {
  const date = new Date().toISOString();
  const found = versions(programs, nodeOf);
  const folder = new URL('native-bench/results/', root);
  mkdirSync(folder, { recursive: true });
  const path = new URL(`${date.slice(0, 16).replace(':', '')}-${found.commit.replace('+', '')}${suffix}.json`, folder);
  const all = { date, machine: machineFacts(raisedPriority), versions: found, ...results };
  const rounded = (_: string, value: unknown) => (typeof value === 'number' ? Number(value.toFixed(4)) : value);
  writeFileSync(path, `${JSON.stringify(all, rounded, 1)}\n`);
  console.log(`\n${path.pathname}`);
  return path.pathname;
}
