/** The registers of a coordination store, on real Redis servers that lose their data, are full, or have what somebody else wrote. */
import { pino } from 'pino';
import t, { type Test } from 'tap';
import { parseConfig } from '../../src/config.js';
import { openCoordination } from '../../src/control/coordination.js';
import { examine } from '../../src/control/doctor.js';
import { reportKey } from '../../src/control/key-report.js';
import { planReplicatedPools } from '../../src/control/replicated-pools.js';
import { Store } from '../../src/coord/store.js';
import { strongLevel } from '../../src/routing/levels.js';
import { faultOf, KEY, OTHER, versionOf, write } from '../coord/case.js';
import { Watched } from '../coord/watched.js';
import { ProxyProcess } from '../help/proxy.js';
import { poolOf, RedisStore } from '../help/redis-store.js';
import { connect, type RespClient } from '../help/resp-client.js';
import { waitFor } from '../help/wait-for.js';

const REGISTER = '~rl:coord:fleet/things';

async function start(t: Test, count = 3, keepsData = false): Promise<RedisStore> {
  const nodes = await RedisStore.start(count, keepsData);
  t.teardown(() => nodes.stop());
  return nodes;
}

/** A server may take seconds for one write to its disk, where all of a suite's wait for the same. */
const TIMES = { timeoutMs: 30_000, attemptMs: 1_000 };

function open(t: Test, nodes: RedisStore, cluster = 'fleet'): Store {
  const store = new Store(nodes.connect(cluster), TIMES);
  t.teardown(() => store.close());
  return store;
}

/**
 * Writes KEY until all of these have it, and returns its version. A write is answered when two of three have it; the third one may miss it, where it
 * was not connected to yet, and what misses nothing else is not given it before the key is written again.
 */
async function writeToAll(store: Store, clients: readonly RespClient[], value: string): Promise<number> {
  let version = 0;
  await waitFor('all copies', async () => {
    version = await write(store, KEY, value);
    const found = await Promise.all(clients.map((client) => client.command('HGET', REGISTER, 'one')));
    return found[0] !== null && new Set(found.map(String)).size === 1;
  });
  return version;
}

t.test('a node that was replaced by an empty one is given the registers before it has a vote', async (t) => {
  const nodes = await start(t);
  const store = open(t, nodes);
  const other = open(t, nodes);
  const watched = new Watched(open(t, nodes), 'things');
  await write(store, OTHER, 'kept');
  for (const [turn, victim] of [2, 0, 1].entries()) {
    await nodes.kill(victim);
    nodes.server(victim).erase();
    const version = await write(turn % 2 === 0 ? store : other, KEY, `without ${victim}`);
    await nodes.restart(victim);
    await waitFor('its repair', () => nodes.events.filter(({ msg }) => msg === 'repaired').length > turn, 30_000);
    await nodes.settled();
    // Now it is one of those that decide.
    const rest = (victim + 1) % 3;
    await nodes.kill(rest);
    t.same(await store.get(KEY), { version, value: `without ${victim}` });
    t.equal((await other.get(OTHER)).value, 'kept');
    await nodes.restart(rest);
    await nodes.settled();
  }
  await watched.until('the last', () => watched.values.includes('one=without 1'));
  t.same(watched.faults, []);
  const { isWell, lines } = await examine(nodes.replicated, false, { repair: false, acceptLoss: false });
  t.ok(isWell, lines.join('\n'));
  t.match(await reportKey(nodes.replicated, Buffer.from(REGISTER)), /^3 copies in pool main, 2 decide\n/);
});

t.test('one that was emptied by hand is so, too', async (t) => {
  const nodes = await start(t);
  const store = open(t, nodes);
  const version = await write(store, KEY, 'a');
  const client = await connect(t, nodes.server(1).port);
  await client.command('FLUSHALL');
  await waitFor('its repair', () => nodes.events.some(({ msg }) => msg === 'repaired'), 30_000);
  await nodes.settled();
  t.equal(await client.command('EXISTS', REGISTER), 1);
  await nodes.kill(2);
  t.same(await store.get(KEY), { version, value: 'a' });
});

t.test('who would have the registers on other nodes is refused, and changes nothing', async (t) => {
  const nodes = await start(t, 4);
  const store = open(t, nodes);
  // Of others' two at least one has to have it.
  const clients = await Promise.all(nodes.servers.slice(0, 3).map(({ port }) => connect(t, port)));
  const version = await writeToAll(store, clients, 'a');
  const [first, ...rest] = poolOf(nodes.servers).nodes;
  // The same servers; by its name the last of them comes first now.
  const pool = { ...nodes.pool, nodes: [...rest, { ...(first as (typeof rest)[number]), name: 'z' }] };
  const driver = nodes.connect('fleet', pool);
  const other = new Store(driver, { timeoutMs: 3_000, attemptMs: 500 });
  t.teardown(() => other.close());
  const refusal = {
    fault: 'refused',
    message:
      'the coordination store lies on the nodes n0 n1 n2 of its pool, and by this configuration it would lie on n1 n2 n3',
  };
  await t.rejects(other.get(KEY), refusal);
  await t.rejects(other.list('things'), refusal);
  await t.rejects(other.compareAndSet(KEY, version, 'b'), refusal);
  t.same(await store.get(KEY), { version, value: 'a' });
});

t.test('a fleet goes on while its nodes have no memory left', async (t) => {
  const nodes = await start(t);
  const store = open(t, nodes);
  const version = await write(store, KEY, 'a');
  for (const { port } of nodes.servers) {
    const client = await connect(t, port);
    await client.command('CONFIG', 'SET', 'maxmemory', '1');
    t.match(await client.command('SET', 'x', 'y').catch(String), /OOM/);
  }
  const watched = new Watched(open(t, nodes), 'things');
  const changed = versionOf(await store.compareAndSet(KEY, version, 'b'));
  t.same(await open(t, nodes).get(KEY), { version: changed, value: 'b' });
  versionOf(await store.compareAndSet(OTHER, version, 'c'));
  await watched.until('all', () => `${watched.values}` === 'one=b,other=c');
  t.same(watched.troubles, []);
});

t.test('it does so while one of them is behind', async (t) => {
  for (const behind of [0, 1, 2]) {
    const nodes = await start(t);
    const clients = await Promise.all(nodes.servers.map(({ port }) => connect(t, port)));
    const before = await writeToAll(open(t, nodes), clients, 'a');
    nodes.pause(behind);
    const store = open(t, nodes);
    let version = versionOf(await store.compareAndSet(KEY, before, 'b'));
    const full = clients.map((client) => client.command('CONFIG', 'SET', 'maxmemory', '1'));
    nodes.resume(behind);
    await Promise.all(full);
    for (const value of ['c', 'd']) {
      version = versionOf(await store.compareAndSet(KEY, version, value));
      t.same(await open(t, nodes).get(KEY), { version, value });
    }
  }
});

t.test('what somebody else wrote under the name of a register is refused, and left as it is', async (t) => {
  const nodes = await start(t);
  const store = open(t, nodes);
  const clients = await Promise.all(nodes.servers.map(({ port }) => connect(t, port)));
  for (const client of clients) await client.command('SET', REGISTER, 'foreign');
  const refusal = { fault: 'refused', message: 'a register was not written by this program' };
  await t.rejects(store.get(KEY), refusal);
  await t.rejects(store.list('things'), refusal);
  await t.rejects(store.compareAndSet(KEY, 0, 'a'), refusal);
  for (const client of clients) t.equal(await client.command('GET', REGISTER), 'foreign');
});

t.test('nodes of another fleet of servers are not believed', async (t) => {
  const nodes = await start(t);
  const others = await start(t);
  await write(open(t, nodes), KEY, 'ours');
  await write(open(t, others), KEY, 'theirs');
  const mixed = poolOf([nodes.server(0), nodes.server(1), others.server(2)]);
  const store = new Store(nodes.connect('fleet', mixed));
  t.teardown(() => store.close());
  for (let count = 0; count < 5; count++) t.equal((await store.get(KEY)).value, 'ours');
  await nodes.kill(1);
  const torn = new Store(nodes.connect('fleet', mixed), { timeoutMs: 1_000, attemptMs: 500 });
  t.teardown(() => torn.close());
  t.equal(await faultOf(torn.get(KEY)), 'unavailable', 'one of each is no majority of either');
});

t.test('what its user may not do is said', async (t) => {
  const nodes = await start(t);
  for (const { port } of nodes.servers) {
    const client = await connect(t, port);
    await client.command('ACL', 'SETUSER', 'weak', '>p', 'on', '~*', '&*', '+@all', '-hset', '-hmget');
  }
  const login = { username: 'weak', password: 'p' };
  const pool = { ...nodes.pool, nodes: nodes.pool.nodes.map((node) => ({ ...node, ...login })) };
  const store = new Store(nodes.connect('fleet', pool));
  t.teardown(() => store.close());
  await t.rejects(store.get(KEY), { message: /NOPERM|no permissions/ });
  t.equal(await faultOf(store.compareAndSet(KEY, 0, 'a')), 'refused');
});

t.test('nodes tell of each change', async (t) => {
  const nodes = await start(t);
  const registers = nodes.registers('fleet');
  t.teardown(() => registers.close());
  await registers.read('things', [], 5_000);
  let told = 0;
  registers.watch('things', () => told++);
  const store = open(t, nodes);
  for (let count = 0; count < 5; count++) {
    const before = told;
    await write(store, KEY, `${count}`);
    await waitFor('the hint', () => told > before);
  }
});

t.test('where no nodes can be asked it says why', async (t) => {
  const nodes = await start(t);
  const store = new Store(nodes.connect('fleet'), { timeoutMs: 1_500, attemptMs: 500 });
  t.teardown(() => store.close());
  await write(store, KEY, 'a');
  await nodes.kill(0);
  await nodes.kill(1);
  await t.rejects(store.get(KEY), {
    fault: 'unavailable',
    message: /^too few of its nodes can be asked: n0: .*(ECONNREFUSED|closed).*; n1: /,
  });
});

t.test('the store that a configuration names is opened, and has a fleet of its own', async (t) => {
  const nodes = await start(t);
  const openAs = (cluster: string) => {
    const urls = nodes.servers.map(({ url }, index) => `{ name: n${index}, url: "${url}" }`);
    const result = parseConfig(
      `
listen: 127.0.0.1:6380
pools: { cache: { nodes: [redis://127.0.0.1:1] }, main: { nodes: [${urls}], restart: keeps-data } }
keyspaces: [{ prefix: "", pool: cache }]
coordination: { store: redis, pool: main, cluster: ${cluster} }
`,
      { workers: 1, environment: {} },
    );
    if (!('config' in result)) throw new Error(JSON.stringify(result.problems));
    const { store, place } = openCoordination(result.config, { dataDir: null, log: pino({ level: 'silent' }) });
    t.teardown(() => store.close());
    t.equal(place, `redis, pool main at ${nodes.servers.map(({ name }) => name).join(', ')}`);
    return { store, config: result.config };
  };
  const { store, config } = openAs('fleet');
  const version = await write(store, KEY, 'a');
  t.same(await open(t, nodes).get(KEY), { version, value: 'a' });
  t.same(await openAs('other').store.get(KEY), { version: 0, value: null });
  const [pool] = await planReplicatedPools(config);
  t.match(pool, { name: 'main', prefixes: [], copySets: [[0, 1, 2]] });
  t.same(pool?.placeOf(Buffer.from(REGISTER)), {
    nodes: [0, 1, 2],
    idleTtlMs: null,
    isFence: false,
    level: strongLevel(3),
  });
  t.equal(pool?.placeOf(Buffer.from('theirs')), null);
});

t.test('clients of the pool see nothing of the registers, and cannot touch them', async (t) => {
  const nodes = await start(t);
  const store = open(t, nodes);
  const version = await write(store, KEY, 'a');
  const proxy = await ProxyProcess.start({
    nodes: nodes.servers.map(({ url }, index) => ({ name: `n${index}`, url })),
    keyspaces: [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3 }],
  });
  t.teardown(() => proxy.kill9());
  const client = await connect(t, proxy.port);
  await waitFor('a quorum', async () => (await client.command('SET', 'theirs', 'x').catch(() => '')) === 'OK');
  t.same(await client.command('KEYS', '*'), ['theirs']);
  t.equal(await client.command('DBSIZE'), 1);
  t.equal(await client.command('RANDOMKEY'), 'theirs');
  const scanned: unknown[] = [];
  for (let cursor = ''; cursor !== '0'; ) {
    const [next, keys] = (await client.command('SCAN', cursor || '0', 'COUNT', '1000')) as [string, unknown[]];
    cursor = next;
    scanned.push(...keys);
  }
  t.same(scanned, ['theirs']);
  for (const words of [
    ['GET', REGISTER],
    ['DEL', REGISTER],
    ['HSET', REGISTER, 'a', 'b'],
    ['RENAME', REGISTER, 'theirs'],
    ['GET', `~rl:m:${REGISTER}`],
  ]) {
    t.match(await client.command(...words).catch(String), /is the proxy's own/, words.join(' '));
  }
  t.match(await client.command('FLUSHALL').catch(String), /FLUSHALL is refused/);
  t.same(await store.get(KEY), { version, value: 'a' });
});
