/** Which slot is tried next, as tables. */
import t from 'tap';
import { areAllHeld, nextSlot, type SlotReports, withFree } from '../../src/lock/slots.js';

const QUORUM = 2;

function next({ taken = [], own = [], unknown = 0 }: Partial<SlotReports>, chance = 0): number | null {
  const max = taken[0]?.length ?? 3;
  return nextSlot(max, { taken, own, unknown }, QUORUM, chance);
}

t.test('one that is free at most nodes, or may be', async (t) => {
  for (const [taken, unknown, expected] of [
    [['100', '100', '100'], 0, 1],
    [['100', '110', '110'], 0, 2],
    [['110', '101'], 0, null],
    [['110', '101'], 1, 1],
    [['111', '111'], 1, null],
    [['111'], 2, 0],
    [['011', '101', '110'], 0, null],
    [['011', '101', '100'], 0, 1],
  ] as const) {
    t.equal(next({ taken, unknown }), expected, `${taken} and ${unknown}`);
  }
});

t.test('of several alike that which chance says, or one behind it', async (t) => {
  const taken = ['1000', '1000', '1000'];
  t.same(
    [0, 0.3, 0.5, 0.99].map((chance) => next({ taken }, chance)),
    [1, 1, 2, 3],
  );
});

t.test('where the token is already, if that may be had', async (t) => {
  t.equal(next({ own: ['2', '2'], unknown: 1 }), 2);
  t.equal(next({ own: ['2'], taken: ['100', '100'] }), 2);
  t.equal(next({ own: ['1', '2'], taken: ['110'] }), 2, 'it is had at one node, and free at another');
  t.equal(next({ own: ['2'], taken: ['011'] }), 0, 'others have it elsewhere: it is to be moved');
});

t.test('all are held where each may be had by a majority', async (t) => {
  for (const [taken, silent, expected] of [
    [['10', '11', '01'], 0, true],
    [['10', '01', '00'], 0, false],
    [['10', '01'], 1, true],
    [['10', '00'], 1, false],
    [['10', '12', '02'], 0, false],
  ] as const) {
    t.equal(areAllHeld(2, taken, silent, QUORUM), expected, `${taken}, and ${silent} say nothing`);
  }
});

t.test('what was said of votes may be otherwise since', async (t) => {
  t.same([withFree('0121', null), withFree('0121', 1), withFree('0121', 3)], ['0101', '0001', '0100']);
});
