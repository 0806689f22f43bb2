/** What is read out of the suite's output, on pieces of real output. */
import t from 'tap';
import { parseSuiteOutput } from './suite-output.js';

const MIXED = `Cleanup: may take some time... OK
Starting test server at port 21079
[ready]: 4242
Testing unit/type/list
[set-up]: function flush: ERR FUNCTION FLUSH is not supported
[set-up]: function flush: ERR FUNCTION FLUSH is not supported
[ok]: LPOS basic usage (3 ms)
[ok]: LPOS (again) (0 ms)
[ignore]: Tag: slow denied
[ignore]: BLPOP in db 10: Not supported on singledb
[skip]: a test that hung before
[err]: LPOS when RANK is greater than matches in tests/unit/type/list.tcl
Expected '' to be equal to '1' (context: type eval line 3)
[1]: is not a line of the suite
[block]: ERR CONFIG SET is not supported
[1/1 done]: unit/type/list (1 seconds)

                   The End

Execution time of different units:
  1 seconds - unit/type/list

!!! WARNING The following tests failed:

*** [err]: LPOS when RANK is greater than matches in tests/unit/type/list.tcl
Expected '' to be equal to '1' (context: type eval line 3)
`;

t.test('each test has its outcome once, and a failure what the suite says of it', async (t) => {
  const output = parseSuiteOutput(MIXED);
  t.same(output.results, [
    { name: 'LPOS basic usage', outcome: 'passed', detail: '' },
    { name: 'LPOS (again)', outcome: 'passed', detail: '' },
    {
      name: 'LPOS when RANK is greater than matches',
      outcome: 'failed',
      detail: "\nExpected '' to be equal to '1' (context: type eval line 3)\n[1]: is not a line of the suite",
    },
  ]);
  t.same(output.refused, ['function flush: ERR FUNCTION FLUSH is not supported'], 'each refusal once');
  t.same(output.endedBlocks, ['ERR CONFIG SET is not supported']);
  t.equal(output.exception, null);
  t.ok(output.isComplete);
});

t.test('an exception ends the unit, and is kept whole', async (t) => {
  const output = parseSuiteOutput(`[ok]: one (1 ms)
[exception]: Executing test client: ERR only database 0.
ERR only database 0
    while executing
"$client select 9"
`);
  t.same(
    output.results.map(({ name }) => name),
    ['one'],
  );
  t.match(
    output.exception,
    /^Executing test client: ERR only database 0\.\nERR only database 0\n {4}while executing\n/,
  );
  t.notOk(output.isComplete);
});

t.test('a test that the suite was in when nothing came any more has hung', async (t) => {
  const output = parseSuiteOutput(`[ok]: one (1 ms)
[TIMEOUT]: clients state report follows.
sock55a0c1d8b2d0 => (IN PROGRESS) BLPOP: second list has an entry

                   The End
`);
  t.same(
    output.results.map(({ name, outcome }) => [name, outcome]),
    [
      ['one', 'passed'],
      ['BLPOP: second list has an entry', 'hung'],
    ],
  );
  t.notOk(output.isComplete);
});

t.test('output that is cut off in the middle gives what there is, and is not complete', async (t) => {
  const end = MIXED.indexOf('[1/1 done]');
  const lengths = Array.from({ length: end }, (_, length) => length);
  t.same(
    lengths.filter((length) => parseSuiteOutput(MIXED.slice(0, length)).isComplete),
    [],
  );
  t.equal(parseSuiteOutput(MIXED.slice(0, end)).results.length, 3);
});
