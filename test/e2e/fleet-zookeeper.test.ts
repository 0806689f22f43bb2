/** A fleet of proxies that agree by ZooKeeper. */
import t from 'tap';
import { findZooKeeper, ZooKeeperEnsemble } from '../help/zookeeper.js';
import { testFleet } from './fleet-cases.js';

const program = await findZooKeeper();
if ('reason' in program) t.pass(`not tried: ${program.reason}`, { skip: program.reason });
else {
  const servers = await ZooKeeperEnsemble.start(program);
  t.teardown(() => servers.stop());
  const endpoints = servers.endpoints.map(({ host, port }) => `${host}:${port}`);
  await testFleet(t, { section: { store: 'zookeeper', endpoints }, servers });
}
