import t from 'tap';
import { sortOptions } from '../../src/resp/sort-options.js';

function options(text: string, name = 'SORT') {
  const words = [name, 'key', ...text.split(' ').filter((word) => word !== '')];
  const { by, gets, store, checked, ...rest } = sortOptions(words.map((word) => Buffer.from(word, 'latin1')));
  const texts = (some: readonly Uint8Array[]) => some.map((word) => Buffer.from(word).toString('latin1'));
  const [stored = null] = texts(store === null ? [] : [store]);
  return { ...rest, by: by?.kind ?? null, gets: gets.map(({ kind }) => kind), store: stored, checked: texts(checked) };
}

const PLAIN = { isUnsorted: false, isAlpha: false, isReversed: false, start: 0, count: -1 };

t.test('the last one of an option counts, but a BY that says "not sorted" stays', async (t) => {
  const none = { ...PLAIN, by: null, gets: [], store: null };
  for (const [text, expected] of [
    ['', {}],
    ['alpha desc limit 2 3', { isAlpha: true, isReversed: true, start: 2, count: 3 }],
    ['DESC ASC LIMIT 1 2 LIMIT -4 -7', { start: -4, count: -1 }],
    ['BY w_* BY x_*', { by: 'key' }],
    ['BY nosort BY w_*', { by: 'key', isUnsorted: true }],
    ['BY w_* BY no\x00sort*', { by: 'nothing', isUnsorted: true }],
    ['GET w_* get # GET plain', { gets: ['key', 'element', 'nothing'] }],
    [
      'GET by GET limit BY LIMIT LIMIT 0 1',
      { gets: ['nothing', 'nothing'], by: 'nothing', isUnsorted: true, count: 1 },
    ],
    ['DESC\x00ASC', { isReversed: true }],
  ] as const) {
    t.same(options(text), { ...none, ...expected, checked: text.split(' ').filter((word) => word !== '') }, text);
  }
});

t.test('what writes is not given to a node that is to look at the options', async (t) => {
  t.match(options('STORE a BY w_* store b ALPHA'), { store: 'b', by: 'key', checked: ['BY', 'w_*', 'ALPHA'] });
  t.match(options('BY STORE STORE by'), { store: 'by', by: 'nothing', checked: ['BY', 'STORE'] });
  // What Redis does not understand it is given.
  t.match(options('ALPHA STORE'), { store: null, checked: ['ALPHA', 'STORE'] });
  t.match(options('LIMIT 0'), { count: -1, checked: ['LIMIT', '0'] });
  t.match(options('STORE b', 'sort_ro'), { store: null, checked: ['STORE', 'b'] });
});
