// The slot of a key of 20 bytes, without and with a hash tag. Limit: 50 ns.

import { SLOT_COUNT, slotOf } from '../../src/routing/slot.js';
import { type Measurement, measure } from './measure.js';

const KEYS = 1024;
const KEY_BYTES = 20;
const ROUNDS = 1000;

export function run(): Measurement[] {
  return [
    measureSlot('slot of key:000000000000', (i) => `key:${String(i).padStart(16, '0')}`),
    measureSlot('slot of user:{00000000}:name', (i) => `user:{${String(i).padStart(8, '0')}}:name`),
  ];
}

function measureSlot(name: string, makeKey: (i: number) => string): Measurement {
  const keys = Buffer.from(Array.from({ length: KEYS }, (_, i) => makeKey(i)).join(''), 'latin1');
  let sink = 0;
  const measurement = measure(name, KEYS * ROUNDS, () => {
    let slots = 0;
    for (let round = 0; round < ROUNDS; round++) {
      for (let start = 0; start < keys.length; start += KEY_BYTES) slots ^= slotOf(keys, start, start + KEY_BYTES);
    }
    sink |= slots;
  });
  // So that the work cannot be left out.
  if (sink >= SLOT_COUNT) throw new Error('a slot is out of range');
  return measurement;
}
