/** The scripts that run before anything is installed: what they count, and what they say when something is missing. */
import { chmodSync, cpSync, existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pathToFileURL } from 'node:url';
import t, { type Test } from 'tap';
import { startChild } from './help/child.js';

/** Tests run in the checkout's folder. */
const SCRIPTS = join(process.cwd(), 'scripts');

interface Counts {
  passed: number;
  failed: number;
}

async function follow(tap: string): Promise<Counts & { lines: string[] }> {
  const script = (await import(pathToFileURL(join(SCRIPTS, 'test-results.mjs')).href)) as {
    followTap(stream: Readable, print: (line: string) => void): Promise<Counts>;
  };
  const lines: string[] = [];
  const counts = await script.followTap(Readable.from([tap]), (line) => lines.push(...line.split('\n')));
  return { ...counts, lines };
}

/** A passing file with one test, and one with a test inside a test. */
const PASSING = `# Subtest: a.test.js
    # Subtest: one
        ok 1 - first
        ok 2 - second
        1..2
    ok 1 - one # time=1ms

    # Subtest: outer
        # Subtest: inner
            ok 1 - third
            1..1
        ok 1 - inner # time=1ms
        1..1
    ok 2 - outer # time=1ms

    1..2
ok 1 - a.test.js # time=1500ms
`;

const FAILING = `# Subtest: b.test.js
    # Subtest: one
        # SEED=42
        ok 1 - first
        not ok 2 - second
          ---
          diff: |
            -1
            +2
          ...
        1..2
        # failed 1 of 2 tests
    not ok 1 - one # time=1ms

    # Subtest: other
        ok 1 - first
        1..1
    ok 2 - other # time=1ms

    1..2
    # failed 1 test
not ok 2 - b.test.js # time=2ms
`;

/** Its tests pass, and then it crashes. */
const CRASHING = `# Subtest: c.test.js
    # Subtest: one
        ok 1 - first
        1..1
    ok 1 - one # time=1ms

    not ok 2 - boom
    1..2
    # failed 1 of 2 tests
not ok 3 - c.test.js # time=2ms
`;

t.test('tests are counted, not assertions, and not the tests that hold others', async (t) => {
  const { passed, failed, lines } = await follow(`TAP version 14\n${PASSING}1..1\n`);
  t.same([passed, failed], [2, 0]);
  t.same(lines, ['ok     a.test.js (1.5 s)']);
});

t.test('a test that fails is named, with its seed and what it found', async (t) => {
  const { passed, failed, lines } = await follow(`TAP version 14\n${PASSING}${FAILING}1..2\n# failed 1 test\n`);
  t.same([passed, failed], [3, 1]);
  const text = lines.join('\n');
  t.match(text, 'failed: b.test.js > one');
  t.match(text, 'SEED=42');
  t.match(text, /not ok: second\n +diff:\n +-1\n +\+2/);
  t.match(text, 'FAILED b.test.js');
});

t.test('a file that fails although its tests pass is one failed test', async (t) => {
  const { passed, failed, lines } = await follow(`TAP version 14\n${CRASHING}1..1\n`);
  t.same([passed, failed], [1, 1]);
  t.match(lines.join('\n'), /failed: c.test.js\n +not ok: boom/);
});

t.test('a file that was killed before it said anything is one failed test, with the signal', async (t) => {
  const killed = 'not ok 2 - d.test.js # time=9ms\n  ---\n  exitCode: null\n  signal: SIGKILL\n  ...\n';
  const { passed, failed, lines } = await follow(`TAP version 14\n${PASSING}${killed}1..2\n`);
  t.same([passed, failed], [2, 1]);
  t.match(lines.join('\n'), /failed: d\.test\.js\n(.*\n)*.*signal: SIGKILL/);
});

t.test('a run that ends early, or says nothing, is a failure', async (t) => {
  t.same((await follow('')).failed, 1);
  t.same((await follow(`TAP version 14\n${PASSING}`)).failed, 1, 'without its plan');
});

/** Runs a script where only these programs are on PATH: name to shell script. */
async function runScript(test: Test, programs: Readonly<Record<string, string>>, script = 'redis.mjs') {
  const folder = test.testdir({});
  for (const [name, script] of Object.entries(programs)) {
    writeFileSync(join(folder, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(folder, name), 0o755);
  }
  const child = await startChild(process.execPath, [join(SCRIPTS, script)], {
    env: { PATH: folder, XDG_CACHE_HOME: join(folder, 'cache') },
  });
  const { code } = await child.ended;
  return { code, output: child.output() };
}

t.test('a Redis on PATH that is recent enough is used', async (t) => {
  const { code, output } = await runScript(t, {
    'redis-server': 'echo "Redis server v=7.2.4 sha=00000000:0 malloc=libc bits=64"',
    'redis-cli': 'echo "redis-cli 7.2.4"',
    'redis-benchmark': 'echo "redis-benchmark 7.2.4"',
  });
  t.equal(code, 0);
  t.match(JSON.parse(output), { server: 'redis-server', cli: 'redis-cli', env: {}, version: '7.2.4' });
});

t.test('where there is no Redis and no Debian, the command that installs it is said', async (t) => {
  const { code, output } = await runScript(t, {});
  t.equal(code, 1);
  t.match(output, /redis-server 7\.0 or later is needed .* is not on PATH/);
  t.match(output, /apt-get install redis-server|brew install redis|WSL|redis\.io/);
});

t.test('a Redis that is too old, or lacks a program, is not used', async (t) => {
  const old = await runScript(t, {
    'redis-server': 'echo "Redis server v=6.2.14 sha=00000000:0"',
    'redis-cli': 'echo "redis-cli 6.2.14"',
    'redis-benchmark': 'echo "redis-benchmark 6.2.14"',
  });
  t.equal(old.code, 1);
  t.match(old.output, /on PATH is 6\.2\.14/);
  const alone = await runScript(t, { 'redis-server': 'echo "Redis server v=7.2.4 sha=00000000:0"' });
  t.equal(alone.code, 1);
});

t.test('where packages cannot be fetched, their own words and the other way are said', async (t) => {
  const { code, output } = await runScript(t, {
    'apt-get': '[ "$1" = --version ] || { echo "E: Could not resolve host" >&2; exit 100; }',
    dpkg: 'exit 0',
  });
  t.equal(code, 1);
  t.match(output, /E: Could not resolve host/);
  t.match(output, /sudo apt-get update/);
  t.match(output, /sudo apt-get install redis-server/);
});

t.test("where Redis's own tests cannot be had, the reason is said", async (t) => {
  const suite = (programs: Readonly<Record<string, string>>) => runScript(t, programs, 'redis-suite.mjs');
  const nowhere = await suite({});
  t.equal(nowhere.code, 1);
  t.match(nowhere.output, /comes from Debian's source package of redis, and this is no Debian or Ubuntu/);
  if (!existsSync('/etc/debian_version')) return;

  const offline = await suite({
    'apt-get': 'case "$*" in *update*) echo "E: Could not resolve host" >&2; exit 100;; esac',
    dpkg: 'exit 0',
  });
  t.equal(offline.code, 1);
  t.match(offline.output, /apt-get update failed .* E: Could not resolve host/);

  const newer = await suite({
    'apt-get': 'case "$*" in *source*) : > redis_8.0.2.orig.tar.gz;; esac',
    dpkg: 'exit 0',
  });
  t.equal(newer.code, 1);
  t.match(newer.output, /has redis_8\.0\.2\.orig\.tar\.gz, and redis_7\.0\.15\.orig\.tar\.gz is needed/);
});

t.test('a node_modules that is a link is left alone: npm ci would empty the folder that it leads to', async (t) => {
  const root = t.testdir({
    checkout: { 'package-lock.json': '{}', 'package.json': '{}' },
    shared: { 'package.txt': '' },
    bin: {},
  });
  const checkout = join(root, 'checkout');
  cpSync(SCRIPTS, join(checkout, 'scripts'), { recursive: true });
  symlinkSync(join(root, 'shared'), join(checkout, 'node_modules'));
  const npm = join(root, 'bin', 'npm');
  writeFileSync(npm, '#!/bin/sh\n/bin/rm -f node_modules/*\n');
  chmodSync(npm, 0o755);
  const script = join(checkout, 'scripts', 'setup.mjs');
  const child = await startChild(process.execPath, [script], { env: { PATH: join(root, 'bin') } });
  t.equal((await child.ended).code, 1);
  t.match(child.output(), /node_modules is a link/);
  t.ok(existsSync(join(root, 'shared', 'package.txt')), 'what it leads to is as it was');
});

t.test('a process that a test starts hears nothing of the test runner', async (t) => {
  const script = 'console.log(JSON.stringify([process.env, process.execArgv.join(" ")]))';
  const child = await startChild(process.execPath, ['-e', script]);
  await child.ended;
  const [env, flags] = JSON.parse(child.output()) as [Record<string, string>, string];
  t.notMatch(flags, '--import');
  t.same(
    Object.keys(env).filter((name) => /NODE_OPTIONS|TAP|COVERAGE/.test(name)),
    [],
  );
  t.ok(Object.keys(env).length > 0);
});
