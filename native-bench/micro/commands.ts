// Finding a command in the table by its bytes: what a client sends most.

import { findCommand } from '../../src/resp/commands.js';
import { type Measurement, measure } from './measure.js';

const NAMES = ['GET', 'SET', 'MGET', 'HGETALL', 'INCR', 'LPUSH', 'ZADD', 'EXPIRE'];
const LOOKUPS = 1_000_000;

export function run(): Measurement[] {
  const bytes = Buffer.from(NAMES.join(''), 'latin1');
  const starts = Int32Array.from(NAMES, (_, i) => NAMES.slice(0, i).join('').length);
  const ends = Int32Array.from(NAMES, (name, i) => (starts[i] as number) + name.length);
  let sink = 0;
  const measurement = measure('find a command by its name', LOOKUPS, () => {
    let found = 0;
    for (let i = 0; i < LOOKUPS; i++) {
      const name = i & 7;
      if (findCommand(bytes, starts[name] as number, ends[name] as number) !== null) found++;
    }
    sink = found;
  });
  if (sink !== LOOKUPS) throw new Error('a command was not found');
  return [measurement];
}
