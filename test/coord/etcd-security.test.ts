/** etcd whose members and clients show each other certificates, and that asks for passwords. */
import { generateKeyPairSync } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { EtcdDriver } from '../../src/coord/etcd-driver.js';
import type { EtcdLogin } from '../../src/coord/etcd-gateway.js';
import { FOLDER_ENTRIES_MAX } from '../../src/coord/key.js';
import { Store } from '../../src/coord/store.js';
import { Certificates, noCertificates } from '../help/certificates.js';
import { removeFolder, scratchFolder } from '../help/child.js';
import { EtcdCluster, type EtcdProgram, findEtcd } from '../help/etcd.js';
import { waitFor } from '../help/wait-for.js';
import { configurationOf } from './candidate.js';
import { faultOf, KEY, write } from './case.js';
import { openConfigured } from './configured.js';
import { testContract } from './contract.js';
import { Watched } from './watched.js';

const program = await findEtcd();
const reason = 'reason' in program ? program.reason : noCertificates();

/** The weakest hashes of passwords: each store logs in. */
const QUICK = ['--bcrypt-cost', '4'];
const LOGIN = { username: 'fleet', password: 's3cret' };

if (reason !== null) t.pass(`not tried: ${reason}`, { skip: reason });
else {
  t.test('etcd with certificates and a user that may do no more than it needs', (t) =>
    testCertificates(t, program as EtcdProgram),
  );
  t.test('etcd that gives tokens which end', (t) => testTokens(t, program as EtcdProgram));
}

async function testCertificates(t: Test, program: EtcdProgram): Promise<void> {
  const certificates = new Certificates();
  const strangers = new Certificates();
  t.teardown(() => {
    certificates.remove();
    strangers.remove();
  });
  const servers = await EtcdCluster.start(program, { certificates, args: QUICK });
  t.teardown(() => servers.stop());
  await servers.addUser(LOGIN.username, LOGIN.password);
  await servers.allow(LOGIN.username, '/ringleader/');
  await servers.addUser('stranger', 's3cret');
  await servers.askForPassword('root', 's3cret');

  const { ca } = certificates;
  const keys = certificates.certify('');
  const trusted = { ca, ...keys, serverName: null };
  const driver = (
    endpoints: readonly string[],
    tls: object,
    login: EtcdLogin | null,
    cluster: string,
    entriesMax = FOLDER_ENTRIES_MAX,
  ) => new EtcdDriver({ endpoints, login, tls: { ...trusted, ...tls } }, `ringleader/${cluster}`, entriesMax);
  const open = (tls: object, { endpoints = servers.tlsEndpoints, login = LOGIN as EtcdLogin | null } = {}) => {
    const store = new Store(driver(endpoints, tls, login, 'own'));
    t.teardown(() => store.close());
    return store;
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
    const endpoints = servers.tlsEndpoints;
    const section = { store: 'etcd', cluster: 'configured', endpoints, ...LOGIN, tls: { ca, ...keys } };
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
    const foreign = strangers.certify('a stranger');
    const TABLE: [string, object, RegExp][] = [
      ['another authority', { ca: strangers.ca }, /its certificate cannot be trusted \(see tls.ca\): /],
      ['those that Node knows', { ca: null }, /its certificate cannot be trusted \(see tls.ca\): /],
      ['another name', { serverName: 'elsewhere' }, /its certificate is for another host \(see tls.serverName\): /],
      ['no certificate', { cert: null, key: null }, /it does not trust this process \(see tls.cert\): /],
      [
        'one that may be taken for a user',
        certificates.certify('root'),
        /ignored and not used as expected.*without a common name/,
      ],
      ['one of another authority', foreign, /it does not trust this process \(see tls.cert\): /],
    ];
    for (const [what, tls, message] of TABLE) {
      await t.rejects(open(tls).get(KEY), { fault: 'refused', message }, what);
      await t.rejects(open(tls).compareAndSet(KEY, 0, 'x'), { fault: 'refused', message }, `${what}, a change`);
    }
    const gone = open({ ca: '/nowhere/ca.pem' });
    await t.rejects(gone.get(KEY), { fault: 'unavailable', message: /^\/nowhere\/ca.pem cannot be read: ENOENT/ });
    t.equal((await open({ serverName: 'localhost' }).get(KEY)).value, null, 'the name that its certificate has');
  });

  await t.test('a server that is not trusted does not stand in the way of those that are', async (t) => {
    const alone = await EtcdCluster.start(program, { certificates: strangers, args: QUICK });
    t.teardown(() => alone.stop());
    const endpoints = [alone.tlsEndpoints[0] as string, ...servers.tlsEndpoints];
    t.equal((await open({}, { endpoints }).get(KEY)).value, null);
  });

  await t.test('TLS where there is none cannot be agreed on', async (t) => {
    const plain = servers.endpoints.map((url) => url.replace('http:', 'https:'));
    await t.rejects(open({}, { endpoints: plain }).get(KEY), {
      fault: 'unavailable',
      message: /it closed the connection before TLS was agreed on: it is being stopped, or speaks no TLS at this port$/,
    });
  });

  await t.test('who has no right is refused, and it is said what to do', async (t) => {
    const TABLE: [EtcdLogin | null, RegExp][] = [
      [null, /permission denied \(HTTP 403\): it asks for a username and a password$/],
      [{ ...LOGIN, password: 'wrong' }, /authentication failed, invalid user ID or password/],
      [
        { ...LOGIN, username: 'stranger' },
        /permission denied \(HTTP 403\): the user needs a role that may read and write/,
      ],
    ];
    for (const [login, message] of TABLE) {
      await t.rejects(open({}, { login }).get(KEY), { fault: 'refused', message });
      await t.rejects(open({}, { login }).compareAndSet(KEY, 0, 'x'), { fault: 'refused', message });
      const watched = new Watched(open({}, { login }), KEY.folder);
      await watched.until('what is wrong', () => watched.trouble !== null);
      t.match(watched.trouble, { fault: 'refused', message });
      watched.close();
    }
  });

  await t.test('certificates that were renewed are used when a connection is made anew', async (t) => {
    const folder = scratchFolder('renewed');
    t.teardown(() => removeFolder(folder));
    const path = join(folder, 'ca.pem');
    writeFileSync(path, 'none yet');
    const store = open({ ca: path });
    t.not(await faultOf(store.get(KEY)), 'none');
    writeFileSync(path, readFileSync(ca));
    t.equal(await faultOf(store.get(KEY)), 'none');
  });
}

async function testTokens(t: Test, program: EtcdProgram): Promise<void> {
  const folder = scratchFolder('tokens');
  t.teardown(() => removeFolder(folder));
  const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const [pub, priv] = [join(folder, 'pub.pem'), join(folder, 'priv.pem')];
  writeFileSync(pub, publicKey.export({ type: 'spki', format: 'pem' }));
  writeFileSync(priv, privateKey.export({ type: 'pkcs1', format: 'pem' }));
  const token = `jwt,pub-key=${pub},priv-key=${priv},sign-method=RS256,ttl=1s`;
  const servers = await EtcdCluster.start(program, { args: [...QUICK, '--auth-token', token] });
  t.teardown(() => servers.stop());
  await servers.askForPassword('root', 's3cret');
  const login = { username: 'root', password: 's3cret' };
  const store = new Store(new EtcdDriver({ endpoints: servers.endpoints, login, tls: null }, 'ringleader/tokens'));
  t.teardown(() => store.close());
  const watched = new Watched(store, KEY.folder);
  await watched.until('what is there', () => watched.told === 1);

  for (const value of ['a', 'b']) {
    await write(store, KEY, value);
    // One that was given after that of the store: when it has ended, the other one has.
    const later = await servers.token('root', 's3cret');
    const range = { key: Buffer.from('x').toString('base64') };
    await waitFor('the end of a token', async () =>
      servers.ask('/v3/kv/range', range, later).then(
        () => false,
        (error: Error) => /invalid auth token/.test(error.message),
      ),
    );
  }
  t.equal((await store.get(KEY)).value, 'b');
  // Tokens are of before the users of now.
  await servers.addUser('another', 's3cret', await servers.token('root', 's3cret'));
  await write(store, KEY, 'c');
  await watched.until('the last', () => watched.values[0] === 'one=c');
  t.same(watched.faults, []);
}
