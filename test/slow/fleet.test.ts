/** Proxies of one fleet, and the servers of their store, are killed and stopped for two minutes. */
import t from 'tap';
import { testCampaign } from '../help/fleet-campaign.js';
import { startEtcdStore, startRedisStore, startZooKeeperStore } from '../help/fleet-stores.js';

const DURATION_MS = 120_000;

for (const [name, start] of Object.entries({
  redis: startRedisStore,
  etcd: startEtcdStore,
  zookeeper: startZooKeeperStore,
})) {
  await t.test(name, async (t) => {
    const store = await start(t);
    if (store !== null) await testCampaign(t, store, DURATION_MS);
  });
}
