/** The proxy as a Redis Cluster of one node: its replies are those of a real one that is alone, and its slots have the keys they should. */
import t, { type Test } from 'tap';
import { slotOf } from '../../src/routing/slot.js';
import { removeFolder, scratchFolder } from '../help/child.js';
import { deploy } from '../help/deployment.js';
import { freePort } from '../help/free-port.js';
import { ProxyProcess } from '../help/proxy.js';
import { RedisServer, startRedisServers } from '../help/redis-server.js';
import { deployReplicated } from '../help/replicated-deployment.js';
import { connect, encodeWords, RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

/** What one Redis answers alike, however it was asked. */
const QUESTIONS = [
  ...[
    'SLOTS',
    'SHARDS',
    'NODES',
    'INFO',
    'MYID',
    'LINKS',
    'REPLICAS',
    'REPLICAS x',
    'SLAVES ID',
    'SLAVES x',
    'slots x',
  ],
  ...['COUNT-FAILURE-REPORTS ID', 'COUNT-FAILURE-REPORTS x', 'KEYSLOT {a}b', 'KEYSLOT', 'REPLICAS ID', 'nonsense'],
  ...['COUNTKEYSINSLOT 0', 'COUNTKEYSINSLOT a', 'COUNTKEYSINSLOT 16384', 'COUNTKEYSINSLOT -1', 'COUNTKEYSINSLOT'],
  ...['GETKEYSINSLOT 1 a', 'GETKEYSINSLOT a 1', 'GETKEYSINSLOT 1 -1', 'GETKEYSINSLOT 16384 1', 'GETKEYSINSLOT 1 9'],
].map((words) => `CLUSTER ${words}`);
const MORE = [
  'READONLY',
  'READWRITE',
  'ASKING',
  'READONLY x',
  'MULTI',
  'ASKING',
  'CLUSTER KEYSLOT a',
  'CLUSTER MYID',
  'EXEC',
];

t.test('what CLUSTER says is what a real cluster of one node says', async (t) => {
  const { port } = await deploy(t);
  const real = await startCluster(t);
  for (const protocol of ['2', '3']) {
    const asked = await Promise.all(
      [port, real.port].map(async (port) => {
        const client = await connect(t, port);
        await client.command('HELLO', protocol);
        const id = String(await client.command('CLUSTER', 'MYID'));
        const shown: string[] = [];
        for (const line of [...QUESTIONS, ...MORE]) {
          const reply = await client.raw(...line.replace('ID', () => id).split(' '));
          shown.push(`${line}: ${plain(reply.toString('latin1'), port)}`);
        }
        return shown;
      }),
    );
    t.same(asked[0], asked[1], `RESP${protocol}`);
  }
});

t.test('its id is of the address, and the same after a restart', async (t) => {
  const [server] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => server.stop());
  const [one, other] = [await freePort(), await freePort()];
  const ids: string[] = [];
  for (let start = 0; start < 2; start++) {
    const listen = [`127.0.0.1:${one}`, `127.0.0.1:${other}`];
    const proxy = await ProxyProcess.start({ nodes: [server.url], listen });
    for (const port of [one, other]) {
      const client = await connect(t, port);
      ids.push(String(await client.command('CLUSTER', 'MYID')));
      client.close();
    }
    await proxy.stop();
  }
  for (const id of ids) t.match(id, /^[0-9a-f]{40}$/);
  t.same(ids.slice(0, 2), ids.slice(2));
  t.not(ids[0], ids[1]);
});

t.test('clients are told to connect where they came in, or to what is announced', async (t) => {
  const [server] = (await startRedisServers(1)) as [RedisServer];
  t.teardown(() => server.stop());
  const [wild, exact, plainPort] = [await freePort(), await freePort(), await freePort()];
  const folder = scratchFolder('sockets');
  t.teardown(() => removeFolder(folder));
  const socket = `${folder}/proxy.sock`;
  const services = [
    {
      name: 'announced',
      listen: [`0.0.0.0:${wild}`, `127.0.0.1:${exact}`, `unix:${socket}`],
      announce: ['redis.example.com:6379', '[2001:db8::1]:7000', '10.0.0.9:7001'],
    },
    { name: 'plain', listen: [`127.0.0.1:${plainPort}`, `unix:${socket}2`] },
  ];
  const layout = { pools: { main: { nodes: [server.url] } }, services };
  const proxy = await ProxyProcess.start({ layout, protectedMode: 'no' });
  t.teardown(() => proxy.kill9());
  const addressAt = async (target: number | string) => {
    const client = await RespClient.connect(target);
    t.teardown(() => client.close());
    const [[, , [host, port]]] = (await client.command('CLUSTER', 'SLOTS')) as [[number, number, [string, number]]];
    return [host, port];
  };
  t.same(await addressAt(wild), ['redis.example.com', 6379]);
  t.same(await addressAt(exact), ['2001:db8::1', 7000]);
  t.same(await addressAt(socket), ['10.0.0.9', 7001]);
  t.same(await addressAt(plainPort), ['127.0.0.1', plainPort]);
  t.same(await addressAt(`${socket}2`), ['', plainPort], 'the host that the client knows');

  proxy.reload((text) => text.replace('redis.example.com:6379', 'other.example.com:1'));
  await waitFor('the reload', async () => (await addressAt(wild))[0] !== 'redis.example.com');
  t.same(await addressAt(wild), ['other.example.com', 1], 'a reload holds at once');
});

/** Of slots with several keys, and of others. */
const KEYS = Array.from({ length: 600 }, (_, number) =>
  number < 40 ? `key:{${number % 4}}:${number}` : `key:${number}`,
);

t.test('a slot has the keys that are in it, wherever rules have placed them', async (t) => {
  const ways: { name: string; hasDatabases: boolean; port(t: Test): Promise<number> }[] = [
    { name: 'by slots', hasDatabases: true, port: async (t) => (await deploy(t)).port },
    {
      name: 'by rules of their own',
      hasDatabases: true,
      port: async (t) => (await deploy(t, { keyspaces: [{ prefix: '', pool: 'main', colocate: ['{key}:*'] }] })).port,
    },
    { name: 'replicated', hasDatabases: false, port: async (t) => (await deployReplicated(t)).proxies[0].port },
  ];
  for (const { name, hasDatabases, port } of ways) {
    t.test(name, async (t) => {
      const client = await connect(t, await port(t));
      for (const key of KEYS) await client.command('SET', key, 'value');
      const bySlot = new Map<number, string[]>();
      for (const key of KEYS) {
        const slot = slotOf(Buffer.from(key), 0, key.length);
        bySlot.set(slot, [...(bySlot.get(slot) ?? []), key]);
      }
      const largest = [...bySlot].toSorted(([, one], [, other]) => other.length - one.length).slice(0, 5);
      const empty = Array.from({ length: 16_384 }, (_, slot) => slot).find((slot) => !bySlot.has(slot)) as number;
      for (const [slot, keys] of [...largest, [empty, []] as [number, string[]]]) {
        t.equal(await client.command('CLUSTER', 'COUNTKEYSINSLOT', `${slot}`), keys.length);
        const all = (await client.command('CLUSTER', 'GETKEYSINSLOT', `${slot}`, '1000')) as string[];
        t.same(all.toSorted(), keys.toSorted());
        const some = (await client.command('CLUSTER', 'GETKEYSINSLOT', `${slot}`, '2')) as string[];
        t.equal(new Set(some).size, Math.min(2, keys.length));
        t.ok(some.every((key) => keys.includes(key)));
        t.same(await client.command('CLUSTER', 'GETKEYSINSLOT', `${slot}`, '0'), []);
      }
      const [[slot, keys]] = largest as [[number, string[]]];
      // Many at once, and something else behind them: in order.
      const frames = [...Array(50).fill(['CLUSTER', 'COUNTKEYSINSLOT', `${slot}`]), ['GET', keys[0]]].map(encodeWords);
      client.send(Buffer.concat(frames));
      for (let asked = 0; asked < 50; asked++) t.equal((await client.next()).toString(), `:${keys.length}\r\n`);
      t.equal((await client.next()).toString(), '$5\r\nvalue\r\n');
      await client.command('SELECT', '3');
      const elsewhere = (await client.raw('CLUSTER', 'COUNTKEYSINSLOT', `${slot}`)).toString();
      t.equal(elsewhere, hasDatabases ? ':0\r\n' : '-ERR replicated keys are in database 0 only\r\n');
      await client.command('MULTI');
      t.match(
        (await client.raw('CLUSTER', 'COUNTKEYSINSLOT', '1')).toString(),
        '-ERR CLUSTER COUNTKEYSINSLOT inside MULTI is not',
      );
      t.match((await client.raw('EXEC')).toString(), /^-EXECABORT/);
    });
  }
});

t.test('the keys of a slot of a node that is down: an error that names it; of others they are told', async (t) => {
  const deployment = await deploy(t, { limits: { requestTimeoutMs: 500 } });
  const client = await connect(t, deployment.port);
  const keys = [0, 1].map((node) => deployment.key(node));
  for (const key of keys) await client.command('SET', key, 'value');
  await deployment.servers[0]?.kill9();
  const [down, up] = keys.map((key) => `${slotOf(Buffer.from(key), 0, key.length)}`) as [string, string];
  t.match((await client.raw('CLUSTER', 'COUNTKEYSINSLOT', down)).toString(), /^-NODEDOWN node a\b/);
  t.equal(await client.command('CLUSTER', 'COUNTKEYSINSLOT', up), 1);
});

t.test('keys without slots: it is no cluster', async (t) => {
  const { port } = await deploy(t, { keyspaces: [{ prefix: '', pool: 'main', placement: 'ketama' }] });
  const client = await connect(t, port);
  const refused = '-ERR This instance has cluster support disabled\r\n';
  for (const line of ['CLUSTER SLOTS', 'CLUSTER COUNTKEYSINSLOT 1', 'CLUSTER MEET 127.0.0.1 1', 'READONLY', 'ASKING']) {
    t.equal((await client.raw(...line.split(' '))).toString(), refused, line);
  }
  t.match(await client.command('INFO', 'cluster'), /^cluster_enabled:0\r$/m);
});

t.test('what would change the cluster is refused with the reason', async (t) => {
  const { port } = await deploy(t, { nodes: 1 });
  const client = await connect(t, port);
  for (const words of ['ADDSLOTS 1', 'MEET 127.0.0.1 7000', 'FAILOVER', 'RESET HARD', 'SETSLOT 1 STABLE', 'FORGET x']) {
    const name = words.split(' ')[0] as string;
    t.match(
      (await client.raw('CLUSTER', ...words.split(' '))).toString(),
      `-ERR CLUSTER ${name} is not supported by this proxy: it shows itself`,
    );
  }
  t.match(await client.command('INFO', 'cluster'), /^cluster_enabled:1\r$/m);
  t.match(await client.command('INFO', 'server'), /^redis_mode:standalone\r$/m);
});

/** A real cluster of one node that has all slots. */
async function startCluster(t: Test): Promise<RedisServer> {
  const server = await RedisServer.start({ args: ['--cluster-enabled', 'yes'] });
  t.teardown(() => server.stop());
  const client = await connect(t, server.port);
  await client.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383');
  await waitFor('the cluster', async () => /cluster_state:ok/.test(String(await client.command('CLUSTER', 'INFO'))));
  return server;
}

/** A reply without what must differ: ids, the address, that of the bus, and lengths that follow from these. */
function plain(reply: string, port: number): string {
  return reply
    .replaceAll(/[0-9a-f]{40}/g, 'ID')
    .replace(/@\d+/, '@BUS')
    .replaceAll('127.0.0.1', '')
    .replaceAll(`${port}`, 'PORT')
    .replaceAll(/\$9(?=\r\n\r\n)/g, '$0')
    .replace(/[$=]\d+(?=\r\n(txt:)?ID )/, 'LENGTH');
}
