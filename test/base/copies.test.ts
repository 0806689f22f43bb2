/** Copies stand where they are said to, whatever their length, and no copy is written over. */
import t from 'tap';
import { Copies } from '../../src/base/copies.js';
import { Seeded } from '../transport/seeded.js';

t.test('copies of any length keep what was copied', async (t) => {
  const copies = new Copies();
  const source = new Seeded().bytes(20_000);
  const made: { copy: Uint8Array; start: number; end: number }[] = [];
  for (let count = 0; count < 3_000; count++) {
    const start = (count * 7) % 10_000;
    const end = start + ((count * 13) % (count % 50 === 0 ? 10_000 : 1_500));
    const at = copies.add(source, start, end);
    made.push({ copy: new Uint8Array(copies.buffer, at, end - start), start, end });
  }
  const faulty = made.filter(({ copy, start, end }) => !source.subarray(start, end).equals(copy));
  t.equal(faulty.length, 0);
  const buffers = new Set(made.map(({ copy }) => copy.buffer));
  t.ok(buffers.size < made.length / 2, `${buffers.size} buffers`);
  t.ok([...buffers].every(({ byteLength }) => byteLength < 10_000));
});
