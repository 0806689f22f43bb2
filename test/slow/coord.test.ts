/** Servers of the coordination stores are killed and paused again and again while clients change one entry. */
import t, { type Test } from 'tap';
import type { Driver } from '../../src/coord/driver.js';
import { EtcdDriver } from '../../src/coord/etcd-driver.js';
import { ZooKeeperDriver } from '../../src/coord/zookeeper-driver.js';
import { campaign } from '../coord/campaign.js';
import { Case, type Servers } from '../coord/case.js';
import { historyFaults } from '../coord/history.js';
import { EtcdCluster, findEtcd } from '../help/etcd.js';
import { RedisStore } from '../help/redis-store.js';
import { findZooKeeper, ZooKeeperEnsemble } from '../help/zookeeper.js';

const TURNS = 80;

async function holdOut(t: Test, servers: Servers, connect: (server: number) => Driver): Promise<void> {
  const own = new Case({ connect: (_cluster, server = 0) => connect(server), servers, stop: async () => {} }, 'slow');
  try {
    const histories = await campaign(own, TURNS);
    t.same(historyFaults(histories), []);
    const outcomes = new Map<string, number>();
    for (const one of histories) {
      const outcome = one.kind === 'read' ? 'read' : one.outcome;
      outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    }
    t.comment([...outcomes].map(([outcome, count]) => `${count} ${outcome}`).join(', '));
  } finally {
    await own.end();
  }
}

/** The one of that index first. */
function from<A>(list: readonly A[], index: number): A[] {
  return [...list.slice(index), ...list.slice(0, index)];
}

t.test('etcd', async (t) => {
  const program = await findEtcd();
  if ('reason' in program) {
    t.pass(`not tried: ${program.reason}`, { skip: program.reason });
    return;
  }
  const servers = await EtcdCluster.start(program);
  t.teardown(() => servers.stop());
  await holdOut(t, servers, (server) => {
    return new EtcdDriver({ endpoints: from(servers.endpoints, server), login: null, tls: null }, 'ringleader/slow');
  });
});

t.test('ZooKeeper', async (t) => {
  const program = await findZooKeeper();
  if ('reason' in program) {
    t.pass(`not tried: ${program.reason}`, { skip: program.reason });
    return;
  }
  const servers = await ZooKeeperEnsemble.start(program);
  t.teardown(() => servers.stop());
  await holdOut(t, servers, (server) => {
    return new ZooKeeperDriver(
      { endpoints: from(servers.endpoints, server), login: null, tls: null },
      'ringleader/slow',
    );
  });
});

t.test('Redis', async (t) => {
  const servers = await RedisStore.start();
  t.teardown(() => servers.stop());
  await holdOut(t, servers, () => servers.connect('slow'));
});

t.test('Redis, whose nodes lose what they had when they are started again', async (t) => {
  const servers = await RedisStore.start(5, false);
  t.teardown(() => servers.stop());
  await holdOut(t, servers, () => servers.connect('slow'));
});
