import t from 'tap';
import { slotOfPattern } from '../../src/routing/pattern-slot.js';
import { slotOf } from '../../src/routing/slot.js';

const ELEMENTS = ['', '1', '{b}', '}', '{', '{}', 'a}b{c}'];

t.test('a hash tag before the star is that of all keys', async (t) => {
  for (const pattern of ['{a}*', 'w:{a}:*->field', '{a}{b}*', '{{a}}*', '{a}*{c}', '{a}']) {
    const slot = slotOfPattern(Buffer.from(pattern));
    t.ok(slot >= 0, pattern);
    for (const element of ELEMENTS) {
      const key = Buffer.from(pattern.replace('*', element));
      t.equal(slotOf(key, 0, key.length), slot, `${pattern} ${element}`);
    }
  }
});

t.test('without one before the star keys may have several slots', async (t) => {
  for (const pattern of ['*', 'w_*', '{*}', '{a*}', '*{a}', '{}*', '{}{a}*', '}{*', '}*{a}', 'plain']) {
    t.equal(slotOfPattern(Buffer.from(pattern)), -1, pattern);
  }
});
