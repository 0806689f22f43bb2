/**
 * What a run is made of, drawn from a seed beforehand: who asks for what, and what goes wrong when. So a schedule that breaks
 * something can be made smaller by leaving out what it does not take.
 */
import type { QuorumRules } from '../../../src/replica/quorum-proposer.js';
import { Random } from '../../help/random.js';
import type { Flag, Wish } from './language.js';
import { makeLosses, type Story } from './losses.js';
import { type Meeting, makeMeeting } from './meetings.js';
import type { Delays } from './network.js';
import { type Appearance, makeDelays, makeTroubles, SKEW_MS } from './troubles.js';

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
  /** Of keys that have versions, of consistency quorum and weak; null for strong ones. */
  quorums: Quorums | null;
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
  /** How many of a hundred looks of a proxy at a node find it slow. */
  slowPercent: number;
  /** Milliseconds between two comparisons of all keys of consistency eventual by one proxy, at most; 0 for none. */
  compareMs: number;
  /** Not all keys of the pool are of consistency eventual: repairs take a quorum, and begin epochs. */
  isShared: boolean;
  clients: readonly { proxy: number; wants: readonly Wanted[] }[];
  troubles: readonly Appearance[];
  /** When troubles end. */
  lengthMs: number;
}

export type Quorums = Pick<QuorumRules<never, never, never>, 'reads' | 'writes' | 'isHomed' | 'repairs' | 'isEventual'>;

const STRONG = { quorums: null, compareMs: 0, isShared: false } as const;

/** See Schedule.compareMs. */
const COMPARE_MS = 3_000;

/** Milliseconds since 1970 at which runs begin. */
export const START_MS = 1_000_000;

const SLOW_PERCENT = 10;

const FLAVOURS = ['plain', 'plain', 'expiring', 'chance', 'deleting'] as const;
type Flavour = (typeof FLAVOURS)[number];

/** What a run is about; those named twice are drawn twice as often. */
const STORIES = [
  'anything',
  'anything',
  'anything',
  'late votes',
  'roll-backs',
  'roll-backs',
  'resurrection',
  'late votes meet',
  'a late repair meets',
] as const;

export function makeSchedule(seed: number, copies: 3 | 5): Schedule {
  const random = new Random(seed);
  const story = random.pick(STORIES);
  if (story === 'anything') return makeAnything(seed, random, copies);
  if (story === 'late votes meet' || story === 'a late repair meets') return makeMeetingOf(seed, random, copies, story);
  return makeForgetful(seed, random, copies, story);
}

function makeAnything(seed: number, random: Random, copies: 3 | 5): Schedule {
  const flavour = random.pick(FLAVOURS);
  const proxies = 2 + random.below(2);
  const nodes = makeNodes(random, copies);
  const lengthMs = random.pick([400, 1_500, 5_000]);
  return {
    ...makeWorld(random, flavour, nodes, proxies),
    seed,
    copies,
    ...STRONG,
    slowPercent: SLOW_PERCENT,
    requestMs: random.pick([60, 300, 1_000]),
    stepMs: random.pick([10, 30, 120]),
    stallMs: random.pick([60, 120, 500]),
    careMs: random.pick([40, 100, 300]),
    keepsData: random.chance(40),
    clients: makeClients(random, flavour, proxies + random.below(3), proxies, lengthMs),
    troubles: makeTroubles(random, nodes, proxies, lengthMs),
    lengthMs,
  };
}

/** All R and W that a keyspace may have. */
const QUORUMS: Readonly<Record<3 | 5, readonly Pick<Quorums, 'reads' | 'writes'>[]>> = {
  3: [
    { reads: 2, writes: 2 },
    { reads: 2, writes: 2 },
    { reads: 1, writes: 3 },
    { reads: 3, writes: 2 },
  ],
  5: [
    { reads: 3, writes: 3 },
    { reads: 3, writes: 3 },
    { reads: 2, writes: 4 },
    { reads: 4, writes: 3 },
    { reads: 1, writes: 5 },
  ],
};

const WEAK: Quorums = { reads: 1, writes: 1, isHomed: true, repairs: false, isEventual: false };

const EVENTUAL: Quorums = { reads: 1, writes: 1, isHomed: false, repairs: true, isEventual: true };

/** The same for keys of consistency eventual. Where what is deleted is forgotten no node comes back with old data: it would bring it back. */
export function makeEventualSchedule(seed: number, copies: 3 | 5): Schedule {
  const schedule = makeQuorumSchedule(seed, copies);
  const random = new Random(seed ^ 0x1f123bb5);
  const collectMs = random.chance(40) ? random.pick([10, 40]) : 0;
  const isRemembered = collectMs === 0;
  const troubles = schedule.troubles.flatMap((appearance): Appearance[] => {
    const { trouble } = appearance;
    if (!isRemembered && (trouble.kind === 'resync' || trouble.kind === 'reload')) return [];
    if (trouble.kind !== 'crash') return [appearance];
    const keeps = isRemembered || trouble.keeps !== 'saved' ? trouble.keeps : 'nothing';
    // Who allows DEBUG is refused as long as it does, and gets nothing.
    return [{ ...appearance, trouble: { ...trouble, keeps, isDebug: false } }];
  });
  return { ...schedule, quorums: EVENTUAL, compareMs: COMPARE_MS, isShared: random.chance(25), collectMs, troubles };
}

/** The same where nothing is lost, neither by nodes nor by proxies, more nodes are full or stand still, and nothing is compared: what is kept for copies has to make them equal. */
export function makeHintsSchedule(seed: number, copies: 3 | 5): Schedule {
  const schedule = makeEventualSchedule(seed, copies);
  const random = new Random(seed ^ 0x3c2b9d71);
  const troubles = schedule.troubles.flatMap((appearance): Appearance[] => {
    const { trouble } = appearance;
    if (['kill', 'resync', 'reload', 'flush'].includes(trouble.kind)) return [];
    return trouble.kind === 'crash' ? [{ ...appearance, trouble: { ...trouble, keeps: 'all' } }] : [appearance];
  });
  const { nodes, lengthMs } = schedule;
  for (let count = random.below(6); count > 0; count--) {
    const kind = random.pick(['full', 'pause'] as const);
    const trouble = { kind, node: random.below(nodes), forMs: random.below(lengthMs) };
    troubles.push({ atMs: random.below(lengthMs), after: null, trouble });
  }
  return { ...schedule, compareMs: 0, isShared: false, keepsData: true, troubles };
}

/** A copy is away from the first write to the last, and gets what is kept for it, and nothing else: each client writes a key of its own, by the same proxy. */
export function makeAbsenceSchedule(seed: number, copies: 3 | 5): Schedule {
  const random = new Random(seed);
  const schedule = makeContention(seed, copies, 1);
  const lengthMs = 2_000;
  const away = { kind: 'crash', node: random.below(copies), keeps: 'all', forMs: lengthMs, isDebug: false } as const;
  const clients = Array.from({ length: 1 + random.below(3) }, (_, client) => ({
    proxy: 0,
    wants: Array.from({ length: 2 + random.below(8) }, (_, number): Wanted => {
      const wish = { do: 'set', text: `c${client}.${number}`, at: 0, flag: '' } as const;
      return { waitMs: 1 + random.below(40), key: String.fromCharCode(107 + client), wish };
    }),
  }));
  const troubles = [{ atMs: 0, after: null, trouble: away }];
  return { ...schedule, quorums: EVENTUAL, slowPercent: 0, keepsData: true, clients, troubles, lengthMs };
}

/** The same for weak keys. */
export function makeWeakSchedule(seed: number, copies: 3 | 5): Schedule {
  return { ...makeQuorumSchedule(seed, copies), quorums: WEAK };
}

/** Nothing goes wrong, and nobody is slow: all proxies take the first copy for the home. */
export function makeCalmSchedule(seed: number, copies: 3 | 5): Schedule {
  const { nodeSkewsMs, proxySkewsMs, ...schedule } = makeWeakSchedule(seed, copies);
  return {
    ...schedule,
    nodeSkewsMs: nodeSkewsMs.map(() => 0),
    proxySkewsMs: proxySkewsMs.map(() => 0),
    // Less than what is waited for.
    delays: { usualMs: schedule.delays.usualMs, latePercent: 25, lateMs: 200 },
    requestMs: 5_000,
    stepMs: 1_000,
    stallMs: 4_000,
    slowPercent: 0,
    troubles: [],
  };
}

/** Whether the home of a weak key is the same for all, all the while. */
export function isCalm({ slowPercent, troubles }: Schedule): boolean {
  return slowPercent === 0 && troubles.length === 0;
}

/** The same for keys of consistency quorum: who asks for anything else writes, or asks what there was and writes. */
export function makeQuorumSchedule(seed: number, copies: 3 | 5): Schedule {
  const schedule = makeSchedule(seed, copies);
  const random = new Random(seed ^ 0x2545f491);
  const wishFor = (wish: Wish, text: string): Wish => {
    if (wish.do === 'get' || wish.do === 'del') return wish;
    if (random.chance(30)) return { do: 'getset', text };
    return { do: 'set', text, at: wish.do === 'set' || wish.do === 'expire' ? wish.at : 0, flag: '' };
  };
  const clients = schedule.clients.map(({ proxy, wants }, client) => {
    return { proxy, wants: wants.map((want, at) => ({ ...want, wish: wishFor(want.wish, `c${client}.${at}`) })) };
  });
  const troubles = [...schedule.troubles];
  if (random.chance(50)) {
    // Clocks that are set back a little, again and again, show the same time more than once.
    for (let count = 4 + random.below(12); count > 0; count--) {
      const trouble = {
        kind: 'proxy-clock',
        proxy: random.below(schedule.proxies),
        byMs: -1 - random.below(12),
      } as const;
      troubles.push({ atMs: random.below(schedule.lengthMs), after: null, trouble });
    }
  }
  const quorums = { ...random.pick(QUORUMS[copies]), isHomed: false, repairs: true, isEventual: false };
  return { ...schedule, quorums, clients, troubles };
}

/** Nodes forget, and repairs are fast. */
function makeForgetful(seed: number, random: Random, copies: 3 | 5, story: Story): Schedule {
  const flavour = story === 'resurrection' ? 'deleting' : random.pick(FLAVOURS);
  const proxies = 2 + random.below(2);
  const nodes = makeNodes(random, copies);
  const lengthMs = random.pick([200, 600, 1_500]);
  return {
    ...makeWorld(random, flavour, nodes, proxies),
    seed,
    copies,
    ...STRONG,
    slowPercent: SLOW_PERCENT,
    requestMs: random.pick([300, 1_000, 3_000]),
    stepMs: random.pick([30, 300, 1_000]),
    stallMs: random.pick([200, 1_000, 4_000]),
    careMs: random.pick([4, 10, 40]),
    keepsData: random.chance(15),
    clients: makeClients(random, flavour, proxies, proxies, lengthMs),
    troubles: makeLosses(random, story, nodes, proxies, lengthMs),
    lengthMs,
  };
}

/** Nothing goes wrong: `proxies` write one key, as fast as they can. */
export function makeContention(seed: number, copies: 3 | 5, proxies: number): Schedule {
  const random = new Random(seed);
  const lengthMs = 600;
  return {
    seed,
    copies,
    ...STRONG,
    slowPercent: SLOW_PERCENT,
    nodes: copies,
    proxies,
    nodeSkewsMs: Array.from({ length: copies }, () => 0),
    proxySkewsMs: Array.from({ length: proxies }, () => 0),
    delays: { usualMs: random.pick([1, 2, 4]), latePercent: 0, lateMs: 0 },
    requestMs: 5_000,
    stepMs: 1_000,
    stallMs: 4_000,
    careMs: 100,
    repairers: 1,
    keepsData: false,
    collectMs: 0,
    clients: Array.from({ length: 2 * proxies }, (_, client) => ({
      proxy: client % proxies,
      wants: Array.from({ length: 12 }, (_, number) => ({
        waitMs: random.below(random.pick([1, 10, 40])),
        key: 'k',
        wish: { do: 'append', text: `${String.fromCharCode(97 + client)}${number}` },
      })),
    })),
    troubles: [],
    lengthMs,
  };
}

function makeMeetingOf(seed: number, random: Random, copies: 3 | 5, meeting: Meeting): Schedule {
  const lengthMs = random.pick([600, 1_500]);
  return {
    seed,
    copies,
    ...STRONG,
    slowPercent: SLOW_PERCENT,
    nodes: copies,
    proxies: 3,
    nodeSkewsMs: Array.from({ length: copies }, () => 0),
    proxySkewsMs: [0, 0, 0],
    delays: { usualMs: 2, latePercent: 0, lateMs: 0 },
    requestMs: 3_000,
    stepMs: 1_000,
    stallMs: 4_000,
    careMs: random.pick([4, 10, 40]),
    repairers: meeting === 'late votes meet' ? 1 : 3,
    keepsData: false,
    collectMs: 0,
    clients: makeClients(random, 'plain', 2 + random.below(2), 2, lengthMs),
    troubles: makeMeeting(random, meeting, copies, lengthMs),
    lengthMs,
  };
}

function makeNodes(random: Random, copies: number): number {
  return random.chance(70) ? copies : copies + 1 + random.below(2);
}

function makeWorld(random: Random, flavour: Flavour, nodes: number, proxies: number) {
  const isSkewed = flavour === 'expiring' || random.chance(30);
  const skew = () => (isSkewed ? random.below(2 * SKEW_MS) - SKEW_MS : 0);
  return {
    nodes,
    proxies,
    nodeSkewsMs: Array.from({ length: nodes }, skew),
    proxySkewsMs: Array.from({ length: proxies }, skew),
    delays: makeDelays(random),
    repairers: random.chance(50) ? proxies : 1,
    collectMs: flavour === 'deleting' ? random.pick([10, 40]) : 0,
  };
}

/** They are spread over the first `proxies`. */
function makeClients(
  random: Random,
  flavour: Flavour,
  count: number,
  proxies: number,
  lengthMs: number,
): Schedule['clients'] {
  const keys = random.chance(75) ? ['k'] : ['k', 'l'];
  return Array.from({ length: count }, (_, index) => ({
    proxy: index % proxies,
    wants: makeWants(random, flavour, keys, index, lengthMs),
  }));
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
