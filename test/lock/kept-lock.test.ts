/** A lock that is kept: when it is extended, and when it is over. */
import t from 'tap';
import { EARLY_MS, KeptLock } from '../../src/lock/kept-lock.js';
import type { ExtendOutcome } from '../../src/lock/lock.js';
import { FakeClock } from '../help/fake-clock.js';
import { FakeLock } from '../help/fake-lock.js';

const TTL_MS = 3000;
const EXTENDED = { kind: 'extended', validityMs: 2900 } as const;
const NOT_HELD = { kind: 'not-held', ttlMs: 0, holders: [] } as const;
const UNREACHED = { kind: 'no-quorum', quarantinedMs: null, error: null } as const;

function keep(leftMs = 2900) {
  const clock = new FakeClock();
  const lock = new FakeLock('lock');
  const lost: string[] = [];
  const kept = new KeptLock(lock, { token: 'mine', ttlMs: TTL_MS }, leftMs, clock, (reason) => lost.push(reason));
  return { clock, lock, lost, kept };
}

t.test('it is extended each third of its ttl, for as long as it is kept', async (t) => {
  const { clock, lock, lost, kept } = keep();
  clock.pass(899);
  t.same(lock.extensions, []);
  clock.pass(1);
  t.same(lock.extensions, [TTL_MS]);
  lock.answerExtension(EXTENDED);
  for (let time = 2; time <= 20; time++) {
    clock.pass(999);
    t.equal(lock.extensions.length, time - 1);
    clock.pass(1);
    t.equal(lock.extensions.length, time);
    lock.answerExtension(EXTENDED);
  }
  kept.letGo();
  clock.pass(10_000);
  t.equal(lock.extensions.length, 20);
  t.same(lost, []);
});

t.test('what took long to get is extended at once', async (t) => {
  const { clock, lock } = keep(500);
  clock.pass(1);
  t.same(lock.extensions, [TTL_MS]);
});

t.test('it is lost a little before its time is over, once, when nobody says that it was extended', async (t) => {
  const { clock, lock, lost } = keep();
  clock.pass(2900 - EARLY_MS - 1);
  t.same(lost, []);
  t.equal(lock.extensionsOut, 2, 'an extension that is not answered does not keep the next back');
  clock.pass(1);
  t.match(lost, [/^its time was over before/]);
  lock.answerExtension(EXTENDED);
  clock.pass(10_000);
  t.equal(lost.length, 1, 'and stays so');
  t.equal(lock.extensions.length, 2);
});

t.test('an extension that fails is soon tried again; one that succeeds in time is enough', async (t) => {
  const { clock, lock, lost } = keep();
  clock.pass(900);
  for (const outcome of [UNREACHED, { kind: 'unknown' } as const, UNREACHED]) {
    lock.answerExtension(outcome);
    clock.pass(299);
    t.equal(lock.extensionsOut, 0);
    clock.pass(1);
    t.equal(lock.extensionsOut, 1);
  }
  lock.answerExtension(EXTENDED);
  clock.pass(2900 - EARLY_MS - 1);
  t.same(lost, [], 'from when it was told on');
  clock.pass(1);
  t.equal(lost.length, 1);
});

t.test('who does not hold it any more has lost it at once', async (t) => {
  const { clock, lock, lost } = keep();
  clock.pass(900);
  lock.answerExtension(NOT_HELD);
  t.match(lost, [/^it is not held by its token any more/]);
  clock.pass(10_000);
  t.equal(lock.extensions.length, 1);
});

t.test('a clock that stood still is seen by whoever looks', async (t) => {
  const { clock, lost, kept } = keep();
  clock.stand(2900 - EARLY_MS - 1);
  kept.look();
  t.same(lost, []);
  clock.stand(1);
  t.same(lost, [], 'nothing was done yet');
  kept.look();
  t.equal(lost.length, 1);
  kept.look();
  t.equal(lost.length, 1);
});

t.test('what its holder asks for holds from then on: longer, and shorter', async (t) => {
  const { clock, lock, lost, kept } = keep();
  const told: ExtendOutcome[] = [];
  kept.extend(30_000, (outcome) => told.push(outcome));
  lock.answerExtension({ kind: 'extended', validityMs: 29_000 });
  t.same(told, [{ kind: 'extended', validityMs: 29_000 }]);
  clock.pass(9_999);
  t.same(lock.extensions, [30_000]);
  clock.pass(1);
  t.same(lock.extensions, [30_000, 30_000]);
  // The nodes may hold it for no longer than that as soon as it is asked for.
  kept.extend(1_000, (outcome) => told.push(outcome));
  clock.pass(988 - EARLY_MS - 1);
  t.same(lost, []);
  clock.pass(1);
  t.equal(lost.length, 1);
});

t.test('who stands still when he is told has no more time than was asked for', async (t) => {
  const { clock, lock, lost } = keep();
  clock.pass(900);
  clock.stand(1_000);
  lock.answerExtension({ kind: 'extended', validityMs: TTL_MS });
  clock.pass(TTL_MS - 1_000 - 50);
  t.same(lost, []);
  clock.pass(50);
  t.equal(lost.length, 1);
});

t.test('of an extension that another overtook nothing is to be known', async (t) => {
  const { clock, lock, lost, kept } = keep();
  clock.pass(900);
  kept.extend(1_000, () => {});
  lock.answerExtension({ kind: 'extended', validityMs: 900 }, 1);
  lock.answerExtension({ kind: 'extended', validityMs: 2_900 });
  clock.pass(900 - EARLY_MS - 1);
  t.same(lost, []);
  clock.pass(1);
  t.equal(lost.length, 1);
});

t.test('what was asked for before its holder asked for a shorter time is not believed', async (t) => {
  const { clock, lock, lost, kept } = keep();
  clock.pass(900);
  kept.extend(1_000, () => {});
  lock.answerExtension(EXTENDED);
  clock.pass(988 - EARLY_MS - 1);
  t.same(lost, []);
  clock.pass(1);
  t.equal(lost.length, 1);
});

t.test('nor is what it said against it: the answer to the holder will', async (t) => {
  const { clock, lock, lost, kept } = keep();
  clock.pass(900);
  kept.extend(30_000, () => {});
  lock.answerExtension(NOT_HELD);
  t.same(lost, []);
  lock.answerExtension(NOT_HELD);
  t.equal(lost.length, 1);
});

t.test(
  'who asked for a longer time has the old one until it is granted: it is asked for again within that',
  async (t) => {
    const { clock, lock, lost, kept } = keep();
    clock.pass(400);
    kept.extend(30_000, () => {});
    clock.pass(833);
    t.equal(lock.extensionsOut, 1);
    clock.pass(1);
    t.same(lock.extensions, [30_000, 30_000], 'when nothing was answered');
    lock.answerExtension(UNREACHED, 1);
    clock.pass(555);
    t.equal(lock.extensions.length, 2);
    clock.pass(1);
    t.equal(lock.extensions.length, 3, 'and when it failed');
    lock.answerExtension({ kind: 'extended', validityMs: 29_000 }, 1);
    clock.pass(9_999);
    t.equal(lock.extensions.length, 3);
    clock.pass(1);
    t.equal(lock.extensions.length, 4, 'then each third of the new one');
    t.same(lost, []);
  },
);

t.test('however little is left, it is not asked for more often than each 50 ms', async (t) => {
  const { clock, lock, lost, kept } = keep();
  clock.pass(2_600);
  lock.answerExtension(UNREACHED);
  kept.extend(30_000, () => {});
  for (let ms = 0; lost.length === 0; ms++) {
    clock.pass(1);
    while (lock.extensionsOut > 0) lock.answerExtension(UNREACHED);
    t.ok(ms < 300);
  }
  t.ok(lock.extensions.length > 5 && lock.extensions.length < 15, `${lock.extensions.length}`);
});
