/** Counts tests in the text that tap writes. A test is a `t.test` without tests inside; a file without any is one itself. */
import { Parser } from 'tap-parser';

/**
 * Returns how many tests passed and failed, and the failed ones as `file > test > test`. A file that fails although its
 * tests passed (it crashed, timed out, or left something running) counts as one failed test.
 */
export function countTests(tapText) {
  const counts = { passed: 0, failed: 0, failures: [] };
  const root = new Parser();
  watch(root, [], counts);
  root.end(tapText);
  if (!root.ok && counts.failed === 0) {
    counts.failed++;
    counts.failures.push('the run as a whole');
  }
  return counts;
}

/** Counts the children of `parser`, which are the tests inside the one at `path`. */
function watch(parser, path, counts) {
  parser.on('child', (child) => {
    const childPath = [...path, child.name];
    const failedBefore = counts.failed;
    let hasTests = false;
    child.on('child', () => {
      hasTests = true;
    });
    watch(child, childPath, counts);
    child.on('complete', (results) => {
      if (hasTests && (results.ok || counts.failed > failedBefore)) return;
      count(results.ok, childPath, counts);
    });
  });
}

function count(ok, path, counts) {
  if (ok) counts.passed++;
  else {
    counts.failed++;
    counts.failures.push(path.join(' > '));
  }
}
