/** The supervisor in this process, with workers of its own: what no signal and no file can bring about. */
import { connect } from 'node:net';
import pino from 'pino';
import t, { type Test } from 'tap';
import { type Config, parseConfig } from '../../src/config.js';
import { BulkPool } from '../../src/control/bulk-pool.js';
import { Keeper } from '../../src/control/keeper.js';
import { type Ringleader, startRingleader } from '../../src/control/supervisor.js';
import { connectTo, startEtcdStore } from '../help/fleet-stores.js';
import { freePort } from '../help/free-port.js';
import { startRedisServers } from '../help/redis-server.js';
import { waitFor } from '../help/wait-for.js';

function configOf(ports: readonly number[], nodes: number, coordination: object = {}, more: object = {}): Config {
  const result = parseConfig(
    JSON.stringify({
      listen: ports.map((port) => `127.0.0.1:${port}`),
      workers: 1,
      coordination,
      pools: { main: { nodes: Array.from({ length: nodes }, (_, index) => `unix:/nowhere/node-${index}.sock`) } },
      ...more,
    }),
    { workers: 1, environment: {} },
  );
  if ('problems' in result) throw new Error(JSON.stringify(result.problems));
  return result.config;
}

async function start(t: Test, config: Config): Promise<{ ringleader: Ringleader; logged: Record<string, unknown>[] }> {
  const logged: Record<string, unknown>[] = [];
  const log = pino({ level: 'trace' }, { write: (line: string) => logged.push(JSON.parse(line)) });
  const ringleader = await startRingleader({ config, acceptRemap: false, log, stopped: new AbortController().signal });
  t.teardown(() => ringleader.stop());
  return { ringleader, logged };
}

/** Whether clients can connect there. */
function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

t.test('an end in the midst of a comparison of nodes is one in order', async (t) => {
  const servers = await startRedisServers(3);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const { digestPage } = BulkPool.prototype;
  t.teardown(() => {
    BulkPool.prototype.digestPage = digestPage;
  });
  let onComparing = () => {};
  let goOn = () => {};
  const comparing = new Promise<void>((resolve) => {
    onComparing = resolve;
  });
  const ending = new Promise<void>((resolve) => {
    goOn = resolve;
  });
  BulkPool.prototype.digestPage = async function (...page) {
    onComparing();
    await ending;
    return digestPage.apply(this, page);
  };
  const keyspaces = [{ prefix: '', pool: 'main', mode: 'replicated', copies: 3, consistency: 'eventual' }];
  const pools = { main: { nodes: servers.map(({ url }) => url) } };
  const { ringleader } = await start(t, configOf([await freePort()], 0, {}, { pools, keyspaces }));
  await comparing;
  const stopped = ringleader.stop();
  setTimeout(goOn, 50);
  t.equal(await stopped, 0);
});

t.test('a reload whose keys cannot be placed fails, says why, and leaves nothing open', async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const { ringleader, logged } = await start(t, configOf([port], 3));
  const { placeKeys } = BulkPool.prototype;
  BulkPool.prototype.placeKeys = () => Promise.reject(new Error('no thread can be started'));
  t.teardown(() => {
    BulkPool.prototype.placeKeys = placeKeys;
  });
  const next = configOf([port, other], 4);
  const reasons = ['no thread can be started'];
  t.same(await ringleader.reload(next, true), { outcome: 'failed', reasons });
  t.match(
    logged.filter(({ msg }) => msg === 'reload-failed'),
    [{ reason: reasons[0] }],
  );
  t.equal(ringleader.facts().topologyVersion, 1);
  t.same([await isOpen(port), await isOpen(other)], [true, false]);
  BulkPool.prototype.placeKeys = placeKeys;
  t.same(await ringleader.reload(next, true), { outcome: 'applied', reasons: [] });
  t.same([await isOpen(port), await isOpen(other)], [true, true]);
});

t.test(
  'a reload does not give locks to the memory of a process, whatever the store is to be at the next start',
  async (t) => {
    const port = await freePort();
    const { ringleader, logged } = await start(t, configOf([port], 3));
    const keyspaces = [
      { prefix: '', pool: 'main' },
      { prefix: 'lock:', pool: 'main', mode: 'lock', provider: 'store' },
    ];
    const nexts = [
      configOf([port], 3, {}, { keyspaces, dataDir: t.testdir() }),
      configOf([port], 3, { store: 'etcd', endpoints: ['http://127.0.0.1:1'] }, { keyspaces }),
    ];
    for (const next of nexts) {
      const { outcome, reasons } = await ringleader.reload(next, true);
      t.equal(outcome, 'refused');
      t.equal(reasons.length, 1);
      t.match(reasons[0], /^keyspace "lock:": .* store takes a dataDir where coordination.store is file/);
    }
    t.equal(logged.filter(({ msg }) => msg === 'reload-refused').length, nexts.length);
    t.equal(ringleader.facts().topologyVersion, 1);
  },
);

t.test('a proxy that is stopped while it places the keys of a reload ends in order', async (t) => {
  const [port, other] = [await freePort(), await freePort()];
  const { ringleader, logged } = await start(t, configOf([port], 3));
  // More than are placed at once, in this thread.
  const reload = ringleader.reload(configOf([port, other], 2_000), true);
  const [code, result] = await Promise.all([ringleader.stop(), reload]);
  t.equal(code, 0);
  t.same(result, { outcome: 'failed', reasons: ['the proxy is not running'] });
  t.same([await isOpen(port), await isOpen(other)], [false, false]);
  t.same(
    logged.filter(({ msg }) => msg === 'reloaded' || msg === 'reload-failed'),
    [],
  );
});

t.test(
  'a proxy that is stopped while a worker hangs does not say that it goes by what that one never got',
  async (t) => {
    // That it is not ended, and another started in its place, before all this has happened.
    const limits = { workerStallTimeoutMs: '60s' };
    const config = async (nodes: number): Promise<Config> => {
      return { ...configOf([await freePort()], nodes, {}, { limits }), drainTimeoutMs: 50 };
    };
    const { ringleader } = await start(t, await config(3));
    ringleader.breakWorker(0, 'hang');
    const reload = ringleader.reload(await config(4), true);
    await waitFor('the topology to be written', () => ringleader.facts().fleet.topologyVersion === 2);
    const [, result] = await Promise.all([ringleader.stop(), reload]);
    t.same(result, { outcome: 'failed', reasons: ['the proxy is not running'] });
    t.equal(ringleader.facts().topologyVersion, 1);
  },
);

t.test('a topology that could not be followed for a reason that passes is followed when it has passed', async (t) => {
  const store = await startEtcdStore(t);
  if (store === null) return;
  const { ringleader, logged } = await start(
    t,
    configOf([await freePort()], 3, { ...store.section, cluster: 'passing' }),
  );
  const { placeKeys } = BulkPool.prototype;
  const restore = () => {
    BulkPool.prototype.placeKeys = placeKeys;
  };
  t.teardown(restore);
  BulkPool.prototype.placeKeys = () => Promise.reject(new Error('no thread can be started'));
  const other = connectTo(store, 'passing');
  t.teardown(() => other.close());
  const keeper = new Keeper(other, 'other', { onTopology: () => {}, onSeen: () => {}, onTrouble: () => {} });
  await keeper.change((there) => {
    const [pool] = there?.layout.pools ?? [];
    if (there === null || pool === undefined) throw new Error('the store has no topology');
    const nodes = [...pool.nodes, { name: 'more', weight: 1, address: 'unix:/nowhere/more.sock' }];
    return { ...there.layout, pools: [{ ...pool, nodes }] };
  });
  const said = () => logged.filter(({ msg }) => msg === 'topology-not-followed');
  await waitFor('the failure', () => said().length > 0);
  t.match(said(), [{ topology: 2, reason: 'no thread can be started' }]);
  t.equal(ringleader.facts().topologyVersion, 1);
  restore();
  await waitFor('the topology', () => ringleader.facts().topologyVersion === 2);
  t.equal(ringleader.facts().nodes.length, 4);
  t.equal(said().length, 1, 'what is tried again is said once');
  await waitFor('what others see', () => ringleader.facts().fleet.members[0]?.reason === null);
});
