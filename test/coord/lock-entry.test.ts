/** What becomes of a lock's entry in the store. */
import t from 'tap';
import { type LockMode, STORE_HOLDERS_MAX } from '../../src/base/lock-mode.js';
import {
  acquireIn,
  type Change,
  decodeLock,
  encodeLock,
  entryNameOf,
  extendIn,
  holderIn,
  type LockEntry,
  releaseIn,
} from '../../src/coord/lock-entry.js';

const EXCLUSIVE: LockMode = { kind: 'exclusive' };
const SHARED: LockMode = { kind: 'shared' };
const nobodyIsOver = () => false;

/** As a store has it: each change makes another version. */
class Written {
  version = 0;
  entry: LockEntry | null = null;

  /** Whether it was written. */
  write(change: Change<unknown>): boolean {
    if (change.kind === 'stay') return false;
    this.version += 3;
    this.entry = decodeLock(this.version, encodeLock(change.entry));
    return true;
  }

  acquire(token: string, mode: LockMode, isOver: (token: string) => boolean = nobodyIsOver): boolean {
    const claim = { id: `id-${token}-${this.version}`, token, client: `of ${token}`, ttlMs: 1_000, mode };
    return this.write(acquireIn(this.entry, 'lock:x', claim, (holder) => isOver(holder.token)));
  }

  get fences(): Record<string, number> {
    return Object.fromEntries((this.entry?.holders ?? []).map(({ token, fence }) => [token, fence]));
  }
}

t.test('a fence is the version of the change that granted it, whatever is written later', async (t) => {
  const lock = new Written();
  t.ok(lock.acquire('a', SHARED));
  t.same(lock.fences, { a: 3 });
  t.ok(lock.acquire('b', SHARED));
  t.same(lock.fences, { a: 3, b: 6 });
  t.ok(lock.write(extendIn(lock.entry, 'b', 5_000, 'renewed')));
  t.same(lock.fences, { a: 3, b: 6 });
  t.equal(holderIn(lock.entry, 'b')?.ttlMs, 5_000);
  t.equal(holderIn(lock.entry, 'b')?.renewal, 'renewed');
  t.ok(lock.acquire('a', SHARED), 'who has it has it anew');
  t.same(lock.fences, { b: 6, a: 12 });
  t.ok(lock.write(releaseIn(lock.entry, ({ token }) => token === 'a')));
  t.same(lock.fences, { b: 6 });
  t.equal(lock.entry?.fence, 12, 'the last one is known of a lock that is free');
});

t.test('who may share it', async (t) => {
  const two: LockMode = { kind: 'limit', max: 2 };
  const table: [held: LockMode, wanted: LockMode, isGranted: boolean][] = [
    [EXCLUSIVE, EXCLUSIVE, false],
    [EXCLUSIVE, SHARED, false],
    [EXCLUSIVE, two, false],
    [SHARED, EXCLUSIVE, false],
    [SHARED, SHARED, true],
    [SHARED, two, false],
    [two, EXCLUSIVE, false],
    [two, SHARED, false],
    [two, two, true],
    [two, { kind: 'limit', max: 3 }, false],
  ];
  for (const [held, wanted, isGranted] of table) {
    const lock = new Written();
    lock.acquire('a', held);
    t.equal(lock.acquire('b', wanted), isGranted, `${held.kind}, then ${wanted.kind}`);
    t.ok(
      lock.acquire('c', wanted, () => true),
      'of those whose time is over nobody counts',
    );
    t.same(Object.keys(lock.fences), ['c']);
  }
  const lock = new Written();
  t.ok(lock.acquire('a', two) && lock.acquire('b', two));
  t.notOk(lock.acquire('c', two));
  t.ok(lock.acquire('b', two));
  const crowd = new Written();
  for (let number = 0; number < STORE_HOLDERS_MAX; number++) t.ok(crowd.acquire(`${number}`, SHARED));
  t.notOk(crowd.acquire('one more', SHARED));
});

t.test('what is not held is neither extended nor freed', async (t) => {
  const lock = new Written();
  t.notOk(lock.write(extendIn(null, 'a', 1, 'r')));
  t.notOk(lock.write(releaseIn(null, () => true)));
  lock.acquire('a', EXCLUSIVE);
  t.notOk(lock.write(extendIn(lock.entry, 'b', 1, 'r')));
  t.notOk(lock.write(releaseIn(lock.entry, ({ token }) => token === 'b')));
  t.ok(lock.write(releaseIn(lock.entry, () => true)));
  t.notOk(lock.write(releaseIn(lock.entry, () => true)));
});

t.test('any name has an entry, and any entry of a lock can be read', async (t) => {
  for (const name of ['', '\x00\r\n\xff/..', 'x'.repeat(4096)]) t.match(entryNameOf(name), /^[\w-]{43}$/);
  t.not(entryNameOf('a'), entryNameOf('b'));
  const lock = new Written();
  lock.acquire('\x00\xff"', EXCLUSIVE);
  t.equal(holderIn(lock.entry, '\x00\xff"')?.fence, 3);
  const later = { ...JSON.parse(encodeLock(lock.entry as LockEntry)), later: 1 };
  later.holders = later.holders.map((holder: object) => ({ ...holder, later: 1 }));
  t.same(decodeLock(3, JSON.stringify(later)), lock.entry, 'what a later version says besides is left out');
  for (const text of ['', 'x', '{}', '{"name":"a","mode":{"kind":"new"},"fence":1,"holders":[]}'])
    t.throws(() => decodeLock(1, text), /is no lock that this version knows/);
});
