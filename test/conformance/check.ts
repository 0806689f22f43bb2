/** A run of the suite as tests: one for each unit, which passes when all is as the checked-in lists say. */
import type { Test } from 'tap';
import { compare, correctionsOf } from './comparison.js';
import { hangingIn } from './expectations.js';
import { readBaseline, readExpectations, unitsOf } from './lists.js';
import { headLine, unitLine } from './report.js';
import type { RunKind } from './run-kind.js';
import { findSuite, SuiteFolder } from './suite-folder.js';
import { startTarget } from './targets.js';
import { runUnit } from './unit-run.js';

/** Adds a test for each of `units` (all that one Redis passes anything of, unless given), or skips them with the reason. */
export async function checkRun(t: Test, run: RunKind, units?: readonly string[]): Promise<void> {
  const baseline = readBaseline();
  const expectations = readExpectations();
  const suite = await findSuite();
  const skip = 'reason' in suite ? suite.reason : false;
  const folder = 'reason' in suite ? null : await SuiteFolder.make(suite);
  t.teardown(() => folder?.remove());
  // The suite has time limits of its own.
  t.setTimeout(0);
  t.comment(headLine(run).trim());
  for (const unit of units ?? unitsOf(baseline, [run.mode])) {
    const name = `${run.name}: of Redis's own ${unit}, what is expected to pass does, and nothing else`;
    t.test(name, { skip, timeout: 0 }, async (t) => {
      const leftOut = hangingIn(expectations, run.name, unit);
      const unitRun = await runUnit(folder as SuiteFolder, unit, run.mode, () => startTarget(run.shards), leftOut);
      const comparison = compare(run, unitRun, baseline, expectations);
      t.comment(unitLine(comparison));
      t.same(correctionsOf(comparison), []);
    });
  }
}
