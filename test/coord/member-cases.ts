/** Members of a fleet, each with a client of its own. */
import type { Test } from 'tap';
import { decodeLease, encodeLease, newHolder } from '../../src/coord/lease.js';
import { MEMBERS_FOLDER } from '../../src/coord/membership.js';
import type { Case } from './case.js';
import { SHORT_LEASE_MS, TestMember } from './seen-members.js';

export const MEMBER_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'members see each other come, show something and leave, and are not told of renewals': async (t, own) => {
    const [one, other] = [new TestMember(own.store(), 'a:1'), new TestMember(own.store(), 'b:1')];
    await one.membership.start();
    t.equal(one.membership.isMember, true);
    await other.membership.start();
    for (const each of [one, other]) await each.until('both', () => each.view === 'a:1=1 b:1=1');
    const member = one.membership.members.get('b:1');
    t.match(member, { name: 'b:1', version: '1.2.3', sinceMs: 1_000, reason: null });
    other.membership.show({ topologyVersion: 2 });
    other.membership.show({ topologyVersion: 3, reason: 'no memory' });
    for (const each of [one, other]) await each.until('what it shows', () => each.view === 'a:1=1 b:1=3');
    t.equal(one.membership.members.get('b:1')?.reason, 'no memory');
    const views = one.views.length;
    const seen = own.seenBy(own.store(), { folder: MEMBERS_FOLDER, name: 'b:1' });
    const renewed = new Set<number>();
    await seen.until('two renewals', () => renewed.add(seen.version).size > 2);
    await other.membership.leave();
    await one.until('the end', () => one.view === 'a:1=1');
    t.equal(one.views.length, views + 1, 'each change was told once');
    t.equal(other.membership.isMember, false);
    t.same(
      other.events.filter((event) => event.startsWith('lost')),
      [],
      'who leaves knows',
    );
    await one.membership.leave();
    t.same([...one.troubles, ...other.troubles], []);
  },

  'what a change has to reach is asked of the store, and waited for until it shows it or is gone': async (t, own) => {
    const members = ['a', 'b', 'c'].map((name) => new TestMember(own.store(), name, SHORT_LEASE_MS));
    const [one, other, third] = members as [TestMember, TestMember, TestMember];
    for (const { membership } of members) await membership.start();
    const reached: string[] = [];
    const stopped = new AbortController();
    const waiting = one.membership.until((members) => {
      const late = [...members.values()].filter(({ topologyVersion }) => topologyVersion < 2);
      reached.push(
        late
          .map(({ name }) => name)
          .sort()
          .join(),
      );
      return late.length === 0;
    }, stopped.signal);
    one.membership.show({ topologyVersion: 2 });
    other.membership.show({ topologyVersion: 2 });
    await one.until('two that show it', () => one.view === 'a=2 b=2 c=1');
    await third.crash();
    await waiting;
    t.match(reached[0], /c/);
    t.equal(reached.at(-1), '');
    // Of that it may be told by its watch later than the store was asked.
    await one.until('two, since the lease of the third was ended by others', () => one.view === 'a=2 b=2');
    const never = one.membership.until(() => false, stopped.signal);
    stopped.abort();
    await t.rejects(never, { name: 'AbortError' });
    for (const { membership } of [one, other]) await membership.leave();
  },

  'a name that another process has is waited for, and said whose it is': async (t, own) => {
    const first = new TestMember(own.store(), 'a', SHORT_LEASE_MS);
    await first.membership.start();
    const second = new TestMember(own.store(), 'a', SHORT_LEASE_MS);
    const joined = second.membership.start();
    await second.until('both words', () => second.troubles.length === 2);
    t.match(
      second.troubles[0],
      /another process is the member a \(1\.2\.3, since 1970-01-01T00:00:01\.000Z\): it is waited for/,
    );
    t.match(second.troubles[1], /and goes on to be: two processes cannot have one name, and this one waits$/);
    t.equal(first.membership.isMember, true);
    t.equal(second.membership.isMember, false);
    await first.membership.leave();
    await joined;
    t.equal(second.membership.isMember, true);
    await second.membership.leave();
    t.equal(second.troubles.length, 2);
  },

  'a process that is started again has its name when the lease of the former one is over': async (t, own) => {
    const first = new TestMember(own.store(), 'a', SHORT_LEASE_MS);
    await first.membership.start();
    await first.crash();
    const second = new TestMember(own.store(), 'a', SHORT_LEASE_MS);
    await second.membership.start();
    t.equal(first.membership.isMember, false, 'its time was up before');
    await second.membership.leave();
  },

  'a member whose lease others have ended joins again, and shows what it was to show': async (t, own) => {
    const member = new TestMember(own.store(), 'a');
    await member.membership.start();
    const other = own.store();
    const key = { folder: MEMBERS_FOLDER, name: 'a' };
    for (let isGone = false; !isGone; ) {
      const { version, value } = await other.get(key);
      isGone = value !== null && (await other.compareAndSet(key, version, null)).kind === 'done';
    }
    member.membership.show({ topologyVersion: 7 });
    await member.until('the loss', () => member.events.includes('lost: others have ended it'));
    await member.until('the return', () => member.events.filter((event) => event === 'joined').length === 2);
    await member.until('what it shows', () => member.view === 'a=7');
    t.equal(member.membership.isMember, true);
    await member.membership.leave();
    t.equal((await other.get(key)).value, null);
  },

  'what a member of another version shows is read as far as it is known': async (t, own) => {
    const store = own.store();
    const lease = { lengthMs: 600_000, holder: newHolder() };
    const newer = { version: '9.0.0', sinceMs: 5, topologyVersion: 4, reason: null, mood: 'fine' };
    const values = { newer: JSON.stringify(newer), other: '{"version":1}', worse: 'x' };
    for (const [name, value] of Object.entries(values)) {
      const { version } = await store.list(MEMBERS_FOLDER);
      await store.compareAndSet({ folder: MEMBERS_FOLDER, name }, version, encodeLease({ ...lease, value }));
    }
    const member = new TestMember(own.store(), 'a');
    await member.membership.start();
    await member.until('all', () => member.view === 'a=1 newer=4 other=0 worse=0');
    const { members } = member.membership;
    t.match(members.get('newer'), { version: '9.0.0', holder: lease.holder });
    t.match(members.get('other')?.reason, /^what it shows cannot be read: .*version/);
    t.match(members.get('worse')?.reason, /^what it shows cannot be read: /);
    await member.membership.leave();
    const left = await store.get({ folder: MEMBERS_FOLDER, name: 'newer' });
    t.same(JSON.parse(decodeLease(left.value ?? '').value), newer, 'and left as it is');
  },
};
