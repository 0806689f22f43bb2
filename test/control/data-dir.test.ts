import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { parseConfig } from '../../src/config.js';
import { DataDir, DataDirError } from '../../src/control/data-dir.js';
import { type Layout, layoutOf } from '../../src/control/layout.js';
import { startChild } from '../help/child.js';

const TEXT = `
pools:
  main: { nodes: [{ name: a, url: "redis://user:s3cret@h" }, { name: b, url: "redis://i", weight: 3 }] }
  old: { nodes: [redis://j] }
keyspaces:
  - { prefix: "", pool: main, colocate: ["bull:{queue}:*"] }
  - { prefix: "old:", pool: old, placement: modula, hash: murmur, hashTag: "{}" }
  - { prefix: "older:", pool: old, placement: modula, hash: murmur }
`;

function layout(): Layout {
  const result = parseConfig(TEXT, { workers: 1, environment: {} });
  if ('config' in result) return layoutOf(result.config);
  throw new Error(JSON.stringify(result.problems));
}

function open(t: Test, path: string): DataDir {
  const dataDir = DataDir.open(path);
  t.teardown(() => dataDir.close());
  return dataDir;
}

t.test('a layout that was kept is the same after a restart, to the letter', async (t) => {
  const path = join(t.testdir({}), 'new', 'data');
  const first = DataDir.open(path);
  t.equal(first.readLayout(), null, 'there is none before the first');
  await first.writeLayout(layout());
  first.close();
  first.close();
  const second = open(t, path);
  t.equal(JSON.stringify(second.readLayout()), JSON.stringify(layout()));
  t.equal(statSync(path).mode & 0o777, 0o700, 'for nobody else');
  t.equal(statSync(join(path, 'layout.json')).mode & 0o777, 0o600);
  t.notMatch(readFileSync(join(path, 'layout.json'), 'utf8'), /s3cret|user/);
  t.same(readdirSync(path).sort(), ['layout.json', 'lock']);
});

t.test('a folder is one process at a time', async (t) => {
  const path = t.testdir({});
  const module = new URL('../../src/control/data-dir.js', import.meta.url).href;
  const script = `import { DataDir } from ${JSON.stringify(module)}; DataDir.open(${JSON.stringify(path)}); console.log('open'); setInterval(() => {}, 1000);`;
  const child = await startChild(process.execPath, ['--input-type=module', '-e', script]);
  await new Promise<void>((resolve) => child.onLine(() => resolve()));
  t.throws(() => DataDir.open(path), {
    message: `dataDir ${path} is used by another process (${child.pid}): each proxy needs a dataDir of its own`,
  });
  // In another container the number of a process means another one: the file says nothing there.
  writeFileSync(join(path, 'lock'), JSON.stringify({ pid: 1, start: 'of another boot' }));
  if (process.platform === 'linux') {
    t.throws(() => DataDir.open(path), { message: /is used by another process \(in another container\): each proxy/ });
  }
  child.signal('SIGKILL');
  await child.ended;
  open(t, path);
});

t.test('a file that is not ours, or of a newer version, is said with what to do', async (t) => {
  const whole = JSON.stringify({ format: 1, version: '0.1.0', layout: layout() });
  const bad: [string, string, RegExp][] = [
    ['empty', '', /layout\.json is damaged: .* If the nodes, .* remove the file and start again/],
    ['cut', whole.slice(0, -20), /damaged/],
    ['no JSON', 'layout: {}', /damaged/],
    ['null', 'null', /damaged/],
    ['another format', whole.replace('"format":1', '"format":0'), /damaged/],
    ['without a layout', '{"format":1,"version":"0.1.0"}', /damaged/],
    ['a placement of its own', whole.replace('"murmur"', '"murmur9"'), /damaged/],
    ['a weight of 0', whole.replace('"weight":3', '"weight":0'), /damaged/],
    [
      'a newer format',
      whole.replace('"format":1', '"format":2'),
      /by a newer version \(format 2, this one knows 1\).*Start that/,
    ],
  ];
  for (const [what, text, says] of bad) {
    const path = t.testdir({ 'layout.json': text });
    const dataDir = DataDir.open(path);
    t.throws(() => dataDir.readLayout(), DataDirError, what);
    t.throws(() => dataDir.readLayout(), { message: says }, what);
    t.equal(readFileSync(join(path, 'layout.json'), 'utf8'), text, 'and it is left as it is');
    dataDir.close();
  }
  const path = t.testdir({ 'layout.json': { 'a-folder': 'x' } });
  t.throws(() => open(t, path).readLayout(), { message: /layout\.json cannot be read: EISDIR/ });
});

t.test('a folder that cannot be made or written is said', async (t) => {
  const folder = t.testdir({ file: 'x' });
  t.throws(() => DataDir.open(join(folder, 'file', 'data')), {
    name: 'DataDirError',
    message: /cannot be made: ENOTDIR/,
  });
  t.throws(() => DataDir.open(join(folder, 'file')), { name: 'DataDirError', message: /cannot be made: EEXIST/ });
  t.throws(() => DataDir.open('/proc/none/data'), { name: 'DataDirError', message: /cannot be made: ENOENT/ });
  t.throws(() => DataDir.open('/proc/self/fd'), { name: 'DataDirError', message: /cannot be written: / });
});

t.test('what cannot be written leaves what was there, and nothing beside it', async (t) => {
  const path = t.testdir({});
  const dataDir = open(t, path);
  await dataDir.writeLayout(layout());
  const before = readFileSync(join(path, 'layout.json'), 'utf8');
  // As a full disk does: the file aside can be opened, and not written.
  symlinkSync('/dev/full', join(path, 'layout.json.new'));
  await t.rejects(dataDir.writeLayout({ services: [], pools: [] }), {
    name: 'DataDirError',
    message: /layout\.json cannot be written: ENOSPC/,
  });
  t.equal(readFileSync(join(path, 'layout.json'), 'utf8'), before);
  t.notOk(existsSync(join(path, 'layout.json.new')));
});

t.test('what a process that was killed left half written is removed', async (t) => {
  const path = t.testdir({});
  mkdirSync(path, { recursive: true });
  writeFileSync(join(path, 'layout.json.new'), '{"format":1,');
  const dataDir = open(t, path);
  t.equal(dataDir.readLayout(), null);
  t.same(readdirSync(path), ['lock']);
});
