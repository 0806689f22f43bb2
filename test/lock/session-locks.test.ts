/** Locks that clients have until they go. */
import t from 'tap';
import type { Lock } from '../../src/lock/lock.js';
import { SessionLockKeeper } from '../../src/lock/session-locks.js';
import { FakeClock } from '../help/fake-clock.js';
import { FakeLock } from '../help/fake-lock.js';

const ORDER = { token: 'mine', ttlMs: 3000 };

function begin(sessionLocksMax = 10) {
  const clock = new FakeClock();
  const counts = { sessionLocksHeld: 0, sessionLocksLost: 0, sessionLocksRefused: 0 };
  const keeper = new SessionLockKeeper({ clock, counts, limits: { sessionLocksMax } });
  const lost: string[] = [];
  const moved = new Set<Lock>();
  const isMoved = (lock: Lock) => moved.has(lock);
  const locks = keeper.begin((reason) => lost.push(reason), isMoved);
  return { clock, counts, keeper, locks, lost, moved };
}

t.test('they are kept until the client goes, and then given back', async (t) => {
  const { clock, counts, keeper, locks } = begin();
  const [one, two] = [new FakeLock('one'), new FakeLock('two')];
  for (const lock of [one, two]) locks.keep(lock, ORDER, lock.granted('mine', 2900));
  t.equal(counts.sessionLocksHeld, 2);
  clock.pass(1000);
  t.same([one.extensions, two.extensions], [[3000], [3000]]);
  t.notOk(keeper.isIdle);
  locks.end();
  t.same([one.givenBack, two.givenBack], [['mine'], ['mine']]);
  t.equal(counts.sessionLocksHeld, 0);
  t.ok(keeper.isIdle);
  clock.pass(10_000);
  t.same([one.extensions, two.extensions], [[3000], [3000]]);
});

t.test('one that is lost is told by its name, and what is left of it is given back', async (t) => {
  const { clock, counts, keeper, locks, lost } = begin();
  const lock = new FakeLock('lock\n');
  locks.keep(lock, ORDER, lock.granted('mine', 2900));
  clock.stand(2890);
  t.same(lost, []);
  keeper.look();
  t.match(lost, [/^it cannot be known any more to hold the lock 'lock\\x0a': its time was over/]);
  t.same(lock.givenBack, ['mine']);
  t.same(counts, { sessionLocksHeld: 0, sessionLocksLost: 1, sessionLocksRefused: 0 });
  t.equal(locks.find('lock\n', 'mine'), null);
});

t.test('what is released, and what is granted again, is kept no more under the old grant', async (t) => {
  const { clock, counts, locks, lost } = begin();
  const lock = new FakeLock('lock');
  locks.keep(lock, ORDER, lock.granted('mine', 2900));
  locks.keep(lock, { ...ORDER, ttlMs: 9000 }, lock.granted('mine', 8900));
  t.equal(counts.sessionLocksHeld, 1);
  clock.pass(3000);
  t.same(lock.extensions, [9000]);
  t.equal(locks.find('lock', 'other'), null);
  t.equal(locks.find('other', 'mine'), null);
  locks.drop('lock', 'mine');
  t.equal(counts.sessionLocksHeld, 0);
  clock.pass(30_000);
  locks.end();
  t.same([lost, lock.givenBack], [[], []]);
});

t.test('one client has so many at the most, with those that it waits for', async (t) => {
  const { counts, locks } = begin(2);
  const lock = new FakeLock('lock');
  t.ok(locks.reserve(1));
  t.ok(locks.reserve(1));
  t.notOk(locks.reserve(1));
  locks.unreserve(1);
  locks.keep(lock, ORDER, lock.granted('mine', 2900));
  t.notOk(locks.reserve(1));
  locks.unreserve(1);
  t.ok(locks.reserve(1));
  t.equal(counts.sessionLocksRefused, 2);
});

t.test('a worker that stops waits until they are free, but not for long', async (t) => {
  const { clock, keeper, locks } = begin();
  const lock = new FakeLock('lock');
  let isDone = 0;
  const done = () => isDone++;
  keeper.whenReleased(done);
  t.equal(isDone, 1, 'there is nothing to wait for');
  locks.keep(lock, ORDER, lock.granted('mine', 2900));
  locks.end();
  keeper.whenReleased(done);
  t.equal(isDone, 1);
  lock.answerGivenBack();
  t.equal(isDone, 2);
  const others = keeper.begin(
    () => {},
    () => false,
  );
  others.keep(lock, ORDER, lock.granted('mine', 2900));
  others.end();
  keeper.whenReleased(done);
  clock.pass(999);
  t.equal(isDone, 2);
  clock.pass(1);
  t.equal(isDone, 3);
  lock.answerGivenBack();
  clock.pass(10_000);
  t.equal(isDone, 3);
});

t.test('one that others keep now is lost', async (t) => {
  const { keeper, locks, lost, moved } = begin();
  const [one, two] = [new FakeLock('one'), new FakeLock('two')];
  for (const lock of [one, two]) locks.keep(lock, ORDER, lock.granted('mine', 2900));
  keeper.loseMoved();
  t.same(lost, []);
  moved.add(two);
  keeper.loseMoved();
  t.match(lost, [/'two': it is on other nodes by the configuration that was loaded/]);
  t.same([one.givenBack, two.givenBack], [[], ['mine']]);
});
