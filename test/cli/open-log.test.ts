/** The last lines of a process: complete, in order, and no reason not to end. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import t from 'tap';
import { startChild } from '../help/child.js';
import { freePort } from '../help/free-port.js';
import { MAIN } from '../help/trial.js';
import { waitFor, within } from '../help/wait-for.js';

const MODULE = new URL('../../src/cli/open-log.js', import.meta.url).href;
const STOPS = 30;
const AT_ONCE = 3;

/** Logs `lines` lines in bursts, so that writes are under way when the last ones come, and ends by `ending`. */
function script(format: string, lines: number, ending: string): string {
  return `
    import { setImmediate as turn } from 'node:timers/promises';
    import { openLog } from ${JSON.stringify(MODULE)};
    const { log, end } = await openLog({ level: 'info', format: '${format}' });
    for (let n = 0; n < ${lines}; n++) {
      log.info({ n }, 'line');
      if (Math.random() < 0.02) await turn();
    }
    ${ending}`;
}

const ORDERLY = "log.info('stopped'); await end(); process.exit(3);";

for (const format of ['json', 'pretty'] as const) {
  t.test(
    `thirty processes, each of which logs and stops: in ${format} "stopped" is the last line, and none is missing`,
    async (t) => {
      const count = 400;
      const stop = async () => {
        const text = script(format, count, ORDERLY);
        const child = await startChild(process.execPath, ['--input-type=module', '-e', text]);
        t.same(await child.ended, { code: 3, signal: null });
        const lines = child.output().trimEnd().split('\n');
        t.match(lines.at(-1), 'stopped');
        const numbers = [...child.output().matchAll(/"n":(\d+)|^ +n: (\d+)$/gm)].map(
          ([, json, pretty]) => json ?? pretty,
        );
        t.same(
          numbers,
          Array.from({ length: count }, (_, n) => `${n}`),
          'all, in order',
        );
      };
      for (let done = 0; done < STOPS; done += AT_ONCE) await Promise.all(Array.from({ length: AT_ONCE }, stop));
    },
  );

  t.test(`in ${format}, a process whose reader does not read ends all the same, with its exit code`, async (t) => {
    const text = script(format, 20_000, ORDERLY);
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    // Nobody listens to child.stdout: the pipe fills.
    t.same(await within('the end', once(child, 'exit')), [3, null]);
  });

  t.test(`in ${format}, a process whose reader has gone ends at once, with its exit code`, async (t) => {
    const text = script(format, 1_000, ORDERLY);
    const child = spawn(process.execPath, ['--input-type=module', '-e', text], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    t.teardown(() => child.kill('SIGKILL'));
    child.stdout.destroy();
    t.same(await within('the end', once(child, 'exit')), [3, null]);
  });
}

t.test('an exit without a word does not wait for a reader either', async (t) => {
  const text = script('json', 20_000, 'process.exit(4);');
  const child = spawn(process.execPath, ['--input-type=module', '-e', text], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => child.kill('SIGKILL'));
  t.same(await within('the end', once(child, 'exit')), [4, null]);
});

t.test('an error that nobody catches is the last line of the proxy, which ends with 1', async (t) => {
  const config = {
    listen: `127.0.0.1:${await freePort()}`,
    pools: { main: { nodes: [`redis://127.0.0.1:${await freePort()}`] } },
  };
  // JSON is YAML.
  const path = join(t.testdir({ 'ringleader.yml': JSON.stringify(config) }), 'ringleader.yml');
  const thrower = `import { isMainThread } from 'node:worker_threads';
    if (isMainThread) process.on('SIGWINCH', () => { throw new Error('of the test'); });`;
  const words = ['--import', `data:text/javascript,${encodeURIComponent(thrower)}`, MAIN, 'start', '--config', path];
  const proxy = await startChild(process.execPath, words);
  t.teardown(() => proxy.signal('SIGKILL'));
  await waitFor('the proxy', () => proxy.output().includes('"listening"'));
  proxy.signal('SIGWINCH');
  t.same(await within('the end', proxy.ended), { code: 1, signal: null });
  const last = JSON.parse(proxy.output().trimEnd().split('\n').at(-1) as string);
  t.match(last, { level: 'fatal', msg: 'uncaught-error', err: { message: 'of the test' } });
});
