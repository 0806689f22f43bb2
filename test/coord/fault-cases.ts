/** What every driver does when servers are killed, paused and started again. */
import type { Test } from 'tap';
import type { Store, StoreTimes } from '../../src/coord/store.js';
import { campaign } from './campaign.js';
import { type Case, faultOf, KEY, OTHER, type Servers, versionOf, write } from './case.js';
import { historyFaults } from './history.js';
import { Watched } from './watched.js';

const PATIENT: StoreTimes = { timeoutMs: 20_000, attemptMs: 1_000 };
const HASTY: StoreTimes = { timeoutMs: 1_500, attemptMs: 500 };

/** Of values that take a server a while. */
const LARGE_LENGTH = 200_000;

export const FAULT_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'one server may be killed: reads, changes and watches go on, and it comes back': async (t, own) => {
    const { servers } = own;
    for (const victim of await leaderAndAnother(servers)) {
      const store = own.store({ server: victim, times: PATIENT });
      const watched = new Watched(own.store({ server: victim }), 'things');
      const before = await write(store, KEY, `before ${victim}`);
      await watched.until('what is there', () => watched.versionOf('one') === before);
      await servers.kill(victim);
      t.same(await store.get(KEY), { version: before, value: `before ${victim}` });
      const after = await write(store, KEY, `after ${victim}`);
      await watched.until('the change', () => watched.versionOf('one') === after);
      t.same(watched.faults, []);
      await servers.restart(victim);
      await servers.settled();
    }
  },

  'one server may be silent: who asked it asks another one': async (t, own) => {
    const { servers } = own;
    // The others are asked, and have to elect another leader.
    const [leader] = await leaderAndAnother(servers);
    const store = own.store({ server: leader, times: PATIENT });
    const watched = new Watched(own.store({ server: leader }), 'things');
    const before = await write(store, KEY, 'before');
    await watched.until('what is there', () => watched.versionOf('one') === before);
    servers.pause(leader);
    const after = await write(store, KEY, 'after');
    await watched.until('the change', () => watched.versionOf('one') === after);
    // When it wakes it takes itself for the leader still, and this is what it is asked first.
    const late = ['get', 'list'].map(() => own.store({ server: leader, times: PATIENT })) as [Store, Store];
    const asked = Promise.all([late[0].get(KEY), late[1].list('things')]);
    servers.resume(leader);
    const [got, listed] = await asked;
    t.same(got, { version: after, value: 'after' }, 'what is past is not told');
    t.equal(listed.entries.get('one')?.version, after);
    await servers.settled();
    t.same(await store.get(KEY), { version: after, value: 'after' });
    t.same(watched.faults, []);
  },

  'a server that has not heard of a change yet does not tell what was before': async (t, own) => {
    const { servers } = own;
    const [leader, follower] = await leaderAndAnother(servers);
    const writer = own.store({ server: leader, times: PATIENT });
    const readers = [0, 1].map(() => own.store({ server: follower, times: PATIENT })) as [Store, Store];
    for (let round = 0; round < 4; round++) {
      for (const reader of readers) await reader.get(KEY);
      servers.pause(follower);
      let version = 0;
      for (let count = 0; count < 10; count++) version = await write(writer, KEY, `${round}`.repeat(LARGE_LENGTH));
      // The question and the changes lie before it when it wakes.
      const asked = Promise.all([readers[0].get(KEY), readers[1].list('things')]);
      servers.resume(follower);
      const [got, listed] = await asked;
      t.equal(got.version, version);
      t.equal(listed.entries.get('one')?.version, version);
    }
  },

  'without a majority nothing is believed and nothing is done; with one again nothing is lost': async (t, own) => {
    const { servers } = own;
    const store = own.store({ server: 0, times: PATIENT });
    const hasty = own.store({ server: 0, times: HASTY });
    const watched = new Watched(own.store({ server: 0 }), 'things');
    const before = await write(store, KEY, 'before');
    await watched.until('what is there', () => watched.versionOf('one') === before);
    const lost = Array.from({ length: servers.size - 1 }, (_, at) => at + 1);
    for (const index of lost) await servers.kill(index);
    const asked = [hasty.get(KEY), hasty.list('things'), hasty.compareAndSet(KEY, before, 'meanwhile')];
    const [got, listed, changed] = await Promise.all(asked.map(faultOf));
    t.equal(got, 'unavailable', 'the one that is left has it, and is not believed');
    t.equal(listed, 'unavailable');
    t.match(changed, /^(unavailable|unknown)$/);
    await watched.until('the trouble', () => watched.trouble !== null);
    for (const index of lost) await servers.restart(index);
    await servers.settled();
    const found = await store.get(KEY);
    t.ok(['before', 'meanwhile'].includes(`${found.value}`), 'what was unknown is done or not');
    const after = await write(store, KEY, 'after');
    await watched.until('what came after', () => watched.versionOf('one') === after);
    t.equal(watched.trouble, null);
    t.same(watched.faults, []);
  },

  'a change whose answer is lost is carried out once or not at all': async (t, own) => {
    const { servers } = own;
    const [leader] = await leaderAndAnother(servers);
    const store = own.store({ server: leader, times: { timeoutMs: 20_000, attemptMs: 300 } });
    const other = own.store({ server: (leader + 1) % servers.size, times: PATIENT });
    await write(store, KEY, 'before');
    const { version } = await store.get(KEY);
    const absent = await store.get(OTHER);
    servers.pause(leader);
    // They lie with the one that is paused, and are sent again to others.
    const changed = store.compareAndSet(KEY, version, 'changed');
    const added = store.compareAndSet(OTHER, absent.version, 'added');
    const first = versionOf(await changed);
    const second = versionOf(await added);
    const removed = versionOf(await other.compareAndSet(OTHER, second, null));
    const after = versionOf(await other.compareAndSet(KEY, first, 'after'));
    servers.resume(leader);
    await servers.settled();
    // It has all that was ever sent to it by the time that it answers.
    const late = own.store({ server: leader, times: PATIENT });
    await write(late, { folder: 'things', name: 'third' }, 'a change of its own');
    t.same(await late.get(KEY), { version: after, value: 'after' });
    t.equal((await late.get(OTHER)).value, null, 'what was removed does not come back');
    t.ok(removed > second);
  },

  'while servers are killed and paused no change is lost, none is made twice, and no reader is told what is past':
    async (t, own) => {
      const histories = await campaign(own, 4);
      t.same(historyFaults(histories), []);
      const done = histories.filter((one) => one.kind === 'write' && one.outcome === 'done').length;
      t.comment(`${done} of ${histories.length} were changes that were done`);
    },
};

/** The leader, and one that is not. */
async function leaderAndAnother(servers: Servers): Promise<[number, number]> {
  await servers.settled();
  const leader = await servers.leader();
  return [leader, (leader + 1) % servers.size];
}
