/** A fleet of proxies that agree by plain Redis servers, which they admit and care for themselves. */
import t from 'tap';
import { testCampaign } from '../help/fleet-campaign.js';
import { startRedisStore } from '../help/fleet-stores.js';
import { testFleet } from './fleet-cases.js';

const CAMPAIGN_MS = 20_000;

const store = await startRedisStore(t);
await testFleet(t, store);
// Of the other stores in test/slow/fleet.test.ts.
await t.test('members and servers that are killed and stopped', (t) => testCampaign(t, store, CAMPAIGN_MS));
