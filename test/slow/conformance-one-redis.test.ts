/** The list of what one Redis passes of its own suite, against one Redis. */
import t from 'tap';
import { compare, correctionsOf } from '../conformance/comparison.js';
import { readBaseline, unitsOf } from '../conformance/lists.js';
import { MODES, runKind } from '../conformance/run-kind.js';
import { findSuite, SuiteFolder } from '../conformance/suite-folder.js';
import { startTarget } from '../conformance/targets.js';
import { runUnit } from '../conformance/unit-run.js';

const baseline = readBaseline();
const suite = await findSuite();
const folder = 'reason' in suite ? null : await SuiteFolder.make(suite);
t.teardown(() => folder?.remove());
// The suite has time limits of its own.
t.setTimeout(0);

for (const mode of MODES) {
  for (const unit of unitsOf(baseline, [mode])) {
    const skip = 'reason' in suite ? suite.reason : false;
    t.test(`one Redis passes what the list has of ${unit} in ${mode} mode`, { skip, timeout: 0 }, async (t) => {
      const unitRun = await runUnit(folder as SuiteFolder, unit, mode, () => startTarget(0));
      const none = { preface: [], reasons: [] };
      t.same(correctionsOf(compare(runKind(mode, 0), unitRun, baseline, none)), []);
    });
  }
}
