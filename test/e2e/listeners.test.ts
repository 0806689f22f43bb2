/** Where the proxy listens and where nodes may be: IPv4, IPv6 and unix sockets, several at once. */
import { existsSync } from 'node:fs';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { removeFolder, scratchFolder } from '../help/child.js';
import { deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { ProxyProcess } from '../help/proxy.js';
import { RedisServer } from '../help/redis-server.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const hasIpv6 = Object.values(networkInterfaces()).some((interfaces) =>
  interfaces?.some(({ address }) => address === '::1'),
);
const skip = hasIpv6 ? false : 'this machine has no IPv6';

for (const transport of ['io_uring', 'epoll', 'node'] as const) {
  t.test(`on ${transport}, clients of several addresses are served alike`, async (t) => {
    const folder = temporaryFolder(t);
    const [port, second] = [await freePort(), await freePort()];
    const paths = [join(folder, 'one.sock'), join(folder, 'two.sock')];
    const listen = [`127.0.0.1:${port}`, `127.0.0.1:${second}`, ...paths.map((path) => `unix:${path}`)];
    const { proxy } = await deploy(t, { transport, listen });
    const targets = [port, second, ...paths];
    for (const [index, target] of targets.entries()) {
      const clients = await Promise.all(Array.from({ length: 20 }, () => RespClient.connect(target)));
      for (const client of clients)
        t.equal(await client.command('INCR', `counter ${index}`), clients.indexOf(client) + 1);
      for (const client of clients) client.close();
    }
    const client = await RespClient.connect(port);
    t.same(
      await client.command('MGET', ...targets.map((_, index) => `counter ${index}`)),
      targets.map(() => '20'),
    );
    client.close();
    t.same(proxy.logLines.find(({ msg }) => msg === 'listening')?.['listen'], listen);
    t.equal(await proxy.stop(), 0);
    for (const path of paths) t.notOk(existsSync(path), 'the file of the socket is gone');
  });

  t.test(`on ${transport}, IPv6`, { skip }, async (t) => {
    const port = await freePort();
    await deploy(t, {
      transport,
      listen: [`[::1]:${port}`, `127.0.0.1:${port}`],
      redis: { args: ['--bind', '127.0.0.1', '::1'] },
      url: (server) => `redis://[::1]:${server.port}`,
    });
    const client = await RespClient.connect({ host: '::1', port });
    for (let number = 0; number < 20; number++) await client.command('SET', `key:${number}`, 'value');
    t.equal(await client.command('DBSIZE'), 20);
    t.match(await client.command('CLIENT', 'INFO'), new RegExp(` addr=\\[::1\\]:\\d+ laddr=\\[::1\\]:${port} `));
    const other = await RespClient.connect(port);
    t.equal(await other.command('DBSIZE'), 20);
    other.close();
    client.close();
  });

  t.test(`on ${transport}, nodes behind unix sockets go, come back, and are named in errors`, async (t) => {
    const deployment = await deploy(t, { transport, url: (server) => `unix:${server.socketPath}` });
    const [server] = deployment.servers as [RedisServer];
    const client = await RespClient.connect(deployment.port);
    const key = deployment.key(0);
    t.equal(await client.command('SET', key, 'value'), 'OK');
    await server.kill9();
    await deployment.proxy.waitForLog('node-down');
    t.match(
      (await client.raw('GET', key)).toString(),
      new RegExp(`^-NODEDOWN node a \\(unix:${server.socketPath}\\): `),
    );
    await server.restart();
    await waitFor('the node to be used', async () => (await client.command('SET', key, 'again')) === 'OK');
    t.equal(await client.command('GET', key), 'again');
    client.close();
  });

  t.test(`on ${transport}, a client of a unix socket is shown as by Redis`, async (t) => {
    const path = join(temporaryFolder(t), 'proxy.sock');
    const { servers } = await deploy(t, { transport, nodes: 1, listen: [`unix:${path}`] });
    const [server] = servers as [RedisServer];
    const [own, theirs] = [await RespClient.connect(path), await RespClient.connect(server.socketPath)];
    const shown = async (client: RespClient, ownPath: string) => {
      const line = `${await client.command('CLIENT', 'INFO')}`.replaceAll(ownPath, 'PATH');
      return / addr=.* laddr=\S+| flags=\S+/g[Symbol.match](line);
    };
    t.same(await shown(own, path), await shown(theirs, server.socketPath));
    own.close();
    theirs.close();
  });

  t.test(
    `on ${transport}, a socket's file that a dead proxy left is taken over, and that of a living one is not`,
    async (t) => {
      const path = join(temporaryFolder(t), 'proxy.sock');
      const server = await RedisServer.start();
      t.teardown(() => server.stop());
      const start = async () => {
        const proxy = await ProxyProcess.start({
          nodes: [server.url],
          workers: 2,
          transport,
          listen: [`unix:${path}`],
        });
        t.teardown(() => proxy.kill9());
        return proxy;
      };
      const first = await start();
      await t.rejects(start(), /cannot listen on unix:.*another process listens there/);
      await first.kill9();
      t.ok(existsSync(path));
      await start();
      const client = await RespClient.connect(path);
      t.equal(await client.command('SET', 'key', 'value'), 'OK');
      client.close();
    },
  );

  t.test(`on ${transport}, a unix socket is listened on again after a worker has died`, async (t) => {
    const path = join(temporaryFolder(t), 'proxy.sock');
    const env = { RINGLEADER_TEST_HOOKS: '1' };
    const { proxy } = await deploy(t, { transport, nodes: 1, listen: [`unix:${path}`], env });
    for (const value of ['before', 'after']) {
      const client = await RespClient.connect(path);
      t.equal(await client.command('SET', 'key', value), 'OK');
      client.close();
      proxy.signal('SIGUSR2');
      const count = value === 'before' ? 1 : 2;
      await proxy.waitForLog('worker-restarted', () => {
        return proxy.logLines.filter(({ msg }) => msg === 'worker-restarted').length >= count;
      });
    }
    const client = await RespClient.connect(path);
    t.equal(await client.command('GET', 'key'), 'after');
    client.close();
  });

  t.test(`on ${transport}, a port that is taken is said, and ends the start`, async (t) => {
    const server = await RedisServer.start();
    t.teardown(() => server.stop());
    const listen = [`127.0.0.1:${server.port}`];
    const text = new RegExp(`cannot listen on 127\\.0\\.0\\.1:${server.port}: another process listens there`);
    // The node is another: one at an address that the proxy listens on is refused before.
    const nodes = ['redis://127.0.0.1:1'];
    await t.rejects(ProxyProcess.start({ nodes, workers: 2, transport, listen }), text);
  });
}

function temporaryFolder(t: Test): string {
  const folder = scratchFolder('listen');
  t.teardown(() => removeFolder(folder));
  return folder;
}
