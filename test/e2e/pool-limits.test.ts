/** Each pool has its own time-outs, also where one client talks to nodes of both. */
import t from 'tap';
import { freePort } from '../help/free-port.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { ReplyError } from '../help/reference-parser.js';
import { RespClient } from '../help/resp-client.js';

t.test('two pools of nodes that fall silent are given up on after the time of each', async (t) => {
  const [near, far] = await startRedisServers(2);
  if (near === undefined || far === undefined) throw new Error('there are no servers');
  t.teardown(() => Promise.all([near.stop(), far.stop()]));
  const port = await freePort();
  const proxy = await ProxyProcess.start({
    layout: {
      listen: `127.0.0.1:${port}`,
      pools: {
        near: { nodes: [{ name: 'n', url: near.url }], limits: { requestTimeoutMs: '300ms' } },
        far: { nodes: [{ name: 'f', url: far.url }], limits: { requestTimeoutMs: '1500ms' } },
      },
      keyspaces: [
        { prefix: '', pool: 'near' },
        { prefix: 'far:', pool: 'far' },
      ],
    },
    limits: { requestTimeoutMs: '1m', stallTimeoutMs: '2m' },
  });
  t.teardown(() => proxy.kill9());
  const client = await RespClient.connect(port);
  t.teardown(() => client.close());
  for (const key of ['key', 'far:key']) t.equal(await client.command('SET', key, 'value'), 'OK');
  near.pause();
  far.pause();
  const errors: string[] = [];
  const ask = async (key: string) => {
    const other = await RespClient.connect(port);
    t.teardown(() => other.close());
    const reply = await other.command('GET', key);
    errors.push(reply instanceof ReplyError ? reply.message : String(reply));
  };
  await Promise.all([ask('far:key'), ask('key')]);
  t.match(errors[0], /^NODEDOWN node n \(.*: it did not answer within 300 ms;/);
  t.match(errors[1], /^NODEDOWN node f \(.*: it did not answer within 1500 ms;/);
  near.resume();
  far.resume();
});
