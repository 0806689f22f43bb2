/** What the holder of a lease makes of a store that answers late, or not at all: by a driver that does as it is told. */
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { LEASE_MS_MAX, LEASE_MS_MIN } from '../../src/base/lease-length.js';
import type { Attempt } from '../../src/coord/driver.js';
import { FileDriver } from '../../src/coord/file-driver.js';
import { HeldLease } from '../../src/coord/held-lease.js';
import type { Key } from '../../src/coord/key.js';
import { encodeLease, newHolder } from '../../src/coord/lease.js';
import { Store } from '../../src/coord/store.js';
import { StoreError } from '../../src/coord/store-error.js';
import { FakeClock } from '../help/fake-clock.js';
import { within } from '../help/wait-for.js';
import { Seeded } from '../transport/seeded.js';

const KEY = { folder: 'members', name: 'a' };

/** Carries out each change, and then does what it is told to. */
class Unsteady extends FileDriver {
  changes = 0;
  after: (attempt: Attempt) => Promise<Attempt> = async (attempt) => attempt;

  constructor() {
    super(null);
  }

  override async compareAndSet(key: Key, expected: number, mark: string, value: string | null): Promise<Attempt> {
    const attempt = await super.compareAndSet(key, expected, mark, value);
    this.changes++;
    return this.after(attempt);
  }
}

/** A lease, and when and why it ended. */
async function take(driver: Unsteady, lengthMs: number) {
  const store = new Store(driver, { timeoutMs: 60, attemptMs: 30 });
  let onEnd: (reason: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    onEnd = resolve;
  });
  const lease = await HeldLease.take(store, { key: KEY, lengthMs, holder: newHolder(), onEnd }, 0, 'value');
  if (!(lease instanceof HeldLease)) throw new Error('it is not taken');
  return { store, lease, ended };
}

t.test('a lease counts from when it was asked for, not from the answer', async (t) => {
  const driver = new Unsteady();
  const lengthMs = 1_000;
  const startMs = performance.now();
  driver.after = async (attempt) => {
    await sleep(600);
    return attempt;
  };
  const { store, lease } = await take(driver, lengthMs);
  t.ok(performance.now() - startMs >= 599);
  // No renewal is answered.
  driver.after = () => new Promise(() => {});
  await sleep(startMs + lengthMs - performance.now());
  t.equal(lease.isHeld, false);
  await store.close();
});

t.test('a lease outlives a time in which it is not known whether its renewals were done', async (t) => {
  const driver = new Unsteady();
  const lengthMs = 1_500;
  const { store, lease, ended } = await take(driver, lengthMs);
  const { version } = await store.get(KEY);
  driver.after = async () => {
    throw new StoreError('unknown', 'the answer was lost');
  };
  // The next one is done, and the one after it comes upon it.
  while ((await store.get(KEY)).version === version) await sleep(5);
  const lost = driver.changes;
  while (driver.changes < lost + 3) await sleep(5);
  driver.after = async (attempt) => attempt;
  let reason = '';
  void ended.then((why) => {
    reason = why;
  });
  await sleep(lengthMs * 1.2);
  t.equal(reason, '');
  t.equal(lease.isHeld, true);
  await lease.release();
  t.equal((await store.get(KEY)).value, null);
  await store.close();
});

t.test('a lease that somebody else has by now is not held', async (t) => {
  const driver = new Unsteady();
  const { store, lease, ended } = await take(driver, LEASE_MS_MIN);
  const others = encodeLease({ lengthMs: 1_000, holder: 'other', value: 'value' });
  for (let isTaken = false; !isTaken; ) {
    const { version } = await store.get(KEY);
    isTaken = (await store.compareAndSet(KEY, version, others)).kind === 'done';
  }
  t.equal(await within('the end', ended), 'others have taken it');
  t.equal(lease.isHeld, false);
  await lease.release();
  t.equal((await store.get(KEY)).value, others, 'and not let go of');
  await store.close();
});

t.test('a lease that cannot be renewed ends in its time', async (t) => {
  const driver = new Unsteady();
  const { store, lease, ended } = await take(driver, LEASE_MS_MIN);
  driver.after = async () => {
    throw new StoreError('unavailable', 'the store is away');
  };
  t.equal(await within('the end', ended), 'it could not be renewed in time: the store is away');
  t.equal(lease.isHeld, false);
  await store.close();
});

t.test('a lease has a length that makes sense', async (t) => {
  const store = new Store(new FileDriver(null));
  for (const lengthMs of [0, -1, LEASE_MS_MIN - 1, LEASE_MS_MAX + 1, Number.NaN]) {
    const terms = { key: KEY, lengthMs, holder: newHolder(), onEnd: () => {} };
    await t.rejects(HeldLease.take(store, terms, 0, ''), { message: /^a lease has 500 to 600000 ms, not / });
  }
  t.equal((await store.get(KEY)).value, null);
  await store.close();
});

t.test('leases that were taken together are not renewed together', async (t) => {
  const clock = new FakeClock();
  const random = new Seeded(7);
  const driver = new Unsteady();
  const store = new Store(driver, undefined, clock, () => random.below(1_000) / 1_000);
  const [count, lengthMs] = [40, 9_000];
  for (let number = 0; number < count; number++) {
    const terms = { key: { folder: 'members', name: `m${number}` }, lengthMs, holder: newHolder(), onEnd: t.fail };
    const { version } = await store.list('members');
    t.ok((await HeldLease.take(store, terms, version, '')) instanceof HeldLease);
  }
  /** Of each tenth of a second. */
  const renewals: number[] = [];
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 100) {
      const before = driver.changes;
      clock.pass(100);
      // What is due is done.
      await new Promise((resolve) => setImmediate(resolve));
      renewals.push(driver.changes - before);
    }
  };
  await pass(lengthMs / 3);
  const all = renewals.reduce((sum, one) => sum + one, 0);
  t.ok(all >= count, `each was renewed within a third of its length: ${all}`);
  t.ok(Math.max(...renewals) <= count / 3, `never many of them together: ${renewals}`);
  renewals.length = 0;
  await pass(lengthMs / 3);
  t.ok(Math.max(...renewals) <= count / 4, `and then fewer: ${renewals}`);
  await store.close();
});
