/** What nodes have told of their keys, and which pages of it have keys that differ. */
import t from 'tap';
import { pagesThatDiffer, TRAIL_KEY_BYTES, TrailPage } from '../../src/replica/key-trail.js';

type Key = [range: number, key: string, version: string];

function page(...keys: Key[]): Uint32Array {
  const trail = new TrailPage(keys.length + 2);
  for (const key of keys) trail.add(...key, () => {});
  t.equal(trail.told.byteLength, keys.length * TRAIL_KEY_BYTES);
  return trail.told;
}

const ALL = [0, 1, 2];
const HOLDERS = new Map([
  [1, ALL],
  [2, ALL],
]);

t.test('a page differs that has a key which another node lacks, or has in another version', async (t) => {
  const equal = page([1, 'a', 'v1'], [2, 'b', 'v1']);
  const told = [
    [equal, page([1, 'c', 'v1']), page([2, 'd', 'v2'])],
    [page([2, 'd', 'v1'], [1, 'c', 'v1']), equal],
    [page([2, 'b', 'v1'], [2, 'd', 'v1']), page([1, 'a', 'v1'])],
  ];
  t.same(pagesThatDiffer(told, HOLDERS), [[1, 2], [0], [0]]);
});

t.test('what is in other ranges is not looked at, and a key that was told twice was told by one node', async (t) => {
  const told = [
    [page([1, 'a', 'v1'], [1, 'a', 'v1']), page([1, 'a', 'v1'])],
    [page([3, 'e', 'v1'])],
    [page([1, 'a', 'v1'])],
  ];
  t.same(pagesThatDiffer(told, HOLDERS), [[0, 1], [], [0]]);
});

t.test('what lies on a node that should not have it counts for nothing', async (t) => {
  const holders = new Map([[1, [0, 1]]]);
  t.same(pagesThatDiffer([[page([1, 'a', 'v1'])], [page()], [page([1, 'a', 'v1'])]], holders), [[0], [], []]);
  t.same(pagesThatDiffer([[page([1, 'a', 'v1'])], [page([1, 'a', 'v1'])], [page([1, 'b', 'v1'])]], holders), [
    [],
    [],
    [],
  ]);
});

t.test('the hash is told as it is noted', async (t) => {
  const hashes: number[] = [];
  const trail = new TrailPage(2);
  for (const key of ['a', 'b']) trail.add(7, key, 'v1', (low, high) => hashes.push(low, high));
  const [a, b, c, d] = hashes;
  t.same([...trail.told], [7, a, b, 7, c, d]);
  t.equal(new Set(hashes).size, 4);
});
