import t from 'tap';
import { IdleHeap } from '../../src/base/idle-heap.js';

const MB = 1024 * 1024;

/** A heap that a collection brings back to `live` bytes, step by step. */
class FakeHeap {
  bytes = 20 * MB;
  live = 20 * MB;
  collections = 0;
  drops = 0;
  commands = 0;
  now = 0;
  /** What a collection takes. */
  tookMs = 20;
  private clockMs = 0;
  readonly heap = new IdleHeap(
    () => this.drops++,
    20 * MB,
    () => {
      this.collections++;
      this.clockMs += this.tookMs;
      this.bytes = Math.max(this.live, this.bytes - 60 * MB);
    },
    () => this.bytes,
    () => this.clockMs,
  );

  /** Lets `ms` pass with so many commands each half second. */
  run(ms: number, commands: number): void {
    for (const endMs = this.now + ms; this.now < endMs; ) {
      this.now += 500;
      this.commands += commands;
      this.heap.look(this.now, this.commands);
    }
  }
}

t.test(
  'a heap that a burst has left large is collected twice when it has been quiet, and then left alone',
  async (t) => {
    const fake = new FakeHeap();
    fake.bytes = 120 * MB;
    fake.run(20_000, 1_000);
    t.equal(fake.collections, 0, 'not while there is much to do');
    fake.run(1_500, 10);
    t.equal(fake.collections, 0, 'not at once');
    fake.run(100_000, 10);
    t.equal(fake.collections, 2);
    t.equal(fake.drops, 1);
    t.equal(fake.bytes, 20 * MB);
  },
);

t.test('a heap that V8 has collected itself is held against what it was then', async (t) => {
  const fake = new FakeHeap();
  fake.bytes = 12 * MB;
  fake.live = 12 * MB;
  fake.run(10_000, 0);
  t.equal(fake.collections, 0);
  fake.bytes = 24 * MB;
  fake.run(10_000, 0);
  t.equal(fake.collections, 2);
});

t.test('a heap that did not grow is never collected', async (t) => {
  const fake = new FakeHeap();
  fake.bytes += 7 * MB;
  fake.run(1_000_000, 0);
  t.equal(fake.collections, 0);
});

t.test('what stays although it was collected is not collected again and again', async (t) => {
  const fake = new FakeHeap();
  fake.bytes = 300 * MB;
  fake.live = 300 * MB;
  fake.run(1_000_000, 0);
  t.equal(fake.collections, 2);
});

t.test('work that comes between two collections is done first', async (t) => {
  const fake = new FakeHeap();
  fake.bytes = 120 * MB;
  fake.run(2_500, 0);
  t.equal(fake.collections, 1);
  fake.run(1_000, 1_000);
  t.equal(fake.collections, 1);
});

t.test('collections that take long are followed by a long rest', async (t) => {
  const fake = new FakeHeap();
  fake.bytes = 300 * MB;
  fake.live = 250 * MB;
  fake.tookMs = 200;
  fake.run(350_000, 10);
  t.equal(fake.collections, 2, 'both: only after the second one pages are given back');
  for (let burst = 0; burst < 100; burst++) {
    fake.bytes = 300 * MB;
    fake.run(1_000, 10_000);
    fake.run(9_000, 10);
  }
  t.ok(fake.collections <= 2 + (2 * 1_350_000) / 400_000, `${fake.collections} collections`);
});

t.test('bursts in a row are collected no more than twice in ten seconds', async (t) => {
  const fake = new FakeHeap();
  for (let burst = 0; burst < 20; burst++) {
    fake.bytes = 120 * MB;
    fake.run(1_000, 10_000);
    fake.run(5_000, 0);
  }
  t.ok(fake.collections <= 2 * (120 / 10), `${fake.collections} collections in two minutes`);
});

t.test('garbage is collected really', async (t) => {
  let spares: unknown[] = [];
  const heap = new IdleHeap(() => {
    spares = [];
  });
  spares = Array.from({ length: 1_000_000 }, (_, index) => ({ index }));
  const before = process.memoryUsage().heapUsed;
  for (let now = 0; now <= 5_000; now += 500) heap.look(now, 0);
  const free = before - process.memoryUsage().heapUsed;
  t.ok(free > 20 * MB, `${Math.round(free / MB)} MB are free`);
  t.equal(spares.length, 0);
});
