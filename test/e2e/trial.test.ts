/** `npm start` as somebody meets it who tries the proxy: data that stay, ports that are taken, runs that were killed. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isRunning, type ProcessMark } from '../../src/control/process-start.js';
import { removeFolder, scratchFolder } from '../help/child.js';
import { freePort } from '../help/free-port.js';
import { processorMs } from '../help/process-facts.js';
import { RespClient } from '../help/resp-client.js';
import { serversIn, TrialProcess } from '../help/trial.js';
import { waitFor, within } from '../help/wait-for.js';

/** Of processor time: how long that takes is up to what else the machine does. On two quiet cores it is less than a second. */
const START_CPU_MS_MAX = 5_000;

function folderFor(t: Test): string {
  const folder = scratchFolder('trial');
  t.teardown(() => removeFolder(folder));
  return folder;
}

async function portOptions(): Promise<{ port: number; options: string[] }> {
  const port = await freePort();
  return { port, options: ['--port', `${port}`, '--admin-port', `${await freePort()}`] };
}

async function ask(port: number, ...words: string[]): Promise<unknown> {
  const client = await RespClient.connect(port);
  try {
    return await client.command(...words);
  } finally {
    client.close();
  }
}

t.test(
  'it answers soon, says where all is, and ends all of it on Ctrl-C; the data are there the next time',
  async (t) => {
    const state = folderFor(t);
    const { port, options } = await portOptions();
    const first = await TrialProcess.start(options, { XDG_STATE_HOME: state });
    t.teardown(() => first.kill9());
    t.equal(await ask(port, 'MSET', 'hello', 'world', 'good', 'morning', 'c', '3'), 'OK');
    const spentMs = processorMs(first.pid);
    t.ok(spentMs < START_CPU_MS_MAX, `it took ${spentMs} ms of processor time to come up`);
    const folder = join(state, 'ringleader');
    const said = first.output();
    t.match(said, `127.0.0.1:${port}`);
    t.match(said, folder);
    t.match(said, /nodes +a on 127\.0\.0\.1:\d+, b on 127\.0\.0\.1:\d+, c on/);
    t.match(said, /no service was installed or started/);
    const [tried] = [...said.matchAll(/redis-cli -p (\d+) m[sg]et /g)];
    t.equal(tried?.[1], `${port}`);
    const servers = serversIn(folder);
    t.ok(servers.every(isRunning));
    t.equal(await first.interrupt(), 0);
    t.notOk(servers.some(isRunning), 'the servers are gone when it is');
    t.same(readdirSync(folder).sort(), ['redis-a', 'redis-b', 'redis-c'], 'and nothing is left but data');

    const again = await portOptions();
    const second = await TrialProcess.start(again.options, { XDG_STATE_HOME: state });
    t.teardown(() => second.kill9());
    t.same(await ask(again.port, 'MGET', 'hello', 'good', 'c'), ['world', 'morning', '3']);
    t.equal(await second.interrupt(), 0);

    const third = await portOptions();
    const fresh = await TrialProcess.start([...third.options, '--fresh'], { XDG_STATE_HOME: state });
    t.teardown(() => fresh.kill9());
    t.same(await ask(third.port, 'MGET', 'hello', 'good', 'c'), [null, null, null], '--fresh begins without them');
    t.equal(await fresh.interrupt(), 0);
  },
);

t.test('servers of a run that was killed are ended, also one that hangs, and their data are taken over', async (t) => {
  const folder = folderFor(t);
  const { port, options } = await portOptions();
  const killed = await TrialProcess.start([...options, '--folder', folder]);
  t.equal(await ask(port, 'SET', 'kept', 'yes'), 'OK');
  await killed.kill9();
  const left = serversIn(folder);
  t.ok(left.every(isRunning), 'a kill -9 leaves them');
  process.kill(left[1]?.pid as number, 'SIGSTOP');
  t.ok(existsSync(join(folder, 'lock')), 'and the lock');

  const next = await TrialProcess.start([...options, '--folder', folder]);
  t.teardown(() => next.kill9());
  t.notOk(left.some(isRunning));
  t.equal(await ask(port, 'GET', 'kept'), 'yes');
  t.equal(await next.interrupt(), 0);
});

t.test('two do not share a folder: the second says who has it, and how to run beside it', async (t) => {
  const folder = folderFor(t);
  const first = await TrialProcess.start([...(await portOptions()).options, '--folder', folder]);
  t.teardown(() => first.kill9());
  const second = await portOptions();
  await t.rejects(TrialProcess.start([...second.options, '--fresh', '--folder', folder]), {
    message: new RegExp(`another process \\(${first.pid}\\) uses ${folder}.*--port \\d+ --folder ${folder}-2`),
  });
  const beside = await TrialProcess.start([...second.options, '--folder', join(folder, 'second')]);
  t.teardown(() => beside.kill9());
  t.equal(await ask(second.port, 'PING'), 'PONG');
  t.equal(await beside.interrupt(), 0);
  t.ok(serversIn(folder).every(isRunning), 'the first goes on');
  t.equal(await first.interrupt(), 0);
});

t.test('a folder that cannot be made or written is said at once, with what chooses another', async (t) => {
  const file = join(folderFor(t), 'file');
  writeFileSync(file, '');
  const { options } = await portOptions();
  const advice = /Choose another folder: ringleader start --folder FOLDER \(without it, \$XDG_STATE_HOME\/ringleader\)/;
  // Node's mkdir never comes back from /proc, and then hears no signal either.
  const calls: [string, string[], Record<string, string>][] = [
    ['/proc/none/deeper', ['--folder', '/proc/none/deeper'], {}],
    ['/proc/none/ringleader', [], { XDG_STATE_HOME: '/proc/none' }],
    ['/proc/self', ['--folder', '/proc/self'], {}],
    [file, ['--folder', file], {}],
  ];
  for (const [folder, words, env] of calls) {
    const trial = await TrialProcess.launch([...options, ...words], env);
    t.teardown(() => trial.kill9());
    t.same(await within(`the end with ${folder}`, trial.ended), { code: 1, signal: null });
    t.match(trial.output(), `data cannot be kept in ${folder}: `);
    t.match(trial.output(), advice);
  }
});

t.test('a port that is taken is said with who has it and what to do instead', async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.teardown(() => taken.close());
  const { port } = taken.address() as { port: number };
  const folder = folderFor(t);
  const start = (options: string[], env = {}) => TrialProcess.start([...options, '--folder', folder], env);
  const owner = process.platform === 'linux' ? `process ${process.pid} listens there \\(.*node` : 'another process';
  await t.rejects(start(['--port', `${port}`]), {
    message: new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: ${owner}.*ringleader start --port \\d+`),
  });
  await t.rejects(start(['--port', `${port}`], { npm_lifecycle_event: 'start' }), {
    message: /npm start -- --port \d+/,
  });
  await t.rejects(start(['--port', `${await freePort()}`, '--admin-port', `${port}`]), {
    message: new RegExp(`cannot listen on 127\\.0\\.0\\.1:${port}: .*--admin-port \\d+`),
  });
  t.same(readdirSync(folder), [], 'nothing was started');
});

t.test('where the usual admin port is taken, and none was asked for, a free one is chosen and said', async (t) => {
  // Whoever has it: a trial of the same machine, or this test.
  const squatter = createServer();
  await new Promise<void>((resolve) => squatter.once('error', () => resolve()).listen(9121, '127.0.0.1', resolve));
  t.teardown(() => squatter.close());
  const trial = await TrialProcess.start(['--port', `${await freePort()}`, '--folder', folderFor(t)]);
  t.teardown(() => trial.kill9());
  const [, chosen] = /port 9121 is taken; the admin port is (\d+)/.exec(trial.output()) ?? [];
  t.ok(chosen);
  t.equal((await fetch(`http://127.0.0.1:${chosen}/readyz`)).status, 200);
  t.equal(await trial.interrupt(), 0);
});

t.test('a Ctrl-C while the servers are being started leaves nothing', async (t) => {
  const folder = folderFor(t);
  const { options } = await portOptions();
  const trial = await TrialProcess.launch([...options, '--folder', folder]);
  t.teardown(() => trial.kill9());
  const mark = join(folder, 'redis-a', 'process.json');
  await waitFor('the first server', () => existsSync(mark));
  const [server] = serversIn(folder, ['a']);
  t.equal(await trial.interrupt(), 0);
  t.notOk(isRunning(server as ProcessMark));
  t.same(readdirSync(folder).sort(), ['redis-a', 'redis-b', 'redis-c']);
});
