/** The checked-in lists fit each other, and the document says what they say. */
import t from 'tap';
import { readDocument } from './document.js';
import { UNEXPLAINED } from './expectations.js';
import { readBaseline, readExpectations } from './lists.js';
import { RUN_KINDS } from './run-kind.js';

const baseline = readBaseline();
const expectations = readExpectations();

t.test('every expected failure is of a test that one Redis passes in that mode', async (t) => {
  for (const { expectations: list } of expectations.reasons) {
    for (const { unit, name, runs } of list) {
      const modes = baseline.get(unit)?.get(name);
      const wrong = RUN_KINDS.filter((kind) => runs.has(kind.name) && modes?.has(kind.mode) !== true);
      if (wrong.length > 0) t.fail(`${unit}: ${name} in ${wrong.map((kind) => kind.name).join(', ')}`);
    }
  }
});

t.test('what hangs stands there by the name that the suite knows it by', async (t) => {
  const hanging = expectations.reasons.flatMap(({ expectations: list }) => list.filter(({ hangs }) => hangs));
  for (const { unit, name } of hanging) t.notMatch(name, / #\d+$/, `${unit}: the suite leaves out all of a name`);
});

t.test('every expected failure has a reason', async (t) => {
  for (const { text, expectations: list } of expectations.reasons) {
    t.not(text, UNEXPLAINED);
    t.ok(text.length > 10, text);
    t.ok(list.length > 0, `nothing stands under "${text}"`);
  }
});

t.test('docs/CONFORMANCE.md has the tables that follow from the lists', async (t) => {
  const { present, wanted } = readDocument(baseline, expectations);
  t.equal(present, wanted, '`npm run conformance -- --write` makes them');
});
