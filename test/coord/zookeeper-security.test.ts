/** ZooKeeper whose servers and clients show each other certificates, and that keeps what is ours for who has our password. */
import t, { type Test } from 'tap';
import { FOLDER_ENTRIES_MAX } from '../../src/coord/key.js';
import { Store } from '../../src/coord/store.js';
import { ZooKeeperDriver } from '../../src/coord/zookeeper-driver.js';
import type { ZooKeeperEndpoint, ZooKeeperLogin } from '../../src/coord/zookeeper-session.js';
import { Certificates, noCertificates } from '../help/certificates.js';
import { findZooKeeper, ZooKeeperEnsemble, type ZooKeeperProgram } from '../help/zookeeper.js';
import { configurationOf } from './candidate.js';
import { faultOf, KEY, write } from './case.js';
import { openConfigured } from './configured.js';
import { testContract } from './contract.js';
import { Watched } from './watched.js';

const program = await findZooKeeper();
const reason = 'reason' in program ? program.reason : noCertificates();

const LOGIN = { username: 'fleet', password: 's3cret' };

if (reason !== null) t.pass(`not tried: ${reason}`, { skip: reason });
else {
  t.test('ZooKeeper with certificates and a password', (t) => testSecurity(t, program as ZooKeeperProgram));
}

async function testSecurity(t: Test, program: ZooKeeperProgram): Promise<void> {
  const certificates = new Certificates();
  const strangers = new Certificates();
  t.teardown(() => {
    certificates.remove();
    strangers.remove();
  });
  const servers = await ZooKeeperEnsemble.start(program, { certificates });
  t.teardown(() => servers.stop());
  const { ca } = certificates;
  const keys = certificates.certify('a member');
  const own = { ca, ...keys, serverName: null };
  const driver = (
    endpoints: readonly ZooKeeperEndpoint[],
    tls: object,
    login: ZooKeeperLogin | null,
    cluster: string,
    entriesMax = FOLDER_ENTRIES_MAX,
  ) => new ZooKeeperDriver({ endpoints, login, tls: { ...own, ...tls } }, `ringleader/${cluster}`, entriesMax);
  const open = (
    tls: object,
    { endpoints = servers.tlsEndpoints, login = LOGIN as ZooKeeperLogin | null, cluster = 'own' } = {},
  ) => {
    const store = new Store(driver(endpoints, tls, login, cluster));
    t.teardown(() => store.close());
    return store;
  };

  const doubtsOf = async (cluster: string) => {
    const asked = driver(servers.tlsEndpoints, {}, LOGIN, cluster);
    t.teardown(() => asked.close());
    return asked.doubts(5_000);
  };

  await t.test('the contract', (t) =>
    testContract(t, {
      connect: (cluster, server = 0, entriesMax = FOLDER_ENTRIES_MAX) => {
        const { tlsEndpoints } = servers;
        return driver(
          [...tlsEndpoints.slice(server), ...tlsEndpoints.slice(0, server)],
          {},
          LOGIN,
          cluster,
          entriesMax,
        );
      },
      servers: null,
      stop: async () => {},
    }),
  );

  await t.test('a configuration says all that it takes', async (t) => {
    const endpoints = servers.tlsEndpoints.map(({ host, port }) => `${host}:${port}`);
    const section = { store: 'zookeeper', cluster: 'configured', endpoints, ...LOGIN, tls: { ca, ...keys } };
    const { store, place, doubts } = openConfigured(t, configurationOf(section));
    await write(store, KEY, 'a');
    t.equal((await store.get(KEY)).value, 'a');
    t.same(await doubts(), []);
    t.ok(
      endpoints.every((endpoint) => place.includes(endpoint)),
      place,
    );
    t.notMatch(place, LOGIN.password);
    const wrong = openConfigured(t, configurationOf({ ...section, password: 'wrong' }));
    t.equal(await faultOf(wrong.store.get(KEY)), 'refused');
  });

  await t.test('who is not trusted is refused, and it is said what to look at', async (t) => {
    const TABLE: [string, object, RegExp][] = [
      ['another authority', { ca: strangers.ca }, /its certificate cannot be trusted \(see tls.ca\): /],
      ['those that Node knows', { ca: null }, /its certificate cannot be trusted \(see tls.ca\): /],
      ['another name', { serverName: 'elsewhere' }, /its certificate is for another host \(see tls.serverName\): /],
      ['no certificate', { cert: null, key: null }, /it does not trust this process \(see tls.cert\): /],
      ['one of another authority', strangers.certify('a'), /it does not trust this process \(see tls.cert\): /],
    ];
    for (const [what, tls, message] of TABLE) {
      await t.rejects(open(tls).get(KEY), { fault: 'refused', message }, what);
      await t.rejects(open(tls).compareAndSet(KEY, 0, 'x'), { fault: 'refused', message }, `${what}, a change`);
    }
    const gone = open({ ca: '/nowhere/ca.pem' });
    await t.rejects(gone.get(KEY), { fault: 'unavailable', message: /^\/nowhere\/ca.pem cannot be read: ENOENT/ });
    await t.rejects(open({}, { endpoints: servers.endpoints }).get(KEY), {
      fault: 'unavailable',
      message: /TLS|ECONNRESET|closed/,
    });
  });

  await t.test('what a fleet has made is its own', async (t) => {
    const cluster = 'acl';
    const store = open({}, { cluster });
    await write(store, KEY, 'a');
    // What is made anew, too.
    await write(store, KEY, null);
    await write(store, KEY, 'b');
    for (const login of [null, { ...LOGIN, password: 'wrong' }]) {
      const stranger = open({}, { cluster, login });
      const refused = { fault: 'refused', message: /code -102: it is for another username and password than these$/ };
      await t.rejects(stranger.get(KEY), refused);
      await t.rejects(stranger.compareAndSet(KEY, 1, 'x'), refused);
      await t.rejects(stranger.compareAndSet({ folder: 'new', name: 'one' }, 0, 'x'), refused, 'a folder beside it');
      const watched = new Watched(stranger, KEY.folder);
      await watched.until('what is wrong', () => watched.trouble !== null);
      t.match(watched.trouble, refused);
      watched.close();
    }
    t.equal((await store.get(KEY)).value, 'b');
    t.same(await doubtsOf(cluster), []);
  });

  await t.test('what was made without a password is doubted', async (t) => {
    await write(open({}, { cluster: 'world', login: null }), KEY, 'a');
    t.match(await doubtsOf('world'), [
      /^\/ringleader\/world of ZooKeeper was made by another username .*others may change/,
    ]);
  });
}
