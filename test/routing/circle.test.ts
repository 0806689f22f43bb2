/** Circles, what moves between them, and where a key is on one: against the placements that workers use. */
import t from 'tap';
import { HASH_NAMES, type PlacementRule } from '../../src/base/placement.js';
import { circleOf, placesOf } from '../../src/routing/circle.js';
import { locate } from '../../src/routing/locate.js';
import { fairShares, type Movement, movementBetween } from '../../src/routing/movement.js';
import type { RingNode } from '../../src/routing/ring.js';
import { openPlacement, planPlacement } from '../../src/routing/route.js';
import { sampleKeys } from '../help/key-sample.js';
import { randomFromSeed } from '../help/random.js';

const NODES: RingNode[] = ['a', 'bb', 'redis-10', 'c'].map((name, i) => ({ name, weight: i + 1 }));

const RULES: PlacementRule[] = [
  { kind: 'slots', colocate: [] },
  { kind: 'slots', colocate: ['key:{part}', '{*}:*'] },
  ...HASH_NAMES.flatMap((hash) =>
    (['ketama', 'modula'] as const).map((kind) => ({ kind, hash, hashTag: kind === 'ketama' ? '{}' : null })),
  ),
];

t.test('a key is on the circle where workers look for it', async (t) => {
  const keys = sampleKeys(
    randomFromSeed((text) => t.comment(text)),
    800,
  );
  for (const rule of RULES) {
    const snapshot = planPlacement(NODES, rule);
    const circle = circleOf(snapshot);
    const placement = openPlacement(snapshot);
    const wrong = keys.filter((key) => locate(rule, circle, key).node !== placement.nodeOf(key, 0, key.length));
    t.same(
      wrong.map((key) => key.toString('hex')),
      [],
      JSON.stringify(rule),
    );
  }
});

t.test('a circle is whole, and its arcs are as long as they can be', async (t) => {
  for (const rule of RULES) {
    const { size, ends, owners } = circleOf(planPlacement(NODES, rule));
    t.equal(ends.at(-1), size);
    t.ok(ends.every((end, arc) => end > (ends[arc - 1] ?? 0)));
    t.ok(owners.every((owner, arc) => owner !== owners[arc - 1]));
    const places = placesOf({ size, ends, owners }, NODES.length);
    t.equal(
      places.reduce((sum, part) => sum + part, 0),
      size,
      JSON.stringify(rule),
    );
  }
});

t.test('the shares of a circle are those of many keys', async (t) => {
  const keys = Array.from({ length: 40_000 }, (_, i) => Buffer.from(`user:${i}:name`));
  for (const rule of RULES.filter(({ kind, ...rest }) => kind === 'slots' || ('hash' in rest && rest.hash === 'md5'))) {
    if (rule.kind === 'slots' && rule.colocate.length > 0) continue;
    const snapshot = planPlacement(NODES, rule);
    const circle = circleOf(snapshot);
    const placement = openPlacement(snapshot);
    const counts = new Float64Array(NODES.length);
    for (const key of keys) {
      const node = placement.nodeOf(key, 0, key.length);
      counts[node] = (counts[node] as number) + 1;
    }
    for (const [node, places] of placesOf(circle, NODES.length).entries()) {
      const difference = Math.abs(places / circle.size - (counts[node] as number) / keys.length);
      t.ok(difference < 0.015, `${rule.kind}: node ${node} is ${difference} off`);
    }
  }
});

/** What moves, by asking key for key. */
function moveKeys(before: RingNode[], after: RingNode[], rule: PlacementRule): number {
  const [one, other] = [before, after].map((nodes) => openPlacement(planPlacement(nodes, rule)));
  let moved = 0;
  const count = 40_000;
  for (let i = 0; i < count; i++) {
    const key = Buffer.from(`user:${i}:name`);
    const source = before[one?.nodeOf(key, 0, key.length) as number]?.name;
    if (source !== after[other?.nodeOf(key, 0, key.length) as number]?.name) moved++;
  }
  return moved / count;
}

function move(before: RingNode[], after: RingNode[], rule: PlacementRule): Movement {
  const place = (nodes: RingNode[]) => ({ nodes, circle: circleOf(planPlacement(nodes, rule)) });
  return movementBetween(place(before), place(after));
}

t.test('what moves is what moves of many keys, and adds up', async (t) => {
  const rules: PlacementRule[] = [
    { kind: 'slots', colocate: [] },
    { kind: 'ketama', hash: 'md5', hashTag: null },
    { kind: 'modula', hash: 'md5', hashTag: null },
  ];
  const changes: [RingNode[], RingNode[]][] = [
    [NODES, [...NODES, { name: 'new', weight: 3 }]],
    [NODES, NODES.slice(1)],
    [NODES, [{ name: 'x', weight: 2 }, ...NODES.slice(2), { name: 'y', weight: 1 }]],
    // Remainders whose common period is too long to look at whole.
    [[...NODES, { name: 'large', weight: 1_000_003 }], NODES.slice(2)],
  ];
  for (const [index, [before, after]] of changes.entries()) {
    for (const rule of rules.filter(({ kind }) => index < 3 || kind === 'modula')) {
      const { moved, lost, gained } = move(before, after, rule);
      const off = Math.abs(moved - moveKeys(before, after, rule));
      t.ok(off < 0.02, `${rule.kind}, change ${index}: ${off} off`);
      for (const part of [lost, gained]) {
        const sum = part.reduce((total, one) => total + one, 0);
        t.ok(Math.abs(sum - moved) < 1e-9, 'what leaves, comes');
      }
    }
  }
});

t.test('nothing moves where nothing changes but the order', async (t) => {
  for (const rule of RULES) {
    t.equal(move(NODES, NODES.toReversed(), rule).moved, 0);
    t.equal(move(NODES, NODES.toReversed(), rule).unavoidable, 0);
  }
});

t.test('the unavoidable is what fair shares grow by', async (t) => {
  const rule: PlacementRule = { kind: 'slots', colocate: [] };
  const equal = (names: string[]) => names.map((name) => ({ name, weight: 1 }));
  const near = (part: number, wanted: number) => t.ok(Math.abs(part - wanted) < 1e-9, `${part} is ${wanted}`);
  near(move(equal(['a', 'b', 'c']), equal(['a', 'b', 'c', 'd']), rule).unavoidable, 1 / 4);
  near(move(equal(['a', 'b', 'c']), equal(['a', 'b']), rule).unavoidable, 1 / 3);
  near(move(equal(['a', 'b']), equal(['c', 'd']), rule).unavoidable, 1);
  near(move(equal(['a']), [{ name: 'a', weight: 7 }], rule).unavoidable, 0);
  t.same(fairShares(NODES), [0.1, 0.2, 0.3, 0.4]);
});
