/** Versions only grow, wherever clocks go. */
import t from 'tap';
import { counterOf, makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import { timeOf, VersionClock } from '../../src/replica/version-clock.js';
import { randomFromSeed } from '../help/random.js';

const NOW_MS = Date.UTC(2026, 0, 1);

t.test('a version is the time at which it was made', (t) => {
  const clock = new VersionClock(() => NOW_MS, proposerNumber(1, 2));
  t.equal(timeOf(clock.next()), NOW_MS);
  t.end();
});

t.test('a clock that shows what versions have no digits for is not believed, and versions grow all the same', (t) => {
  let nowMs = NOW_MS;
  const clock = new VersionClock(() => nowMs, proposerNumber(1, 2));
  const sound = clock.next();
  nowMs = Date.UTC(2106, 1, 7);
  const broken = clock.next();
  t.ok(broken > sound);
  t.equal(timeOf(broken), NOW_MS);
  nowMs = NOW_MS + 5;
  t.equal(timeOf(clock.next()), NOW_MS + 5);
  t.equal(timeOf(new VersionClock(() => Date.UTC(2106, 1, 7), proposerNumber(1, 3)).next()), Date.UTC(2020, 0, 1));
  t.end();
});

t.test('each is larger than all before it and all that were seen, wherever the clock goes', (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  let nowMs = NOW_MS;
  const clocks = [1, 2, 3].map((who) => new VersionClock(() => nowMs + who * 7, proposerNumber(who, who)));
  let largest = '';
  for (let count = 0; count < 20_000; count++) {
    nowMs += random.pick([0, 0, 0, 1, 5, -3, -50]);
    const clock = random.pick(clocks);
    if (random.chance(60)) clock.onSeen(largest === '' ? clock.next() : largest, 0);
    else continue;
    const version = clock.next();
    if (version <= largest) t.fail(`${version} came after ${largest}`);
    largest = version;
  }
  t.end();
});

t.test('of one millisecond there are a hundred thousand, and then those of the next', (t) => {
  const clock = new VersionClock(() => NOW_MS, proposerNumber(1, 2));
  const first = clock.next();
  let last = first;
  for (let count = 0; count < 100_000; count++) {
    const version = clock.next();
    if (version <= last) t.fail(`${version} came after ${last}`);
    last = version;
  }
  t.equal(counterOf(last), counterOf(first) + 1);
  t.end();
});

t.test('an epoch that was seen is that of all that follow', (t) => {
  const clock = new VersionClock(() => NOW_MS, proposerNumber(1, 2));
  clock.onSeen(makeBallot(0, 1, proposerNumber(0, 1)), 3);
  t.ok(clock.next() > makeBallot(3, 0, proposerNumber(0, 0)));
  clock.onSeen(makeBallot(5, 1, proposerNumber(0, 1)), 0);
  t.ok(clock.next() > makeBallot(5, 1, proposerNumber(9, 9)));
  t.end();
});

t.test('two that count the same milliseconds never make the same version', (t) => {
  const [one, other] = [1, 2].map((who) => new VersionClock(() => NOW_MS, proposerNumber(0, who))) as [
    VersionClock,
    VersionClock,
  ];
  const made = new Set<string>();
  for (let count = 0; count < 1000; count++) made.add(one.next()).add(other.next());
  t.equal(made.size, 2000);
  t.end();
});
