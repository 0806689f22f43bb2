// From a key of 20 bytes to its node, by every placement; and what it costs to ask through the interface. Limit: 50 ns.

import { HASH_NAMES, type PlacementRule } from '../../src/base/placement.js';
import { openPlacement, type Placement, planPlacement } from '../../src/routing/route.js';
import { slotOf } from '../../src/routing/slot.js';
import { type Measurement, measure } from './measure.js';

const KEYS = 1024;
const KEY_BYTES = 20;
const ROUNDS = 300;

const PLAIN = keysOf((i) => `key:${String(i).padStart(16, '0')}`);
const QUEUES = keysOf((i) => `bull:q${String(i).padStart(6, '0')}:events1`);
const SLOTS: PlacementRule = { kind: 'slots', colocate: [] };

export function run(): Measurement[] {
  const ketama = (hash: (typeof HASH_NAMES)[number], hashTag: string | null = null): PlacementRule => {
    return { kind: 'ketama', hash, hashTag };
  };
  const measurements = [
    measureLoad(),
    measurePlacement('slots, asked by the interface', SLOTS, PLAIN),
    measureColocated('colocate: bull:{queue}:* of bull:q000000:events1', ['bull:{queue}:*'], QUEUES),
    measureColocated('colocate: no rule begins as key:0000000000000000', ['bull:{queue}:*', '{app}:*'], PLAIN),
    measureColocated('colocate: {*}:* of key:0000000000000000', ['{*}:*'], PLAIN),
    ...HASH_NAMES.map((hash) => measurePlacement(`ketama, 3 nodes, ${hash}`, ketama(hash), PLAIN)),
    measurePlacement('ketama, 3 nodes, fnv1a_64, hash tag {}', ketama('fnv1a_64', '{}'), PLAIN),
    measurePlacement('ketama, 100 nodes, fnv1a_64', ketama('fnv1a_64'), PLAIN, 100),
    measurePlacement('ketama, 1000 nodes, fnv1a_64', ketama('fnv1a_64'), PLAIN, 1000),
    measurePlacement('modula, 3 nodes, fnv1a_64', { kind: 'modula', hash: 'fnv1a_64', hashTag: null }, PLAIN),
    measurePlacement('slots again, the call having seen all of these', SLOTS, PLAIN),
  ];
  return measurements;
}

function keysOf(makeKey: (i: number) => string): Buffer {
  return Buffer.from(Array.from({ length: KEYS }, (_, i) => makeKey(i)).join(''), 'latin1');
}

function nodes(count: number): { name: string; weight: number }[] {
  return Array.from({ length: count }, (_, i) => ({ name: `10.0.${i >> 8}.${i & 255}:6379`, weight: 1 }));
}

/** What a dispatcher does that knows nothing but slots. */
function measureLoad(): Measurement {
  const { owners } = planPlacement(nodes(3), SLOTS);
  return measureNodes('slots, one load: owners[slotOf(key)]', () => {
    let seen = 0;
    for (let start = 0; start < PLAIN.length; start += KEY_BYTES) {
      seen |= owners[slotOf(PLAIN, start, start + KEY_BYTES)] as number;
    }
    return seen;
  });
}

function measureColocated(name: string, colocate: readonly string[], keys: Buffer): Measurement {
  return measurePlacement(name, { kind: 'slots', colocate }, keys);
}

function measurePlacement(name: string, rule: PlacementRule, keys: Buffer, nodeCount = 3): Measurement {
  const placement = openPlacement(planPlacement(nodes(nodeCount), rule));
  return measureNodes(name, () => askAll(placement, keys));
}

/** One call site for all of them, as in a dispatcher. */
function askAll(placement: Placement, keys: Buffer): number {
  let seen = 0;
  for (let start = 0; start < keys.length; start += KEY_BYTES) {
    seen |= placement.nodeOf(keys, start, start + KEY_BYTES);
  }
  return seen;
}

function measureNodes(name: string, ask: () => number): Measurement {
  let sink = 0;
  const measurement = measure(name, KEYS * ROUNDS, () => {
    for (let round = 0; round < ROUNDS; round++) sink |= ask();
  });
  // So that the work cannot be left out.
  if (sink < 0 || sink > 1023) throw new Error('a key went nowhere');
  return measurement;
}
