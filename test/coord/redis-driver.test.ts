import t from 'tap';
import { RedisStore } from '../help/redis-store.js';
import { configurationOf } from './candidate.js';
import { testContract } from './contract.js';

t.test('Redis of three nodes, of which a restart keeps the data', async (t) => {
  const servers = await RedisStore.start();
  await testContract(t, {
    connect: (cluster, _server, entriesMax) => servers.connect(cluster, servers.pool, entriesMax),
    configuration: (cluster) => {
      const nodes = servers.servers.map(({ port }, index) => ({ name: `n${index}`, url: `redis://127.0.0.1:${port}` }));
      return configurationOf({ store: 'redis', pool: 'main', cluster }, { main: { nodes } });
    },
    servers,
    stop: () => servers.stop(),
  });
});
