/** The simulation of replicated keys (see test/replica/simulation.test.ts), three copies, for long. */
import t from 'tap';
import { runCampaign } from '../replica/sim/campaign.js';

t.test('three copies, a hundred thousand schedules', async (t) => runCampaign(t, 3, 100_000));
