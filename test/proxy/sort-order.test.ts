/** SORT's order by numbers, beside that of a plain comparison; and which weights are left to a node. */
import t from 'tap';
import { Bulks } from '../../src/proxy/bulks.js';
import { orderByNumbers } from '../../src/proxy/sort-order.js';
import { bulk } from '../help/plane.js';

function bulks(texts: readonly (string | null)[]): Bulks {
  const all = texts.map((text) => (text === null ? '_\r\n' : bulk(text)));
  return Bulks.of(Buffer.from(`*${texts.length}\r\n${all.join('')}`, 'latin1'));
}

function order(weighed: readonly (readonly [string, string | null])[], isReversed = false): string[] | null {
  const elements = bulks(weighed.map(([element]) => element));
  const places = orderByNumbers(elements, bulks(weighed.map(([, weight]) => weight)), isReversed);
  return places?.map((place) => Buffer.from(elements.contentOf(place)).toString('latin1')) ?? null;
}

t.test(
  'what weighs less comes first, what has no weight weighs nothing, and the bytes decide between equals',
  async (t) => {
    const weighed = [
      ['a', '10'],
      ['b', '9.75'],
      ['c', '-3'],
      ['d', null],
      ['e', '+0.5'],
      ['\xff', '7'],
      ['ab', '7.0'],
      ['a\x00', '007'],
      ['a', '7'],
      ['', '7'],
      ['f', '-0'],
      ['g', '999999999999999'],
      ['h', '0.00000000000001'],
    ] as const;
    const expected = ['c', 'd', 'f', 'h', 'e', '', 'a', 'a\x00', 'ab', '\xff', 'b', 'a', 'g'];
    t.same(order(weighed), expected);
    t.same(order([...weighed].reverse()), expected);
    t.same(order(weighed, true), [...expected].reverse());
    t.same(order([]), []);
  },
);

t.test('a weight is the double that is nearest to what it says', async (t) => {
  const wrong: string[] = [];
  for (let round = 0; round < 2_000; round++) {
    const [one, other] = [0, 1].map(() => (Math.random() * 10 ** (round % 9)).toFixed(round % 7)) as [string, string];
    const isLess = Number(one) < Number(other) || (Number(one) === Number(other) && 'a' < 'b');
    const found = order([
      ['a', one],
      ['b', other],
    ]);
    if (found?.[0] !== (isLess ? 'a' : 'b')) wrong.push(`${one} ${other}`);
  }
  t.same(wrong, []);
});

t.test('what is no plain number is left to a node', async (t) => {
  const odd = [
    '',
    '-',
    '.',
    '.5',
    '1.2.3',
    '1e3',
    'inf',
    'nan',
    '0x10',
    ' 1',
    '1 ',
    '1\x00',
    'abc',
    '1234567890123456',
  ];
  for (const weight of odd) {
    t.equal(
      order([
        ['a', '1'],
        ['b', weight],
      ]),
      null,
      weight,
    );
  }
});
