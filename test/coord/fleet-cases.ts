/** A fleet of processes whose members are killed and stopped, and one whose store loses a server. */
import type { Test } from 'tap';
import { readLed } from '../../src/coord/led-entry.js';
import { randomFromSeed } from '../help/random.js';
import { waitFor } from '../help/wait-for.js';
import { type Candidate, machineMs } from './candidate.js';
import { type Case, KEY } from './case.js';
import { fleetCampaign, leaderFaults } from './fleet-campaign.js';
import { followedMsMax, TestCandidate, TestMember } from './seen-members.js';

const LEASE_MS = 2_000;
/** test/slow has a longer one. */
const CAMPAIGN_MS = 20_000;
/** Longer than any store takes to elect a leader of its own. */
const LONG_LEASE_MS = 12_000;

export const PROCESS_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'a leader that is killed is followed when its lease is over': async (t, own) => {
    const fleet = await startFleet(own);
    const leader = await leaderOf(fleet);
    const others = fleet.filter((one) => one !== leader);
    const goneMs = machineMs();
    await leader.kill();
    const next = await leaderOf(others);
    const { term, atMs } = await next.until('elected');
    const afterMs = atMs - goneMs;
    t.ok(afterMs < followedMsMax(LEASE_MS), `after ${afterMs} ms, of which ${LEASE_MS} were its lease`);
    t.ok(term > (await leader.until('elected')).term);
    t.equal((await readLed(own.store(), KEY)).term, term);
  },

  'a leader that is stopped is followed when its lease is over, and what it writes when it goes on is refused': async (
    t,
    own,
  ) => {
    const fleet = await startFleet(own);
    const leader = await leaderOf(fleet);
    const { term: formerTerm } = await leader.until('elected');
    const others = fleet.filter((one) => one !== leader);
    const goneMs = machineMs();
    leader.signal('SIGSTOP');
    const next = await leaderOf(others);
    const { term, atMs } = await next.until('elected');
    const afterMs = atMs - goneMs;
    t.ok(afterMs < followedMsMax(LEASE_MS), `after ${afterMs} ms, of which ${LEASE_MS} were its lease`);
    const before = next.events.length;
    leader.signal('SIGCONT');
    const refused = await leader.until('refused');
    t.equal(refused.term, formerTerm);
    t.match(refused.reason, `has been sealed by the leader of term ${term}: ${formerTerm} is over`);
    await leader.until('deposed');
    t.same(leaderFaults(fleet), [], 'it knew that it did not lead before it wrote');
    await waitFor('the next one to go on', () => next.events.length > before + 3);
    const { term: written, value } = await readLed(own.store(), KEY);
    t.equal(written, term);
    t.match(value, new RegExp(`^${next.name}\\.`));
    t.equal(next.term, term, 'and nobody deposed it');
  },

  'while members and servers are killed and stopped, one leads at a time, and all living members have each change':
    async (t, own) => {
      const random = randomFromSeed((text) => t.comment(text));
      const { faults, terms, changes } = await fleetCampaign(own, random, CAMPAIGN_MS);
      t.same(faults, []);
      t.comment(`${terms} terms, ${changes} changes`);
    },
};

export const STEADY_CASES: typeof PROCESS_CASES = {
  'members and their leader stay when the store loses its leader, and when that comes back': async (t, own) => {
    const { servers } = own;
    await servers.settled();
    const victim = await servers.leader();
    const stores = [0, 1].map((index) => own.store({ server: (victim + index) % servers.size }));
    const members = stores.map((store, index) => new TestMember(store, `m${index}`, LONG_LEASE_MS));
    const candidates = stores.map((store, index) => new TestCandidate(store, `m${index}`, LONG_LEASE_MS));
    for (const { membership } of members) await membership.start();
    await Promise.race(candidates.map((one) => one.until('to lead', () => one.election.isLeader)));
    const leader = candidates.find(({ election }) => election.isLeader) as TestCandidate;
    await servers.kill(victim);
    for (const { membership } of members) membership.show({ topologyVersion: 2 });
    for (const one of members) await one.until('what was shown meanwhile', () => one.view === 'm0=2 m1=2');
    await servers.restart(victim);
    await servers.settled();
    for (const { membership } of members) membership.show({ topologyVersion: 3 });
    for (const one of members) await one.until('what was shown then', () => one.view === 'm0=3 m1=3');
    t.equal(leader.election.isLeader, true);
    for (const { membership, events } of members) {
      t.equal(membership.isMember, true);
      t.same(
        events.filter((event) => event.startsWith('lost')),
        [],
      );
    }
    t.same(
      candidates.flatMap(({ events }) => events.filter((event) => event.startsWith('deposed'))),
      [],
    );
    for (const { membership } of members) await membership.leave();
    for (const { election } of candidates) await election.withdraw();
  },
};

function startFleet(own: Case): Promise<Candidate[]> {
  return Promise.all(['a', 'b', 'c'].map((name) => own.candidate(name, LEASE_MS)));
}

/** The one that leads and has written something. */
function leaderOf(candidates: readonly Candidate[]): Promise<Candidate> {
  const hasWritten = ({ term, events }: Candidate) => {
    return term !== null && events.filter((event) => event.kind === 'written' && event.term === term).length > 1;
  };
  return waitFor('a leader', () => {
    for (const { complaints } of candidates) if (complaints !== '') throw new Error(complaints);
    return candidates.find(hasWritten);
  });
}
