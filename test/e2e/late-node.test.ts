/** A node that never answers while the proxy starts, and comes later. */
import t from 'tap';
import { Placement } from '../help/deployment.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const LIMITS = { connectTimeoutMs: '500ms', queueTimeoutMs: '500ms', reconnectMaxMs: '200ms' };

for (const transport of ['io_uring', 'node'] as const) {
  t.test(`on ${transport}, the proxy starts, says so, serves the rest, and picks it up when it comes`, async (t) => {
    const servers = await startRedisServers(3);
    t.teardown(() => Promise.all(servers.map((server) => server.stop())));
    // Connections are taken by the system; nothing is ever answered.
    servers[1]?.pause();
    const nodes = servers.map(({ url }, index) => ({ name: 'abc'[index] as string, url }));
    const proxy = await ProxyProcess.start({
      nodes,
      transport,
      workers: transport === 'node' ? 1 : 2,
      limits: LIMITS,
    });
    t.teardown(() => proxy.kill9());
    const placement = new Placement(['a', 'b', 'c']);
    t.equal((await fetch(`${proxy.adminUrl}/readyz`)).status, 200);
    const down = await proxy.waitForLog('node-down', ({ node }) => node === 'b');
    t.match(down, { level: 'error', reason: /no answer to connecting and greeting within 500 ms/ });

    const client = await RespClient.connect(proxy.port);
    t.teardown(() => client.close());
    for (const node of [0, 2]) t.equal(await client.command('SET', placement.key(node, 'key'), 'value'), 'OK');
    const reply = await client.command('SET', placement.key(1, 'key'), 'value');
    t.ok(reply instanceof ReplyError && /^NODEDOWN node b \(/.test(reply.message), String(reply));
    t.equal(await client.command('PING'), 'PONG');

    servers[1]?.resume();
    await proxy.waitForLog('node-up', ({ node }) => node === 'b');
    await waitFor(
      'the node to be used',
      async () => (await client.command('SET', placement.key(1, 'key'), 'late')) === 'OK',
    );
    t.equal(await client.command('GET', placement.key(1, 'key')), 'late');
    t.equal(await proxy.stop(), 0);
  });
}
