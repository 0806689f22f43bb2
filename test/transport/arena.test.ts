import t from 'tap';
import { Arena, UNIT_BYTES } from '../../src/transport/arena.js';
import { Seeded } from './seeded.js';

const MIB = 1024 * 1024;

t.test('blocks never overlap, keep their bytes, and are counted', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const arena = new Arena(new ArrayBuffer(64 * MIB));
  const blocks: { offset: number; size: number; tag: number }[] = [];
  for (let step = 0; step < 8_000; step++) {
    if (random.below(100) < 52) {
      const size = random.below(4) === 0 ? random.size(8 * MIB) : random.size(20_000);
      const offset = arena.allocate(size);
      if (offset < 0) continue;
      const tag = random.below(256);
      arena.bytes.fill(tag, offset, offset + Arena.blockBytes(size));
      blocks.push({ offset, size, tag });
    } else if (blocks.length > 0) {
      const [block] = blocks.splice(random.below(blocks.length), 1) as [{ offset: number; size: number; tag: number }];
      const length = Arena.blockBytes(block.size);
      if (!Buffer.alloc(length, block.tag).equals(arena.bytes.subarray(block.offset, block.offset + length)))
        t.fail(`a block of ${block.size} at ${block.offset} was overwritten`);
      arena.release(block.offset, block.size);
    }
    if (step % 1000 === 0) arena.trim();
  }
  // However the run went, it ends with the memory full.
  for (let offset = arena.allocate(MIB); offset >= 0; offset = arena.allocate(MIB)) {
    blocks.push({ offset, size: MIB, tag: 0 });
  }
  const used = blocks.reduce((sum, block) => sum + Arena.blockBytes(block.size), 0);
  t.equal(arena.usedBytes, used, 'the sum of the blocks is what the arena says');
  const sorted = blocks.toSorted((a, b) => a.offset - b.offset);
  for (let index = 1; index < sorted.length; index++) {
    const [left, right] = [sorted[index - 1], sorted[index]] as [(typeof blocks)[0], (typeof blocks)[0]];
    if (left.offset + Arena.blockBytes(left.size) > right.offset) t.fail(`${left.offset} and ${right.offset} overlap`);
  }
  for (const block of blocks) arena.release(block.offset, block.size);
  t.equal(arena.usedBytes, 0);
});

t.test('what was small slabs can become one large block again', async (t) => {
  const arena = new Arena(new ArrayBuffer(16 * MIB));
  const offsets: number[] = [];
  for (;;) {
    const offset = arena.allocate(4096);
    if (offset < 0) break;
    offsets.push(offset);
  }
  t.equal(offsets.length, (16 * MIB) / 4096, 'every byte was handed out');
  t.equal(arena.allocate(64), -1, 'a full arena says -1');
  for (const offset of offsets) arena.release(offset, 4096);
  t.ok(arena.allocate(15 * MIB) >= 0, 'all but the one slab that is kept');
});

t.test('a large block grows where it lies when the memory behind it is free', async (t) => {
  const arena = new Arena(new ArrayBuffer(16 * MIB));
  const block = arena.allocate(2 * MIB);
  t.ok(arena.extend(block, 2 * MIB, 5 * MIB));
  t.equal(arena.usedBytes, 5 * MIB);
  const behind = arena.allocate(1 * MIB);
  t.equal(behind, block + 5 * MIB, 'the new end is respected');
  t.notOk(arena.extend(block, 5 * MIB, 6 * MIB), 'not over a neighbour');
  t.notOk(arena.extend(behind, 1 * MIB, 16 * MIB), 'not over the end of the memory');
  t.ok(arena.extend(behind, 1 * MIB, 11 * MIB), 'up to the end of the memory');
  t.equal(arena.allocate(600 * 1024), -1);
  arena.release(block, 5 * MIB);
  arena.release(behind, 11 * MIB);
  t.equal(arena.usedBytes, 0);
  const small = arena.allocate(1000);
  t.notOk(arena.extend(small, 1000, 2000), 'a small block lies in a slab and cannot grow');
});

t.test('copies that were put off arrive as if they had been done at once', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const arena = new Arena(new ArrayBuffer(UNIT_BYTES));
  const half = UNIT_BYTES / 2;
  arena.bytes.set(random.bytes(half), 0);
  const twin = Buffer.from(arena.bytes);
  let source = 0;
  let target = half;
  for (let step = 0; step < 5_000; step++) {
    // Often continuing the copy before, on both sides or on one.
    if (random.below(4) === 0) source = random.below(half - 1000);
    if (random.below(4) === 0) target = half + random.below(half - 1000);
    if (source > half - 1000) source = 0;
    if (target > 2 * half - 1000) target = half;
    // Short ones and long ones are copied in different ways.
    const length = random.below(400);
    arena.copy(source, source + length, target);
    twin.copyWithin(target, source, source + length);
    source += length;
    target += length;
    if (random.below(50) === 0) arena.settle();
  }
  arena.settle();
  t.ok(twin.equals(arena.bytes));
});

t.test('only free memory that was used is handed back to the system, once', async (t) => {
  const given: [number, number][] = [];
  const arena = new Arena(new ArrayBuffer(8 * MIB), (offset, length) => given.push([offset, length]));
  arena.trim();
  t.same(given, [], 'nothing was used yet');
  const first = arena.allocate(3 * MIB);
  const second = arena.allocate(1 * MIB);
  arena.release(first, 3 * MIB);
  t.equal(arena.untrimmedBytes, 3 * MIB);
  arena.trim();
  t.equal(arena.untrimmedBytes, 0);
  arena.trim();
  t.same(given, [[first, 3 * MIB]]);
  arena.release(second, 1 * MIB);
  arena.trim();
  t.same(given[1], [second, 1 * MIB]);
});

t.test('memory of a wrong size is refused', async (t) => {
  t.throws(() => new Arena(new ArrayBuffer(1000)), /multiple/);
  t.throws(() => new Arena(new ArrayBuffer(0)), /multiple/);
});
