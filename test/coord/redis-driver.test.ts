import t from 'tap';
import { examine } from '../../src/control/doctor.js';
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
  t.notOk(servers.events.some(({ msg }) => msg === 'copies-differ'));
  const { lines } = await examine(servers.replicated, true, { repair: true, acceptLoss: false });
  t.notMatch(
    lines.join('\n'),
    /another value|no proxy wrote/,
    'what was behind is mended, and nothing differs under one ballot',
  );
});
