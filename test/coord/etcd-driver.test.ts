import t from 'tap';
import { EtcdDriver } from '../../src/coord/etcd-driver.js';
import type { EtcdLogin } from '../../src/coord/etcd-gateway.js';
import { FOLDER_ENTRIES_MAX } from '../../src/coord/key.js';
import { Store } from '../../src/coord/store.js';
import { EtcdCluster, findEtcd } from '../help/etcd.js';
import { freePort } from '../help/free-port.js';
import { configurationOf } from './candidate.js';
import { testContract } from './contract.js';
import { Watched } from './watched.js';

const program = await findEtcd();

if ('reason' in program) t.pass(`not tried: ${program.reason}`, { skip: program.reason });
else {
  t.test('etcd of three members', async (t) => {
    const servers = await EtcdCluster.start(program);
    await testContract(t, {
      connect: (cluster, server = 0, entriesMax = FOLDER_ENTRIES_MAX) => {
        const { endpoints } = servers;
        const order = [...endpoints.slice(server), ...endpoints.slice(0, server)];
        return new EtcdDriver({ endpoints: order, login: null, tls: null }, `ringleader/${cluster}`, entriesMax);
      },
      configuration: (cluster) => configurationOf({ store: 'etcd', endpoints: servers.endpoints, cluster }),
      servers,
      stop: () => servers.stop(),
    });
  });

  t.test('etcd that asks for a password', async (t) => {
    const servers = await EtcdCluster.start(program);
    t.teardown(() => servers.stop());
    await servers.askForPassword('root', 's3cret');
    const open = (login: EtcdLogin | null) => {
      const store = new Store(new EtcdDriver({ endpoints: servers.endpoints, login, tls: null }, 'ringleader/auth'));
      t.teardown(() => store.close());
      return store;
    };
    const key = { folder: 'things', name: 'one' };
    for (const login of [null, { username: 'root', password: 'wrong' }, { username: 'nobody', password: 's3cret' }]) {
      await t.rejects(open(login).get(key), {
        fault: 'refused',
        message: /etcdserver: (user name is empty|authentication failed)/,
      });
    }
    const store = open({ username: 'root', password: 's3cret' });
    const watched = new Watched(store, 'things');
    t.same(await store.get(key), { version: 0, value: null });
    await watched.until('nothing', () => watched.told === 1);
    const made = await store.compareAndSet(key, 0, 'a');
    t.equal(made.kind, 'done');
    await watched.until('the change', () => watched.values.length === 1);
    t.same(watched.troubles, [], 'nothing had to be found out by looking again');
    // Servers that are started again have forgotten what they gave to whom gave the password.
    for (let index = 0; index < servers.size; index++) await servers.kill(index);
    for (let index = 0; index < servers.size; index++) await servers.restart(index);
    await servers.settled();
    const found = await store.get(key);
    t.equal(found.value, 'a');
    const changed = await store.compareAndSet(key, found.version, 'b');
    t.equal(changed.kind, 'done');
    await watched.until('the change', () => watched.values[0] === 'one=b');
  });

  t.test('what somebody else wrote is refused, and said where', async (t) => {
    const servers = await EtcdCluster.start(program);
    t.teardown(() => servers.stop());
    await servers.put('/ringleader/f/things/one', 'foreign');
    const store = new Store(new EtcdDriver({ endpoints: servers.endpoints, login: null, tls: null }, 'ringleader/f'));
    t.teardown(() => store.close());
    const faults = {
      fault: 'refused',
      message: 'the key /ringleader/f/things/one of etcd was not written by this program',
    };
    await t.rejects(store.get({ folder: 'things', name: 'one' }), faults);
    await t.rejects(store.list('things'), faults);
    const watched = new Watched(store, 'things');
    await watched.until('the trouble', () => watched.trouble !== null);
  });

  t.test('etcd that never forgets is doubted, and one that asks for no password refuses one', async (t) => {
    const servers = await EtcdCluster.start(program);
    t.teardown(() => servers.stop());
    const driver = new EtcdDriver({ endpoints: servers.endpoints, login: null, tls: null }, 'ringleader/doubts');
    const store = new Store(driver);
    t.teardown(() => store.close());
    const key = { folder: 'things', name: 'one' };
    for (const value of ['a', 'b', 'c', 'd']) {
      await store.compareAndSet(key, (await store.get(key)).version, value);
    }
    t.same(await driver.doubts(5_000), [], 'it is young');
    t.match(await driver.doubts(5_000, 3), [/^etcd forgets nothing, .*--auto-compaction-retention 1h$/]);
    await servers.ask('/v3/kv/compaction', { revision: '3' });
    t.same(await driver.doubts(5_000, 3), []);

    const login = { username: 'fleet', password: 's3cret' };
    const named = new Store(new EtcdDriver({ endpoints: servers.endpoints, login, tls: null }, 'ringleader/doubts'));
    t.teardown(() => named.close());
    await t.rejects(named.get(key), {
      fault: 'refused',
      message: /authentication is not enabled \(HTTP \d+\): leave out username and password, or enable it$/,
    });
  });

  t.test('where no etcd is, nothing is done, and it is said', async (t) => {
    const endpoints = [`http://127.0.0.1:${await freePort()}`];
    const driver = new EtcdDriver({ endpoints, login: null, tls: null }, 'ringleader/none');
    const store = new Store(driver, { timeoutMs: 300, attemptMs: 100 });
    t.teardown(() => store.close());
    const key = { folder: 'things', name: 'one' };
    await t.rejects(store.get(key), { fault: 'unavailable', message: /ECONNREFUSED/ });
    await t.rejects(store.compareAndSet(key, 0, 'a'), { fault: 'unavailable', message: /ECONNREFUSED/ });
  });
}
