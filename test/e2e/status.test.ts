/** A running proxy as an operator asks it: GET /status, `ringleader status`, `ringleader health`. */
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { Status } from '../../src/control/status.js';
import { removeFolder, scratchFolder, startChild } from '../help/child.js';
import { deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { RespClient } from '../help/resp-client.js';
import { MAIN } from '../help/trial.js';
import { waitFor } from '../help/wait-for.js';

async function statusOf(adminUrl: string): Promise<Status> {
  const response = await fetch(`${adminUrl}/status`);
  if (response.status !== 200) throw new Error(`${response.status}`);
  return (await response.json()) as Status;
}

async function ringleader(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = await startChild(process.execPath, [MAIN, ...args]);
  return { code: (await child.ended).code, output: child.output() };
}

t.test('/status tells of workers, nodes, counters and reloads as they change', async (t) => {
  const { proxy, servers } = await deploy(t, { env: { RINGLEADER_TEST_HOOKS: '1' } });
  const client = await RespClient.connect(proxy.port);
  t.teardown(() => client.close());
  for (let i = 0; i < 50; i++) await client.command('SET', `k${i}`, 'v');
  const busy = await waitFor('the counters', async () => {
    const status = await statusOf(proxy.adminUrl);
    return (
      status.counters.commands >= 50 && status.workers.some(({ commandsPerSecond }) => commandsPerSecond > 0) && status
    );
  });
  const { transport } = await proxy.waitForLog('transport');
  t.match(busy, { pid: proxy.pid, ready: true, transport, workerDeaths: 0 });
  t.same(busy.listen, [`127.0.0.1:${proxy.port}`]);
  t.match(busy.configuration, { file: /ringleader\.yml$/, topologyVersion: 1, lastReload: null });
  t.same(
    busy.workers.map(({ alive }) => alive),
    [true, true],
  );
  t.equal(
    busy.workers.reduce((sum, { sessions }) => sum + sessions, 0),
    1,
  );
  t.same(
    busy.nodes.map(({ pool, name, state, version, lastError }) => [pool, name, state, version, lastError]),
    [
      ['main', 'a', 'up', busy.nodes[0]?.version, null],
      ['main', 'b', 'up', busy.nodes[0]?.version, null],
      ['main', 'c', 'up', busy.nodes[0]?.version, null],
    ],
  );

  await servers[1]?.kill9();
  await proxy.waitForLog('node-down');
  const [, down] = (await statusOf(proxy.adminUrl)).nodes;
  t.equal(down?.state, 'down');
  t.match(down?.lastError?.reason, /./);
  await servers[1]?.restart();
  const up = await waitFor('the node', async () => {
    const [, node] = (await statusOf(proxy.adminUrl)).nodes;
    return node?.state === 'up' && node;
  });
  t.ok(Date.parse(up.since) >= Date.parse(down?.since as string));
  t.match(up.lastError?.reason, /./, 'the last error stays');

  const reloaded = (outcome: string) => {
    return waitFor(`a reload that is ${outcome}`, async () => {
      const { configuration } = await statusOf(proxy.adminUrl);
      return configuration.lastReload?.outcome === outcome && configuration;
    });
  };
  proxy.reload((text) => text.replace('"name": "c"', '"name": "d"'));
  t.match((await reloaded('refused')).lastReload?.reasons.join(), /node d is new/);
  proxy.reload((text) => text.replace('"workers": 2', '"workers": "two"'));
  t.match((await reloaded('invalid')).lastReload?.reasons.join(), /workers: expected a whole number/);
  proxy.reload((text) => text.replace('"workers": "two"', '"workers": 2').replace('"name": "d"', '"name": "c"'));
  t.match(await reloaded('applied'), { topologyVersion: 1 }, 'where keys are has not changed');
  proxy.reload((text) => text.replace('"pools": {', '"pools": { "spare": { "nodes": ["redis://127.0.0.1:1"] },'));
  await waitFor('the next version', async () => (await statusOf(proxy.adminUrl)).configuration.topologyVersion === 2);

  proxy.signal('SIGUSR2');
  await proxy.waitForLog('worker-died');
  const healed = await waitFor('the worker', async () => {
    const status = await statusOf(proxy.adminUrl);
    return status.workers.every(({ alive }) => alive) && status;
  });
  t.equal(healed.workerDeaths, 1);
});

t.test('/status says how many commands wait for a node, and that none do any more', async (t) => {
  const deployment = await deploy(t, { workers: 2 });
  const { proxy, servers } = deployment;
  const clients = await Promise.all([0, 1].map(() => RespClient.connect(proxy.port)));
  // So that both workers have reached it.
  for (const client of clients) t.equal(await client.command('GET', deployment.key(2, 'a')), null);
  servers[2]?.pause();
  const answers = clients.flatMap((client) => {
    return ['a', 'b', 'c'].map((label) => client.command('GET', deployment.key(2, label)));
  });
  const queued = async () => (await statusOf(proxy.adminUrl)).nodes.map(({ commandsQueued }) => commandsQueued);
  const isTold = (expected: string) => async () => {
    const told = (await queued()).join();
    if (told !== expected) throw new Error(told);
    return true;
  };
  await waitFor('the commands of both workers', isTold('0,0,6'));
  servers[2]?.resume();
  await Promise.all(answers);
  await waitFor('none', isTold('0,0,0'));
  for (const client of clients) client.close();
});

t.test('status prints it, once, as JSON, and every second', async (t) => {
  const { proxy } = await deploy(t, { nodes: 2 });
  const admin = new URL(proxy.adminUrl).host;
  const once = await ringleader('status', '--admin', admin);
  t.equal(once.code, 0);
  t.match(once.output, `Ringleader`);
  t.match(once.output, new RegExp(`process ${proxy.pid}, .*: ready`));
  t.match(once.output, /^b +main +127\.0\.0\.1:\d+ +up /m);
  const json = await ringleader('status', '--json', '--config', proxy.configPath);
  t.equal((JSON.parse(json.output) as Status).pid, proxy.pid);

  const watching = await startChild(process.execPath, [MAIN, 'status', '-w', '--json', '-a', admin]);
  const pids: number[] = [];
  watching.onLine((line) => pids.push((JSON.parse(line) as Status).pid));
  await waitFor('three lines', () => pids.length >= 3);
  watching.signal('SIGINT');
  t.equal((await watching.ended).code, 0, 'Ctrl-C is the way to end it');

  const blocks = await startChild(process.execPath, [MAIN, 'status', '--watch', '--admin', admin]);
  await waitFor('two blocks', () => blocks.output().match(/^Ringleader /gm)?.length === 2);
  t.notMatch(blocks.output(), '\x1b', 'a pipe gets no commands for a terminal');
  t.equal(await proxy.stop(), 0);
  await waitFor('the news', () => /no answer from/.test(blocks.output()));
  blocks.signal('SIGTERM');
  t.equal((await blocks.ended).code, 0);

  const headed = await startChild('sh', [
    '-c',
    `"$0" "$1" status --watch --admin ${admin} | head -1`,
    process.execPath,
    MAIN,
  ]);
  t.equal((await headed.ended).code, 0);
});

t.test('health is 0 when clients are taken and 1 when not, also on a unix socket', async (t) => {
  const path = join(shortFolder(t), 'admin.sock');
  const { proxy } = await deploy(t, { nodes: 1, admin: `unix:${path}` });
  for (const args of [
    ['--admin', `unix:${path}`],
    ['--config', proxy.configPath],
  ]) {
    t.same(await ringleader('health', ...args), { code: 0, output: `ready (unix:${path})\n` });
  }
  const paused = await ringleader('health', '--admin', `127.0.0.1:${await freePort()}`);
  t.equal(paused.code, 1);
  t.match(paused.output, /no answer from 127\.0\.0\.1:\d+: nothing listens there/);
  proxy.signal('SIGSTOP');
  const hung = await ringleader('health', '--config', proxy.configPath);
  proxy.signal('SIGCONT');
  t.equal(hung.code, 1);
  t.match(hung.output, 'within 2 s');
  t.equal((await ringleader('health', '--config', proxy.configPath, '--admin', 'x')).code, 2);
});

/** A unix socket's path is short. */
function shortFolder(t: Test): string {
  const folder = scratchFolder('admin');
  t.teardown(() => removeFolder(folder));
  return folder;
}

t.test('a proxy that drains is not ready', async (t) => {
  const { proxy, servers } = await deploy(t, { nodes: 1, drainTimeout: '10s' });
  const client = await RespClient.connect(proxy.port);
  t.equal(await client.command('GET', 'x'), null);
  servers[0]?.pause();
  const answer = client.command('GET', 'x');
  await waitFor('the command', async () => (await statusOf(proxy.adminUrl)).nodes[0]?.commandsQueued === 1);
  proxy.signal('SIGTERM');
  await proxy.waitForLog('stopping');
  const { code, output } = await ringleader('health', '--config', proxy.configPath);
  t.equal(code, 1);
  t.match(output, /^not ready/);
  servers[0]?.resume();
  t.equal(await answer, null);
  t.same(await proxy.ended, { code: 0, signal: null });
});
