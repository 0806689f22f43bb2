/** A fleet of proxies that agree by plain Redis servers, which they admit and care for themselves. */
import t from 'tap';
import { startRedisServers } from '../help/redis-server.js';
import { DURABLE_ARGS } from '../help/redis-store.js';
import { type StoreServers, testFleet } from './fleet-cases.js';

const nodes = await startRedisServers(3, { args: DURABLE_ARGS });
t.teardown(() => Promise.all(nodes.map((node) => node.stop())));
const servers: StoreServers = {
  size: nodes.length,
  kill: async (index) => nodes[index]?.kill9(),
  restart: async (index) => nodes[index]?.restart(),
};
const agreement = { nodes: nodes.map(({ url }, index) => ({ name: `n${index}`, url })), restart: 'keeps-data' };
await testFleet(t, { section: { store: 'redis', pool: 'agreement' }, pools: { agreement }, servers });
