/**
 * What one Redis passes of its own suite, per unit: the list that a run through the proxy is held against.
 *
 *   == unit/type/list
 *   cp LPOS basic usage          passes in --cluster-mode and in plain mode
 *   p BLPOP with a client …      in plain mode only
 */
import { MODES, type Mode, modeLetter } from './run-kind.js';
import type { TestResult } from './suite-output.js';

/** Tests in the order of the suite, with the modes in which one Redis passes them. */
export type Baseline = Map<string, Map<string, Set<Mode>>>;

/** Thrown when a file of this folder is not as it must be. The message has the line. */
export class ListError extends Error {}

/** The suite uses some names more than once in a unit: from the second on they get a number, `name #2`. */
export function numberNames(results: readonly TestResult[]): Map<string, TestResult> {
  const numbered = new Map<string, TestResult>();
  const counts = new Map<string, number>();
  for (const result of results) {
    const count = (counts.get(result.name) ?? 0) + 1;
    counts.set(result.name, count);
    numbered.set(count === 1 ? result.name : `${result.name} #${count}`, result);
  }
  return numbered;
}

export function parseBaseline(text: string): Baseline {
  const baseline: Baseline = new Map();
  let unit: Map<string, Set<Mode>> | null = null;
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const heading = /^== (\S+)$/.exec(line)?.[1];
    const [, letters, name] = /^(c?p?) (.+)$/.exec(line) ?? [];
    if (heading !== undefined) {
      unit = new Map();
      baseline.set(heading, unit);
    } else if (unit !== null && letters !== undefined && name !== undefined) {
      unit.set(name, new Set(MODES.filter((mode) => letters.includes(modeLetter(mode)))));
    } else {
      throw new ListError(`line ${index + 1} is neither a unit nor a test: ${line}`);
    }
  }
  return baseline;
}

export function formatBaseline(baseline: Baseline, version: string): string {
  const lines = [
    `# What one Redis ${version} passes of its own test suite, ${version}, as test/conformance runs it (c: with`,
    '# --cluster-mode, p: without). Made by `npm run conformance -- --write-baseline`.',
  ];
  for (const [unit, tests] of baseline) {
    lines.push('', `== ${unit}`);
    for (const [name, modes] of tests)
      lines.push(
        `${MODES.filter((mode) => modes.has(mode))
          .map(modeLetter)
          .join('')} ${name}`,
      );
  }
  return `${lines.join('\n')}\n`;
}

/** The names of `unit` that one Redis passes in `mode`. */
export function passedByOneRedis(baseline: Baseline, unit: string, mode: Mode): string[] {
  return [...(baseline.get(unit) ?? [])].filter(([, modes]) => modes.has(mode)).map(([name]) => name);
}
