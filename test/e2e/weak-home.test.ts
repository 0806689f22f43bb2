/** The home of weak keys when the way to it is cut, leads to somebody else, or is slow, or when it freezes. */
import { setTimeout as sleep } from 'node:timers/promises';
import t, { type Test } from 'tap';
import { ProxyProcess } from '../help/proxy.js';
import { type RedisServer, startRedisServers } from '../help/redis-server.js';
import { Relay } from '../help/relay.js';
import { connect, RespClient, say } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

t.setTimeout(180_000);

const KEYS = Array.from({ length: 12 }, (_, number) => `k${number}`);
/** Longer than anything is waited for here. */
const LONG = { requestTimeoutMs: '60s', stallTimeoutMs: '120s' };
const MINE = '$4\r\nmine\r\n';

interface Place {
  /** The first is behind the relay, which is the home of a third of the keys. */
  servers: RedisServer[];
  /** Knows nothing of the pool. */
  alien: RedisServer;
  relay: Relay;
  start(): Promise<ProxyProcess>;
}

async function deploy(t: Test, limits: Record<string, string>): Promise<Place> {
  const [alien, ...servers] = (await startRedisServers(4)) as [RedisServer, ...RedisServer[]];
  const relay = await Relay.start();
  t.teardown(async () => {
    await relay.stop();
    await Promise.all([alien, ...servers].map((server) => server.stop()));
  });
  const urls = servers.map(({ url, port }, node) => (node === 0 ? relay.to(port) : url));
  const nodes = urls.map((url, node) => ({ name: `n${node}`, url }));
  const start = async () => {
    const proxy = await ProxyProcess.start({
      layout: {
        pools: { main: { nodes } },
        keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3, consistency: 'weak' }],
      },
      limits,
      workers: 1,
    });
    t.teardown(() => proxy.kill9());
    return proxy;
  };
  return { servers, alien, relay, start };
}

/** All keys are `mine` at all nodes. */
async function fill(t: Test, { servers }: Place, port: number): Promise<void> {
  const client = await connect(t, port);
  const nodes = await Promise.all(servers.map((server) => connect(t, server.port)));
  await waitFor('all copies', async () => {
    for (const key of KEYS) if ((await say(client, 'SET', key, 'mine')) !== '+OK\r\n') return false;
    const copies = await Promise.all(nodes.flatMap((node) => KEYS.map((key) => say(node, 'GET', key))));
    return copies.every((copy) => copy === MINE);
  });
}

t.test('a read is not sent again to whoever is behind the address by then', async (t) => {
  const place = await deploy(t, {});
  const { alien, relay, servers } = place;
  const proxy = await place.start();
  await fill(t, place, proxy.port);
  const other = await connect(t, alien.port);
  for (const key of KEYS) await say(other, 'SET', key, 'alien');
  const clients = await Promise.all(KEYS.map(() => connect(t, proxy.port)));
  const came = relay.silenceAt((bytes) => bytes.includes('GET'));
  const asked = clients.map((client, at) => say(client, 'GET', KEYS[at] as string));
  await came;
  relay.to(alien.port);
  relay.refuse();
  relay.mend();
  const told = await Promise.all(asked);
  for (const reply of told) t.match(reply, /^(\$4\r\nmine|-NODEDOWN .*the connection was lost)/);
  t.ok(
    told.some((reply) => reply.startsWith('-NODEDOWN')),
    'one was under way',
  );
  await waitFor('the alien to be connected to', async () => /clients:[3-9]/.test(await say(other, 'INFO', 'clients')));
  for (let times = 0; times < 20; times++) {
    for (const [at, client] of clients.entries()) t.equal(await say(client, 'GET', KEYS[at] as string), MINE);
  }
  relay.to((servers[0] as RedisServer).port);
});

t.test('reads do not go to a home that has frozen, whatever they wait for there already', async (t) => {
  const place = await deploy(t, LONG);
  const proxy = await place.start();
  await fill(t, place, proxy.port);
  place.servers[0]?.pause();
  const stuck = await Promise.all(KEYS.map(() => connect(t, proxy.port)));
  for (const [at, client] of stuck.entries()) void say(client, 'GET', KEYS[at] as string).catch(() => {});
  await waitFor('all keys to be read', async () => {
    const clients = await Promise.all(KEYS.map(() => RespClient.connect(proxy.port)));
    const told = Promise.all(clients.map((client, at) => say(client, 'GET', KEYS[at] as string)));
    const replies = await Promise.race([told, sleep(2_000, [])]);
    told.catch(() => {});
    for (const client of clients) client.close();
    return replies.length === KEYS.length && replies.every((reply) => reply === MINE);
  });
  t.pass('they were, long before the requests there are given up');
  place.servers[0]?.resume();
});

t.test('a proxy that starts takes nobody for the home before it has heard of those before it', async (t) => {
  const place = await deploy(t, { ...LONG, connectTimeoutMs: '60s', replicatedPatienceMs: '60s' });
  const { relay, servers } = place;
  const first = await place.start();
  await fill(t, place, first.port);
  const home = await connect(t, (servers[0] as RedisServer).port);
  const reader = await connect(t, first.port);
  for (const key of KEYS) await say(home, 'SET', key, 'home');
  const own: string[] = [];
  for (const key of KEYS) if ((await say(reader, 'GET', key)) === '$4\r\nhome\r\n') own.push(key);
  t.ok(own.length > 0 && own.length < KEYS.length, `${own}`);
  await first.kill9();
  relay.silence();
  const proxy = await place.start();
  const client = await connect(t, proxy.port);
  const areWritten = async (keys: readonly string[]) => {
    for (const key of keys) if ((await say(client, 'SET', key, 'next')) !== '+OK\r\n') return false;
    return true;
  };
  await waitFor('keys with other homes to be served', () => areWritten(KEYS.filter((key) => !own.includes(key))));
  for (const key of own) {
    t.match(await say(client, 'SET', key, 'lost'), /^-NOQUORUM/);
    t.match(await say(client, 'GET', key), /^-NOQUORUM/);
  }
  relay.mend();
  await waitFor('all to be served', () => areWritten(KEYS));
  for (const key of own) t.equal(await say(home, 'GET', key), '$4\r\nnext\r\n', 'the home has it');
});
