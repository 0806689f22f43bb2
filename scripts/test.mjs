/**
 * `npm test`: prepares the checkout, runs the compiled tests with tap, which holds the coverage against the floor in
 * .taprc, and ends with one line, `N passed, N failed`, which counts tests (the sentences), not assertions.
 *
 *   npm test                     all tests but the slow ones, with the coverage floor
 *   npm test -- dist/test/a.test.js …    these files only, no floor
 *   npm run test:slow            the slow ones only, no floor
 */
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { etcdProgram } from './etcd.mjs';
import { redisPrograms } from './redis.mjs';
import { redisPy } from './redis-py.mjs';
import { redisSuite } from './redis-suite.mjs';
import { ROOT } from './root.mjs';
import { orExit, SetupError, say, setUp, setUpTestClients } from './setup.mjs';
import { zookeeperProgram } from './zookeeper.mjs';

const TAP = join(ROOT, 'node_modules', 'tap', 'dist', 'esm', 'run.mjs');

await orExit(setUp);
// Here rather than in the first test that needs them: a download does not belong in a test's time.
await orExit(redisPrograms);
await orExit(setUpTestClients);
await orExit(leaveOutLoaders);
for (const prepare of [redisSuite, etcdProgram, zookeeperProgram, redisPy]) {
  try {
    prepare();
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    // The tests that need it are then skipped by name, with this reason.
    say(error.message);
  }
}
// Needs installed packages.
const { followTap } = await import('./test-results.mjs');

const args = process.argv.slice(2);
const slow = args.includes('--slow');
const files = args.filter((arg) => arg !== '--slow');

const tapArgs = [TAP, '--reporter=tap'];
if (slow) tapArgs.push('--exclude=', '--include=dist/test/slow/**/*.test.js', '--disable-coverage', '--timeout=1800');
else if (files.length > 0) tapArgs.push('--disable-coverage');

const runner = spawn(process.execPath, [...tapArgs, ...files], { cwd: ROOT, stdio: ['ignore', 'pipe', 'inherit'] });
const ended = new Promise((resolve, reject) => runner.once('error', reject).once('close', resolve));
const { passed, failed } = await followTap(runner.stdout, (text) => console.log(text));
const status = await ended;

if (status !== 0 && failed === 0) console.log(`the test runner ended with ${status}, for the reason above`);
console.log(`${passed} passed, ${failed} failed`);
if (status !== 0 || failed > 0) process.exitCode = 1;

/**
 * As it is installed tap has all of its plugins, whatever .taprc says, and two of them put a loader before every test file: a second of CPU for
 * each. Makes it anew with the plugins of .taprc, once after an installation.
 */
function leaveOutLoaders() {
  const made = join(ROOT, 'node_modules', '@tapjs', 'test', 'test-built', 'dist', 'esm', 'index.js');
  // Not imported: it is not made to be, but by tap itself.
  if (readFileSync(made, 'utf8').includes('export const importLoaders = [].')) return;
  say('making tap without loaders (tap build)');
  const { status, stdout, stderr } = spawnSync(process.execPath, [TAP, 'build'], { cwd: ROOT, encoding: 'utf8' });
  if (status === 0) return;
  process.stderr.write(stdout + stderr);
  throw new SetupError(`tap build failed with ${status}; it says why above. Run it by hand: npx tap build`);
}
