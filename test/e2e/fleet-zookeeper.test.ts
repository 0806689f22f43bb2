/** A fleet of proxies that agree by ZooKeeper. */
import t from 'tap';
import { startZooKeeperStore } from '../help/fleet-stores.js';
import { testFleet } from './fleet-cases.js';

const store = await startZooKeeperStore(t);
if (store !== null) await testFleet(t, store);
