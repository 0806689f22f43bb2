import { statSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import t from 'tap';
import { makeFolder } from '../../src/control/make-folder.js';
import { startChild } from '../help/child.js';
import { within } from '../help/wait-for.js';

t.test('a folder is made with those above it, for this user alone, and may be there already', async (t) => {
  const top = t.testdir({ file: 'x' });
  const path = join(top, 'a', 'b');
  makeFolder(path);
  makeFolder(path);
  for (const made of [path, join(top, 'a')]) t.equal(statSync(made).mode & 0o777, 0o700);
  t.throws(() => makeFolder(join(top, 'file')), { code: 'EEXIST' });
  t.throws(() => makeFolder(join(top, 'file', 'c')), { code: 'ENOTDIR' });
});

/** In a process of its own: what does not come back takes its thread with it. */
async function wordsOf(script: string, env: Record<string, string> = {}): Promise<string> {
  const child = await startChild(process.execPath, ['--input-type=module', '-e', script], { env });
  try {
    await within('the end of the script', child.ended);
  } finally {
    child.signal('SIGKILL');
  }
  return child.output();
}

t.test(
  'where the system lets nobody make a folder that is an error, here and in the script for packages',
  async (t) => {
    const compiled = new URL('../../src/control/make-folder.js', import.meta.url).href;
    const said = await wordsOf(`import { makeFolder } from '${compiled}'; makeFolder('/proc/none/data');`);
    t.match(said, /ENOENT.*mkdir '\/proc\/none'/);
    const script = pathToFileURL(join(process.cwd(), 'scripts', 'debian.mjs')).href;
    const cache = await wordsOf(`import { cacheFolder } from '${script}'; cacheFolder();`, {
      XDG_CACHE_HOME: '/proc/none',
    });
    t.match(cache, /\/proc\/none\/ringleader cannot be made \(ENOENT\); set XDG_CACHE_HOME/);
  },
);
