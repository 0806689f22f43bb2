/** Keys of consistency eventual on real servers: one copy acknowledges, and the others get what they have missed. */
import t from 'tap';
import { connect, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';
import { awaitEqual, careOf, copiesOf, countsOf, PATIENT_MS, startProxy, startServers } from './eventual-pool.js';

t.setTimeout(180_000);

t.test('a client sees what it has written, and all copies have it', async (t) => {
  const servers = await startServers(t);
  const proxy = await startProxy(t, servers);
  const client = await connect(t, proxy.port);
  const table: readonly [string, string][] = [
    ['SET a 1', '+OK\r\n'],
    ['GET a', '$1\r\n1\r\n'],
    ['INCR a', ':2\r\n'],
    ['SET a 3 NX', '$-1\r\n'],
    ['APPEND a 4', ':2\r\n'],
    ['GETSET a 5', '$2\r\n24\r\n'],
    ['RPUSH l x y', ':2\r\n'],
    ['LPOP l', '$1\r\nx\r\n'],
    ['MSET m1 a m2 b', '+OK\r\n'],
    ['MGET m1 m2 m3', '*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n'],
    ['DEL m1 m3', ':1\r\n'],
    ['SET gone 1 PX 100000', '+OK\r\n'],
    ['DBSIZE', ':4\r\n'],
    ['EVAL return(redis.call("incr",KEYS[1])) 1 a', ':6\r\n'],
  ];
  for (const [line, reply] of table) t.equal(await say(client, ...line.split(' ')), reply, line);
  for (const words of [['MULTI'], ['SET', 'a', '7'], ['INCR', 'a']]) await client.raw(...words);
  t.equal(await say(client, 'EXEC'), '*2\r\n+OK\r\n:8\r\n');
  t.match(await say(client, 'WATCH', 'a'), /^-ERR WATCH would not see every write/);
  await awaitEqual(servers, ['a', 'l', 'm1', 'm2', 'gone']);
  t.match(await copiesOf(servers.slice(2), ['a']), [['8 ']]);
});

t.test('what there is no room for is dropped and counted, and comparing the nodes brings it', async (t) => {
  const servers = await startServers(t);
  const proxy = await startProxy(t, servers, { limits: { hintBytesMax: 1_000, compareIntervalMs: 500 } });
  const client = await connect(t, proxy.port);
  servers[2]?.pause();
  const keys = Array.from({ length: 100 }, (_, place) => `key:${place}`);
  for (const key of keys) t.equal(await say(client, 'SET', key, 'x'), '+OK\r\n');
  await proxy.waitForLog('hints-dropped', ({ node, limit }) => node === 'c' && limit === 'hintBytesMax 1000');
  await waitFor('it is counted', async () => (await countsOf(proxy)).replicatedHintsDropped > 0, PATIENT_MS);
  servers[2]?.resume();
  const resumedAt = new Date().toISOString();
  await awaitEqual(servers, keys);
  await waitFor(
    'the status says so',
    async () => ((await careOf(proxy)).comparison?.equalAt ?? '') > resumedAt,
    PATIENT_MS,
  );
});
