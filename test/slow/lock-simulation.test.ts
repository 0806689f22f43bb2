/** The simulation of locks (see test/lock/simulation.test.ts), for long. */
import t from 'tap';
import { runCampaign } from '../lock/sim/campaign.js';

runCampaign(t, 10_000);
