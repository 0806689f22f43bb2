/**
 * The contract of the coordination store: what every driver is to do, against the servers that it is for. One table of cases, and a
 * second one for what happens when servers are killed, paused and started again.
 */
import type { Test } from 'tap';
import type { Driver } from '../../src/coord/driver.js';
import { VALUE_BYTES_MAX } from '../../src/coord/key.js';
import { type Entry, Store, type StoreTimes, type Written } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import { waitFor, within } from '../help/wait-for.js';
import { type History, historyFaults } from './history.js';
import { Watched } from './watched.js';

/** The servers of a store, by their index. */
export interface Servers {
  readonly size: number;
  /** SIGKILL. */
  kill(index: number): Promise<void>;
  /** With what it had on its disk. */
  restart(index: number): Promise<void>;
  /** SIGSTOP. */
  pause(index: number): void;
  resume(index: number): void;
  /** -1: none. */
  leader(): Promise<number>;
  /** Resolves when it can be written to. */
  settled(): Promise<void>;
}

export interface Deployment {
  /** A client of the store, which asks that server first. What one `cluster` has, others do not see. */
  connect(cluster: string, server?: number): Driver;
  /** Null: there are none that could fail. */
  servers: Servers | null;
  stop(): Promise<void>;
}

/** Clients of one case, each as a member of the fleet would have it. */
class Case {
  private readonly deployment: Deployment;
  private readonly cluster: string;
  private readonly stores: Store[] = [];

  constructor(deployment: Deployment, cluster: string) {
    this.deployment = deployment;
    this.cluster = cluster;
  }

  store(options: { cluster?: string; server?: number; times?: StoreTimes } = {}): Store {
    const { cluster = this.cluster, server, times } = options;
    const store = new Store(this.deployment.connect(cluster, server), times);
    this.stores.push(store);
    return store;
  }

  get servers(): Servers {
    if (this.deployment.servers === null) throw new Error('this store has no servers');
    return this.deployment.servers;
  }

  async end(): Promise<void> {
    for (const store of this.stores) await within('the end of a client', store.close());
  }
}

const KEY = { folder: 'things', name: 'one' };
const OTHER = { folder: 'things', name: 'other' };

function versionOf(written: Written): number {
  if (written.kind === 'done') return written.version;
  throw new Error(`a conflict: found ${JSON.stringify(written.found)}`);
}

/** Writes what has to be there. Returns its version. */
async function write(store: Store, key: typeof KEY, value: string | null): Promise<number> {
  const { version } = await store.get(key);
  return versionOf(await store.compareAndSet(key, version, value));
}

async function faultOf(work: Promise<unknown>): Promise<string> {
  try {
    await work;
    return 'none';
  } catch (error) {
    return error instanceof StoreError ? error.fault : `${error}`;
  }
}

const CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
  'what was never written has version 0': async (t, own) => {
    const store = own.store();
    t.same(await store.get(KEY), { version: 0, value: null });
    t.same(await store.list('things'), { version: 0, entries: new Map() });
  },

  'an entry is made, changed, removed and made again, and its version only grows': async (t, own) => {
    const store = own.store();
    const other = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    t.same(await other.get(KEY), { version: made, value: 'a' });
    const changed = versionOf(await other.compareAndSet(KEY, made, 'b'));
    t.same(await store.get(KEY), { version: changed, value: 'b' });
    const removed = versionOf(await store.compareAndSet(KEY, changed, null));
    t.same(await other.get(KEY), { version: removed, value: null });
    const again = versionOf(await other.compareAndSet(KEY, removed, 'c'));
    t.same(await store.get(KEY), { version: again, value: 'c' });
    t.ok(0 < made && made < changed && changed < removed && removed < again, [made, changed, removed, again].join());
  },

  'a change that goes by another version is a conflict, and shows what is there': async (t, own) => {
    const store = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    const now: Entry = { version: versionOf(await store.compareAndSet(KEY, made, 'b')), value: 'b' };
    for (const version of [0, made, now.version + 1, Number.MAX_SAFE_INTEGER]) {
      t.same(await store.compareAndSet(KEY, version, 'x'), { kind: 'conflict', found: now }, `${version}`);
      t.same(await store.compareAndSet(KEY, version, null), { kind: 'conflict', found: now }, `${version}, removal`);
    }
    t.same(await store.get(KEY), now);
  },

  'what was removed is not found again by an old version, nor made twice by one': async (t, own) => {
    const store = own.store();
    const made = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    const removed = versionOf(await store.compareAndSet(KEY, made, null));
    const absent = { version: removed, value: null };
    for (const version of [0, made]) {
      t.same(await store.compareAndSet(KEY, version, 'x'), { kind: 'conflict', found: absent }, `${version}`);
    }
    const nothing = await store.compareAndSet(KEY, removed, null);
    t.same(nothing, { kind: 'conflict', found: absent }, 'there is nothing to remove');
    const again = versionOf(await store.compareAndSet(KEY, removed, 'a'));
    const gone = versionOf(await store.compareAndSet(KEY, again, null));
    t.same(
      await store.compareAndSet(KEY, removed, 'a'),
      { kind: 'conflict', found: { version: gone, value: null } },
      'a request that comes twice is carried out once',
    );
  },

  'a name that others add or remove makes what is not there newer, and nothing else': async (t, own) => {
    const store = own.store();
    const one = versionOf(await store.compareAndSet(KEY, 0, 'a'));
    t.same(await store.get(OTHER), { version: one, value: null });
    const two = versionOf(await store.compareAndSet(OTHER, one, 'b'));
    const three = versionOf(await store.compareAndSet(OTHER, two, 'c'));
    t.same(await store.get(KEY), { version: one, value: 'a' });
    t.same(await store.get({ folder: 'things', name: 'third' }), { version: two, value: null });
    t.same(await store.get({ folder: 'things-too', name: 'one' }), { version: 0, value: null }, 'another folder');
    const folder = await store.list('things');
    t.equal(folder.version, two);
    t.same(
      [...folder.entries].sort(),
      [
        ['one', { version: one, value: 'a' }],
        ['other', { version: three, value: 'c' }],
      ].sort(),
    );
    const gone = versionOf(await store.compareAndSet(OTHER, three, null));
    t.same(await store.list('things'), { version: gone, entries: new Map([['one', { version: one, value: 'a' }]]) });
  },

  'values are what they were, from nothing to the largest, and larger ones are refused': async (t, own) => {
    const store = own.store();
    const values = ['', ' ', 'a b\n\0"\\', 'größer ≠ 🎪', 'x'.repeat(VALUE_BYTES_MAX), 'ä'.repeat(VALUE_BYTES_MAX / 2)];
    const watched = new Watched(own.store(), 'things');
    for (const value of values) {
      const version = await write(store, KEY, value);
      const entry = await store.get(KEY);
      t.ok(entry.value === value && entry.version === version, `${value.length} characters`);
      await watched.until('the value', () => watched.versionOf('one') === version);
      t.ok(watched.folder?.entries.get('one')?.value === value, 'watched, too');
    }
    t.equal(await faultOf(write(store, KEY, `x${values[4]}`)), 'refused');
    t.equal(await faultOf(write(store, KEY, `ä${values[5]}`)), 'refused', 'its bytes count');
  },

  'names are what they were, and others are refused': async (t, own) => {
    const store = own.store();
    const names = [
      '10.0.0.1:6380',
      '[::1]:6380',
      'a',
      '...',
      '~',
      '!"#$%&\'()*+,-.:;<=>?@[\\]^_`{|}',
      'n'.repeat(200),
      '__proto__',
    ];
    for (const name of names) await write(store, { folder: 'names', name }, `of ${name}`);
    const { entries } = await store.list('names');
    t.same(
      [...entries].map(([name, { value }]) => [name, value]).sort(),
      names.map((name) => [name, `of ${name}`]).sort(),
    );
    for (const name of names) t.equal((await store.get({ folder: 'names', name })).value, `of ${name}`);
    for (const name of ['', '.', '..', 'a/b', 'a b', 'ä', 'n'.repeat(201), 'a\0']) {
      t.equal(await faultOf(store.get({ folder: 'names', name })), 'refused', name);
      t.equal(await faultOf(store.compareAndSet({ folder: 'names', name }, 0, '')), 'refused', name);
    }
    for (const folder of ['', 'A', 'a/b', '..', 'a'.repeat(33)]) t.equal(await faultOf(store.list(folder)), 'refused');
  },

  'fleets do not see each other': async (t, own) => {
    const store = own.store();
    const other = own.store({ cluster: 'another-fleet' });
    await write(store, KEY, 'ours');
    t.same(await other.get(KEY), { version: 0, value: null });
    t.equal((await other.list('things')).entries.size, 0);
  },

  'of changes that go by one version one is carried out': async (t, own) => {
    const stores = Array.from({ length: 4 }, () => own.store());
    const per = 10;
    const versions: number[] = [];
    let conflicts = 0;
    await Promise.all(
      stores.map(async (store) => {
        for (let done = 0; done < per; ) {
          const { version, value } = await store.get(KEY);
          const written = await store.compareAndSet(KEY, version, `${Number(value ?? 0) + 1}`);
          if (written.kind === 'conflict') conflicts++;
          else {
            versions.push(written.version);
            done++;
          }
        }
      }),
    );
    t.equal((await (stores[0] as Store).get(KEY)).value, `${stores.length * per}`);
    t.equal(new Set(versions).size, versions.length, 'each has a version of its own');
    t.ok(conflicts > 0, 'they did meet');
  },

  'a watch tells what is there, and then each change': async (t, own) => {
    const store = own.store();
    await write(store, KEY, 'a');
    const watched = new Watched(own.store(), 'things');
    await watched.until('what is there', () => watched.told > 0);
    t.same(watched.values, ['one=a']);
    t.equal(watched.folder?.version, (await store.list('things')).version);
    const version = await write(store, KEY, 'b');
    await watched.until('the change', () => watched.versionOf('one') === version);
    t.same(watched.values, ['one=b']);
    const added = await write(store, OTHER, 'c');
    await watched.until('the new one', () => watched.folder?.version === added && watched.versionOf('other') === added);
    t.same(watched.values, ['one=b', 'other=c']);
    const gone = await write(store, KEY, null);
    await watched.until('the removal', () => watched.folder?.version === gone && watched.versionOf('one') === 0);
    t.same(watched.values, ['other=c']);
    await write(store, { folder: 'things-too', name: 'one' }, 'not watched');
    const again = await write(store, KEY, 'd');
    await watched.until('the same name again', () => watched.versionOf('one') === again);
    t.same(watched.values, ['one=d', 'other=c']);
    t.same(watched.faults, []);
  },

  'a watch of a folder that never was tells that, and then what comes': async (t, own) => {
    const watched = new Watched(own.store(), 'things');
    await watched.until('nothing', () => watched.told > 0);
    t.same(watched.folder, { version: 0, entries: new Map() });
    await write(own.store(), KEY, 'a');
    await watched.until('the first', () => watched.values.length > 0);
  },

  'a watch misses nothing that comes while it begins or while others write, and tells nothing when it is closed':
    async (t, own) => {
      const store = own.store();
      const reader = own.store();
      const open: Watched[] = [];
      let last = 0;
      for (let count = 0; count < 40; count++) {
        if (count % 4 === 0) open.push(new Watched(reader, 'things'));
        last = await write(store, count % 3 === 0 ? OTHER : KEY, count % 5 === 0 ? null : `${count}`).catch(
          async (error) => {
            // There was nothing to remove.
            if (!/a conflict/.test(error.message)) throw error;
            return last;
          },
        );
      }
      const { entries } = await store.list('things');
      const expected = [...entries].map(([name, { value }]) => `${name}=${value}`).sort();
      for (const watched of open) {
        await watched.until('the last', () => `${watched.values}` === `${expected}`);
        t.same(watched.faults, []);
      }
      const [closed, ...others] = open as [Watched, ...Watched[]];
      closed.close();
      const { told } = closed;
      const after = await write(store, KEY, 'after');
      for (const watched of others) await watched.until('the next', () => watched.versionOf('one') === after);
      t.equal(closed.told, told);
    },

  'what is asked of a store that is closed is unavailable, and its watches are silent': async (t, own) => {
    const store = own.store();
    const watched = new Watched(store, 'things');
    await watched.until('what is there', () => watched.told > 0);
    await store.close();
    t.equal(await faultOf(store.get(KEY)), 'unavailable');
    t.equal(await faultOf(store.compareAndSet(KEY, 0, 'a')), 'unavailable');
    await write(own.store(), KEY, 'b');
    t.equal(watched.told, 1);
  },
};

const PATIENT: StoreTimes = { timeoutMs: 20_000, attemptMs: 1_000 };
const HASTY: StoreTimes = { timeoutMs: 1_500, attemptMs: 500 };

const FAULT_CASES: Record<string, (t: Test, own: Case) => Promise<void>> = {
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
    for (const victim of await leaderAndAnother(servers)) {
      const store = own.store({ server: victim, times: PATIENT });
      const watched = new Watched(own.store({ server: victim }), 'things');
      const before = await write(store, KEY, `before ${victim}`);
      await watched.until('what is there', () => watched.versionOf('one') === before);
      servers.pause(victim);
      const after = await write(store, KEY, `after ${victim}`);
      await watched.until('the change', () => watched.versionOf('one') === after);
      servers.resume(victim);
      await servers.settled();
      t.same(await store.get(KEY), { version: after, value: `after ${victim}` });
      t.same(watched.faults, []);
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
    t.equal(await faultOf(hasty.get(KEY)), 'unavailable', 'the one that is left has it, and is not believed');
    t.equal(await faultOf(hasty.list('things')), 'unavailable');
    t.match(await faultOf(hasty.compareAndSet(KEY, before, 'meanwhile')), /^(unavailable|unknown)$/);
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

/** Between two faults, so that there is something to lose. */
const CHANGES_BETWEEN_FAULTS = 5;
const CLIENTS = 4;

/** Clients read and write one entry while servers come and go, one at a time, so many times. */
export async function campaign(own: Pick<Case, 'store' | 'servers'>, turns: number): Promise<History[]> {
  const { servers } = own;
  const histories: History[] = [];
  let done = 0;
  let isOver = false;
  const client = async (index: number) => {
    const store = own.store({ server: index % servers.size, times: { timeoutMs: 2_000, attemptMs: 500 } });
    for (let count = 0; !isOver; count++) {
      const read = await timed(() => store.get(KEY));
      if (!('result' in read)) continue;
      const { startMs, endMs, result } = read;
      histories.push({ kind: 'read', startMs, endMs, version: result.version, value: result.value });
      const value = `${index}.${count}`;
      const written = await timed(() => store.compareAndSet(KEY, result.version, value));
      const times = { startMs: written.startMs, endMs: written.endMs };
      const change = { kind: 'write', ...times, expected: result.version, value } as const;
      if ('fault' in written) histories.push({ ...change, outcome: written.fault });
      else if (written.result.kind === 'done') {
        histories.push({ ...change, outcome: 'done', version: written.result.version });
        done++;
      } else histories.push({ ...change, outcome: 'conflict', found: written.result.found });
    }
  };
  const someChanges = () => {
    const goal = done + CHANGES_BETWEEN_FAULTS;
    return waitFor('changes between faults', () => done >= goal, 60_000);
  };
  const nemesis = async () => {
    try {
      for (let turn = 0; turn < turns; turn++) {
        await someChanges();
        const leader = await servers.leader();
        const victim = leader >= 0 && turn % 2 === 0 ? leader : turn % servers.size;
        if (turn % 4 < 2) await servers.kill(victim);
        else servers.pause(victim);
        // The others go on without it.
        await someChanges();
        if (turn % 4 < 2) await servers.restart(victim);
        else servers.resume(victim);
      }
      await someChanges();
    } finally {
      isOver = true;
    }
  };
  await Promise.all([nemesis(), ...Array.from({ length: CLIENTS }, (_, index) => client(index))]);
  return histories;
}

interface Times {
  startMs: number;
  endMs: number;
}

async function timed<A>(
  work: () => Promise<A>,
): Promise<Times & ({ result: A } | { fault: 'unavailable' | 'unknown' | 'refused' })> {
  const startMs = performance.now();
  try {
    const result = await work();
    return { startMs, endMs: performance.now(), result };
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    return { startMs, endMs: performance.now(), fault: error.fault };
  }
}

/** Holds a driver to the contract: each case in a fleet of its own, those with servers only where there are some. */
export async function testContract(t: Test, deployment: Deployment): Promise<void> {
  t.teardown(() => deployment.stop());
  const cases = { ...CASES, ...(deployment.servers === null ? {} : FAULT_CASES) };
  let number = 0;
  for (const [name, run] of Object.entries(cases)) {
    const cluster = `contract-${++number}`;
    await t.test(name, async (t) => {
      const own = new Case(deployment, cluster);
      try {
        await run(t, own);
      } finally {
        await own.end();
      }
    });
  }
}
