import t from 'tap';
import { FOLDER_ENTRIES_MAX } from '../../src/coord/key.js';
import { Store } from '../../src/coord/store.js';
import { ZooKeeperDriver } from '../../src/coord/zookeeper-driver.js';
import { OP } from '../../src/coord/zookeeper-requests.js';
import type { ZooKeeperEndpoint, ZooKeeperLogin } from '../../src/coord/zookeeper-session.js';
import { Relay } from '../help/relay.js';
import { findZooKeeper, ZooKeeperEnsemble } from '../help/zookeeper.js';
import { configurationOf } from './candidate.js';
import { KEY, write } from './case.js';
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

  t.test('a change that arrives late does not meet an entry that was removed and made again since', async (t) => {
    const relay = await Relay.start();
    t.teardown(() => relay.stop());
    relay.to((servers.endpoints[0] as ZooKeeperEndpoint).port);
    const open = (endpoints: readonly ZooKeeperEndpoint[]) => {
      // However slow the machine is: nothing is attempted twice.
      const times = { timeoutMs: 20_000, attemptMs: 15_000 };
      const store = new Store(new ZooKeeperDriver({ endpoints, login: null, tls: null }, 'ringleader/late'), times);
      t.teardown(() => store.close());
      return store;
    };
    const late = open([{ host: '127.0.0.1', port: relay.port }]);
    const other = open(servers.endpoints);
    const made = await write(other, KEY, 'a');
    t.same(await late.get(KEY), { version: made, value: 'a' });
    // What it goes by was read by then.
    const isChange = relay.silenceAt((bytes) => bytes.length >= 12 && bytes.readInt32BE(8) === OP.multi);
    const change = late.compareAndSet(KEY, made, 'late');
    await isChange;
    await write(other, KEY, null);
    // ZooKeeper's own version of it is that of before.
    const again = await write(other, KEY, 'b');
    relay.mend();
    t.same(await change, { kind: 'conflict', found: { version: again, value: 'b' } });
    t.same(await other.get(KEY), { version: again, value: 'b' });
  });

  t.test('ZooKeeper of three servers', async (t) => {
    await testContract(t, {
      connect: (cluster, server = 0, entriesMax = FOLDER_ENTRIES_MAX) => {
        const { endpoints } = servers;
        const order = [...endpoints.slice(server), ...endpoints.slice(0, server)];
        return new ZooKeeperDriver({ endpoints: order, login: null, tls: null }, `ringleader/${cluster}`, entriesMax);
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
