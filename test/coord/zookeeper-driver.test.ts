import t from 'tap';
import { Store } from '../../src/coord/store.js';
import { ZooKeeperDriver } from '../../src/coord/zookeeper-driver.js';
import type { ZooKeeperLogin } from '../../src/coord/zookeeper-session.js';
import { findZooKeeper, ZooKeeperEnsemble } from '../help/zookeeper.js';
import { configurationOf } from './candidate.js';
import { testContract } from './contract.js';

const program = await findZooKeeper();

if ('reason' in program) t.pass(`not tried: ${program.reason}`, { skip: program.reason });
else {
  const servers = await ZooKeeperEnsemble.start(program);
  t.teardown(() => servers.stop());

  t.test('ZooKeeper that keeps what is ours for who has our password', async (t) => {
    const { endpoints } = servers;
    const open = (login: ZooKeeperLogin | null) => {
      const store = new Store(new ZooKeeperDriver({ endpoints, login, tls: null }, 'ringleader/auth'));
      t.teardown(() => store.close());
      return store;
    };
    const login = { username: 'fleet', password: 's3cret' };
    const key = { folder: 'things', name: 'one' };
    const written = await open(login).compareAndSet(key, 0, 'a');
    t.equal(written.kind, 'done');
    t.equal((await open(login).get(key)).value, 'a');
    for (const other of [null, { ...login, password: 'wrong' }]) {
      await t.rejects(open(other).get(key), { fault: 'refused', message: /code -102/ });
      await t.rejects(open(other).compareAndSet(key, 1, 'b'), { fault: 'refused', message: /code -102/ });
    }
  });

  t.test('ZooKeeper of three servers', async (t) => {
    await testContract(t, {
      connect: (cluster, server = 0) => {
        const { endpoints } = servers;
        const order = [...endpoints.slice(server), ...endpoints.slice(0, server)];
        return new ZooKeeperDriver({ endpoints: order, login: null, tls: null }, `ringleader/${cluster}`);
      },
      configuration: (cluster) =>
        configurationOf({
          store: 'zookeeper',
          endpoints: servers.endpoints.map(({ host, port }) => `${host}:${port}`),
          cluster,
        }),
      servers,
      stop: async () => {},
    });
  });
}
