/** What a member, and who stands for election, make of a store that is away: by a driver that does as it is told. */
import t from 'tap';
import { LEASE_MS_MAX } from '../../src/base/lease-length.js';
import type { Attempt, DriverWatcher, StoredFolder, Watch } from '../../src/coord/driver.js';
import { FileDriver } from '../../src/coord/file-driver.js';
import type { Key } from '../../src/coord/key.js';
import { encodeLease, newHolder } from '../../src/coord/lease.js';
import { encodeFacts } from '../../src/coord/member-facts.js';
import { Store } from '../../src/coord/store.js';
import { StoreError, type StoreFault } from '../../src/coord/store-error.js';
import { waitFor, within } from '../help/wait-for.js';
import { SHORT_LEASE_MS, TestCandidate, TestMember } from './seen-members.js';

/** Its changes fail in that way; those that are `unknown` are done. */
class Failing extends FileDriver {
  fault: StoreFault | null = null;
  changes = 0;
  /** Before each. */
  onChange = () => {};

  constructor() {
    super(null);
  }

  override async compareAndSet(key: Key, expected: number, mark: string, value: string | null): Promise<Attempt> {
    this.changes++;
    this.onChange();
    const { fault } = this;
    if (fault === null || fault === 'unknown') {
      const attempt = await super.compareAndSet(key, expected, mark, value);
      if (fault === null) return attempt;
    }
    throw new StoreError(fault ?? 'unavailable', `it is ${fault}`);
  }
}

/** A store in which somebody deletes an entry past this program, as `etcdctl del` does: the folder knows of no name that has left it. */
class Mishandled extends FileDriver {
  /** That were answered. */
  lists = 0;
  private readonly gone = new Set<string>();
  private readonly tellers = new Set<() => void>();

  constructor() {
    super(null);
  }

  delete(name: string): void {
    this.gone.add(name);
    for (const tell of this.tellers) tell();
  }

  override async list(folder: string): Promise<StoredFolder> {
    const listed = this.without(await super.list(folder));
    this.lists++;
    return listed;
  }

  override watch(folder: string, watcher: DriverWatcher): Watch {
    let last: StoredFolder | null = null;
    const tell = () => {
      if (last !== null) watcher.onFolder(this.without(last));
    };
    this.tellers.add(tell);
    return super.watch(folder, {
      ...watcher,
      onFolder: (stored) => {
        last = stored;
        tell();
      },
    });
  }

  private without({ version, entries }: StoredFolder): StoredFolder {
    return { version, entries: new Map([...entries].filter(([name]) => !this.gone.has(name))) };
  }
}

function open() {
  const driver = new Failing();
  const store = new Store(driver, { timeoutMs: 60, attemptMs: 30 });
  return { driver, store };
}

t.test('a name or a length that cannot be is refused', async (t) => {
  const { store } = open();
  await t.rejects(new TestMember(store, 'a b').membership.start(), { fault: 'refused', message: /cannot be the name/ });
  await t.rejects(new TestMember(store, 'a', 5).membership.start(), { fault: 'refused', message: /^a lease has / });
  t.throws(() => new TestCandidate(store, 'a', 5), { fault: 'refused', message: /^a lease has / });
  await store.close();
});

for (const fault of ['unavailable', 'refused', 'unknown'] as const) {
  t.test(`who cannot join since the store is ${fault} says so once, and joins when it can`, async (t) => {
    const { driver, store } = open();
    driver.fault = fault;
    const member = new TestMember(store, 'a', SHORT_LEASE_MS);
    member.membership.show({ topologyVersion: 4 });
    const joined = member.membership.start();
    await waitFor('attempts', () => driver.changes > 12);
    t.same(member.troubles, [`it is ${fault}`]);
    driver.fault = null;
    await within('the join', joined);
    t.equal(member.troubles.length, 1);
    await member.until('what it shows', () => member.view === 'a=4');
    await member.membership.leave();
    t.equal((await store.list('members')).entries.size, 0);
    await store.close();
  });
}

t.test('who leaves while the store is away says so, and is let go', async (t) => {
  const { driver, store } = open();
  const member = new TestMember(store, 'a', SHORT_LEASE_MS);
  const candidate = new TestCandidate(store, 'a', SHORT_LEASE_MS);
  await member.membership.start();
  await candidate.until('to lead', () => candidate.election.isLeader);
  driver.fault = 'unavailable';
  await Promise.all([member.membership.leave(), candidate.election.withdraw()]);
  t.match(member.troubles.at(-1), /^it could not leave, and is missed when its lease is over: it is unavailable$/);
  t.match(candidate.events.at(-1), /^trouble: it could not withdraw, and leads until its lease is over: /);
  t.equal(member.membership.isMember, false);
  t.equal(candidate.election.isLeader, false);
  const { length } = member.events;
  const { changes } = driver;
  await new Promise((resolve) => setTimeout(resolve, SHORT_LEASE_MS));
  t.equal(member.events.length, length, 'nothing is told any more');
  t.equal(driver.changes, changes, 'and nothing is tried');
  await store.close();
});

t.test('who leaves before it has joined leaves nothing behind', async (t) => {
  const { driver, store } = open();
  const early = new TestMember(store, 'a', SHORT_LEASE_MS);
  await early.membership.leave();
  const member = new TestMember(store, 'b', SHORT_LEASE_MS);
  let left = Promise.resolve();
  const taking = new Promise<void>((resolve) => {
    driver.onChange = () => {
      driver.onChange = () => {};
      queueMicrotask(() => {
        left = member.membership.leave();
        resolve();
      });
    };
  });
  void member.membership.start();
  await within('the lease to be asked for', taking);
  await left;
  t.equal((await store.list('members')).entries.size, 0);
  t.equal(member.membership.isMember, false);
  t.notOk(member.events.includes('joined'));
  await store.close();
});

t.test('a member whose store was away for longer than its lease says that it is none, and is one again', async (t) => {
  const { driver, store } = open();
  const member = new TestMember(store, 'a', SHORT_LEASE_MS);
  await member.membership.start();
  driver.fault = 'unavailable';
  await member.until(
    'the loss',
    () => !member.membership.isMember && member.events.some((event) => event.startsWith('lost')),
  );
  t.ok(member.events.includes('lost: it could not be renewed in time: it is unavailable'), `${member.events}`);
  driver.fault = null;
  await member.until('the return', () => member.membership.isMember);
  await member.membership.leave();
  await store.close();
});

t.test('a dead member whose entry was deleted by hand is waited for no longer', async (t) => {
  const driver = new Mishandled();
  const store = new Store(driver);
  const key = { folder: 'members', name: 'dead' };
  const value = encodeFacts({ version: '1.2.3', sinceMs: 1_000, topologyVersion: 0, reason: null });
  const lease = encodeLease({ lengthMs: LEASE_MS_MAX, holder: newHolder(), value });
  await store.compareAndSet(key, 0, lease);
  const member = new TestMember(store, 'a');
  await member.membership.start();
  // It was renewed since a name came into the folder last.
  const { version } = await store.get(key);
  t.equal((await store.compareAndSet(key, version, lease)).kind, 'done');
  await member.until('both', () => member.view === 'a=1 dead=0');
  const { lists } = driver;
  const goesBy = member.membership.until(
    (members) => [...members.values()].every(({ topologyVersion }) => topologyVersion === 1),
    new AbortController().signal,
  );
  await waitFor('the question', () => driver.lists > lists);
  driver.delete('dead');
  await member.until('the deletion', () => member.view === 'a=1');
  await within('all members', goesBy);
  await member.membership.leave();
  await store.close();
});
