/** Locks that etcd keeps. */
import t from 'tap';
import { startEtcdStore } from '../help/fleet-stores.js';
import { testStoreLocks } from './store-lock-cases.js';

const store = await startEtcdStore(t);
if (store !== null) await testStoreLocks(t, store);
