import t from 'tap';
import { Pace } from '../../src/control/pace.js';

/** A pace of 1000 a second, and a clock that is set by hand. */
function start() {
  const clock = { nowMs: 5_000 };
  return { clock, pace: new Pace(1_000, () => clock.nowMs) };
}

t.test('who is quick waits until what was done was due', async (t) => {
  const { clock, pace } = start();
  t.equal(pace.note(50), 50);
  clock.nowMs += 50;
  clock.nowMs += 20;
  t.equal(pace.note(50), 30);
});

t.test('who is late by a little makes up for it', async (t) => {
  const { clock, pace } = start();
  t.equal(pace.note(50), 50);
  clock.nowMs += 80;
  t.equal(pace.note(50), 20);
});

t.test('who was slow for long does not run without a pace afterwards', async (t) => {
  const { clock, pace } = start();
  clock.nowMs += 60_000;
  t.ok(pace.note(10) <= 0, 'it was slow enough');
  let waitedMs = 0;
  for (let page = 0; page < 10; page++) {
    const waitMs = Math.max(0, pace.note(100));
    waitedMs += waitMs;
    clock.nowMs += waitMs;
  }
  t.equal(waitedMs, 900, '1000 in a second, but for what may be made up for');
});
