/** How results are held against the checked-in lists, and how these are made to fit: on made-up units. */
import t from 'tap';
import { formatBaseline, numberNames, parseBaseline } from './baseline.js';
import { compare, correct, correctionsOf } from './comparison.js';
import { formatExpectations, hangingIn, parseExpectations, UNEXPLAINED, withoutUnexplained } from './expectations.js';
import { expectedTable, reasonTable, totalLine, unitLine } from './report.js';
import { RUN_KINDS, runKind } from './run-kind.js';
import type { Outcome } from './suite-output.js';
import type { UnitRun } from './unit-run.js';

const BASELINE = parseBaseline(`# A comment.

== unit/a
cp one
cp two
cp two #2
p three
c four

== unit/b
p five
`);

const EXPECTATIONS = `# The top.
# More of it.

## Transactions are still to come
error: transactions|EXECABORT

unit/a
c3 p3 | two
~ c3 c1 | four

## Somebody looked at it

unit/b
p3 p1 | five
`;

const C3 = runKind('cluster', 3);

function unitRun(unit: string, outcomes: readonly (readonly [string, Outcome, string?])[]): UnitRun {
  const results = outcomes.map(([name, outcome, detail = '']) => ({ name, outcome, detail }));
  const nothing = {
    refused: [],
    endedBlocks: [],
    exception: null,
    isComplete: true,
    problem: null,
    leftOutDatabases: false,
  };
  return { unit, results, durationMs: 1, ...nothing };
}

t.test('the lists are written as they are read', async (t) => {
  t.same(parseBaseline(formatBaseline(BASELINE, '7.0.15')), BASELINE);
  t.equal(formatExpectations(parseExpectations(EXPECTATIONS)), EXPECTATIONS);
});

t.test('a name that a unit has more than once is numbered from the second on', async (t) => {
  const results = unitRun('unit/a', [
    ['one', 'passed'],
    ['two', 'passed'],
    ['two', 'failed'],
  ]).results;
  t.same([...numberNames(results).keys()], ['one', 'two', 'two #2']);
});

t.test('a line that is none is an error that has its number', async (t) => {
  const lines: [string, RegExp][] = [
    ['unit/a', /line 1: it stands before the first reason/],
    ['## R\n\nc3 | one', /line 3: it is no expectation/],
    ['## R\n\nunit/a\nc3 one', /line 4: it is no expectation/],
    ['## R\n\nunit/a\nc3 c7 | one', /line 4: there is no run c7/],
    ['## R\n\nunit/a\nc3 | one\np3 c3 | one', /line 5: it is there twice for c3/],
    ['## R\n\nunit/a\nc3 | one\n\n## S\n\nunit/a\n~ c3 | one', /line 9: it is there twice for c3/],
  ];
  for (const [text, message] of lines) t.throws(() => parseExpectations(text), message, text);
  t.throws(() => parseBaseline('one'), /line 1 is neither a unit nor a test: one/);
  t.throws(() => parseBaseline('== unit/a\nx one'), /line 2 is neither a unit nor a test: x one/);
});

t.test('what is as expected needs no correction', async (t) => {
  for (const four of ['passed', 'failed'] as const) {
    const run = unitRun('unit/a', [
      ['one', 'passed'],
      ['two', 'failed'],
      ['two', 'passed'],
      ['four', four],
      ['nine', 'failed'],
    ]);
    const comparison = compare(C3, run, BASELINE, parseExpectations(EXPECTATIONS));
    t.same(correctionsOf(comparison), [], `a test that may pass or not has ${four}`);
    t.equal(comparison.total, 4, 'what one Redis passes in this mode, and nothing else');
  }
});

t.test(
  'new failures, tests that were not run, and new passes are told with the line to add or to take out',
  async (t) => {
    const run = unitRun('unit/a', [
      ['one', 'failed', '\nERR transactions are missing'],
      ['two', 'passed'],
      ['four', 'hung'],
    ]);
    run.endedBlocks.push('ERR no');
    run.leftOutDatabases = true;
    const comparison = compare(C3, run, BASELINE, parseExpectations(EXPECTATIONS));
    t.same([comparison.passed, comparison.failed, comparison.notRun], [['two'], ['one', 'four'], ['two #2']]);
    t.same(correctionsOf(comparison), [
      'to be added or repaired: unit/a: c3 | one\n    ERR transactions are missing',
      'to be added or repaired: unit/a: c3 | two #2\n    it was not run; ERR no; only database 0 is served',
      'to be taken out, since it passes: unit/a: c3 | two',
    ]);
    t.match(unitLine(comparison), /^unit\/a +1 +2 +1 +4 +25\.0 %$/);
    t.match(totalLine([comparison, comparison]), /^all +2 +4 +2 +8 +25\.0 %$/);
  },
);

t.test('an expectation of a test that one Redis does not pass is told', async (t) => {
  const text = `${EXPECTATIONS}p3 | six\n`;
  const run = unitRun('unit/b', [['five', 'failed']]);
  const comparison = compare(runKind('plain', 3), run, BASELINE, parseExpectations(text));
  t.same(correctionsOf(comparison), ['to be taken out, since one Redis does not pass it: unit/b: p3 | six']);
});

t.test(
  'corrected, the expectations fit, known tests keep their reasons, and others come under what matches',
  async (t) => {
    const expectations = parseExpectations(EXPECTATIONS);
    const runs = [
      [
        runKind('plain', 1),
        unitRun('unit/a', [
          ['one', 'failed', 'EXECABORT'],
          ['three', 'failed', 'odd'],
        ]),
      ],
      [
        runKind('plain', 3),
        unitRun('unit/a', [
          ['one', 'passed'],
          ['two', 'passed'],
          ['two', 'passed'],
          ['three', 'passed'],
        ]),
      ],
      [runKind('plain', 1), unitRun('unit/b', [['five', 'passed']])],
    ] as const;
    const corrected = correct(
      expectations,
      runs.map(([kind, run]) => compare(kind, run, BASELINE, expectations)),
    );
    t.equal(
      formatExpectations(corrected),
      `# The top.
# More of it.

## Transactions are still to come
error: transactions|EXECABORT

unit/a
c3 p1 | two
~ c3 c1 | four
p1 | one

## Somebody looked at it

unit/b
p3 | five

## ${UNEXPLAINED}

unit/a
p1 | two #2
p1 | three
`,
    );
    for (const [kind, run] of runs) t.same(correctionsOf(compare(kind, run, BASELINE, corrected)), [], kind.name);
    t.equal(formatExpectations(expectations), EXPECTATIONS, 'what was given is not changed');
  },
);

t.test('what hangs is not run, and keeps its mark, its reason and its runs', async (t) => {
  const text = EXPECTATIONS.replace('c3 p3 | two', '! c3 p3 | two');
  const expectations = parseExpectations(text);
  t.same(hangingIn(expectations, 'c3', 'unit/a'), ['two']);
  t.same(hangingIn(expectations, 'c1', 'unit/a'), [], 'in another run');
  t.same(hangingIn(expectations, 'p3', 'unit/b'), [], 'in another unit');
  const without = unitRun('unit/a', [
    ['one', 'passed'],
    ['four', 'passed'],
  ]);
  const comparison = compare(C3, without, parseBaseline('== unit/a\ncp one\ncp two\nc four\n'), expectations);
  t.same(correctionsOf(comparison), []);
  t.same(comparison.notRun, ['two']);
  t.equal(formatExpectations(correct(expectations, [comparison])), text);
  const inAnother = unitRun('unit/a', [
    ['one', 'passed'],
    ['two', 'failed', 'odd'],
    ['two', 'passed'],
    ['three', 'passed'],
  ]);
  const corrected = correct(expectations, [compare(runKind('plain', 1), inAnother, BASELINE, expectations)]);
  t.match(formatExpectations(corrected), '! c3 p3 | two\n~ c3 c1 | four\np1 | two\n', 'where it fails, it is run on');
});

t.test('what has no reason yet is looked at again where it was run, and only there', async (t) => {
  const head = EXPECTATIONS.slice(0, EXPECTATIONS.indexOf('## Somebody'));
  const expectations = parseExpectations(`${head}## ${UNEXPLAINED}

unit/a
c3 c1 | one
c3 c1 | two #2

unit/b
p3 | five
`);
  const run = unitRun('unit/a', [
    ['one', 'failed', 'ERR transactions are missing'],
    ['two', 'failed'],
    ['two', 'passed'],
    ['four', 'passed'],
  ]);
  const corrected = correct(expectations, [compare(C3, run, BASELINE, withoutUnexplained(expectations))]);
  t.equal(
    formatExpectations(corrected),
    `${head.trimEnd()}
c3 | one

## ${UNEXPLAINED}

unit/a
c1 | one
c1 | two #2

unit/b
p3 | five
`,
  );
});

t.test('the tables count what is expected to pass, per unit, and what each reason holds up', async (t) => {
  const expectations = parseExpectations(EXPECTATIONS);
  t.equal(
    expectedTable(BASELINE, expectations, RUN_KINDS),
    `| unit | c3 | p3 | c1 | p1 |
| --- | --- | --- | --- | --- |
| unit/a | 2 / 4 | 3 / 4 | 3 / 4 | 4 / 4 |
| unit/b | – | 0 / 1 | – | 0 / 1 |
| **all** | **2 / 4**, 50.0 % | **3 / 5**, 60.0 % | **3 / 4**, 75.0 % | **4 / 5**, 80.0 % |`,
  );
  t.equal(
    reasonTable(expectations, RUN_KINDS),
    `| reason | c3 | p3 | c1 | p1 |
| --- | --- | --- | --- | --- |
| Transactions are still to come | 2 | 1 | 1 | 0 |
| Somebody looked at it | 0 | 1 | 0 | 1 |`,
  );
});
