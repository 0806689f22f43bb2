/** A fleet of proxies that agree by etcd. */
import t from 'tap';
import { EtcdCluster, findEtcd } from '../help/etcd.js';
import { testFleet } from './fleet-cases.js';

const program = await findEtcd();
if ('reason' in program) t.pass(`not tried: ${program.reason}`, { skip: program.reason });
else {
  const servers = await EtcdCluster.start(program);
  t.teardown(() => servers.stop());
  await testFleet(t, { section: { store: 'etcd', endpoints: servers.endpoints }, servers });
}
