/** ketama and modula without a nutcracker: golden placements that one made, and what they refuse. */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import t from 'tap';
import { HASH_NAMES, type HashName } from '../../src/base/placement.js';
import type { PlacementSnapshot } from '../../src/messages.js';
import { planKetama } from '../../src/routing/ketama.js';
import type { RingNode } from '../../src/routing/ring.js';
import { openPlacement, planPlacement } from '../../src/routing/route.js';
import { goldenKeys } from '../help/golden-keys.js';

interface Golden {
  distribution: 'ketama' | 'modula';
  hash: HashName;
  hashTag: string | null;
  nodes: RingNode[];
  /** Golden keys per node. */
  counts: number[];
  /** Of the indices of the nodes of all golden keys, one byte each. */
  sha256: string;
}

/** What a running nutcracker 0.5.0 did with the golden keys. */
const GOLDEN = JSON.parse(readFileSync('test/golden/twemproxy/placements.json', 'utf8')) as Golden[];

/** The owners of the golden keys. */
function place(nodes: readonly RingNode[], kind: 'ketama' | 'modula', hash: HashName, hashTag: string | null): Buffer {
  const placement = openPlacement(planPlacement(nodes, { kind, hash, hashTag }));
  return Buffer.from(goldenKeys().map((key) => placement.nodeOf(key, 0, key.length)));
}

for (const { distribution, hash, hashTag, nodes, counts, sha256 } of GOLDEN) {
  const what = `${nodes.length} nodes, ${hashTag === null ? 'no hash tag' : `hash tag ${hashTag}`}`;
  t.test(`${distribution} by ${hash}, ${what}: keys lie where nutcracker put them`, async (t) => {
    const owners = place(nodes, distribution, hash, hashTag);
    t.same(
      nodes.map((_, node) => owners.filter((owner) => owner === node).length),
      counts,
    );
    t.equal(createHash('sha256').update(owners).digest('hex'), sha256);
  });
}

t.test('there is a golden placement for every hash function', async (t) => {
  for (const kind of ['ketama', 'modula']) {
    const hashes = GOLDEN.filter(({ distribution }) => distribution === kind).map(({ hash }) => hash);
    t.same([...new Set(hashes)].sort(), [...HASH_NAMES].sort(), kind);
  }
});

const NODES: RingNode[] = ['long-name', 'b', 'a', 'cc'].map((name, index) => ({ name, weight: index + 1 }));

t.test('the order of the nodes in the file makes no difference', async (t) => {
  for (const kind of ['ketama', 'modula'] as const) {
    const names = (nodes: RingNode[]) => Array.from(place(nodes, kind, 'murmur', null), (node) => nodes[node]?.name);
    t.same(names(NODES.toReversed()), names(NODES), kind);
  }
});

t.test('ketama counts its points in the precision of a float, as twemproxy does', async (t) => {
  const counts = (weights: number[]) => {
    const { owners } = planKetama(weights.map((weight, i) => ({ name: `n${i}`, weight })));
    // Without the one at the circle's end, which repeats the first.
    return weights.map((_, node) => owners.subarray(0, -1).filter((owner) => owner === node).length);
  };
  t.same(counts([1, 1, 1]), [160, 160, 160]);
  t.same(counts([1, 2, 1]), [120, 240, 120]);
  t.same(counts([100_000, 1]), [316, 0], 'a weight that is too small has no points');
  t.same(counts(new Array(25).fill(1)), new Array(25).fill(156), 'and not 160, as in double precision');
});

t.test('one node has everything, and an empty key is at home somewhere', async (t) => {
  for (const kind of ['ketama', 'modula'] as const) {
    t.ok(place([{ name: 'a', weight: 3 }], kind, 'md5', null).every((node) => node === 0));
    const placement = openPlacement(planPlacement(NODES, { kind, hash: 'md5', hashTag: '{}' }));
    t.ok(NODES[placement.nodeOf(Buffer.alloc(4), 4, 4)] !== undefined);
  }
});

t.test('a hash tag is what stands between its characters, unless that is nothing', async (t) => {
  const [a, b] = ['{}', '$$'].map((hashTag) => {
    const placement = openPlacement(planPlacement(NODES, { kind: 'ketama', hash: 'crc32a', hashTag }));
    return (key: string) => placement.nodeOf(Buffer.from(`}x{${key}$$`), 3, 3 + key.length);
  }) as [(key: string) => number, (key: string) => number];
  for (let i = 0; i < 100; i++) {
    t.equal(a(`user:{${i}}:name`), a(`${i}`));
    t.equal(a(`}{${i}}{other}`), a(`${i}`), 'the first that opens, the first that closes after it');
    t.equal(b(`$${i}$:name`), a(`${i}`));
  }
  const whole = openPlacement(planPlacement(NODES, { kind: 'ketama', hash: 'crc32a', hashTag: null }));
  for (const key of ['{}{tag}', '}tag{', '{tag', 'tag}', '{', '']) {
    t.equal(a(key), whole.nodeOf(Buffer.from(key), 0, key.length), `${key} has no tag`);
  }
});

t.test('a snapshot shares its memory with the workers', async (t) => {
  for (const kind of ['ketama', 'modula'] as const) {
    const snapshot = planPlacement(NODES, { kind, hash: 'md5', hashTag: null });
    const received = structuredClone(snapshot) as PlacementSnapshot;
    t.equal(received.owners.buffer.byteLength, snapshot.owners.buffer.byteLength);
    snapshot.owners[0] = 77;
    t.equal(received.owners[0], 77, kind);
  }
});

t.test('nodes that twemproxy would not take are refused with the reason', async (t) => {
  const plan = (nodes: RingNode[]) => () => planPlacement(nodes, { kind: 'ketama', hash: 'md5', hashTag: null });
  t.throws(plan([]), new RangeError('a placement needs at least one node'));
  t.throws(plan([...NODES, { name: 'a', weight: 1 }]), new RangeError('two nodes have the name a'));
  for (const weight of [0, -1, 0.5, Number.NaN]) {
    t.throws(plan([{ name: 'a', weight }]), new RangeError('the weight of node a must be a whole number above 0'));
  }
  t.throws(plan([{ name: 'a', weight: 2 ** 24 + 1 }]), /add up to more than 16777216/);
  const many = Array.from({ length: 2 ** 14 + 1 }, (_, i) => ({ name: `n${i}`, weight: 1 }));
  t.throws(plan(many), /at most 16384 nodes/);
});
