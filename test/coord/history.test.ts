/** The checker of histories finds what cannot be true. */
import t from 'tap';
import { type History, historyFaults } from './history.js';

const read = (startMs: number, endMs: number, version: number, value: string | null): History => {
  return { kind: 'read', startMs, endMs, version, value };
};
const done = (startMs: number, endMs: number, expected: number, value: string, version: number): History => {
  return { kind: 'write', startMs, endMs, expected, value, outcome: 'done', version };
};
const failed = (value: string, outcome: 'unavailable' | 'unknown'): History => {
  return { kind: 'write', startMs: 0, endMs: 1, expected: 0, value, outcome };
};

t.test('what can be true is', async (t) => {
  t.same(historyFaults([]), []);
  const good = [read(0, 1, 0, null), done(1, 2, 0, 'a', 5), read(1, 2, 0, null), read(3, 4, 5, 'a')];
  t.same(historyFaults(good), []);
  t.same(historyFaults([failed('a', 'unknown'), read(2, 3, 5, 'a')]), [], 'what is unknown may have been done');
});

const BROKEN: [string, History[], RegExp][] = [
  ['a reader that is told what is past', [done(1, 2, 0, 'a', 5), read(3, 4, 0, null)], /0 was told 1 ms after 5 was/],
  ['two changes that go by one version', [done(1, 2, 0, 'a', 5), done(1, 2, 0, 'b', 6)], /both came after version 0/],
  ['two contents of one version', [read(1, 2, 5, 'a'), read(1, 2, 5, 'b')], /version 5 is a and b/],
  [
    'a change that was not carried out, and is seen',
    [failed('a', 'unavailable'), read(2, 3, 5, 'a')],
    /was unavailable/,
  ],
  ['a version that goes back', [done(1, 2, 6, 'a', 5)], /made version 5 of 6/],
  ['a change that lost one before it', [done(1, 9, 0, 'a', 5), read(1, 9, 3, 'x')], /3 lies within 0 -> 5/],
  [
    'a conflict that is none',
    [
      {
        ...{ kind: 'write', startMs: 0, endMs: 1, expected: 3, value: 'a', outcome: 'conflict' },
        found: { version: 3, value: 'b' },
      },
    ],
    /no conflict: 3/,
  ],
];

for (const [what, histories, says] of BROKEN) {
  t.test(`the checker sees ${what}`, async (t) => {
    t.match(historyFaults(histories).join('\n'), says);
  });
}
