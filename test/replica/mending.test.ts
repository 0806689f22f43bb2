/** How copies of keys of consistency eventual are brought together, and a node is given what it has missed: decided purely, with copies by hand. */
import t from 'tap';
import { type Ballot, epochOf, makeBallot, proposerNumber } from '../../src/replica/ballot.js';
import { NO_LINEAGE } from '../../src/replica/lineage.js';
import { exchange, giveMissed, type Mending } from '../../src/replica/mending.js';
import { ANY, type Answer, type Step } from '../../src/replica/step.js';
import { Bench, type Commands, type Replies } from '../help/version-bench.js';

type KeyStep = Step<Commands, string>;

const NODES = [0, 1, 2];
const FULL = { kind: 'unable', error: Buffer.from('-OOM no room\r\n') } as const;

function at(counter: number, epoch = 0): Ballot {
  return makeBallot(epoch, counter, proposerNumber(0, 1));
}

/** A put of that value. `setsExpiry` is long past, if it is one. */
function put(version: Ballot, value: string, setsExpiry = 0): KeyStep {
  const own = { ballot: version, next: version, base: ANY, expected: null, lineage: NO_LINEAGE, expired: false };
  return { kind: 'accept', ...own, commands: [`set ${value}`], setsExpiry };
}

class Copies {
  private readonly bench = new Bench();
  /** Those that do not answer, and those that have no room. */
  readonly mute = new Set<number>();
  readonly full = new Set<number>();

  ask(node: number, step: KeyStep): Answer<Replies, string> | null {
    if (this.mute.has(node)) return null;
    if (this.full.has(node) && step.kind !== 'peek' && step.kind !== 'snapshot') return FULL;
    return this.copyAt(node).perform(step, 'k', 'member');
  }

  run<T>(mending: Mending<Commands, Replies, string, T>): T {
    let result = mending.next();
    while (result.done !== true) result = mending.next(result.value.map(({ node, step }) => this.ask(node, step)));
    return result.value;
  }

  /** Without the answer to the `nth` step, which is carried out all the same, or not. */
  runWithout<T>(
    mending: Mending<Commands, Replies, string, T>,
    nth: number,
    isDone: boolean,
  ): { value: T; isMissed: boolean } {
    let count = 0;
    const ask = (node: number, step: KeyStep) => {
      const isMissed = ++count === nth;
      const answer = isMissed && !isDone ? null : this.ask(node, step);
      return isMissed ? null : answer;
    };
    let result = mending.next();
    while (result.done !== true) result = mending.next(result.value.map(({ node, step }) => ask(node, step)));
    return { value: result.value, isMissed: count >= nth };
  }

  give(node: number, version: Ballot, value: string, setsExpiry = 0) {
    return this.run(giveMissed(node, NODES, version, (asked) => put(asked, value, setsExpiry)));
  }

  copyAt(node: number) {
    return this.bench.copies[node] as (typeof this.bench.copies)[number];
  }

  values(): (string | undefined)[] {
    return this.bench.values();
  }

  versionAt(node: number): Ballot | undefined {
    return this.copyAt(node).data.metas.get('k')?.accepted;
  }
}

t.test('an exchange says whether all copies are equal, some were behind, or nobody knows', async (t) => {
  const copies = new Copies();
  copies.ask(0, put(at(2), 'b'));
  copies.ask(1, put(at(1), 'a'));
  t.same(copies.run(exchange(NODES)), { isWhole: true, behind: 2, given: 2 });
  t.same(copies.values(), ['b', 'b', 'b']);
  t.same(copies.run(exchange(NODES)), { isWhole: true, behind: 0, given: 0 });
  copies.mute.add(2);
  t.same(copies.run(exchange(NODES)), { isWhole: false, behind: 0, given: 0 }, 'the last may have anything');
  copies.ask(0, put(at(3), 'c'));
  t.same(copies.run(exchange(NODES)), { isWhole: false, behind: 1, given: 1 });
  for (const node of NODES) copies.mute.add(node);
  t.same(copies.run(exchange(NODES)), { isWhole: false, behind: 0, given: 0 });
});

t.test('whichever answer is missing, an exchange claims nothing that is not so', async (t) => {
  for (const isDone of [false, true]) {
    for (let nth = 1; ; nth++) {
      const copies = new Copies();
      copies.ask(0, put(at(1), 'a'));
      copies.ask(1, put(at(2), 'b'));
      const { value, isMissed } = copies.runWithout(exchange(NODES), nth, isDone);
      const { isWhole, behind, given } = value;
      const has = NODES.filter((node) => copies.versionAt(node) === at(2)).length;
      if (!isMissed) {
        t.same(value, { isWhole: true, behind: 2, given: 2 });
        break;
      }
      const shown = `without answer ${nth}: ${JSON.stringify(value)}, ${has} have it`;
      t.ok(given < has || !isWhole, shown);
      t.ok(!(isWhole && given === behind), 'that all are equal is not known');
      t.equal(isWhole, nth > NODES.length, 'all have said what they have, or not');
    }
  }
});

t.test('whichever answer is missing, nobody is said to have been given what it has not', async (t) => {
  for (const isDone of [false, true]) {
    for (let nth = 1; ; nth++) {
      const copies = new Copies();
      copies.ask(0, put(at(4), 'newest'));
      // It refuses, since it has promised somebody more.
      copies.ask(2, { kind: 'prepare', ballot: at(9) });
      const giving = giveMissed<Commands, Replies, string>(2, NODES, at(3), (asked) => put(asked, 'b'));
      const { value, isMissed } = copies.runWithout(giving, nth, isDone);
      const has = copies.versionAt(2) ?? '';
      if (!isMissed) {
        t.same(value, { kind: 'given' });
        t.equal(has, at(4));
        break;
      }
      t.ok(value.kind !== 'given' || has >= at(3), `without answer ${nth}: ${value.kind}`);
    }
  }
});

t.test('a copy that has no room is behind, and was given nothing', async (t) => {
  const copies = new Copies();
  copies.ask(0, put(at(1), 'a'));
  copies.full.add(1);
  t.same(copies.run(exchange(NODES)), { isWhole: true, behind: 2, given: 1 });
  t.same(copies.give(1, at(1), 'a'), { kind: 'refused', why: '-OOM no room' });
});

t.test('who has promised somebody more has nothing newer by that', async (t) => {
  const copies = new Copies();
  for (const node of NODES) copies.ask(node, put(at(1), 'a'));
  copies.ask(0, put(at(5), 'missed'));
  // Somebody was about to bury the key, and has come no further.
  for (const node of [1, 2]) copies.ask(node, { kind: 'prepare', ballot: at(9) });
  t.same(copies.give(1, at(5), 'missed'), { kind: 'given' });
  t.same(copies.values(), ['missed', 'missed', 'missed']);
});

t.test('nor where no copy has it any more: it is kept until somebody has done what was promised', async (t) => {
  const copies = new Copies();
  for (const node of NODES) copies.ask(node, put(at(1), 'a'));
  copies.ask(1, { kind: 'prepare', ballot: at(9) });
  copies.mute.add(2);
  t.match(copies.give(1, at(5), 'missed'), { kind: 'refused', why: /another copy/ }, 'one may have something newer');
  copies.mute.delete(2);
  t.match(copies.give(1, at(5), 'missed'), { kind: 'refused', why: /promised/ });
  t.same(copies.values(), ['a', 'a', 'a']);
});

t.test('who has something newer is given nothing, and what another has that is newer', async (t) => {
  const copies = new Copies();
  copies.ask(1, put(at(7), 'newer'));
  t.same(copies.give(1, at(5), 'missed'), { kind: 'given' });
  t.same(copies.values(), [undefined, 'newer', undefined], 'nobody else was asked');
  copies.ask(0, { kind: 'prepare', ballot: at(6) });
  t.same(copies.give(0, at(5), 'missed'), { kind: 'given' });
  t.same(copies.values(), ['newer', 'newer', 'newer']);
});

t.test('what has expired meanwhile is not seen, and neither is what it had overwritten', async (t) => {
  const copies = new Copies();
  for (const node of NODES) copies.ask(node, put(at(1), 'old'));
  // The copy that had taken it has forgotten it: its clock is at 0, and so is that of all.
  t.same(copies.give(1, at(5), 'missed', -1), { kind: 'given' });
  t.same(copies.values(), ['old', undefined, 'old']);
  t.equal(copies.versionAt(1), at(5));
  copies.mute.add(0);
  t.match(copies.give(2, at(4), 'missed', -1), { kind: 'given' }, 'another copy has something newer');
  t.same(copies.values(), ['old', undefined, undefined]);
});

t.test('of an epoch that has ended it is given in the next one, unless there is something newer', async (t) => {
  const copies = new Copies();
  for (const node of NODES) copies.copyAt(node).data.epochFloor = 3;
  t.same(copies.give(0, at(5), 'missed'), { kind: 'given' });
  t.same(copies.values(), ['missed', undefined, undefined]);
  t.equal(epochOf(copies.versionAt(0) as Ballot), 3);
  t.same(copies.give(1, at(4), 'earlier'), { kind: 'given' });
  t.same(copies.values(), ['missed', 'missed', 'missed']);
});

t.test(
  'where the node may have forgotten something newer it is left out, once all have said that they know of none',
  async (t) => {
    const copies = new Copies();
    copies.copyAt(1).data.collectFloor = at(9);
    copies.mute.add(2);
    t.match(copies.give(1, at(5), 'forgotten'), { kind: 'refused' });
    copies.mute.delete(2);
    t.same(copies.give(1, at(5), 'forgotten'), { kind: 'given' });
    t.same(copies.values(), [undefined, undefined, undefined]);
    copies.ask(0, put(at(6), 'newer'));
    t.same(copies.give(1, at(5), 'missed'), { kind: 'given' });
    t.same(copies.values(), ['newer', 'newer', 'newer']);
  },
);

t.test('who does not answer is asked again', async (t) => {
  const copies = new Copies();
  copies.mute.add(1);
  t.same(copies.give(1, at(5), 'missed'), { kind: 'silent' });
  copies.mute.delete(1);
  copies.copyAt(1).flush();
  t.same(copies.give(1, at(5), 'missed'), { kind: 'silent' }, 'nor one that is another member by now');
});
