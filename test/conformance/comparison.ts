/** One unit's results through the proxy, held against what one Redis passes and against what is expected. A decider. */
import { type Baseline, numberNames, passedByOneRedis } from './baseline.js';
import {
  type Expectation,
  type Expectations,
  expectedOf,
  formatExpectation,
  type Reason,
  UNEXPLAINED,
} from './expectations.js';
import type { RunKind } from './run-kind.js';
import type { UnitRun } from './unit-run.js';

export interface UnitComparison {
  run: RunKind;
  unit: string;
  /** Of the tests that one Redis passes in this mode. They add up to `total`. */
  passed: string[];
  failed: string[];
  notRun: string[];
  total: number;
  newlyFailing: NewFailure[];
  newlyPassing: string[];
  /** Expectations of tests that one Redis does not pass, or that there are not. */
  unknown: string[];
}

export interface NewFailure {
  name: string;
  /** What the suite says, or why the test was not run. */
  detail: string;
}

export function compare(
  run: RunKind,
  unitRun: UnitRun,
  baseline: Baseline,
  expectations: Expectations,
): UnitComparison {
  const { unit } = unitRun;
  const results = numberNames(unitRun.results);
  const expected = expectedOf(expectations, run.name, unit);
  const names = passedByOneRedis(baseline, unit, run.mode);
  const comparison: UnitComparison = {
    ...{ run, unit, passed: [], failed: [], notRun: [], total: names.length },
    ...{ newlyFailing: [], newlyPassing: [], unknown: [] },
  };
  for (const name of names) {
    const result = results.get(name);
    const expectation = expected.get(name);
    expected.delete(name);
    if (result?.outcome === 'passed') {
      comparison.passed.push(name);
      if (expectation === 'fails') comparison.newlyPassing.push(name);
      continue;
    }
    if (result === undefined) comparison.notRun.push(name);
    else comparison.failed.push(name);
    if (expectation === undefined) comparison.newlyFailing.push({ name, detail: detailOf(result, unitRun) });
  }
  comparison.unknown = [...expected.keys()];
  return comparison;
}

function detailOf(result: { outcome: string; detail: string } | undefined, unitRun: UnitRun): string {
  if (result?.outcome === 'hung') return 'it hung';
  if (result !== undefined) return result.detail.trim();
  const { problem, exception, endedBlocks, leftOutDatabases } = unitRun;
  const databases = leftOutDatabases ? 'only database 0 is served' : null;
  const causes = [problem, exception, ...endedBlocks, databases].filter((cause) => cause !== null && cause !== '');
  return ['it was not run', ...causes].join('; ');
}

/** For people: which lines of expected-failures.txt are to be added, and which to be taken out. */
export function correctionsOf({ run, unit, newlyFailing, newlyPassing, unknown }: UnitComparison): string[] {
  const line = (name: string) =>
    `${unit}: ${formatExpectation({ name, runs: new Set([run.name]), mayPass: false, hangs: false })}`;
  return [
    ...newlyFailing.map(
      ({ name, detail }) =>
        `to be added or repaired: ${line(name)}\n    ${detail.slice(0, 600).replaceAll('\n', '\n    ')}`,
    ),
    ...newlyPassing.map((name) => `to be taken out, since it passes: ${line(name)}`),
    ...unknown.map((name) => `to be taken out, since one Redis does not pass it: ${line(name)}`),
  ];
}

/**
 * The expectations that would make all of `comparisons`, which were made `withoutUnexplained` ones, as expected. A test
 * keeps its reason, also for another run; a new failure comes under the first reason whose `error` matches its detail, or
 * under `UNEXPLAINED`.
 */
export function correct(expectations: Expectations, comparisons: readonly UnitComparison[]): Expectations {
  const reasons: Reason[] = expectations.reasons.map((reason) => {
    return { ...reason, expectations: reason.expectations.map((one) => ({ ...one, runs: new Set(one.runs) })) };
  });
  for (const { run, unit, newlyFailing, newlyPassing, unknown } of comparisons) {
    const gone = new Set([...newlyPassing, ...unknown]);
    for (const { text, expectations: list } of reasons) {
      for (const one of list) {
        if (one.unit === unit && (gone.has(one.name) || text === UNEXPLAINED)) one.runs.delete(run.name);
      }
    }
    for (const { name, detail } of newlyFailing) add(reasons, { unit, name, detail, run: run.name });
  }
  for (const reason of reasons) reason.expectations = reason.expectations.filter(({ runs }) => runs.size > 0);
  return { preface: expectations.preface, reasons: reasons.filter((reason) => reason.expectations.length > 0) };
}

interface Addition {
  unit: string;
  name: string;
  detail: string;
  run: string;
}

function add(reasons: Reason[], { unit, name, detail, run }: Addition): void {
  const isIt = (one: Expectation) => one.unit === unit && one.name === name && !one.mayPass;
  let reason = reasons.find(({ text, expectations }) => text !== UNEXPLAINED && expectations.some(isIt));
  reason ??= reasons.find(({ error }) => error?.test(detail) === true);
  reason ??= reasons.find(({ text }) => text === UNEXPLAINED);
  if (reason === undefined) {
    reason = { text: UNEXPLAINED, error: null, expectations: [] };
    reasons.push(reason);
  }
  const known = reason.expectations.find((one) => isIt(one) && !one.hangs);
  if (known !== undefined) known.runs.add(run);
  else reason.expectations.push({ unit, name, runs: new Set([run]), mayPass: false, hangs: false });
}
