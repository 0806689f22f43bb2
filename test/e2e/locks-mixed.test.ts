/** Locks of several keyspaces, on different nodes, and in the store, as one client has them together. */
import t from 'tap';
import { acquire, fieldsOf } from '../help/lock-client.js';
import { ProxyProcess } from '../help/proxy.js';
import { startRedisServers } from '../help/redis-server.js';
import { connect } from '../help/resp-client.js';
import { waitFor, within } from '../help/wait-for.js';

const NAMES = ['store:a', 'far:b', 'near:c'];
const SOON_MS = 10_000;

t.test('they are taken together, listed together, and go together', async (t) => {
  const servers = await startRedisServers(6);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const nodes = servers.map(({ url }) => url);
  const proxy = await ProxyProcess.start({
    layout: {
      pools: { near: { nodes: nodes.slice(0, 3) }, far: { nodes: nodes.slice(3) } },
      keyspaces: [
        { prefix: 'near:', pool: 'near', mode: 'lock', ttlMaxMs: 60_000 },
        { prefix: 'far:', pool: 'far', mode: 'lock', ttlMaxMs: 30_000 },
        { prefix: 'store:', pool: 'near', mode: 'lock', provider: 'store', ttlMaxMs: 20_000 },
      ],
    },
    dataDir: t.testdir({}),
    workers: 2,
  });
  t.teardown(() => proxy.kill9());
  const [holder, other] = [await connect(t, proxy.port), await connect(t, proxy.port)];
  for (const name of NAMES) {
    await waitFor(`${name} to be served`, async () => (await other.raw('LOCK.INFO', name)).toString().startsWith('*'));
  }
  t.match(
    (await holder.raw('LOCK.MACQUIRE', '3', ...NAMES, 'TTL', '20001')).toString(),
    /^-ERR TTL must be milliseconds from 10 to ttlMaxMs, which is 20000/,
    'the shortest of them',
  );
  const all = fieldsOf(await holder.command('LOCK.MACQUIRE', '3', ...NAMES, 'TTL', '20000', 'SESSION'));
  t.equal((all.get('fences') as unknown[]).length, 3);
  const listed = ((await other.command('LOCK.LIST')) as unknown[]).map((facts) => `${fieldsOf(facts).get('name')}`);
  t.same(listed, NAMES.toSorted());
  t.equal(await other.command('LOCK.MACQUIRE', '2', 'near:d', 'store:a', 'TTL', '9000'), null);
  await waitFor('what was got to be given back', async () => (await acquire(other, 'near:d', 'TTL', '9000')) !== null);
  const waiting = other.command('LOCK.MACQUIRE', '3', ...NAMES.toReversed(), 'TTL', '9000', 'WAIT', '40000');
  holder.close();
  t.ok(await within('all of them', waiting, SOON_MS));
});
