/** A fleet of proxies that agree by etcd. */
import t from 'tap';
import { startEtcdStore } from '../help/fleet-stores.js';
import { testFleet } from './fleet-cases.js';

const store = await startEtcdStore(t);
if (store !== null) await testFleet(t, store);
