/** What a worker asks of the coordination store about locks, and how much of it at a time. */
import t from 'tap';
import { LockTurns, lockTurnsMemory } from '../../src/base/lock-turns.js';
import { EXCLUSIVE } from '../../src/lock/lock.js';
import { StoreProvider } from '../../src/lock/store-provider.js';
import type { LockAsk, LockTold } from '../../src/messages.js';

const ASKS_MAX = 10_000;
const TROUBLE: LockTold = { kind: 'trouble', isUnknown: false, reason: 'it is away' };

function begin() {
  const asked: { ask: LockAsk; told: (told: LockTold) => void }[] = [];
  const counts = { locksAcquired: 0, locksCrowded: 0, locksWaiting: 0 };
  const provider = new StoreProvider({
    askLock: (ask, told) => {
      asked.push({ ask, told });
      return () => {};
    },
    lockTurns: new LockTurns(lockTurnsMemory(1), 0),
    counts,
    limits: { lockQueueMax: 20_000 },
  });
  const told: string[] = [];
  const hear = ({ kind }: { kind: string }) => told.push(kind);
  const lock = provider.lockOf('lock:x', 60_000);
  const acquire = (waitMs: number) => {
    const order = { ttlMs: 1_000, token: 'a', client: 'c', mode: EXCLUSIVE, isWanted: () => true };
    return lock.acquire(order, waitMs, hear);
  };
  return { asked, counts, lock, acquire, told, hear };
}

t.test('who waits keeps nobody from asking, extending and releasing', async (t) => {
  const { asked, counts, lock, acquire, told, hear } = begin();
  for (let number = 0; number < ASKS_MAX; number++) acquire(60_000);
  lock.extend('a', 1_000, hear);
  lock.release('a', hear);
  lock.look(hear);
  acquire(0);
  acquire(60_000);
  await new Promise(setImmediate);
  t.same(told, []);
  t.same(
    asked.slice(ASKS_MAX).map(({ ask }) => ask.kind),
    ['extend', 'release', 'look', 'acquire', 'acquire'],
  );
  t.equal(counts.locksWaiting, ASKS_MAX + 1);
  for (const one of asked) one.told(TROUBLE);
  t.equal(counts.locksWaiting, 0);
});

t.test('questions are refused beyond a number, and what is held is extended and released all the same', async (t) => {
  const { asked, lock, acquire, told, hear } = begin();
  for (let number = 0; number < ASKS_MAX; number++) lock.look(hear);
  acquire(0);
  t.same(told, ['overloaded']);
  lock.look(hear);
  lock.break(hear);
  t.equal(told.length, 1, 'not within the call');
  await new Promise(setImmediate);
  t.same(told, ['overloaded', 'overloaded', 'overloaded']);
  for (let number = 0; number < ASKS_MAX; number++) lock.extend('a', 1_000, hear);
  t.equal(asked.length, 2 * ASKS_MAX);
  lock.release('a', hear);
  await new Promise(setImmediate);
  t.equal(told.length, 4, 'of these there are not more than that, either');
  asked[0]?.told(TROUBLE);
  asked.at(-1)?.told(TROUBLE);
  acquire(0);
  lock.release('a', hear);
  t.equal(asked.length, 2 * ASKS_MAX + 2);
});

t.test('who asks has a ticket, by which it is known who asked first', async (t) => {
  const { asked, acquire } = begin();
  acquire(1_000);
  acquire(0);
  t.match(
    asked.map(({ ask }) => ask),
    [{ ticket: 1 }, { ticket: 2 }],
  );
});

t.test('a line that is full is counted', async (t) => {
  const { asked, counts, acquire, told } = begin();
  acquire(1_000);
  asked[0]?.told({ kind: 'crowded', max: 20_000 });
  t.same([told, counts.locksCrowded], [['crowded'], 1]);
});
