import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DataDir } from '../../src/control/data-dir.js';
import { startChild } from '../help/child.js';

function open(t: Test, path: string): DataDir {
  const dataDir = DataDir.open(path);
  t.teardown(() => dataDir.close());
  return dataDir;
}

t.test('a folder is made for nobody else, and left to the next', (t) => {
  const path = join(t.testdir({}), 'new', 'data');
  const first = DataDir.open(path);
  t.equal(statSync(path).mode & 0o777, 0o700);
  t.same(readdirSync(path), ['lock']);
  first.close();
  first.close();
  t.same(readdirSync(path), []);
  open(t, path);
  t.end();
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
