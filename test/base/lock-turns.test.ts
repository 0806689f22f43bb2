import t from 'tap';
import { LockTurns, lockTurnsMemory } from '../../src/base/lock-turns.js';

t.test('who drew first comes first, whichever worker he is at', async (t) => {
  const memory = lockTurnsMemory(3);
  const [one, two, three] = [0, 1, 2].map((worker) => new LockTurns(memory, worker)) as [
    LockTurns,
    LockTurns,
    LockTurns,
  ];
  const [first, second, third] = [two.draw(), one.draw(), three.draw()];
  one.show('a', second);
  t.ok(one.isFirst('a', second), 'nobody else stands there');
  two.show('a', first);
  three.show('a', third);
  t.same([two.isFirst('a', first), one.isFirst('a', second), three.isFirst('a', third)], [true, false, false]);
  t.ok(one.isFirst('b', second), 'nor at another lock');
  const other = sharingPlace('a');
  t.ok(one.isFirst(other, second), 'nor at one that is shown at the same place');
  one.show(other, 0);
  t.notOk(one.isFirst('a', second));
  two.show('a', 0);
  t.same([one.isFirst('a', second), three.isFirst('a', third)], [true, false]);
  one.forget();
  t.ok(three.isFirst('a', third), 'a worker that died has nobody there');
});

t.test('who wants a share may come beside those who want one of the same kind', async (t) => {
  const memory = lockTurnsMemory(2);
  const [one, two] = [new LockTurns(memory, 0), new LockTurns(memory, 1)];
  const [first, second] = [one.draw(), two.draw()];
  one.show('a', first, 1);
  t.same([two.isFirst('a', second), two.isFirst('a', second, 1), two.isFirst('a', second, 2)], [false, true, false]);
  one.show('a', first);
  t.notOk(two.isFirst('a', second, 1));
});

/** Another name that is shown where that one is. */
function sharingPlace(name: string): string {
  const placeOf = (shown: string) => {
    const memory = lockTurnsMemory(1);
    new LockTurns(memory, 0).show(shown, 7);
    return new Int32Array(memory).indexOf(7);
  };
  for (let count = 0; ; count++) if (placeOf(`${count}`) === placeOf(name)) return `${count}`;
}

t.test('tickets go on when they begin anew from below', async (t) => {
  const memory = lockTurnsMemory(2);
  new Int32Array(memory)[0] = 2 ** 31 - 2;
  const [one, two] = [new LockTurns(memory, 0), new LockTurns(memory, 1)];
  const [last, next] = [one.draw(), two.draw()];
  t.ok(last > next);
  one.show('a', last);
  two.show('a', next);
  t.same([one.isFirst('a', last), two.isFirst('a', next)], [true, false]);
  new Int32Array(memory)[0] = -1;
  t.equal(one.draw(), 1, '0 stands for nobody');
});
