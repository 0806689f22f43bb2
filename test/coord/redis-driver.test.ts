import t from 'tap';
import { RedisStore } from '../help/redis-store.js';
import { testContract } from './contract.js';

t.test('Redis of three nodes, of which a restart keeps the data', async (t) => {
  const servers = await RedisStore.start();
  await testContract(t, {
    connect: (cluster, _server, entriesMax) => servers.connect(cluster, servers.pool, entriesMax),
    configuration: (cluster) => servers.configuration(cluster),
    servers,
    stop: () => servers.stop(),
  });
});
