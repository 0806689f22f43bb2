import t from 'tap';
import { type Timer, Timers } from '../../src/base/timers.js';
import { Seeded } from '../transport/seeded.js';

t.test('timers fire once, when due, in the order of their due times, and not when cancelled', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const timers = new Timers();
  // The twin: a plain list, sorted when asked.
  const waiting: { dueMs: number; id: number; timer: Timer }[] = [];
  let fired: number[] = [];
  let now = 0;
  for (let id = 0; id < 5_000; id++) {
    const kind = random.below(4);
    if (kind < 2) {
      const dueMs = now + random.below(1_000) - 10;
      waiting.push({ dueMs, id, timer: timers.set(dueMs, () => fired.push(id)) });
    } else if (kind === 2 && waiting.length > 0) {
      const [cancelled] = waiting.splice(random.below(waiting.length), 1);
      timers.cancel(cancelled?.timer ?? null);
    } else {
      now += random.below(50);
      fired = [];
      timers.fire(now);
      const due = waiting.filter((entry) => entry.dueMs <= now);
      t.same(
        fired.toSorted((a, b) => a - b),
        due.map((entry) => entry.id).toSorted((a, b) => a - b),
      );
      const dueOf = new Map(due.map((entry) => [entry.id, entry.dueMs]));
      const times = fired.map((entry) => dueOf.get(entry) as number);
      t.same(
        times,
        times.toSorted((a, b) => a - b),
      );
      for (const entry of due) waiting.splice(waiting.indexOf(entry), 1);
    }
    const next = Math.min(...waiting.map((entry) => entry.dueMs), Number.POSITIVE_INFINITY);
    if (timers.nextDueMs() !== next) return t.fail(`the next is due at ${next}, not at ${timers.nextDueMs()}`);
  }
  return undefined;
});

t.test('what is cancelled is not kept for as long as it would have waited', async (t) => {
  const timers = new Timers();
  const fired: number[] = [];
  for (let id = 0; id < 100_000; id++) {
    const timer = timers.set(1_000_000 - id, () => fired.push(id));
    if (id % 1_000 !== 0) timers.cancel(timer);
  }
  t.ok(timers.size < 300, `${timers.size}`);
  timers.fire(1_000_000);
  t.same(
    fired,
    Array.from({ length: 100 }, (_, index) => (99 - index) * 1_000),
  );
  t.equal(timers.size, 0);
});

t.test('a timer that a callback sets waits for the next call, even if it is due', async (t) => {
  const timers = new Timers();
  const fired: string[] = [];
  timers.set(5, () => {
    fired.push('first');
    timers.set(0, () => fired.push('second'));
  });
  timers.fire(10);
  t.same(fired, ['first']);
  t.equal(timers.nextDueMs(), 0);
  timers.fire(10);
  t.same(fired, ['first', 'second']);
  t.equal(timers.nextDueMs(), Number.POSITIVE_INFINITY);
});

t.test('a callback can cancel a timer that is due in the same call', async (t) => {
  const timers = new Timers();
  const fired: string[] = [];
  timers.set(1, () => {
    fired.push('first');
    timers.cancel(second);
  });
  const second = timers.set(2, () => fired.push('second'));
  timers.fire(10);
  t.same(fired, ['first']);
  timers.cancel(second);
  timers.cancel(null);
  t.equal(second.dueMs, 2);
});
