/**
 * `npm run conformance`: how much of Redis's own test suite passes through the proxy. Ends with 1 when anything is not as
 * expected-failures.txt says.
 */
import { parseArgs } from 'node:util';
import { type Baseline, numberNames } from './baseline.js';
import { compare, correct, correctionsOf, type UnitComparison } from './comparison.js';
import { writeDocument } from './document.js';
import { hangingIn, UNEXPLAINED, withoutUnexplained } from './expectations.js';
import { readBaseline, readExpectations, unitsOf, writeBaseline, writeExpectations } from './lists.js';
import { headLine, totalLine, unitLine } from './report.js';
import { MODES, type Mode, RUN_KINDS, type RunKind } from './run-kind.js';
import { findSuite, listUnits, SuiteFolder, type SuiteProgram } from './suite-folder.js';
import { startTarget } from './targets.js';
import { runUnit, type UnitRun } from './unit-run.js';

const HELP = `npm run conformance -- [options]
  --unit U           only this unit (unit/type/list); may be given more than once
  --shards 1,3       over one shard, over three
  --mode cluster,plain
                     with the suite's --cluster-mode, without
  --details          print why each test failed
  --write            make expected-failures.txt and docs/CONFORMANCE.md say what this run found
  --write-baseline   run against one Redis instead, and write test/golden/conformance/one-redis.txt`;

const OPTIONS = {
  unit: { type: 'string', multiple: true },
  shards: { type: 'string', default: '3,1' },
  mode: { type: 'string', default: MODES.join(',') },
  details: { type: 'boolean', default: false },
  write: { type: 'boolean', default: false },
  'write-baseline': { type: 'boolean', default: false },
  help: { type: 'boolean', default: false },
} as const;

interface Choice {
  runs: readonly RunKind[];
  /** Null: all. */
  units: readonly string[] | null;
  details: boolean;
  write: boolean;
}

process.exitCode = await main();

async function main(): Promise<number> {
  let values: ReturnType<typeof parseArgs<{ options: typeof OPTIONS }>>['values'];
  try {
    values = parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    return misused((error as Error).message);
  }
  if (values.help) {
    console.log(HELP);
    return 0;
  }
  const shards = values.shards.split(',');
  const modes = values.mode.split(',');
  const runs = RUN_KINDS.filter((run) => shards.includes(`${run.shards}`) && modes.includes(run.mode));
  if (runs.length !== shards.length * modes.length) return misused('no such --shards or --mode');

  const suite = await findSuite();
  if ('reason' in suite) {
    console.error(`ringleader: ${suite.reason}`);
    return 1;
  }
  const stranger = values.unit?.find((unit) => !listUnits(suite).includes(unit));
  if (stranger !== undefined) return misused(`the suite has no unit ${stranger}`);
  const choice = { runs, units: values.unit ?? null, details: values.details, write: values.write };
  const folder = await SuiteFolder.make(suite);
  try {
    if (values['write-baseline']) await measureOneRedis(suite, folder, choice);
    else return await measureProxy(folder, choice);
  } finally {
    folder.remove();
  }
  return 0;
}

function misused(problem: string): number {
  console.error(`ringleader: ${problem}\n${HELP}`);
  return 2;
}

/** Resolves with the exit code. */
async function measureProxy(folder: SuiteFolder, { runs, units, details, write }: Choice): Promise<number> {
  const baseline = readBaseline();
  const written = readExpectations();
  // What has no reason yet is looked at again: it may come under one that has been written since.
  const expectations = write ? withoutUnexplained(written) : written;
  const all: UnitComparison[] = [];
  for (const run of runs) {
    const comparisons: UnitComparison[] = [];
    console.log(headLine(run));
    for (const unit of unitsOf(baseline, [run.mode])) {
      if (units !== null && !units.includes(unit)) continue;
      const leftOut = hangingIn(expectations, run.name, unit);
      const unitRun = await runUnit(folder, unit, run.mode, () => startTarget(run.shards), leftOut);
      const comparison = compare(run, unitRun, baseline, expectations);
      comparisons.push(comparison);
      console.log(unitLine(comparison));
      for (const note of notesOf(unitRun, details)) console.log(`  ${note}`);
    }
    console.log(totalLine(comparisons));
    all.push(...comparisons);
  }
  if (write) {
    const corrected = correct(written, all);
    writeExpectations(corrected);
    writeDocument(baseline, corrected);
    return 0;
  }
  const corrections = all.flatMap(correctionsOf);
  for (const correction of corrections) console.log(correction);
  const unexplained = expectations.reasons.some(({ text }) => text === UNEXPLAINED);
  if (unexplained) console.log(`some of the expected failures stand under "${UNEXPLAINED}"`);
  return corrections.length > 0 || unexplained ? 1 : 0;
}

async function measureOneRedis(suite: SuiteProgram, folder: SuiteFolder, { units, details }: Choice): Promise<void> {
  const baseline: Baseline = new Map();
  for (const unit of units ?? listUnits(suite)) {
    const modes = new Map<Mode, Set<string>>();
    const order: string[] = [];
    for (const mode of MODES) {
      const unitRun = await runUnit(folder, unit, mode, () => startTarget(0));
      const results = [...numberNames(unitRun.results)];
      const passed = results.filter(([, { outcome }]) => outcome === 'passed').map(([name]) => name);
      console.log(`${unit}, ${mode}: ${passed.length} of ${results.length} passed`);
      for (const note of notesOf(unitRun, details)) console.log(`  ${note}`);
      modes.set(mode, new Set(passed));
      // The plain list is the longer one, with the other's tests in the same order.
      order.unshift(...passed);
    }
    const tests = new Map<string, Set<Mode>>();
    for (const name of order) tests.set(name, new Set(MODES.filter((mode) => modes.get(mode)?.has(name) === true)));
    if (tests.size > 0) baseline.set(unit, tests);
  }
  writeBaseline(units === null ? baseline : new Map([...readBaseline(), ...baseline]), suite.version);
}

/** For people: what happened besides tests that failed, and with `details` these too. */
function notesOf({ refused, endedBlocks, exception, problem, results }: UnitRun, details: boolean): string[] {
  const hung = results.filter(({ outcome }) => outcome === 'hung').map(({ name }) => `hung: ${name}`);
  const failed = details ? results.filter(({ outcome }) => outcome === 'failed') : [];
  return [
    ...refused.map((text) => `refused in the set-up: ${text}`),
    ...endedBlocks.map((text) => `a block of tests ended: ${text}`),
    ...hung,
    ...(exception === null ? [] : [`the unit ended: ${exception}`]),
    ...(problem === null ? [] : [problem]),
    ...failed.map(({ name, detail }) => `failed: ${name}${detail.replaceAll('\n', '\n    ')}`),
  ];
}
