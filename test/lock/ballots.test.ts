import t from 'tap';
import { BEGIN_MS, LockBallots } from '../../src/lock/ballots.js';
import { counterOf, epochOf, makeBallot, proposerNumber, proposerOf } from '../../src/replica/ballot.js';

function open(): { ballots: LockBallots; at: (ms: number) => void } {
  let [nowMs, drawn] = [BEGIN_MS, 0];
  const ballots = new LockBallots(
    () => proposerNumber(7, drawn++),
    () => nowMs,
  );
  return {
    ballots,
    at: (ms) => {
      nowMs = BEGIN_MS + ms;
    },
  };
}

t.test('counters are times, however many attempts begin in one millisecond, and no ballot is used twice', async (t) => {
  const { ballots, at } = open();
  at(1_000);
  const drawn = Array.from({ length: 5_000 }, () => ballots.begin().fresh());
  t.same(new Set(drawn.map(counterOf)), new Set([1_000]));
  t.equal(new Set(drawn).size, drawn.length);
});

t.test('what an attempt has seen is below its next ballot, and says nothing to others but the epoch', async (t) => {
  const { ballots, at } = open();
  at(1_000);
  const attempt = ballots.begin();
  const first = attempt.fresh();
  const seen = makeBallot(3, 5_000, proposerNumber(9, 9));
  attempt.onSeen(seen, 0);
  const second = attempt.fresh();
  t.ok(second > seen && second > first);
  t.equal(proposerOf(second), proposerOf(first), 'it is known as its own');
  t.same([epochOf(second), counterOf(second)], [3, 5_001]);
  t.equal(counterOf(attempt.fresh()), 5_002);
  const other = ballots.begin();
  other.onSeen(first, 4);
  const third = other.fresh();
  t.same([epochOf(third), counterOf(third)], [4, 1_001]);
  t.not(proposerOf(third), proposerOf(first));
});
