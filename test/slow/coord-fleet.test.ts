/** A fleet of processes in which members and servers of its store are killed and stopped, for two minutes each. */
import t, { type Test } from 'tap';
import { EtcdDriver } from '../../src/coord/etcd-driver.js';
import { ZooKeeperDriver } from '../../src/coord/zookeeper-driver.js';
import { configurationOf } from '../coord/candidate.js';
import { Case, type Deployment } from '../coord/case.js';
import { fleetCampaign } from '../coord/fleet-campaign.js';
import { EtcdCluster, findEtcd } from '../help/etcd.js';
import { randomFromSeed } from '../help/random.js';
import { RedisStore } from '../help/redis-store.js';
import { findZooKeeper, ZooKeeperEnsemble } from '../help/zookeeper.js';

const FOR_MS = 120_000;

async function holdOut(t: Test, deployment: Deployment): Promise<void> {
  t.teardown(() => deployment.stop());
  const random = randomFromSeed((text) => t.comment(text));
  const own = new Case(deployment, 'fleet');
  try {
    const { faults, terms, changes } = await fleetCampaign(own, random, FOR_MS);
    t.same(faults, []);
    t.ok(terms > 5 && changes > 20, `${terms} terms, ${changes} changes`);
  } finally {
    await own.end();
  }
}

t.test('on Redis', async (t) => {
  const servers = await RedisStore.start();
  await holdOut(t, {
    connect: (cluster) => servers.connect(cluster),
    configuration: (cluster) => servers.configuration(cluster),
    servers,
    stop: () => servers.stop(),
  });
});

t.test('on etcd', async (t) => {
  const program = await findEtcd();
  if ('reason' in program) {
    t.pass(`not tried: ${program.reason}`, { skip: program.reason });
    return;
  }
  const servers = await EtcdCluster.start(program);
  const { endpoints } = servers;
  await holdOut(t, {
    connect: (cluster) => new EtcdDriver({ endpoints, login: null, tls: null }, `ringleader/${cluster}`),
    configuration: (cluster) => configurationOf({ store: 'etcd', endpoints, cluster }),
    servers,
    stop: () => servers.stop(),
  });
});

t.test('on ZooKeeper', async (t) => {
  const program = await findZooKeeper();
  if ('reason' in program) {
    t.pass(`not tried: ${program.reason}`, { skip: program.reason });
    return;
  }
  const servers = await ZooKeeperEnsemble.start(program);
  const { endpoints } = servers;
  const texts = endpoints.map(({ host, port }) => `${host}:${port}`);
  await holdOut(t, {
    connect: (cluster) => new ZooKeeperDriver({ endpoints, login: null, tls: null }, `ringleader/${cluster}`),
    configuration: (cluster) => configurationOf({ store: 'zookeeper', endpoints: texts, cluster }),
    servers,
    stop: () => servers.stop(),
  });
});
