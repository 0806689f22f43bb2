/**
 * What a run is made of, drawn from a seed beforehand: who asks for what, and what goes wrong when. So a schedule that breaks
 * something can be made smaller by leaving out what it does not take.
 */
import { Random } from '../../help/random.js';
import type { Flag, Wish } from './language.js';
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

/** When a trouble comes: at that time, or as soon as the node has accepted something after it, asked by that proxy or anyone. */
export interface Appearance {
  atMs: number;
  afterVoteOf: number | 'anyone' | null;
  trouble: Trouble;
}

export type Kept = 'all' | 'saved' | 'nothing';

export interface Wanted {
  /** Milliseconds after the one before was answered. */
  waitMs: number;
  key: string;
  wish: Wish;
}

export interface Schedule {
  seed: number;
  /** Copies of a key. */
  copies: 3 | 5;
  nodes: number;
  proxies: number;
  /** Milliseconds by which the clocks of nodes and proxies are off at first. */
  nodeSkewsMs: readonly number[];
  proxySkewsMs: readonly number[];
  delays: Delays;
  /** Milliseconds that a proxy waits for an operation, for one step of it, and for any answer on a connection. */
  requestMs: number;
  stepMs: number;
  stallMs: number;
  /** Milliseconds between two looks of a proxy at the pool, at most. */
  careMs: number;
  /** So many proxies, the last ones, repair nodes. */
  repairers: number;
  /** The pool states that restarted nodes keep their data (M3). */
  keepsData: boolean;
  /** Milliseconds between collections of one proxy; 0 for none. */
  collectMs: number;
  clients: readonly { proxy: number; wants: readonly Wanted[] }[];
  troubles: readonly Appearance[];
  /** When troubles end. */
  lengthMs: number;
}

/** Milliseconds since 1970 at which runs begin. */
export const START_MS = 1_000_000;

const FLAVOURS = ['plain', 'plain', 'expiring', 'chance', 'deleting'] as const;
type Flavour = (typeof FLAVOURS)[number];

/** What a run is about. In all but the first, nodes forget, and repairs are fast. */
const STORIES = [
  'anything',
  'anything',
  'anything',
  'late votes',
  'late votes',
  'roll-backs',
  'roll-backs',
  'resurrection',
] as const;
type Story = (typeof STORIES)[number];

export function makeSchedule(seed: number, copies: 3 | 5): Schedule {
  const random = new Random(seed);
  const story = random.pick(STORIES);
  const isForgetful = story !== 'anything';
  const nodes = random.chance(70) ? copies : copies + 1 + random.below(2);
  const proxies = 2 + random.below(2);
  const flavour = story === 'resurrection' ? 'deleting' : random.pick(FLAVOURS);
  const keys = random.chance(75) ? ['k'] : ['k', 'l'];
  const isSkewed = flavour === 'expiring' || random.chance(30);
  const skew = () => (isSkewed ? random.below(2 * SKEW_MS) - SKEW_MS : 0);
  const lengthMs = random.pick(isForgetful ? [200, 600, 1_500] : [400, 1_500, 5_000]);
  const clientCount = proxies + (isForgetful ? 0 : random.below(3));
  const clients = Array.from({ length: clientCount }, (_, index) => ({
    proxy: index % proxies,
    wants: makeWants(random, flavour, keys, index, lengthMs),
  }));
  return {
    seed,
    copies,
    nodes,
    proxies,
    nodeSkewsMs: Array.from({ length: nodes }, skew),
    proxySkewsMs: Array.from({ length: proxies }, skew),
    delays: makeDelays(random),
    requestMs: random.pick(isForgetful ? [300, 1_000, 3_000] : [60, 300, 1_000]),
    stepMs: random.pick(isForgetful ? [30, 300, 1_000] : [10, 30, 120]),
    stallMs: random.pick(isForgetful ? [200, 1_000, 4_000] : [60, 120, 500]),
    careMs: random.pick(isForgetful ? [4, 10, 40] : [40, 100, 300]),
    repairers: random.chance(50) ? proxies : 1,
    keepsData: random.chance(isForgetful ? 15 : 40),
    collectMs: flavour === 'deleting' ? random.pick([10, 40]) : 0,
    clients,
    troubles: isForgetful
      ? makeLosses(random, story, nodes, proxies, lengthMs)
      : makeTroubles(random, nodes, proxies, lengthMs),
    lengthMs,
  };
}

const SKEW_MS = 400;

function makeDelays(random: Random): Delays {
  const usualMs = random.pick([2, 4, 10]);
  if (random.chance(40)) return { usualMs, latePercent: 0, lateMs: 0 };
  return { usualMs, latePercent: random.pick([2, 8, 25]), lateMs: random.pick([40, 200, 1_500]) };
}

function makeWants(
  random: Random,
  flavour: Flavour,
  keys: readonly string[],
  client: number,
  lengthMs: number,
): Wanted[] {
  const count = 3 + random.below(8);
  // Most clients ask again at once: their writes ride. Some let others go on in between.
  const waitMax = random.pick([3, 30, Math.ceil(lengthMs / count)]);
  return Array.from({ length: count }, (_, number) => ({
    waitMs: random.chance(10) ? random.below(lengthMs) : random.below(waitMax),
    key: random.pick(keys),
    wish: makeWish(random, flavour, `${String.fromCharCode(97 + client)}${number}`, lengthMs),
  }));
}

function makeWish(random: Random, flavour: Flavour, text: string, lengthMs: number): Wish {
  const percent = random.below(100);
  if (percent < 30) return { do: 'get' };
  const at = START_MS + random.below(lengthMs + 2 * SKEW_MS) - SKEW_MS;
  switch (flavour) {
    case 'expiring':
      if (percent < 50) return { do: 'set', text, at, flag: random.pick(['', '', 'nx', 'xx']) };
      if (percent < 70) return { do: 'expire', at, flag: random.pick<Flag>(['', 'nx', 'xx', 'gt', 'lt']) };
      if (percent < 75) return { do: 'persist' };
      break;
    case 'chance':
      if (percent < 50) return { do: 'pick' };
      if (percent < 65) return { do: 'scribble' };
      if (percent < 70) return { do: 'draw' };
      break;
    case 'deleting':
      if (percent < 60) return { do: 'del' };
      if (percent < 75) return { do: 'set', text, at: 0, flag: 'nx' };
      break;
    case 'plain':
      if (percent < 45) return { do: 'append', text };
  }
  const kind = random.below(12);
  if (kind < 5) return { do: 'append', text };
  if (kind < 7) return { do: 'set', text, at: 0, flag: random.pick(['', '', 'nx', 'xx']) };
  if (kind < 8) return { do: 'del' };
  if (kind < 9) return { do: 'incr' };
  if (kind < 10) return { do: 'getset', text };
  if (kind < 11) return { do: 'swap', old: `${String.fromCharCode(97 + random.below(4))}${random.below(4)}`, text };
  return { do: 'set', text: '0', at: 0, flag: '' };
}

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

function makeTroubles(random: Random, nodes: number, proxies: number, lengthMs: number): Appearance[] {
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
      afterVoteOf: null,
      trouble: makeTrouble(random, kind, nodes, proxies, lengthMs),
    };
  });
  return troubles.sort((one, other) => one.atMs - other.atMs);
}

/** Losses at the worst of times: of what a node has just accepted. */
function makeLosses(random: Random, story: Story, nodes: number, proxies: number, lengthMs: number): Appearance[] {
  const troubles: Appearance[] = [];
  const add = (trouble: Trouble, afterVoteOf: number | 'anyone' | null = null, atMs = random.below(lengthMs)) => {
    troubles.push({ atMs, afterVoteOf, trouble });
  };
  const victim = random.below(nodes);
  const lossOf = (kind: Trouble['kind'], node: number): Trouble => {
    const trouble = { ...makeTrouble(random, kind, nodes, proxies, lengthMs), node };
    const forMs = 1 + random.below(random.chance(70) ? 8 : 80);
    if (trouble.kind === 'crash') return { ...trouble, forMs, isDebug: false };
    return trouble.kind === 'resync' ? { ...trouble, forMs } : trouble;
  };
  switch (story) {
    case 'late votes':
      // One proxy is near the victim and far from others: its votes arrive there when the victim has long been repaired.
      for (let node = 0; node < nodes; node++) {
        const byMs = random.pick([60, 200, 500]);
        if (node !== victim && random.chance(85)) add({ kind: 'slow', proxy: 0, node, byMs, forMs: lengthMs }, null, 0);
      }
      for (let number = 1 + random.below(3); number > 0; number--) {
        add(lossOf(random.chance(80) ? 'crash' : 'flush', victim), random.chance(80) ? 0 : 'anyone');
      }
      break;
    case 'roll-backs': {
      for (let proxy = 0; proxy < proxies; proxy++) {
        for (let node = 0; node < nodes; node++) {
          const forMs = random.below(lengthMs);
          if (random.chance(20)) add({ kind: 'slow', proxy, node, byMs: random.pick([20, 100, 500]), forMs });
          if (random.chance(15)) add({ kind: 'partition', proxy, node, forMs });
        }
      }
      for (let node = 0; node < nodes; node++) add({ kind: 'save', node }, null, 0);
      const kind = random.pick(['resync', 'reload', 'flush'] as const);
      if (kind === 'reload') {
        add({ kind: 'crash', node: victim, forMs: 1, keeps: 'all', isDebug: true }, null, 0);
        add({ kind: 'save', node: victim });
      }
      for (let number = 1 + random.below(4); number > 0; number--) {
        add(lossOf(kind, kind === 'reload' || random.chance(50) ? victim : random.below(nodes)), 'anyone');
      }
      break;
    }
    case 'resurrection':
      // What is deleted and collected is still in the victim's file.
      for (let number = 2 + random.below(3); number > 0; number--) add({ kind: 'save', node: victim });
      for (let number = 1 + random.below(3); number > 0; number--) {
        const trouble = lossOf(random.chance(60) ? 'crash' : 'resync', victim);
        add(trouble.kind === 'crash' ? { ...trouble, keeps: 'saved' } : trouble);
      }
  }
  for (let number = random.below(3); number > 0; number--) {
    const kind = random.pick(['cut', 'pause', 'save', 'kill', 'partition', 'clock', 'crash'] as const);
    add(makeTrouble(random, kind, nodes, proxies, lengthMs), random.chance(50) ? 'anyone' : null);
  }
  return troubles.sort((one, other) => one.atMs - other.atMs);
}

function makeTrouble(random: Random, kind: Trouble['kind'], nodes: number, proxies: number, lengthMs: number): Trouble {
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
