/** Locks on a store whose answers come when the test says so. */
import t from 'tap';
import type { Attempt, Driver, DriverWatcher, Stored, StoredFolder, Watch } from '../../src/coord/driver.js';
import { FileDriver } from '../../src/coord/file-driver.js';
import type { Key } from '../../src/coord/key.js';
import { entryNameOf } from '../../src/coord/lock-entry.js';
import type { Told } from '../../src/coord/lock-outcomes.js';
import { Store } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import { StoreLocks } from '../../src/coord/store-locks.js';
import { FakeClock } from '../help/fake-clock.js';

const TIMES = { timeoutMs: 2_000, attemptMs: 2_000 };
const TTL_MS = 1_000;
const PASS_MS = 100;
/** Of StoreLocks. */
const UNUSED_MS = 60_000;
const TIDY_MS = 10_000;

class GatedDriver implements Driver {
  /** Changes wait before they get to the store. */
  holdsChanges = false;
  /** Changes that were carried out are not answered. */
  holdsAnswers = false;
  /** Changes that were carried out are said to be unknown. */
  losesAnswers = false;
  /** Nothing gets to the store. */
  isAway = false;
  /** From the next change on, of which it is not known that it was carried out. */
  goesAway = false;
  asked = 0;
  private readonly store: Driver;
  private readonly held: (() => void)[] = [];

  constructor(store: Driver) {
    this.store = store;
  }

  async get(key: Key, timeoutMs: number): Promise<Stored> {
    this.look();
    return this.store.get(key, timeoutMs);
  }

  list(folder: string, timeoutMs: number): Promise<StoredFolder> {
    return this.store.list(folder, timeoutMs);
  }

  async compareAndSet(key: Key, expected: number, mark: string, value: string | null, ms: number): Promise<Attempt> {
    this.look();
    if (this.holdsChanges) await this.gate();
    const attempt = await this.store.compareAndSet(key, expected, mark, value, ms);
    if (this.holdsAnswers) await this.gate();
    if (this.goesAway) {
      this.isAway = true;
      this.goesAway = false;
      throw new StoreError('unknown', 'no answer');
    }
    if (this.losesAnswers && attempt.kind === 'done') throw new StoreError('unknown', 'no answer');
    return attempt;
  }

  watch(folder: string, watcher: DriverWatcher): Watch {
    return this.store.watch(folder, watcher);
  }

  async close(): Promise<void> {}

  get heldCount(): number {
    return this.held.length;
  }

  /** Whatever is held goes on, the latest first. */
  async letGo(): Promise<void> {
    for (let quiet = 0; quiet < 5; ) {
      const last = this.held.pop();
      last?.();
      quiet = last === undefined ? quiet + 1 : 0;
      await turn();
    }
  }

  private look(): void {
    this.asked++;
    if (this.isAway) throw new StoreError('unavailable', 'no connection');
  }

  private gate(): Promise<void> {
    return new Promise((resolve) => this.held.push(resolve));
  }
}

/** Whatever is under way and not held is over. */
async function turn(): Promise<void> {
  for (let count = 0; count < 3; count++) await new Promise(setImmediate);
}

/** Time goes on, and what comes of it is done. */
async function pass(clock: FakeClock, ms: number): Promise<void> {
  for (let passed = 0; passed < ms; passed += PASS_MS) {
    clock.pass(PASS_MS);
    await turn();
  }
}

/** A process at that store. */
function join(t: { teardown: (work: () => void) => void }, store: Driver) {
  const driver = new GatedDriver(store);
  const clock = new FakeClock();
  const troubles: string[] = [];
  const locks = new StoreLocks(
    new Store(driver, TIMES, clock),
    () => 0,
    (reason) => troubles.push(reason),
  );
  t.teardown(() => locks.close());
  const acquire = (token: string, waitMs = 0, ttlMs = TTL_MS): Promise<Told> => {
    const mode = { kind: 'exclusive' } as const;
    const wish = { token, client: token, ttlMs, mode, waitMs, queueMax: 3, ticket: 1 };
    return new Promise((resolve) => locks.acquire('lock:x', wish, resolve));
  };
  const breakIt = () => locks.break('lock:x');
  const holders = async () => {
    const looked = await locks.look('lock:x');
    if (looked.kind !== 'view') throw new Error(looked.reason);
    return looked.view.holders;
  };
  return { driver, clock, locks, acquire, breakIt, holders, troubles };
}

t.test('a release does not free what was acquired after it by the same token', async (t) => {
  const { driver, locks, acquire, holders } = join(t, new FileDriver(null));
  t.match(await acquire('a'), { kind: 'granted' });
  driver.holdsChanges = true;
  const [released, acquired] = [locks.release('lock:x', 'a'), acquire('a')];
  await turn();
  await driver.letGo();
  t.match(await Promise.all([released, acquired]), [{ kind: 'done' }, { kind: 'granted' }]);
  t.match(await holders(), [{ token: 'a' }]);
});

t.test('an extension is not undone by one that was asked for before', async (t) => {
  const { driver, locks, acquire, holders } = join(t, new FileDriver(null));
  await acquire('a');
  driver.holdsChanges = true;
  const extended = [locks.extend('lock:x', 'a', 500), locks.extend('lock:x', 'a', 20_000)];
  await turn();
  await driver.letGo();
  t.match(await Promise.all(extended), [{ kind: 'extended' }, { kind: 'extended' }]);
  t.match(await holders(), [{ ttlMs: 20_000 }]);
});

t.test('what was granted, broken, and granted again under one renewal is held from the first time on', async (t) => {
  const store = new FileDriver(null);
  const [one, other] = [join(t, store), join(t, store)];
  one.driver.holdsAnswers = true;
  const acquired = one.acquire('a');
  await turn();
  t.match(await other.breakIt(), { kind: 'broken', holders: 1 });
  await turn();
  one.clock.stand(400);
  await one.driver.letGo();
  const told = await acquired;
  if (told.kind !== 'granted') throw new Error(told.kind);
  t.ok(told.untilMs - one.clock.nowMs() <= TTL_MS - 400, `${told.untilMs}`);
  t.match(await other.holders(), [{ token: 'a' }]);
});

t.test('an entry that is no lock stops the news of no other, and is told of', async (t) => {
  const store = new FileDriver(null);
  const { locks, acquire, troubles } = join(t, store);
  await store.compareAndSet({ folder: 'locks', name: entryNameOf('lock:new') }, 0, 'mark', '{"mode":{"kind":"new"}}');
  await acquire('a');
  const waiting = acquire('b', 10_000);
  await turn();
  t.match(await join(t, store).locks.release('lock:x', 'a'), { kind: 'done' });
  t.match(await waiting, { kind: 'granted' });
  t.match(troubles[0], /is no lock that this version knows/);
  t.match(await locks.list(() => true), { kind: 'trouble' }, 'a list that lacks one is none');
  const looked = await locks.look('lock:new');
  t.match(looked, { kind: 'trouble', reason: /is no lock that this version knows/ });
  const mode = { kind: 'exclusive' } as const;
  const wish = { token: 'c', client: 'c', ttlMs: TTL_MS, mode, waitMs: 0, queueMax: 3, ticket: 1 };
  const told = await new Promise((resolve) => locks.acquire('lock:new', wish, resolve));
  t.match(told, { kind: 'trouble', reason: /is no lock that this version knows/ });
});

t.test('names that nobody uses are removed as fast as they came', async (t) => {
  const store = new FileDriver(null);
  const { clock, locks } = join(t, store);
  const mode = { kind: 'exclusive' } as const;
  const wish = { token: 'a', client: 'c', ttlMs: TTL_MS, mode, waitMs: 0, queueMax: 3, ticket: 1 };
  const names = Array.from({ length: 250 }, (_, number) => `lock:${number}`);
  for (const name of names) {
    t.match(await new Promise((resolve) => locks.acquire(name, wish, resolve)), { kind: 'granted' });
    await locks.release(name, 'a');
  }
  clock.pass(UNUSED_MS);
  for (let count = 0; count < 20 && (await store.list('locks')).entries.size > 0; count++) {
    await turn();
    clock.pass(TIDY_MS / 20);
  }
  t.equal((await store.list('locks')).entries.size, 0);
});

t.test('what may have been broken is not broken once more for who got it since', async (t) => {
  const store = new FileDriver(null);
  const [one, other] = [join(t, store), join(t, store)];
  await other.acquire('a');
  one.driver.holdsAnswers = true;
  one.driver.losesAnswers = true;
  const broken = one.breakIt();
  await turn();
  t.match(await other.acquire('b'), { kind: 'granted' });
  await one.driver.letGo();
  // The store asks again.
  one.clock.pass(10);
  await one.driver.letGo();
  t.match(await broken, { kind: 'broken', holders: 1 });
  t.match(await other.holders(), [{ token: 'b' }]);
});

t.test('what may have been got is given back when the store is there again, and not asked for any more', async (t) => {
  const store = new FileDriver(null);
  const { driver, clock, acquire, holders } = join(t, store);
  driver.goesAway = true;
  const acquired = acquire('a', 0, 600_000);
  await pass(clock, 3 * TIMES.timeoutMs);
  t.match(await acquired, { kind: 'trouble', isUnknown: false });
  t.match(await join(t, store).holders(), [{ token: 'a' }], 'it was got');
  await pass(clock, 30_000);
  driver.isAway = false;
  await pass(clock, 15_000);
  t.same(await holders(), []);
  const { asked } = driver;
  await pass(clock, 30_000);
  t.equal(driver.asked, asked);
});

t.test('what could not be given back is when the store is there again', async (t) => {
  const { driver, clock, locks, acquire, holders } = join(t, new FileDriver(null));
  const told = await acquire('a', 0, 600_000);
  if (told.kind !== 'granted') throw new Error(told.kind);
  driver.isAway = true;
  const back = locks.giveBack('lock:x', told.id);
  await pass(clock, 2 * TIMES.timeoutMs);
  await back;
  driver.isAway = false;
  await pass(clock, 15_000);
  t.same(await holders(), []);
});
