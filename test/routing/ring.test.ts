import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { planRing, RING_NODES_MAX, type RingNode } from '../../src/routing/ring.js';
import { SLOT_COUNT } from '../../src/routing/slot.js';
import { Seeded } from '../transport/seeded.js';

const LIKE_SERVERS = (i: number, set: number) => `10.${set}.${i >> 8}.${i & 255}:6379`;
const LIKE_PODS = (i: number, set: number) => `redis-${i}.set-${set}.default.svc.cluster.local:6379`;

function equalNodes(count: number, set = 0, name = LIKE_SERVERS): RingNode[] {
  return Array.from({ length: count }, (_, i) => ({ name: name(i, set), weight: 1 }));
}

/** The names of the owners of all slots. */
function owners(nodes: readonly RingNode[]): string[] {
  return Array.from(planRing(nodes), (index) => (nodes[index] as RingNode).name);
}

function counts(nodes: readonly RingNode[]): Map<string, number> {
  const slots = new Map(nodes.map((node) => [node.name, 0]));
  for (const name of owners(nodes)) slots.set(name, (slots.get(name) as number) + 1);
  return slots;
}

function moved(before: readonly string[], after: readonly string[]): number {
  return before.filter((name, slot) => name !== after[slot]).length;
}

interface Golden {
  nodes: RingNode[];
  /** Of each node. */
  slots: Record<string, number>;
  /** The owners of slots 0, 256, 512 … */
  sample: string[];
  /** Of the owners' indices, big-endian, two bytes each. */
  sha256: string;
}

for (const count of [3, 5, 10, 100]) {
  t.test(`the ring of ${count} nodes is what it always was`, async (t) => {
    const golden = JSON.parse(readFileSync(`test/golden/ring/${count}-nodes.json`, 'utf8')) as Golden;
    t.equal(golden.nodes.length, count);
    const ring = planRing(golden.nodes);
    const bytes = Buffer.alloc(SLOT_COUNT * 2);
    for (const [slot, index] of ring.entries()) bytes.writeUInt16BE(index, slot * 2);
    const actual: Golden = {
      nodes: golden.nodes,
      slots: Object.fromEntries(counts(golden.nodes)),
      sample: owners(golden.nodes).filter((_, slot) => slot % 256 === 0),
      sha256: createHash('sha256').update(bytes).digest('hex'),
    };
    t.strictSame(actual, golden);
  });
}

t.test('no node owns more than its share and the promised twentieth, or tenth beyond 30 nodes', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  for (const count of [1, 2, 3, 4, 5, 8, 13, 20, 29, 30, 31, 50, 100, 200, 1000]) {
    for (const weights of [[1], [1, 2, 3], [0.1, 1, 2.5]]) {
      const nodes = equalNodes(count, random.below(256)).map((node) => ({ ...node, weight: random.pick(weights) }));
      const total = nodes.reduce((sum, node) => sum + node.weight, 0);
      const slots = counts(nodes);
      const over = nodes.filter((node) => {
        const share = (SLOT_COUNT * node.weight) / total;
        return (slots.get(node.name) as number) > Math.ceil((count <= 30 ? 1.05 : 1.1) * share * (1 + 1e-9));
      });
      t.strictSame(over, [], `${count} nodes of weights ${weights.join(', ')}`);
    }
  }
});

t.test('every node owns a fair part: at most a fifth less than its share, up to 30 nodes', async (t) => {
  for (const count of [2, 3, 5, 10, 30]) {
    for (const name of [LIKE_SERVERS, LIKE_PODS]) {
      const least = Math.min(...counts(equalNodes(count, 1, name)).values());
      t.ok(least > (0.8 * SLOT_COUNT) / count, `${count} nodes: ${least}`);
    }
  }
});

t.test('slots follow weights, also fractions and small ones', async (t) => {
  const nodes = [
    { name: 'a', weight: 1 },
    { name: 'b', weight: 2 },
    { name: 'c', weight: 0.5 },
    { name: 'd', weight: 0.1 },
  ];
  for (const [name, slots] of counts(nodes)) {
    const weight = nodes.find((node) => node.name === name)?.weight as number;
    const share = (SLOT_COUNT * weight) / 3.6;
    t.ok(slots > 0.8 * share && slots < 1.06 * share, `${name}: ${slots} for ${share}`);
  }
});

t.test('growing from 1 node to 64 and back, each step moves at most 1.15 times what it must', async (t) => {
  for (const name of [LIKE_SERVERS, LIKE_PODS]) {
    let before = owners(equalNodes(1, 2, name));
    for (let count = 2; count <= 64; count++) {
      const after = owners(equalNodes(count, 2, name));
      const share = SLOT_COUNT / count;
      // Seen from `after`, the same slots move when the node is removed.
      t.ok(moved(before, after) <= 1.15 * share, `${count} nodes: ${moved(before, after)} of ${share}`);
      before = after;
    }
  }
});

t.test('removing any one of 3, 10, 30 or 100 nodes moves at most 1.15 times what it must', async (t) => {
  for (const count of [3, 10, 30, 100]) {
    const nodes = equalNodes(count, 3);
    const before = owners(nodes);
    for (let i = 0; i < count; i += Math.ceil(count / 10)) {
      const after = owners(nodes.toSpliced(i, 1));
      t.ok(moved(before, after) <= (1.15 * SLOT_COUNT) / count, `${count} nodes without the ${i}th`);
    }
  }
});

t.test('a chain of random additions and removals with weights moves little at each step, and comes back', async (t) => {
  const random = new Seeded(20);
  const all = equalNodes(24, 4).map((node) => ({ ...node, weight: random.pick([1, 1.5, 2, 3]) }));
  let present = all.slice(0, 8);
  const start = owners(present);
  const first = present;
  for (let step = 0; step < 60; step++) {
    const node = random.pick(all);
    const isThere = present.includes(node);
    if (isThere && present.length === 1) continue;
    const next = isThere ? present.filter((other) => other !== node) : [...present, node];
    const total = (isThere ? present : next).reduce((sum, other) => sum + other.weight, 0);
    const slots = moved(owners(present), owners(next));
    const share = (SLOT_COUNT * node.weight) / total;
    t.ok(slots <= 1.15 * share, `step ${step}: ${slots} of ${share}`);
    present = next;
  }
  t.strictSame(owners(first), start, 'what was before leaves no trace');
});

t.test('the order of the nodes makes no difference', async (t) => {
  const random = new Seeded();
  t.comment(`seed ${random.seed}`);
  const nodes = equalNodes(20, 5).map((node, i) => ({ ...node, weight: 0.1 + (i % 7) / 3 }));
  const wanted = owners(nodes);
  for (let i = 0; i < 10; i++) {
    const shuffled = nodes
      .map((node) => ({ node, place: random.below(1e9) }))
      .sort((a, b) => a.place - b.place)
      .map(({ node }) => node);
    t.strictSame(owners(shuffled), wanted);
  }
});

t.test('the scale of the weights makes little difference', async (t) => {
  const nodes = equalNodes(5, 6).map((node, i) => ({ ...node, weight: i + 1 }));
  const [small, large] = [1, 10].map((factor) =>
    counts(nodes.map((node) => ({ ...node, weight: node.weight * factor }))),
  ) as [Map<string, number>, Map<string, number>];
  for (const [name, slots] of small) t.ok(Math.abs(slots - (large.get(name) as number)) < 0.1 * slots, name);
});

t.test('a node alone owns everything, whatever its weight', async (t) => {
  for (const weight of [1, 0.001, 1000]) t.ok(planRing([{ name: 'a', weight }]).every((owner) => owner === 0));
});

t.test('the owners are written where they are wanted', async (t) => {
  const owners = new Uint16Array(new SharedArrayBuffer(SLOT_COUNT * 2));
  t.equal(planRing(equalNodes(3), owners), owners);
  t.strictSame(Array.from(owners), Array.from(planRing(equalNodes(3))));
});

t.test('names are told apart by their bytes, in any script', async (t) => {
  const nodes = ['é', 'z', '😀', '\uffee', 'Z', ''].map((name) => ({ name, weight: 1 }));
  t.ok([...counts(nodes).values()].every((slots) => slots > 0.8 * (SLOT_COUNT / 6)));
});

t.test('what no ring can be made of is refused with the reason', async (t) => {
  t.throws(() => planRing([]), new RangeError('a ring needs at least one node'));
  t.throws(() => planRing(equalNodes(RING_NODES_MAX + 1)), new RangeError('a ring has at most 16384 nodes'));
  const twice = [...equalNodes(3), { name: LIKE_SERVERS(1, 0), weight: 2 }];
  t.throws(() => planRing(twice), new RangeError('two nodes of the ring have the name 10.0.0.1:6379'));
  for (const weight of [0, -1, Number.NaN]) {
    t.throws(() => planRing([{ name: 'a', weight }]), new RangeError('the weight of node a must be above 0'));
  }
  const tooLarge = new RangeError('the weights of a ring must not add up to more than 16384; only their ratio counts');
  t.throws(() => planRing([{ name: 'a', weight: 16385 }]), tooLarge);
  t.throws(() => planRing([{ name: 'a', weight: Number.POSITIVE_INFINITY }]), tooLarge);
});
