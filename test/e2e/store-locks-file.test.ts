/** Locks that one process keeps in its dataDir: they outlive it, and so do fences. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, say } from '../help/resp-client.js';

t.test('a proxy that was killed knows after its start who holds what, and fences go on', async (t) => {
  const [node] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => node.stop());
  const dataDir = t.testdir({});
  const start = async () => {
    const proxy = await ProxyProcess.start({
      layout: {
        pools: { main: { nodes: [{ name: 'a', url: node.url }] } },
        keyspaces: [{ prefix: '', pool: 'main', mode: 'lock', provider: 'store', ttlMaxMs: 20_000 }],
      },
      dataDir,
      workers: 2,
    });
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  const before = await start();
  const client = await connect(t, before.port);
  const held = await acquire(client, 'a', 'TTL', '20000');
  const short = await acquire(client, 'b', 'TTL', '1000');
  t.match(await say(client, 'GET', 'a'), /^-ERR 'a' is a lock that the coordination store keeps/, 'all keys are locks');
  t.same(await client.command('KEYS', '*'), []);
  t.equal(await client.command('DBSIZE'), 0);
  await before.kill9();
  const after = await connect(t, (await start()).port);
  t.equal(fieldsOf(await after.command('LOCK.INFO', 'a')).get('fence'), held?.fence);
  t.equal(await acquire(after, 'a', 'TTL', '1000'), null);
  const next = await acquire(after, 'b', 'TTL', '1000', 'WAIT', '10000');
  t.ok(next !== null && short !== null && next.fence > short.fence, 'when its time is over');
  t.equal(await say(after, 'LOCK.RELEASE', 'a', `${held?.token}`), '+OK\r\n', 'by the token that it was given before');
  const again = await acquire(after, 'a', 'TTL', '1000');
  t.ok(again !== null && next !== null && again.fence > next.fence);
});
