/** The command line as a process of its own: what it prints, and its exit codes. */
import { connect } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t, { type Test } from 'tap';
import { startChild } from './help/child.js';
import { freePort } from './help/free-port.js';
import { ProxyProcess } from './help/proxy.js';
import { startRedisServers } from './help/redis-server.js';
import { RespClient } from './help/resp-client.js';
import { waitFor } from './help/wait-for.js';

const MAIN = fileURLToPath(new URL('../src/main.js', import.meta.url));

async function ringleader(...args: string[]): Promise<{ code: number | null; output: string }> {
  const child = await startChild(process.execPath, [MAIN, ...args]);
  const { code } = await child.ended;
  return { code, output: child.output() };
}

/** Writes a configuration file for that test and returns its path. */
function file(test: Test, text: string): string {
  return join(test.testdir({ 'ringleader.yml': text }), 'ringleader.yml');
}

t.test('help says what there is, with and without being asked', async (t) => {
  for (const args of [[], ['help'], ['--help'], ['help', 'nothing-known']]) {
    const { code, output } = await ringleader(...args);
    t.equal(code, 0);
    t.match(output, /ringleader start/);
    t.match(output, /ringleader check/);
  }
  t.match((await ringleader('help', 'start')).output, /redis:\/\//, 'with an example');
  t.match((await ringleader('check', '--help')).output, /FILE:LINE:COLUMN/);
});

t.test('a call that cannot be meant is told what might have been, with exit code 2', async (t) => {
  const table: [string[], RegExp][] = [
    [['strat'], /no command "strat"; did you mean start\?/],
    [['dance'], /no command "dance"\n/],
    [['check'], /--config FILE/],
    [['start', 'now'], /"now" is one word too many/],
    [['start', '--port', '1'], /--port/],
  ];
  for (const [args, says] of table) {
    const { code, output } = await ringleader(...args);
    t.equal(code, 2, args.join(' '));
    t.match(output, says, args.join(' '));
  }
});

t.test('check says that a good file is good', async (t) => {
  const { code, output } = await ringleader('check', '--config', file(t, 'pools: { main: { nodes: [redis://h] } }'));
  t.equal(code, 0);
  t.match(output, /good; listens on 127\.0\.0\.1:6380; nodes: 1 in main/);
});

t.test('check and start print every problem of a bad file, without passwords, and exit with 1', async (t) => {
  const path = file(t, 'workers: none\npools: { main: { nodes: ["redis://u:s3cret@h:x"] } }\n');
  for (const command of ['check', 'start']) {
    const { code, output } = await ringleader(command, '--config', path);
    t.equal(code, 1);
    t.match(output, `${path}:1:10: workers: expected a whole number`);
    t.match(output, `${path}:2:26: pools.main.nodes[0]: expected`);
    t.notMatch(output, 's3cret');
  }
});

t.test('a file that is not there is named', async (t) => {
  const { code, output } = await ringleader('start', '--config', '/no/such/file.yml');
  t.equal(code, 1);
  t.match(output, /\/no\/such\/file\.yml cannot be read/);
});

t.test('an address that is taken ends the start with its name', async (t) => {
  const [server] = await startRedisServers(1);
  t.teardown(() => server?.stop());
  const taken = `127.0.0.1:${server?.port}`;
  const nodes = `pools: { main: { nodes: [${server?.url}] } }`;
  const listening = await ringleader('start', '--config', file(t, `listen: ${taken}\n${nodes}`));
  t.equal(listening.code, 1);
  t.match(listening.output, taken);
  const free = `127.0.0.1:${await freePort()}`;
  const admin = await ringleader('start', '--config', file(t, `listen: ${free}\nadmin: ${taken}\n${nodes}`));
  t.equal(admin.code, 1);
  t.match(admin.output, taken);
});

t.test('start serves clients, is live and ready, and ends in order on SIGTERM', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({ nodes: servers.map(({ url }) => url) });
  const client = await RespClient.connect(proxy.port);
  t.equal(await client.command('SET', 'greeting', 'hello'), 'OK');
  t.equal(await client.command('GET', 'greeting'), 'hello');
  t.equal((await fetch(`${proxy.adminUrl}/livez`)).status, 200);
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200);

  await servers[0]?.kill9();
  await proxy.waitForLog('node-down');
  t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200, 'it is ready while a node is down');

  t.equal(await proxy.stop(), 0);
  await client.closed;
  const events = proxy.logLines.map(({ msg }) => msg);
  t.ok(events.includes('stopping'));
  t.ok(events.includes('stopped'), 'the last line is not lost');
});

t.test('SIGINT that comes twice at once, as under npm, ends it in order too', async (t) => {
  const servers = await startRedisServers(1);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const proxy = await ProxyProcess.start({ nodes: servers.map(({ url }) => url) });
  proxy.signal('SIGINT');
  proxy.signal('SIGINT');
  t.same(await proxy.ended, { code: 0, signal: null });
  const refused = () =>
    new Promise<boolean>((resolve) => connect(proxy.port, '127.0.0.1').on('error', () => resolve(true)));
  t.ok(await waitFor('the port to be closed', refused));
});
