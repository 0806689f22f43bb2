/** Several locks at once: in which order they are taken, what is kept meanwhile, and what is given back. */
import t from 'tap';
import { EXCLUSIVE, type GiveBack } from '../../src/lock/lock.js';
import { acquireSeveral, type SeveralOutcome } from '../../src/lock/several-locks.js';
import { FakeClock } from '../help/fake-clock.js';
import { FakeLock } from '../help/fake-lock.js';

const TTL_MS = 3000;
const ORDER = { ttlMs: TTL_MS, token: 'mine', client: 'c', mode: EXCLUSIVE, isWanted: () => true };
const UNREACHED = { kind: 'no-quorum', quarantinedMs: null, error: null } as const;
const NOT_HELD = { kind: 'not-held', ttlMs: 0, holders: [] } as const;

function begin(names: readonly string[], waitMs: number) {
  const clock = new FakeClock();
  const locks = names.map((name) => new FakeLock(name));
  const told: SeveralOutcome[] = [];
  let out = 0;
  const giveBack = (begin: GiveBack) => {
    out++;
    begin(() => out--);
  };
  const end = acquireSeveral(locks, ORDER, waitMs, { clock, giveBack }, (outcome) => told.push(outcome));
  const lock = (name: string) => locks.find((one) => one.name === name) as FakeLock;
  return {
    clock,
    lock,
    told,
    end,
    /** What is not given back yet. */
    out: () => out,
    wanted: () => locks.filter(({ wanting }) => wanting.length > 0).map(({ name }) => name),
  };
}

t.test('they are taken by the order of their bytes, and told in the order in which they were given', async (t) => {
  const { lock, told, wanted } = begin(['b', 'a', 'b\xff', 'B'], 1000);
  for (const name of ['B', 'a', 'b', 'b\xff']) {
    t.same(wanted(), [name]);
    lock(name).answer({ ...lock(name).granted('mine', 2900), fence: name.charCodeAt(0) + name.length });
  }
  t.same(wanted(), []);
  t.same(told, []);
  for (const [name, validityMs] of [
    ['b', 2900],
    ['B', 2800],
    ['b\xff', 2700],
    ['a', 2900],
  ] as const) {
    lock(name).answerExtension({ kind: 'extended', validityMs });
  }
  t.match(told, [{ kind: 'granted', validityMs: 2700, granted: [99, 98, 100, 67].map((fence) => ({ fence })) }]);
});

t.test('what was got is kept while the next is waited for, by the time that is left', async (t) => {
  const { clock, lock, told } = begin(['a', 'b'], 100_000);
  t.equal(lock('a').waitMs, 100_000);
  clock.pass(40_000);
  lock('a').grant(2900);
  t.equal(lock('b').waitMs, 60_000);
  for (let time = 0; time < 20; time++) {
    clock.pass(1000);
    t.equal(lock('a').extensionsOut, 1);
    lock('a').answerExtension({ kind: 'extended', validityMs: 2900 });
  }
  lock('b').grant(2900);
  lock('a').answerExtension({ kind: 'extended', validityMs: 2900 });
  clock.pass(100);
  lock('b').answerExtension({ kind: 'extended', validityMs: 2850 });
  t.match(told, [{ kind: 'granted', validityMs: 2800 }]);
  const { length } = lock('a').extensions;
  clock.pass(10_000);
  t.equal(lock('a').extensions.length, length, 'what is granted is the client’s own business');
});

t.test('where one is not got all are given back', async (t) => {
  for (const outcome of [{ kind: 'out-of-time' }, UNREACHED, { kind: 'late' }, { kind: 'crowded', max: 7 }] as const) {
    const { clock, lock, told } = begin(['a', 'b', 'c'], 1000);
    lock('a').grant(2900);
    lock('b').grant(2900);
    t.same(lock('a').givenBack, []);
    lock('c').answer(outcome);
    t.same(told, [outcome]);
    t.same([lock('a').givenBack, lock('b').givenBack, lock('c').givenBack], [['mine'], ['mine'], []]);
    clock.pass(10_000);
    t.same([lock('a').extensions, told.length], [[], 1]);
  }
});

t.test('who gives up has none', async (t) => {
  const { lock, told, end, out, wanted } = begin(['a', 'b'], 1000);
  lock('a').grant(2900);
  end();
  end();
  t.same(wanted(), []);
  t.same(lock('a').givenBack, ['mine']);
  t.same(told, []);
  t.equal(out(), 2, 'what he had, and what he has asked for');
  for (const name of ['a', 'b']) lock(name).answerGivenBack();
  t.equal(out(), 0);
});

t.test('who loses one while he waits has none', async (t) => {
  const { clock, lock, told, wanted } = begin(['a', 'b'], 100_000);
  lock('a').grant(2900);
  clock.pass(2900);
  t.same(told, [{ kind: 'lost', name: 'a' }]);
  t.same(wanted(), []);
  t.same(lock('a').givenBack, ['mine']);
});

t.test('the last extension is for all of them', async (t) => {
  for (const [outcome, expected] of [
    [NOT_HELD, { kind: 'lost', name: 'a' }],
    [{ kind: 'unknown' } as const, { kind: 'late' }],
    [UNREACHED, UNREACHED],
  ] as const) {
    const { lock, told } = begin(['a', 'b'], 0);
    t.equal(lock('a').waitMs, 0);
    lock('a').grant(2900);
    lock('b').grant(2900);
    lock('b').answerExtension({ kind: 'extended', validityMs: 2900 });
    lock('a').answerExtension(outcome);
    t.same(told, [expected]);
    t.same([lock('a').givenBack, lock('b').givenBack], [['mine'], ['mine']]);
  }
  const { clock, lock, told } = begin(['a', 'b'], 0);
  lock('a').grant(2900);
  lock('b').grant(2900);
  lock('b').answerExtension({ kind: 'extended', validityMs: 100 });
  clock.stand(100);
  lock('a').answerExtension({ kind: 'extended', validityMs: 2900 });
  t.same(told, [{ kind: 'late' }], 'the first is over already');
});
