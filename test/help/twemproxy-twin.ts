/**
 * Holds our placements against a running nutcracker: the same servers, weights, names, hashes and hash tags, the same keys,
 * and for each key the node that ours names and the Redis server that has it.
 */
import type { Test } from 'tap';
import { HASH_DEFAULT, HASH_NAMES, type HashName } from '../../src/base/placement.js';
import { openPlacement, planPlacement } from '../../src/routing/route.js';
import { sampleKeys } from './key-sample.js';
import { findNutcracker, Nutcracker, type NutcrackerPool } from './nutcracker.js';
import { randomFromSeed } from './random.js';
import { startRedisServers } from './redis-server.js';

interface Variant {
  /** For the name of the test. */
  name: string;
  hashes: readonly HashName[];
  hashTag: string | null;
  /** Per server of the pool; null where names are left to their default. More than there are Redis servers share these. */
  names: readonly string[] | null;
  weights: readonly number[];
}

const DEFAULT = { hashes: [HASH_DEFAULT], hashTag: null };
/** Neither in the file's order nor in that of their bytes. */
const NAMES = ['redis-10', 'b', 'redis-9', 'aa'];

const VARIANTS: readonly Variant[] = [
  { ...DEFAULT, name: 'equal servers', hashes: HASH_NAMES, names: null, weights: [1, 1, 1, 1] },
  {
    name: 'names, weights and the hash tag {}',
    hashes: HASH_NAMES,
    hashTag: '{}',
    names: NAMES,
    weights: [1, 7, 3, 20],
  },
  {
    ...DEFAULT,
    name: 'a hash tag that opens as it closes',
    hashTag: '$$',
    names: NAMES,
    weights: [2, 2, 2, 2],
  },
  // A weight so small that ketama gives it no point.
  { ...DEFAULT, name: 'very different weights', names: NAMES, weights: [100_000, 1, 50_000, 3_001] },
  // 25 * (1 / 25) is below 1 in twemproxy's arithmetic: each of them has 156 points and not 160.
  {
    ...DEFAULT,
    name: '25 equal servers',
    names: Array.from({ length: 25 }, (_, i) => `n${i}`),
    weights: new Array<number>(25).fill(1),
  },
];

/** Adds a test for each distribution and hash function, of `count` keys each, or one that is skipped with the reason. */
export async function testAgainstNutcracker(t: Test, count: number): Promise<void> {
  const program = await findNutcracker();
  if ('reason' in program) {
    t.test('placements are those of a running nutcracker', { skip: program.reason }, async () => {});
    return;
  }
  const servers = await startRedisServers(4);
  t.teardown(() => Promise.all(servers.map((server) => server.stop())));
  const cases = VARIANTS.flatMap((variant) =>
    variant.hashes.flatMap((hash) => {
      return (['ketama', 'modula'] as const).map((distribution) => ({ variant, hash, distribution }));
    }),
  );
  const pools = cases.map(({ variant: { names, weights, hashTag }, hash, distribution }): NutcrackerPool => {
    const lines = weights.map((weight, i) => {
      return `${servers[i % servers.length]?.name}:${weight}${names === null ? '' : ` ${names[i]}`}`;
    });
    return { distribution, hash, servers: lines, ...(hashTag === null ? {} : { hashTag }) };
  });
  const nutcracker = await Nutcracker.start(program, pools);
  t.teardown(() => nutcracker.stop());
  const keys = sampleKeys(
    randomFromSeed((text) => t.comment(text)),
    count,
  );

  for (const [pool, { variant, hash, distribution }] of cases.entries()) {
    t.test(`${distribution} by ${hash}, ${variant.name}: ${count} keys lie where nutcracker puts them`, async (t) => {
      const { names, weights, hashTag } = variant;
      const nodes = weights.map((weight, i) => ({ name: names?.[i] ?? (servers[i]?.name as string), weight }));
      const placement = openPlacement(planPlacement(nodes, { kind: distribution, hash, hashTag }));
      const places = await nutcracker.place(pool, keys, servers);
      const wrong = keys.filter((key, i) => placement.nodeOf(key, 0, key.length) % servers.length !== places[i]);
      t.equal(wrong.length, 0, wrong[0]?.toString('hex') ?? 'all agree');
      t.comment(`keys per server: ${servers.map((_, i) => places.filter((place) => place === i).length).join(', ')}`);
    });
  }
}
