/** Who wants the same lock of a store, in the order of asking. */
import t from 'tap';
import { type LineLocks, LockLine } from '../../src/coord/lock-line.js';
import type { Attempted, LockWish, Told } from '../../src/coord/lock-outcomes.js';
import { FakeClock } from '../help/fake-clock.js';

const TROUBLE: Attempted = { kind: 'trouble', isUnknown: false, reason: 'it is away' };
const RETRY_MS = 100;

/** What lines stand on, answered by the test. */
class Locks implements LineLocks {
  readonly clock = new FakeClock();
  readonly tried: string[] = [];
  readonly givenBack: string[] = [];
  isDropped = false;
  private answers: ((attempted: Attempted) => void)[] = [];

  attempt(_name: string, wish: LockWish): Promise<Attempted> {
    this.tried.push(wish.client);
    return new Promise((resolve) => this.answers.push(resolve));
  }

  /** The attempt under way comes to that. */
  async answer(attempted: Attempted): Promise<void> {
    this.answers.shift()?.(attempted);
    await new Promise(setImmediate);
  }

  async giveBack(_name: string, id: string): Promise<void> {
    this.givenBack.push(id);
  }

  retryMs(): number {
    return RETRY_MS;
  }

  drop(): void {
    this.isDropped = true;
  }
}

function begin() {
  const locks = new Locks();
  const line = new LockLine(locks, 'lock:x');
  const told: string[] = [];
  let last = 0;
  const join = (client: string, waitMs: number, ticket = ++last) => {
    const mode = { kind: 'exclusive' } as const;
    const wish = { token: client, client, ttlMs: 1_000, mode, waitMs, queueMax: 3, ticket };
    return line.join(wish, (outcome: Told) => told.push(`${client} ${outcome.kind}`));
  };
  return { locks, line, told, join };
}

function granted(id: string): Attempted {
  return { kind: 'granted', id, fence: 1, untilMs: 900 };
}

t.test('one tries after the other, when something changes, or a time is over', async (t) => {
  const { locks, line, told, join } = begin();
  join('a', 10_000);
  join('b', 10_000);
  t.same(locks.tried, ['a']);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  locks.clock.pass(499);
  t.same(locks.tried, ['a'], 'nobody asks again and again');
  locks.clock.pass(1);
  t.same(locks.tried, ['a', 'a']);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  line.wake();
  t.equal(locks.tried.length, 3);
  line.wake();
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  t.equal(locks.tried.length, 4, 'what changed meanwhile is looked at');
  await locks.answer(granted('1'));
  t.same([told, locks.tried.slice(4)], [['a granted'], ['b']]);
  await locks.answer(granted('2'));
  t.same([told, locks.isDropped], [['a granted', 'b granted'], true]);
});

t.test('who asked first has it first, whoever is heard of first', async (t) => {
  const { locks, told, join } = begin();
  join('second', 10_000, 2);
  join('third', 10_000, 3);
  join('first', 10_000, 1);
  t.same(locks.tried, ['second'], 'an attempt under way goes on');
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  locks.clock.pass(500);
  await locks.answer(granted('1'));
  await locks.answer(granted('2'));
  await locks.answer(granted('3'));
  t.same(told, ['second granted', 'first granted', 'third granted']);
});

t.test('who asked before those who wait is tried for instead of them', async (t) => {
  const { locks, told, join } = begin();
  join('second', 10_000, 1);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  // Tickets begin anew from below.
  join('first', 10_000, -1);
  t.same(locks.tried, ['second', 'first']);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  locks.clock.pass(500);
  t.same(locks.tried, ['second', 'first', 'first']);
  await locks.answer(granted('1'));
  await locks.answer(granted('2'));
  t.same([told, locks.isDropped], [['first granted', 'second granted'], true]);
});

t.test('who does not wait is told at once what who waits has heard', async (t) => {
  const { locks, told, join } = begin();
  join('a', 10_000);
  join('b', 0);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 500 });
  t.same(told, ['b out-of-time']);
  join('c', 0);
  t.same(told.slice(1), ['c out-of-time']);
  locks.clock.pass(500);
  join('d', 0);
  await locks.answer(TROUBLE);
  t.same(told.slice(2), ['d trouble']);
  join('e', 0);
  t.same(told.slice(3), ['e trouble'], 'nobody has said that others have it');
  locks.clock.pass(RETRY_MS);
  await locks.answer(granted('1'));
  t.same(told.slice(4), ['a granted']);
});

t.test('a time that is over ends a wait, but for an attempt under way', async (t) => {
  const { locks, told, join } = begin();
  join('a', 1_000);
  join('b', 500);
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 700 });
  locks.clock.pass(500);
  t.same(told, ['b out-of-time']);
  locks.clock.pass(500);
  t.equal(told.length, 1, 'it may get it');
  await locks.answer({ kind: 'held', untilMs: locks.clock.nowMs() + 700 });
  t.same([told.slice(1), locks.isDropped], [['a out-of-time'], true]);
  join('c', 300);
  await locks.answer(TROUBLE);
  locks.clock.pass(RETRY_MS);
  await locks.answer(TROUBLE);
  locks.clock.pass(RETRY_MS);
  await locks.answer(TROUBLE);
  locks.clock.pass(RETRY_MS);
  t.same(told.slice(2), ['c trouble'], 'who waited in vain for the store hears of that');
});

t.test('what somebody gets who has gone is given back, and the next one tries', async (t) => {
  const { locks, told, join } = begin();
  const leave = join('a', 1_000);
  const leaveLater = join('b', 1_000);
  join('c', 1_000);
  join('d', 1_000);
  t.same(told, ['d crowded']);
  const given: string[] = [];
  leaveLater(() => given.push('b'));
  leave(() => given.push('a'));
  t.same(given, ['b'], 'who has not tried has nothing to give back');
  await locks.answer(granted('1'));
  t.same([locks.givenBack, locks.tried, given], [['1'], ['a', 'c'], ['b', 'a']]);
  await locks.answer({ kind: 'held', untilMs: Number.POSITIVE_INFINITY });
  locks.clock.pass(2_000);
  t.same(told, ['d crowded', 'c out-of-time']);
});
