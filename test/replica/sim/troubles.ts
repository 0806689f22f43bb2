/** What may go wrong, and when: drawn beforehand, as all of a schedule. */
import type { Random } from '../../help/random.js';
import type { Delays } from './network.js';

export type Trouble =
  /** The node's process dies, and is back after a while with all it had, with what it had at its last save, or empty. */
  | { kind: 'crash'; node: number; forMs: number; keeps: Kept; isDebug: boolean }
  /** It writes its data to a file: `saved` data are from then. */
  | { kind: 'save'; node: number }
  /** It is made a replica of one that has what this one had saved, and a master again: the same process, older data. */
  | { kind: 'resync'; node: number; forMs: number }
  /** FLUSHALL. */
  | { kind: 'flush'; node: number }
  /** DEBUG RELOAD NOSAVE, where the server allows it. */
  | { kind: 'reload'; node: number }
  | { kind: 'pause'; node: number; forMs: number }
  /** It takes no writes: -OOM. */
  | { kind: 'full'; node: number; forMs: number }
  | { kind: 'clock'; node: number; byMs: number }
  | { kind: 'proxy-clock'; proxy: number; byMs: number }
  /** A proxy's connections to a node carry nothing for a while. */
  | { kind: 'partition'; proxy: number; node: number; forMs: number }
  /** They break. */
  | { kind: 'cut'; proxy: number; node: number }
  /** kill -9, and another in its place. */
  | { kind: 'kill'; proxy: number; forMs: number }
  /** They carry all later, by up to so many milliseconds. */
  | { kind: 'slow'; proxy: number; node: number; byMs: number; forMs: number }
  | { kind: 'weather'; delays: Delays };

/** When a trouble comes: at that time, or as soon as its node has done something after it for that proxy, or for anyone. */
export interface Appearance {
  atMs: number;
  after: { what: Deed; by: number | 'anyone' } | null;
  trouble: Trouble;
}

/** It has accepted something, or said to a repair what it has. */
export type Deed = 'vote' | 'metas';

export type Kept = 'all' | 'saved' | 'nothing';

/** Milliseconds by which clocks are wrong, or jump, at most. */
export const SKEW_MS = 400;

/** Of a hundred troubles, how many are of a kind, in one run. */
type Mix = readonly (readonly [Trouble['kind'], number])[];

const MIXES: readonly Mix[] = [
  // The network alone.
  [
    ['cut', 40],
    ['partition', 30],
    ['pause', 15],
    ['weather', 5],
    ['slow', 5],
    ['kill', 5],
  ],
  // Nodes forget.
  [
    ['crash', 40],
    ['save', 15],
    ['flush', 10],
    ['resync', 15],
    ['cut', 10],
    ['partition', 5],
    ['kill', 5],
  ],
  // All of it.
  [
    ['crash', 15],
    ['save', 10],
    ['flush', 5],
    ['resync', 10],
    ['reload', 5],
    ['pause', 7],
    ['full', 3],
    ['clock', 5],
    ['proxy-clock', 3],
    ['cut', 15],
    ['partition', 12],
    ['kill', 5],
    ['weather', 5],
  ],
  // Clocks.
  [
    ['clock', 40],
    ['proxy-clock', 15],
    ['pause', 15],
    ['cut', 15],
    ['partition', 15],
  ],
];

/** Anything, at any time. */
export function makeTroubles(random: Random, nodes: number, proxies: number, lengthMs: number): Appearance[] {
  const mix = random.pick(MIXES);
  const total = mix.reduce((sum, [, share]) => sum + share, 0);
  const count = random.below(12);
  const troubles = Array.from({ length: count }, () => {
    let draw = random.below(total);
    const [kind] = mix.find(([, share]) => {
      draw -= share;
      return draw < 0;
    }) as Mix[number];
    return {
      atMs: random.below(lengthMs),
      after: null,
      trouble: makeTrouble(random, kind, nodes, proxies, lengthMs),
    };
  });
  return troubles.sort((one, other) => one.atMs - other.atMs);
}

export function makeTrouble(
  random: Random,
  kind: Trouble['kind'],
  nodes: number,
  proxies: number,
  lengthMs: number,
): Trouble {
  const node = random.below(nodes);
  const proxy = random.below(proxies);
  const forMs = 1 + random.below(random.pick([10, 60, Math.ceil(lengthMs / 2)]));
  switch (kind) {
    case 'crash':
      return {
        kind,
        node,
        forMs,
        keeps: random.pick(['all', 'saved', 'nothing', 'nothing']),
        isDebug: random.chance(8),
      };
    case 'save':
    case 'flush':
    case 'reload':
      return { kind, node };
    case 'resync':
    case 'pause':
    case 'full':
      return { kind, node, forMs };
    case 'clock':
      return { kind, node, byMs: random.below(2 * SKEW_MS) - SKEW_MS };
    case 'proxy-clock':
      return { kind, proxy, byMs: random.below(2 * SKEW_MS) - SKEW_MS };
    case 'partition':
      return { kind, proxy, node, forMs };
    case 'slow':
      return { kind, proxy, node, forMs, byMs: random.pick([20, 100, 500]) };
    case 'cut':
      return { kind, proxy, node };
    case 'kill':
      return { kind, proxy, forMs };
    case 'weather':
      return { kind, delays: makeDelays(random) };
  }
}

export function makeDelays(random: Random): Delays {
  const usualMs = random.pick([2, 4, 10]);
  if (random.chance(40)) return { usualMs, latePercent: 0, lateMs: 0 };
  return { usualMs, latePercent: random.pick([2, 8, 25]), lateMs: random.pick([40, 200, 1_500]) };
}
