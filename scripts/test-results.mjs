/**
 * Follows the TAP that the test runner writes: a line for each file as it ends, what failed with its details, and counts
 * of tests. A test is a `t.test` without tests inside; a file without any is one itself.
 */
import { Parser } from 'tap-parser';

/**
 * Reads TAP from `stream` to its end, calls `print` with lines for people, and resolves with how many tests passed and
 * failed. A file that fails although its tests passed (it crashed, timed out, or left something running) is one failed test.
 */
export async function followTap(stream, print) {
  const counts = { passed: 0, failed: 0 };
  const root = new Parser();
  let failedBefore = 0;
  follow(root, [], counts, print);
  root.on('assert', (file) => {
    // A file that was killed may have said nothing of its own.
    if (!file.ok && counts.failed === failedBefore) {
      counts.failed++;
      print(`failed: ${file.name}\n${describe(file)}`);
    }
    failedBefore = counts.failed;
    const seconds = ((file.time ?? 0) / 1000).toFixed(1);
    print(`${file.ok ? 'ok    ' : 'FAILED'} ${file.name} (${seconds} s)`);
  });
  root.on('comment', (text) => {
    if (text.startsWith('# ERROR')) print(text.trim());
  });
  // What is not TAP: the summary of the coverage, and what tests print.
  root.on('extra', (text) => print(text.trimEnd()));
  const results = await new Promise((resolve, reject) => {
    root.on('complete', resolve);
    stream.on('error', reject);
    stream.pipe(root);
  });
  if (counts.failed === 0 && (!results.ok || counts.passed === 0)) {
    counts.failed++;
    print('the run as a whole failed, although no test did');
  }
  return counts;
}

/** Counts the tests inside the one at `path`, and prints what fails in it. */
function follow(parser, path, counts, print) {
  parser.on('child', (child) => {
    const childPath = [...path, child.name];
    const failedBefore = counts.failed;
    const comments = [];
    const details = [];
    let hasTests = false;
    child.on('child', () => {
      hasTests = true;
    });
    // What a test says of itself, such as its seed; not what the runner adds.
    child.on('comment', (text) => {
      if (!/^# (Subtest:|time=|failed |\{)/.test(text)) comments.push(`  ${text.trim()}`);
    });
    child.on('assert', (assertion) => {
      if (!assertion.ok && !assertion.todo && !assertion.skip) details.push(describe(assertion));
    });
    follow(child, childPath, counts, print);
    child.on('complete', ({ ok }) => {
      if (hasTests && (ok || counts.failed > failedBefore)) return;
      if (ok) counts.passed++;
      else {
        counts.failed++;
        print([`failed: ${childPath.join(' > ')}`, ...comments, ...details].join('\n'));
      }
    });
  });
}

/** The assertion's name and what the test library says of it: found and wanted, the difference, the place. */
function describe({ name, diag }) {
  const lines = [`  not ok: ${name}`];
  for (const [key, value] of Object.entries(diag ?? {})) {
    const text = typeof value === 'string' ? value.trimEnd() : JSON.stringify(value);
    lines.push(text.includes('\n') ? `    ${key}:\n${text.replace(/^/gm, '      ')}` : `    ${key}: ${text}`);
  }
  return lines.join('\n');
}
