import t from 'tap';
import { Fifo } from '../../src/base/fifo.js';
import { randomFromSeed } from '../help/random.js';

t.test('a queue does what an array does', async (t) => {
  const random = randomFromSeed((text) => t.comment(text));
  const fifo = new Fifo<number>();
  const array: number[] = [];
  // Long runs of one kind, so that the ring grows, wraps and shrinks.
  for (let run = 0; run < 400; run++) {
    const pushes = random.chance(50);
    for (let count = random.size(3_000); count > 0; count--) {
      if (pushes) {
        const entry = random.below(1_000_000);
        fifo.push(entry);
        array.push(entry);
      } else if (fifo.shift() !== array.shift()) t.fail('shift differs');
      if (fifo.length !== array.length || fifo.peek() !== array[0]) t.fail('length or peek differs');
    }
    if (array.length === 0) continue;
    const index = random.below(array.length);
    if (fifo.at(index) !== array[index]) t.fail(`entry ${index} of ${array.length} differs`);
    fifo.set(index, -run);
    array[index] = -run;
  }
  while (array.length > 0) if (fifo.shift() !== array.shift()) t.fail('shift differs at the end');
  t.equal(fifo.shift(), undefined);
  t.equal(fifo.peek(), undefined);
  t.equal(fifo.length, 0);
});

t.test('an empty queue has nothing', async (t) => {
  const fifo = new Fifo<string>();
  t.equal(fifo.peek(), undefined);
  t.equal(fifo.shift(), undefined);
  fifo.push('a');
  t.equal(fifo.peek(), 'a');
  t.equal(fifo.shift(), 'a');
  t.equal(fifo.peek(), undefined, 'what was taken is not kept alive');
});

t.test('a queue that was large gives its slots back when it runs empty', async (t) => {
  const fifo = new Fifo<number>();
  const slots = () => (fifo as unknown as { slots: unknown[] }).slots.length;
  for (let n = 0; n < 100_000; n++) fifo.push(n);
  t.ok(slots() >= 100_000);
  for (let n = 0; n < 99_999; n++) fifo.shift();
  t.ok(slots() >= 100_000, 'not before');
  fifo.shift();
  t.ok(slots() < 100);
  fifo.push(1);
  t.equal(fifo.shift(), 1);
});

t.test('an empty queue gives back what it has grown by, when it is told to; one with entries keeps them', async (t) => {
  const fifo = new Fifo<number>();
  const slots = () => (fifo as unknown as { slots: unknown[] }).slots.length;
  const few = slots();
  for (let n = 0; n < 1_000; n++) fifo.push(n);
  fifo.trim();
  t.equal(fifo.at(999), 999);
  for (let n = 0; n < 1_000; n++) fifo.shift();
  t.ok(slots() > few);
  fifo.trim();
  t.equal(slots(), few);
});
