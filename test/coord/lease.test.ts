/** Who may believe what of a lease, with clocks that are wrong by all that they may be. */
import t from 'tap';
import { DRIFT, decodeLease, encodeLease, HeldTime, SeenLeases } from '../../src/coord/lease.js';
import { Seeded } from '../transport/seeded.js';

t.test('a lease counts from when its renewal was sent, and is renewed when a third of it is over', async (t) => {
  const time = new HeldTime(1_000);
  t.equal(time.untilMs, Number.NEGATIVE_INFINITY, 'before the first nothing is held');
  time.onRenewed(100);
  t.equal(time.untilMs, 100 + 1_000 * (1 - 2 * DRIFT));
  t.ok(time.renewAtMs(0) > 100 && time.renewAtMs(0) <= 100 + 1_000 / 3);
  t.ok(
    time.renewAtMs(0.999) > 100 + 1_000 / 5 && time.renewAtMs(0.999) < time.renewAtMs(0) - 50,
    'or some time before',
  );
  time.onRenewed(50);
  t.equal(time.untilMs, 100 + 1_000 * (1 - 2 * DRIFT), 'an answer that comes late takes nothing back');
});

t.test('others count the whole length from when they first saw a version', async (t) => {
  const seen = new SeenLeases();
  t.equal(seen.nextMs, Number.POSITIVE_INFINITY);
  seen.onSeen([['a', { version: 1, lengthMs: 100 }]], 0);
  seen.onSeen(
    [
      ['a', { version: 1, lengthMs: 100 }],
      ['b', { version: 2, lengthMs: 50 }],
    ],
    90,
  );
  t.equal(seen.nextMs, 100, 'to see it again makes it no younger');
  t.same(seen.overdue(99), []);
  t.same(seen.overdue(100), [{ name: 'a', version: 1 }]);
  seen.onSeen(
    [
      ['a', { version: 3, lengthMs: 100 }],
      ['b', { version: 2, lengthMs: 50 }],
    ],
    120,
  );
  t.same(seen.overdue(145), [{ name: 'b', version: 2 }]);
  seen.onSeen([['a', { version: 3, lengthMs: 100 }]], 150);
  t.equal(seen.nextMs, 220, 'what is gone is forgotten');
  seen.onSeen([['b', { version: 2, lengthMs: 50 }]], 200);
  t.equal(seen.nextMs, 250, 'and begins anew where it is seen again');
});

t.test('what lies in the store for a lease is read as it was written', async (t) => {
  for (const value of ['', 'a b', 'line\nline', '{"a":1}']) {
    const lease = { lengthMs: 1_000, holder: 'a-b_9', value };
    t.same(decodeLease(encodeLease(lease)), lease);
  }
  for (const text of ['', '1000', '1000 a', 'x a b', '1000 ä b'])
    t.throws(() => decodeLease(text), { message: /is no lease/ });
});

interface Clock {
  at(realMs: number): number;
  real(ownMs: number): number;
}

/** As wrong as it may be, one way or the other. */
function wrongClock(random: Seeded): Clock {
  const rate = 1 + random.pick([-DRIFT, DRIFT]);
  const startMs = random.below(1_000_000);
  return { at: (realMs) => startMs + realMs * rate, real: (ownMs) => (ownMs - startMs) / rate };
}

t.test('nobody may end a lease that its holder believes in', async (t) => {
  const lengthMs = 1_000;
  let ended = 0;
  let closestMs = Number.POSITIVE_INFINITY;
  for (let seed = 1; seed <= 5_000; seed++) {
    const random = new Seeded(seed);
    const [own, others] = [wrongClock(random), wrongClock(random)];
    const time = new HeldTime(lengthMs);
    const seen = new SeenLeases();
    let sentMs = 0;
    let doneMs = 0;
    for (let version = 1; ; version++) {
      // What of the way there, and of the way of the watch, takes no time at all is the most telling.
      doneMs = sentMs + random.pick([0, 1, random.below(900)]);
      const answeredMs = doneMs + random.below(900);
      const seenMs = doneMs + random.pick([0, 1, random.below(300)]);
      time.onRenewed(own.at(sentMs));
      seen.onSeen([['a', { version, lengthMs }]], others.at(seenMs));
      sentMs = answeredMs + random.below(600);
      // The next renewal is carried out before anybody may end the lease: it goes on.
      const endMs = others.real(seen.nextMs);
      if (sentMs < endMs && random.below(10) > 0) continue;
      ended++;
      closestMs = Math.min(closestMs, endMs - own.real(time.untilMs));
      break;
    }
  }
  t.ok(ended === 5_000 && closestMs >= 0, `it ended at least ${closestMs} ms before others may end it`);
  t.ok(closestMs < lengthMs * DRIFT, 'and is held for as long as can be');
});
