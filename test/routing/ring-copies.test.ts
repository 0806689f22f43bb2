/** Which nodes have the copies of a slot: the ring's owner, and who comes after it. */
import { createHash } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import t from 'tap';
import { planCopies, planRing, type RingNode } from '../../src/routing/ring.js';
import { SLOT_COUNT } from '../../src/routing/slot.js';
import { Seeded } from '../transport/seeded.js';

function equalNodes(count: number, set = 0): RingNode[] {
  return Array.from({ length: count }, (_, i) => ({ name: `10.${set}.0.${i}:6379`, weight: 1 }));
}

/** Per slot the names of its nodes. */
function copySets(nodes: readonly RingNode[], copies: number): string[][] {
  const owners = planCopies(nodes, copies);
  return Array.from({ length: SLOT_COUNT }, (_, slot) => {
    return Array.from(owners.subarray(slot * copies, (slot + 1) * copies), (index) => nodes[index]?.name as string);
  });
}

/** The copies that each node has of all slots. */
function counts(nodes: readonly RingNode[], copies: number): Map<string, number> {
  const found = new Map(nodes.map(({ name }) => [name, 0]));
  for (const name of copySets(nodes, copies).flat()) found.set(name, (found.get(name) as number) + 1);
  return found;
}

const PATH = 'test/golden/ring/copies.json';

t.test('the copies of a slot are where they always were', async (t) => {
  const rings = [3, 5, 10, 100].flatMap((count) =>
    [3, 5].filter((copies) => copies <= count).map((copies) => ({ count, copies })),
  );
  const actual = rings.map(({ count, copies }) => {
    const weights = equalNodes(count).map((node, index) => ({ ...node, weight: 1 + (index % 3) }));
    const bytes = Buffer.alloc(SLOT_COUNT * copies * 2);
    for (const [at, index] of planCopies(weights, copies).entries()) bytes.writeUInt16BE(index, at * 2);
    const sample = copySets(weights, copies).filter((_, slot) => slot % 2048 === 0);
    return { count, copies, sample, sha256: createHash('sha256').update(bytes).digest('hex') };
  });
  // With GOLDEN=write they are written, for `git diff` to be judged by.
  if (process.env['GOLDEN'] === 'write') writeFileSync(PATH, `${JSON.stringify(actual, null, 2)}\n`);
  t.same(actual, JSON.parse(readFileSync(PATH, 'utf8')));
});

t.test('the first copy is with the owner of the slot, and no node has two', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  for (const [count, copies] of [
    [3, 3],
    [4, 3],
    [5, 5],
    [9, 5],
    [40, 3],
  ] as const) {
    const nodes = equalNodes(count, random.below(256)).map((node) => ({ ...node, weight: random.pick([0.5, 1, 4]) }));
    const owners = planRing(nodes);
    const sets = copySets(nodes, copies);
    t.ok(sets.every((set) => new Set(set).size === copies));
    t.same(
      sets.map(([first]) => first),
      Array.from(owners, (index) => nodes[index]?.name),
    );
  }
});

t.test('copies are spread evenly: no node has a twentieth more or less than its share, up to 30 nodes', async (t) => {
  for (const copies of [3, 5]) {
    for (const count of [3, 4, 5, 6, 8, 13, 20, 30]) {
      if (count < copies) continue;
      const share = (SLOT_COUNT * copies) / count;
      for (const [name, slots] of counts(equalNodes(count, 7), copies)) {
        t.ok(
          Math.abs(slots - share) <= share / 20,
          `${count} nodes, ${copies} copies: ${name} has ${slots} of ${share}`,
        );
      }
    }
  }
});

t.test('copies follow weights, where there are nodes enough', async (t) => {
  const nodes = equalNodes(20, 8).map((node, index) => ({ ...node, weight: index < 10 ? 1 : 2 }));
  const of = counts(nodes, 3);
  const [light = 0, heavy = 0] = [nodes.slice(0, 10), nodes.slice(10)].map((part) =>
    part.reduce((sum, { name }) => sum + (of.get(name) as number), 0),
  );
  t.ok(heavy / light > 1.8 && heavy / light < 2.1, `${heavy / light}`);
});

t.test('a node that joins takes its part of the copies, and hardly any other moves', async (t) => {
  for (const count of [3, 5, 9]) {
    const before = copySets(equalNodes(count, 9), 3);
    const after = copySets(equalNodes(count + 1, 9), 3);
    // A node that gets a copy of a slot, wherever it stands among the slot's.
    const gained = after.flatMap((set, slot) => set.filter((name) => !before[slot]?.includes(name))).length;
    const share = (SLOT_COUNT * 3) / (count + 1);
    t.ok(gained <= 1.15 * share, `${count} nodes and one: ${gained} of ${share}`);
  }
});

t.test('the order of the nodes makes no difference', async (t) => {
  const nodes = equalNodes(8, 5).map((node, i) => ({ ...node, weight: 1 + (i % 3) }));
  t.same(copySets([...nodes].reverse(), 5), copySets(nodes, 5));
});

t.test('fewer nodes than copies are refused with the reason', async (t) => {
  t.throws(() => planCopies(equalNodes(2), 3), new RangeError('2 nodes have no room for 3 copies'));
});
