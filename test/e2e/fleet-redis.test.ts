/** A fleet of proxies that agree by plain Redis servers, which they admit and care for themselves. */
import t from 'tap';
import { startRedisStore } from '../help/fleet-stores.js';
import { testFleet } from './fleet-cases.js';

const store = await startRedisStore(t);
await testFleet(t, store);
