/** The simulation of replicated keys (see test/replica/simulation.test.ts), five copies, for long. */
import t from 'tap';
import { runCampaign } from '../replica/sim/campaign.js';

t.test('five copies, fifty thousand schedules', async (t) => runCampaign(t, 5, 50_000));
