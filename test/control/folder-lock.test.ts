import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { lockFolder } from '../../src/control/folder-lock.js';
import { markOf } from '../../src/control/process-start.js';
import { startChild } from '../help/child.js';

const MODULE = new URL('../../src/control/folder-lock.js', import.meta.url).href;

/** A process that takes the lock, says so, and keeps it until it is killed; or says that it did not get it, and ends. */
function contender(folder: string) {
  const script = `
    import { lockFolder } from ${JSON.stringify(MODULE)};
    try {
      lockFolder(${JSON.stringify(folder)});
      console.log('got');
      setInterval(() => {}, 1000);
    } catch (error) {
      console.log(error.constructor.name, error.pid);
    }`;
  return startChild(process.execPath, ['--input-type=module', '-e', script]);
}

function firstLine(child: Awaited<ReturnType<typeof contender>>): Promise<string> {
  return new Promise((resolve) => child.onLine(resolve));
}

function folderOf(t: Test): string {
  return t.testdir({});
}

t.test("a folder is one process's until it lets go", async (t) => {
  const folder = folderOf(t);
  const lock = lockFolder(folder);
  t.throws(() => lockFolder(folder), { pid: process.pid, message: `another process (${process.pid}) uses ${folder}` });
  const other = await contender(folder);
  t.equal(await firstLine(other), `FolderInUseError ${process.pid}`);
  lock.release();
  t.same(readdirSync(folder), []);
  lockFolder(folder).release();
});

t.test('the lock of a process that was killed, or of another with its number, holds nobody up', async (t) => {
  const folder = folderOf(t);
  const killed = await contender(folder);
  t.equal(await firstLine(killed), 'got');
  t.throws(() => lockFolder(folder), { message: `another process (${killed.pid}) uses ${folder}` });
  killed.signal('SIGKILL');
  await killed.ended;
  t.ok(existsSync(join(folder, 'lock')));
  lockFolder(folder).release();
  for (const stale of [JSON.stringify({ ...markOf(process.pid), start: 'another' }), '', 'nonsense']) {
    writeFileSync(join(folder, 'lock'), stale);
    lockFolder(folder).release();
  }
  t.same(readdirSync(folder), []);
});

t.test('of many that find a stale lock at once, one gets it', async (t) => {
  const folder = folderOf(t);
  for (let round = 0; round < 3; round++) {
    writeFileSync(join(folder, 'lock'), JSON.stringify({ pid: 1, start: 'long ago' }));
    const contenders = await Promise.all(Array.from({ length: 6 }, () => contender(folder)));
    const lines = await Promise.all(contenders.map(firstLine));
    t.equal(lines.filter((line) => line === 'got').length, 1, lines.join(', '));
    for (const child of contenders) child.signal('SIGKILL');
    await Promise.all(contenders.map(({ ended }) => ended));
  }
});
