import t from 'tap';
import { parseOptions } from '../../native-bench/compare/options.js';
import type { Point } from '../../native-bench/compare/points.js';
import { commandsOf, keyCount, type TestName } from '../../native-bench/compare/tests.js';

t.test('without options GET and SET are measured, with and without pipelines', async (t) => {
  const { points, rounds, seconds } = parseOptions([], 'main.js');
  t.strictSame(points.map(show), ['get 1 50 64', 'set 1 50 64', 'get 16 50 64', 'set 16 50 64']);
  t.strictSame([rounds, seconds], [5, 3]);
});

t.test('the matrix has every depth, size and number of clients, and every test at every depth', async (t) => {
  const { points, rounds, seconds } = parseOptions(['--matrix'], 'main.js');
  t.strictSame([rounds, seconds], [3, 1]);
  const shown = new Set(points.map(show));
  t.equal(shown.size, points.length, 'none twice');
  for (const test of ['get', 'set', 'mget', 'mset', 'lrange', 'mix']) {
    for (const depth of [1, 4, 16, 64]) t.ok(shown.has(`${test} ${depth} 50 64`), `${test} at depth ${depth}`);
  }
  for (const clients of [1, 50, 500, 5_000]) t.ok(shown.has(`get 1 ${clients} 64`), `${clients} clients`);
  for (const size of [64, 1_024, 16_384]) t.ok(shown.has(`mset 1 50 ${size}`), `${size} bytes`);
  t.ok(points.every(({ depth, clients }) => depth * clients <= 8_000));
  const sizes = points.map(({ size }) => size);
  t.strictSame(
    sizes,
    [...sizes].sort((one, other) => one - other),
    'so that keys are filled once for each size',
  );
});

t.test('a list shortens the matrix', async (t) => {
  const { points } = parseOptions(['--matrix', '--tests', 'mget', '--depths', '1', '--rounds', '7'], 'main.js');
  t.strictSame(points.map(show), ['mget 1 50 64', 'mget 1 50 1024', 'mget 1 50 16384']);
});

t.test('an unknown test, or what is no number, is refused', async (t) => {
  t.throws(() => parseOptions(['--tests', 'get,got'], 'main.js'), { message: /--tests got: one or more of get,/ });
  t.throws(() => parseOptions(['--sizes', '1k'], 'main.js'), { message: /--sizes 1k: a number above 0/ });
});

t.test('commands of several keys draw each anew, and large values have fewer keys', async (t) => {
  const wordsOf = (test: TestName, size: number) => commandsOf(test, size)[0] ?? [];
  t.strictSame(wordsOf('mget', 3).filter((word) => word === 'key:__rand_int__').length, 10);
  t.strictSame(wordsOf('mset', 3).slice(0, 5), ['MSET', 'key:__rand_int__', 'xxx', 'key:__rand_int__', 'xxx']);
  t.strictSame(wordsOf('mset', 3).length, 21);
  t.strictSame(wordsOf('lrange', 3), ['LRANGE', 'list:__rand_int__', '0', '99']);
  t.equal(keyCount('get', 100_000, 64), 100_000);
  t.equal(keyCount('get', 100_000, 16_384), 4_096);
  t.equal(keyCount('lrange', 100_000, 64), 1_000);
});

function show({ test, depth, clients, size }: Point): string {
  return `${test} ${depth} ${clients} ${size}`;
}
