/** SIGHUP: what holds at once, what is refused, and that no connection and no command is lost. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { startChild } from '../help/child.js';
import { type Deployment, deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { ProxyProcess } from '../help/proxy.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

/** Waits until the proxy has logged `count` lines of that event. */
async function logged({ proxy }: Deployment, event: string, count: number): Promise<void> {
  await proxy.waitForLog(event, () => proxy.logLines.filter(({ msg }) => msg === event).length >= count);
}

t.test('a good configuration holds for the connections there are', async (t) => {
  const deployment = await deploy(t);
  const { proxy, port } = deployment;
  const client = await connect(t, port);
  t.match(await say(client, 'ECHO', 'before'), 'before');
  proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), limits: { clientsMax: 1 } }));
  await logged(deployment, 'reloaded', 1);
  // Workers take it from a message, a moment after the line in the log.
  for (let reply = '+PONG\r\n'; !reply.startsWith('-ERR max number of clients reached'); ) {
    t.equal(reply, '+PONG\r\n');
    const other = await RespClient.connect(port);
    other.send('PING\r\n');
    reply = (await other.next()).toString();
    other.close();
  }
  t.match(await say(client, 'ECHO', 'after'), 'after');
});

t.test("a pool's time-outs hold at once, also for what is in flight, and no connection is lost", async (t) => {
  const deployment = await deploy(t, { limits: { requestTimeoutMs: '10m', stallTimeoutMs: '20m' } });
  const { proxy, port, servers } = deployment;
  const client = await connect(t, port);
  t.equal(await say(client, 'SET', deployment.key(0), '1'), '+OK\r\n');
  servers[0]?.pause();
  const answer = say(client, 'GET', deployment.key(0));
  const direct = await connect(t, servers[1]?.port ?? 0);
  const connections = async () => /total_connections_received:(\d+)/.exec(await say(direct, 'INFO', 'stats'))?.[1];
  const before = await connections();
  proxy.reload((text) => {
    const config = JSON.parse(text);
    config.pools.main.limits = { requestTimeoutMs: 300 };
    return JSON.stringify(config);
  });
  t.match(await answer, /^-NODEDOWN node a .*: it did not answer within 300 ms/);
  t.equal(await say(client, 'SET', deployment.key(1), '1'), '+OK\r\n');
  t.type(before, 'string');
  t.equal(await connections(), before);
  servers[0]?.resume();
  await waitFor('the node to answer', async () => (await say(client, 'GET', deployment.key(0))) === '$1\r\n1\r\n');
});

t.test('a password that changed on a node and in the file', async (t) => {
  const deployment = await deploy(t);
  const { proxy, port, servers } = deployment;
  const server = servers[0];
  if (server === undefined) throw new Error('there is no server');
  const client = await connect(t, port);
  const key = deployment.key(0);
  t.equal(await say(client, 'SET', key, '1'), '+OK\r\n');
  const direct = await connect(t, server.port);
  t.equal(await say(direct, 'CONFIG', 'SET', 'requirepass', 'opensesame'), '+OK\r\n');
  proxy.reload((text) =>
    text.replace(`redis://127.0.0.1:${server.port}`, `redis://:opensesame@127.0.0.1:${server.port}`),
  );
  await logged(deployment, 'reloaded', 1);
  t.equal(await say(client, 'INCR', key), ':2\r\n');
  // The connections of before are cut off: only one with the new password can go on.
  const killed = await say(direct, 'CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes');
  t.match(killed, /^:\d+\r\n$/);
  t.match(await say(client, 'GET', key), /^\$1\r\n2\r\n$/, 'a read is sent again on the next connection');
  t.notMatch(proxy.output(), 'opensesame');
});

t.test(
  'what would look for keys elsewhere is refused with an explanation, and the old configuration stays',
  async (t) => {
    const deployment = await deploy(t);
    const { proxy, port } = deployment;
    const client = await connect(t, port);
    proxy.reload((text) => text.replace('"name": "a"', '"name": "z"'));
    const line = await proxy.waitForLog('reload-refused');
    t.match(line, { remaps: [/node z is new/, /node a is gone/], advice: /--accept-remap/ });
    t.equal(await say(client, 'SET', deployment.key(0), '1'), '+OK\r\n');
    t.equal(proxy.logLines.filter(({ msg }) => msg === 'reloaded').length, 0);
  },
);

t.test('an invalid file is refused with its errors, and the old configuration stays', async (t) => {
  const deployment = await deploy(t);
  const { proxy, port } = deployment;
  const client = await connect(t, port);
  proxy.reload((text) => text.replace('"workers"', '"wrokers"'));
  const line = await proxy.waitForLog('reload-failed');
  t.match(line, { problems: [/ringleader.yml:\d+:\d+: .*wrokers.*workers/] });
  t.equal(await say(client, 'PING'), '+PONG\r\n');
});

t.test('SIGHUP while the proxy starts does not end it, and is done when it has started', async (t) => {
  const deployment = await deploy(t);
  const { configPath } = deployment.proxy;
  const other = join(t.testdir({}), 'ringleader.yml');
  const config = {
    ...JSON.parse(readFileSync(configPath, 'utf8')),
    listen: `127.0.0.1:${await freePort()}`,
    admin: undefined,
  };
  writeFileSync(other, JSON.stringify(config));
  const child = await startChild(process.execPath, [MAIN, 'start', '--config', other]);
  t.teardown(() => child.signal('SIGKILL'));
  const events: string[] = [];
  const reloaded = new Promise<void>((resolve, reject) => {
    child.onLine((line) => {
      const { msg } = JSON.parse(line);
      events.push(msg);
      if (msg === 'transport') for (let n = 0; n < 3; n++) child.signal('SIGHUP');
      if (msg === 'reloaded') resolve();
    });
    void child.ended.then(({ code, signal }) => reject(new Error(`it ended with ${signal ?? code}`)));
  });
  await reloaded;
  t.ok(events.indexOf('listening') < events.indexOf('reloaded'), events.join(' '));
});

t.test('what may not be meant is said at the start, and at each reload', async (t) => {
  const layout = { listen: `127.0.0.1:${await freePort()}`, pools: { main: { nodes: ['redis://127.0.0.1:1'] } } };
  const proxy = await ProxyProcess.start({ layout });
  t.teardown(() => proxy.kill9());
  const lines = () => proxy.logLines.filter(({ msg }) => msg === 'config-warnings');
  t.match(await proxy.waitForLog('config-warnings'), {
    level: 'warn',
    warnings: [/^.*:\d+:\d+: warning: pools\.main\.nodes\[0\]: without a name/],
  });
  proxy.reload((text) => text);
  await proxy.waitForLog('reloaded');
  t.equal(lines().length, 2);
  const name = { name: '127.0.0.1:1', url: 'redis://127.0.0.1:1' };
  proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), pools: { main: { nodes: [name] } } }));
  await proxy.waitForLog('reloaded', () => proxy.logLines.filter(({ msg }) => msg === 'reloaded').length === 2);
  t.equal(lines().length, 2, 'nothing is said of a file without any; and the advice moves no key');
});

t.test('the level of the log holds at once', async (t) => {
  const deployment = await deploy(t);
  const { proxy } = deployment;
  const toLevel = (level: string) => (text: string) => {
    const config = JSON.parse(text);
    return JSON.stringify({ ...config, log: { ...config.log, level } });
  };
  proxy.reload(toLevel('info'));
  await logged(deployment, 'reloaded', 1);
  proxy.reload(toLevel('error'));
  // The end of that is not said: the next is read when it is done.
  proxy.reload((text) => text.replace('"workers"', '"wrokers"'));
  await logged(deployment, 'reload-failed', 1);
  proxy.reload((text) =>
    toLevel('warn')(text.replace('"wrokers"', '"workers"').replace(/"workers": ?\d+/, '"workers":3')),
  );
  await logged(deployment, 'reload-needs-restart', 1);
  proxy.reload(toLevel('info'));
  await logged(deployment, 'reloaded', 2);
  t.equal(proxy.logLines.filter(({ msg }) => msg === 'reloaded').length, 2, 'those to error and to warn were not said');
});

t.test('what takes a restart is said of what runs, however often the file is read', async (t) => {
  const deployment = await deploy(t);
  const { proxy } = deployment;
  const restarts = () =>
    proxy.logLines.filter(({ msg }) => msg === 'reload-needs-restart').map((line) => line['restarts']);
  const change = async (drainTimeout: number, workers: number) => {
    const before = proxy.logLines.filter(({ msg }) => msg === 'reloaded').length;
    proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), drainTimeout, workers }));
    await logged(deployment, 'reloaded', before + 1);
  };
  await change(1, 5);
  t.same(restarts(), [['workers: 2 runs, 5 takes a restart']]);
  await change(2, 5);
  t.same(restarts().at(-1), ['workers: 2 runs, 5 takes a restart']);
  t.equal(restarts().length, 2, 'it still does');
  await change(3, 2);
  t.equal(restarts().length, 2, 'it was taken back');
});

t.test('SIGHUP in a loop under load loses no command', async (t) => {
  const deployment = await deploy(t);
  const { proxy, port } = deployment;
  const clients = await Promise.all(Array.from({ length: 10 }, () => connect(t, port)));
  const reloads = 30;
  let isDone = false;
  const load = clients.map(async (client, index) => {
    let count = 0;
    for (; !isDone; count++) {
      const reply = await say(client, 'INCR', `counter:${index}`);
      if (reply !== `:${count + 1}\r\n`) throw new Error(`INCR number ${count + 1} was answered ${reply}`);
    }
    return count;
  });
  for (let n = 1; n <= reloads; n++) {
    proxy.reload((text) => JSON.stringify({ ...JSON.parse(text), limits: { idlePingMs: 1_000 + n } }));
    await logged(deployment, 'reloaded', n);
  }
  isDone = true;
  const counts = await Promise.all(load);
  t.ok(
    counts.every((count) => count > 0),
    `${counts.reduce((sum, count) => sum + count, 0)} commands during ${reloads} reloads`,
  );
});
