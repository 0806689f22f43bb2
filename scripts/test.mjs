/**
 * `npm test`: prepares the checkout, runs the compiled tests with tap, which holds the coverage against the floor in
 * .taprc, and ends with one line, `N passed, N failed`, which counts tests (the sentences), not assertions.
 *
 *   npm test                     all tests but the slow ones, with the coverage floor
 *   npm test -- dist/test/a.test.js …    these files only, no floor
 *   npm run test:slow            the slow ones only, no floor
 */
import { spawn } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { redisPrograms } from './redis.mjs';
import { ROOT } from './root.mjs';
import { orExit, setUp } from './setup.mjs';

const RAW_RESULTS = join(ROOT, '.tap', 'results.tap');

await orExit(setUp);
// Here rather than in the first test that needs it: a download does not belong in a test's time.
await orExit(redisPrograms);
// Needs installed packages.
const { countTests } = await import('./test-results.mjs');

const args = process.argv.slice(2);
const slow = args.includes('--slow');
const files = args.filter((arg) => arg !== '--slow');

const tapArgs = [join(ROOT, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs'), `--output-file=${RAW_RESULTS}`];
if (slow) tapArgs.push('--exclude=', '--include=dist/test/slow/**/*.test.js', '--disable-coverage', '--timeout=1800');
else if (files.length > 0) tapArgs.push('--disable-coverage');
tapArgs.push(process.stdout.isTTY ? '--reporter=base' : '--reporter=dot', ...files);

rmSync(RAW_RESULTS, { force: true });
const status = await run(tapArgs);
const { passed, failed, failures } = countTests(existsSync(RAW_RESULTS) ? readFileSync(RAW_RESULTS, 'utf8') : '');

for (const failure of failures) console.log(`failed: ${failure}`);
console.log(`${passed} passed, ${failed} failed`);
if (status !== 0 || failed > 0 || passed === 0) process.exitCode = 1;

/** Runs Node with `nodeArgs` and resolves with its exit status, 1 if a signal ended it. */
function run(nodeArgs) {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, nodeArgs, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'] });
    child.on('error', reject);
    child.on('exit', (code) => resolve(code ?? 1));
  });
}
