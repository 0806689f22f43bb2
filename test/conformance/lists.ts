/** The checked-in lists: what one Redis passes, and what is not expected to pass through the proxy. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Baseline, formatBaseline, ListError, parseBaseline } from './baseline.js';
import { type Expectations, formatExpectations, parseExpectations } from './expectations.js';
import type { Mode } from './run-kind.js';

/** Tests run in the checkout's folder, wherever they were compiled to. */
const BASELINE_PATH = join('test', 'golden', 'conformance', 'one-redis.txt');
const EXPECTATIONS_PATH = join('test', 'conformance', 'expected-failures.txt');

export function readBaseline(): Baseline {
  return read(BASELINE_PATH, parseBaseline);
}

export function writeBaseline(baseline: Baseline, version: string): void {
  writeFileSync(BASELINE_PATH, formatBaseline(baseline, version));
}

export function readExpectations(): Expectations {
  return read(EXPECTATIONS_PATH, parseExpectations);
}

export function writeExpectations(expectations: Expectations): void {
  writeFileSync(EXPECTATIONS_PATH, formatExpectations(expectations));
}

function read<T>(path: string, parse: (text: string) => T): T {
  try {
    return parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof ListError) throw new ListError(`${path}, ${error.message}`);
    throw error;
  }
}

/** The units in which one Redis passes anything in any of `modes`, in the suite's order. */
export function unitsOf(baseline: Baseline, modes: readonly Mode[]): string[] {
  const runs = (tests: Map<string, Set<Mode>>) => [...tests.values()].some((of) => modes.some((mode) => of.has(mode)));
  return [...baseline].filter(([, tests]) => runs(tests)).map(([unit]) => unit);
}
