/** Tables for people: of a run as it went, and for docs/CONFORMANCE.md of what is expected. */
import { type Baseline, passedByOneRedis } from './baseline.js';
import type { UnitComparison } from './comparison.js';
import { type Expectations, expectedOf } from './expectations.js';
import type { RunKind } from './run-kind.js';

const UNIT_COLUMN = 28;

/** One line of a run: how many tests of a unit, of those that one Redis passes, passed, failed, were not run. */
export function unitLine({ unit, passed, failed, notRun, total }: UnitComparison): string {
  return tableLine(unit, passed.length, failed.length, notRun.length, total);
}

export function headLine(run: RunKind): string {
  const place = `${run.shards} shard${run.shards === 1 ? '' : 's'}, ${run.mode === 'cluster' ? '--cluster-mode' : 'plain mode'}`;
  return `\n${run.name}: ${place}\n${['unit'.padEnd(UNIT_COLUMN), 'passed', 'failed', 'not run', 'of one Redis'].join('  ')}`;
}

export function totalLine(comparisons: readonly UnitComparison[]): string {
  const sum = (count: (one: UnitComparison) => number) => comparisons.reduce((total, one) => total + count(one), 0);
  return tableLine(
    'all',
    sum(({ passed }) => passed.length),
    sum(({ failed }) => failed.length),
    sum(({ notRun }) => notRun.length),
    sum(({ total }) => total),
  );
}

function tableLine(name: string, passed: number, failed: number, notRun: number, total: number): string {
  const counts = [`${passed}`.padStart(6), `${failed}`.padStart(6), `${notRun}`.padStart(7), `${total}`.padStart(5)];
  return `${name.padEnd(UNIT_COLUMN)}  ${counts.join('  ')}  ${percent(passed, total).padStart(7)}`;
}

/** Rounded down: 100 % is all of them. */
function percent(part: number, whole: number): string {
  return whole === 0 ? '–' : `${(Math.floor((1000 * part) / whole) / 10).toFixed(1)} %`;
}

/**
 * Markdown: per unit and run, how many tests are expected to pass of those that one Redis passes. What may pass or not is
 * not counted as passing.
 */
export function expectedTable(baseline: Baseline, expectations: Expectations, runs: readonly RunKind[]): string {
  const rows: string[] = [];
  const sums = runs.map(() => ({ passed: 0, total: 0 }));
  for (const unit of baseline.keys()) {
    const cells = runs.map((run, index) => {
      const names = passedByOneRedis(baseline, unit, run.mode);
      const expected = expectedOf(expectations, run.name, unit);
      const passed = names.filter((name) => !expected.has(name)).length;
      const sum = sums[index] as (typeof sums)[number];
      sum.passed += passed;
      sum.total += names.length;
      return names.length === 0 ? '–' : `${passed} / ${names.length}`;
    });
    if (cells.some((cell) => cell !== '–')) rows.push(`| ${[unit, ...cells].join(' | ')} |`);
  }
  const totals = sums.map(({ passed, total }) => `**${passed} / ${total}**, ${percent(passed, total)}`);
  return [
    `| unit | ${runs.map(({ name }) => name).join(' | ')} |`,
    `| --- |${runs.map(() => ' --- |').join('')}`,
    ...rows,
    `| **all** | ${totals.join(' | ')} |`,
  ].join('\n');
}

/** Markdown: the reasons, most tests first, with how many tests each keeps from passing in each run. */
export function reasonTable(expectations: Expectations, runs: readonly RunKind[]): string {
  const rows = expectations.reasons.map((reason) => {
    const counts = runs.map(({ name }) => reason.expectations.filter((one) => one.runs.has(name)).length);
    return { text: reason.text, counts, sum: counts.reduce((total, count) => total + count, 0) };
  });
  rows.sort((one, other) => other.sum - one.sum);
  return [
    `| reason | ${runs.map(({ name }) => name).join(' | ')} |`,
    `| --- |${runs.map(() => ' --- |').join('')}`,
    ...rows.filter(({ sum }) => sum > 0).map(({ text, counts }) => `| ${[text, ...counts].join(' | ')} |`),
  ].join('\n');
}
