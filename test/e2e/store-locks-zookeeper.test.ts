/** Locks that ZooKeeper keeps. */
import t from 'tap';
import { startZooKeeperStore } from '../help/fleet-stores.js';
import { testStoreLocks } from './store-lock-cases.js';

const store = await startZooKeeperStore(t);
if (store !== null) await testStoreLocks(t, store);
