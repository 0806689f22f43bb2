/** Leaders of a fleet, each candidate with a client of its own. */
import type { Test } from 'tap';
import { LedEntry, readLed } from '../../src/coord/led-entry.js';
import { type Case, KEY, write } from './case.js';
import { followedMsMax, SHORT_LEASE_MS, TestCandidate } from './seen-members.js';

export const ELECTION_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'one of those who stand leads, and all see who it is and in which term': async (t, own) => {
    const candidates = ['a', 'b', 'c'].map((name) => new TestCandidate(own.store(), name));
    for (const each of candidates)
      await each.until('a leader and its term', () => typeof each.leader?.term === 'number');
    const leaders = candidates.filter(({ election }) => election.isLeader);
    t.equal(leaders.length, 1);
    const [leader] = leaders as [TestCandidate];
    const { term } = leader.election;
    t.same(leader.terms, [term]);
    for (const each of candidates) {
      t.equal(each.leader?.term, term);
      t.match(each.election.leader, each.leader ?? {});
      if (each !== leader) t.equal(each.election.term, null);
    }
    for (const { election } of candidates) await election.withdraw();
  },

  'a leader that withdraws is followed at once, and terms only grow': async (t, own) => {
    const store = own.store();
    const candidates = ['a', 'b', 'c'].map((name) => new TestCandidate(own.store(), name));
    const terms: number[] = [];
    while (candidates.length > 0) {
      await Promise.race(candidates.map((each) => each.until('to lead', () => each.election.isLeader)));
      const leading = candidates.findIndex(({ election }) => election.isLeader);
      const [leader] = candidates.splice(leading, 1) as [TestCandidate];
      terms.push(leader.election.term ?? -1);
      const startMs = performance.now();
      await leader.election.withdraw();
      t.equal(leader.election.isLeader, false);
      const next = candidates.map((each) => each.until('the next', () => each.election.isLeader));
      if (next.length > 0) await Promise.race(next);
      t.ok(performance.now() - startMs < 3_000, 'no lease was waited for');
    }
    // Nobody is left, and nothing of them but that the next term is greater.
    t.equal((await store.list('leader')).entries.size, 0);
    const later = new TestCandidate(store, 'd');
    await later.until('to lead', () => later.election.isLeader);
    terms.push(later.election.term ?? -1);
    await later.election.withdraw();
    t.ok(
      terms.every((term, at) => at === 0 || term > (terms[at - 1] as number)),
      `${terms}`,
    );
  },

  'a leader that is gone is followed when its lease is over': async (t, own) => {
    const first = new TestCandidate(own.store(), 'a', SHORT_LEASE_MS);
    await first.until('to lead', () => first.election.isLeader);
    const second = new TestCandidate(own.store(), 'b', SHORT_LEASE_MS);
    await second.until('who leads', () => second.leader?.name === 'a');
    const goneMs = performance.now();
    await first.crash();
    await second.until('to lead', () => second.election.isLeader);
    const afterMs = second.electedMs - goneMs;
    t.ok(afterMs < followedMsMax(SHORT_LEASE_MS), `after ${afterMs} ms, of which ${SHORT_LEASE_MS} were its lease`);
    t.ok(0 < first.deposedMs && first.deposedMs < second.electedMs, 'it knew before');
    t.equal(first.election.isLeader, false);
    t.equal(first.election.term, null);
    t.ok((second.terms[0] as number) > (first.terms[0] as number));
    await second.election.withdraw();
  },

  'what a leader writes is refused when a later one has sealed it': async (t, own) => {
    const [store, other] = [own.store(), own.store()];
    t.same(await readLed(other, KEY), { term: 0, value: null });
    const first = await LedEntry.seal(store, KEY, 3);
    t.equal(first.value, null);
    t.same(await readLed(other, KEY), { term: 3, value: null });
    await first.entry.write('a');
    await first.entry.write('b 1\n');
    const again = await LedEntry.seal(store, KEY, 3);
    t.equal(again.value, 'b 1\n', 'its own');
    await first.entry.write('c');
    const second = await LedEntry.seal(other, KEY, 8);
    t.equal(second.value, 'c');
    const over = { fault: 'refused', message: 'things/one has been sealed by the leader of term 8: 3 is over' };
    await t.rejects(first.entry.write('late'), over);
    await t.rejects(LedEntry.seal(store, KEY, 3), over);
    t.same(await readLed(store, KEY), { term: 8, value: 'c' });
    await second.entry.write('');
    t.same(await readLed(store, KEY), { term: 8, value: '' });
    await write(store, KEY, 'nobody');
    const foreign = { fault: 'refused', message: 'things/one was written by no leader' };
    await t.rejects(readLed(store, KEY), foreign);
    await t.rejects(second.entry.write('x'), foreign);
  },

  'of leaders that seal at once the last term has it': async (t, own) => {
    const sealed = await Promise.allSettled([5, 9, 7].map((term) => LedEntry.seal(own.store(), KEY, term)));
    t.equal(sealed[1]?.status, 'fulfilled');
    for (const one of sealed) {
      if (one.status === 'rejected' || one === sealed[1]) continue;
      await t.rejects(one.value.entry.write('x'), { fault: 'refused', message: /of term 9/ });
    }
    t.equal((await readLed(own.store(), KEY)).term, 9);
  },
};
