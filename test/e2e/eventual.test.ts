/** Keys of consistency eventual on real servers: one copy acknowledges, and the others get what they have missed. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import type { PoolCare } from '../../src/control/caretaker.js';
import type { Status } from '../../src/control/status.js';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(180_000);

/** Short, so that a test meets them. */
const LIMITS = {
  connectTimeoutMs: 300,
  queueTimeoutMs: 500,
  requestTimeoutMs: 1_500,
  stallTimeoutMs: 2_000,
  idlePingMs: 500,
  reconnectMaxMs: 200,
  // Comparing nodes is not to hide that hints do nothing.
  compareIntervalMs: 3_600_000,
};

/** All that were started. */
const proxies: ProxyProcess[] = [];

async function startServers(t: Test): Promise<RedisServer[]> {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  return servers;
}

async function startProxy(
  t: Test,
  servers: readonly RedisServer[],
  limits: Readonly<Record<string, number | string>> = {},
  dataDir?: string,
): Promise<ProxyProcess> {
  const proxy = await ProxyProcess.start({
    layout: {
      pools: { main: { nodes: servers.map(({ url }, index) => ({ name: 'abc'[index], url })) } },
      keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3, consistency: 'eventual' }],
    },
    limits: { ...LIMITS, ...limits },
    workers: 2,
    ...(dataDir === undefined ? {} : { dataDir }),
  });
  proxies.push(proxy);
  t.teardown(() => proxy.kill9());
  return proxy;
}

/** Resolves when each of so many clients is served. */
async function isServed(proxy: ProxyProcess): Promise<void> {
  for (let client = 0; client < 12; client++) {
    const asking = await RespClient.connect(proxy.port);
    await waitFor('keys to be served', async () => (await asking.command('DEL', 'no such key')) === 0);
    asking.close();
  }
}

async function careOf({ adminUrl }: ProxyProcess): Promise<PoolCare> {
  const status = (await (await fetch(`${adminUrl}/status`)).json()) as Status;
  return status.replicatedPools[0] as PoolCare;
}

async function countsOf({ adminUrl }: ProxyProcess): Promise<Status['counters']> {
  return ((await (await fetch(`${adminUrl}/status`)).json()) as Status).counters;
}

/** What the nodes themselves have. */
async function copiesOf(servers: readonly RedisServer[], key: string): Promise<string[]> {
  return Promise.all(
    servers.map(async ({ port }) => {
      const client = await RespClient.connect(port);
      try {
        return `${await client.command('GET', key)} ${`${await client.command('GET', `~rl:m:${key}`)}`.slice(40)}`;
      } finally {
        client.close();
      }
    }),
  );
}

async function awaitEqual(servers: readonly RedisServer[], keys: readonly string[], timeoutMs = 10_000): Promise<void> {
  await waitFor(
    'all copies to be equal',
    async () => {
      for (const key of keys) if (new Set(await copiesOf(servers, key)).size > 1) return false;
      return true;
    },
    timeoutMs,
  );
}

t.test('a client sees what it has written, and all copies have it', async (t) => {
  const servers = await startServers(t);
  const proxy = await startProxy(t, servers);
  await isServed(proxy);
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
  t.match((await copiesOf(servers, 'a'))[2], '8 ');
});

t.test(
  'writes go on with one node left, and the others get them when they are back, from the hints alone',
  async (t) => {
    const servers = await startServers(t);
    const proxy = await startProxy(t, servers);
    await isServed(proxy);
    const client = await connect(t, proxy.port);
    const keys = Array.from({ length: 300 }, (_, place) => `key:${place}`);
    for (const key of keys) t.equal(await say(client, 'SET', key, 'before'), '+OK\r\n');
    await awaitEqual(servers, keys);
    for (const server of servers.slice(1)) server.pause();
    const sent = keys.map((key, place) =>
      place % 3 === 0 ? ['DEL', key] : place % 3 === 1 ? ['INCR', `n:${key}`] : ['SET', key, 'after'],
    );
    for (const words of sent) t.notMatch(await say(client, ...words), /^-/, words.join(' '));
    await waitFor('all that was missed to be kept', async () => (await countsOf(proxy)).replicatedHints >= 600, 20_000);
    const { nodes } = await careOf(proxy);
    t.ok(
      nodes.slice(1).every(({ hints }) => hints.bytes > 0 && hints.oldestMs !== null),
      'the status shows it',
    );
    t.equal(nodes[0]?.hints.bytes, 0);
    for (const server of servers.slice(1)) server.resume();
    await awaitEqual(servers, [...keys, ...keys.map((key) => `n:${key}`)], 20_000);
    t.match((await copiesOf(servers, 'key:2'))[1], 'after ');
    t.match((await copiesOf(servers, 'key:3'))[2], /^null .*00$/);
    t.match((await copiesOf(servers, 'n:key:4'))[1], '1 ');
    await waitFor('nothing to be kept any more', async () =>
      (await careOf(proxy)).nodes.every(({ hints }) => hints.bytes === 0),
    );
    t.equal((await countsOf(proxy)).replicatedHintsDropped, 0);
  },
);

t.test('what was acknowledged by a node that is lost survives the proxy in its dataDir', async (t) => {
  const servers = await startServers(t);
  const folder = mkdtempSync(join(tmpdir(), 'ringleader-eventual-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const proxy = await startProxy(t, servers, {}, folder);
  await isServed(proxy);
  const client = await connect(t, proxy.port);
  servers[2]?.pause();
  for (let key = 0; key < 100; key++) t.equal(await say(client, 'SET', `kept:${key}`, `${key}`), '+OK\r\n');
  await waitFor('it is kept', async () => (await countsOf(proxy)).replicatedHints >= 100, 20_000);
  await waitFor('it is written', () => readdirSync(join(folder, 'hints', 'main', 'c')).length > 0);
  // Behind the write, the file is the kernel's.
  await new Promise((resolve) => setTimeout(resolve, 300));
  await proxy.kill9();
  for (const server of servers.slice(0, 2)) await server.kill9();
  const next = await startProxy(t, servers, {}, folder);
  servers[2]?.resume();
  const asking = await connect(t, next.port);
  await waitFor('the writes to be there', async () => (await say(asking, 'GET', 'kept:99')) === '$2\r\n99\r\n', 20_000);
  for (let key = 0; key < 100; key++)
    t.equal(await say(asking, 'GET', `kept:${key}`), `$${`${key}`.length}\r\n${key}\r\n`);
});

t.test('what there is no room for is dropped and counted, and comparing the nodes brings it', async (t) => {
  const servers = await startServers(t);
  const proxy = await startProxy(t, servers, { hintBytesMax: 1_000, compareIntervalMs: 500 });
  await isServed(proxy);
  const client = await connect(t, proxy.port);
  servers[2]?.pause();
  const keys = Array.from({ length: 100 }, (_, place) => `key:${place}`);
  for (const key of keys) t.equal(await say(client, 'SET', key, 'x'), '+OK\r\n');
  await proxy.waitForLog('hints-dropped', ({ node, limit }) => node === 'c' && limit === 'hintBytesMax 1000');
  await waitFor('it is counted', async () => (await countsOf(proxy)).replicatedHintsDropped > 0);
  servers[2]?.resume();
  const resumedAt = new Date().toISOString();
  await awaitEqual(servers, keys, 20_000);
  await waitFor(
    'the status says so',
    async () => ((await careOf(proxy)).comparison?.equalAt ?? '') > resumedAt,
    20_000,
  );
});

t.test('no worker has died of all that', async (t) => {
  t.same(
    proxies.flatMap(({ logLines }) => logLines.filter(({ msg }) => msg === 'worker-died')),
    [],
  );
});
