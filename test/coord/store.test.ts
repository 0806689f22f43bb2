/** How the store settles what a driver does not know: by a driver that answers as it is told to. */
import t from 'tap';
import type { Attempt, Driver, Stored } from '../../src/coord/driver.js';
import { Store } from '../../src/coord/store.js';
import { StoreError, type StoreFault } from '../../src/coord/store-error.js';

const KEY = { folder: 'things', name: 'one' };
const FOREIGN: Stored = { version: 9, mark: 'other.1', value: 'theirs' };

type Answer = (mark: string) => Attempt;

function fails(fault: StoreFault): Answer {
  return () => {
    throw new StoreError(fault, `it was ${fault}`);
  };
}

const done: Answer = () => ({ kind: 'done', version: 8 });
const foreign: Answer = () => ({ kind: 'conflict', found: FOREIGN });
const own: Answer = (mark) => ({ kind: 'conflict', found: { version: 8, mark, value: 'ours' } });

/** Asks for one change of a driver that gives these answers; the last one again and again. */
async function change(answers: readonly Answer[]): Promise<unknown> {
  const marks = new Set<string>();
  let asked = 0;
  const driver = {
    compareAndSet: async (_key: unknown, expected: number, mark: string) => {
      t.equal(expected, 7);
      marks.add(mark);
      return (answers[Math.min(asked++, answers.length - 1)] as Answer)(mark);
    },
    close: async () => {},
  } as unknown as Driver;
  const store = new Store(driver, { timeoutMs: 100, attemptMs: 50 });
  try {
    return await store.compareAndSet(KEY, 7, 'ours');
  } catch (error) {
    return error instanceof StoreError ? error.fault : error;
  } finally {
    t.equal(marks.size, 1, 'all attempts of one change have one mark');
    await store.close();
  }
}

const OURS = { kind: 'done', version: 8 };
const THEIRS = { kind: 'conflict', found: { version: 9, value: 'theirs' } };

const SETTLED: [string, readonly Answer[], unknown][] = [
  ['an answer is passed on', [done], OURS],
  ['a conflict is one', [foreign], THEIRS],
  ['what was not carried out is tried again', [fails('unavailable'), done], OURS],
  ['a conflict after an attempt that was not carried out is one', [fails('unavailable'), foreign], THEIRS],
  ['what is unknown is sent again: a version is used once', [fails('unknown'), done], OURS],
  ['what was unknown and is there was done', [fails('unknown'), own], OURS],
  ['what was unknown and is not there may have been', [fails('unknown'), foreign], 'unknown'],
  ['what was refused is not tried again', [fails('refused'), done], 'refused'],
  ['what was unknown stays so when it is refused', [fails('unknown'), fails('refused')], 'unknown'],
  ['what was never carried out is unavailable', [fails('unavailable')], 'unavailable'],
  ['what was unknown once stays so', [fails('unknown'), fails('unavailable')], 'unknown'],
  ['what is a fault of ours is not hidden', [() => assertion()], 'a fault'],
];

function assertion(): never {
  throw 'a fault';
}

for (const [name, answers, expected] of SETTLED) {
  t.test(name, async (t) => {
    t.same(await change(answers), expected);
  });
}

t.test('two changes have two marks, and so have those of two stores', async (t) => {
  const marks: string[] = [];
  const driver = {
    compareAndSet: async (_key: unknown, _expected: number, mark: string) => {
      marks.push(mark);
      return { kind: 'done', version: 1 };
    },
  } as unknown as Driver;
  for (const store of [new Store(driver), new Store(driver)]) {
    await store.compareAndSet(KEY, 0, 'a');
    await store.compareAndSet(KEY, 0, 'a');
  }
  t.equal(new Set(marks).size, 4);
});
