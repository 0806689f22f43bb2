/**
 * Keyspaces as the configuration writes them: which keys, by their prefix, are in which pool, and how they are placed there.
 * A key belongs to the keyspace of its service with the longest prefix that it begins with.
 */
import { z } from 'zod';
import { meant } from '../base/nearest.js';
import { HASH_DEFAULT, HASH_NAMES, type PlacementRule, TWEMPROXY_WEIGHT_MAX } from '../base/placement.js';
import type { PoolsSection } from '../base/pools-section.js';
import { about, type Complain, expecting, type Fault, nameText, oneOf, show, text } from '../base/schema.js';
import type { Path } from '../base/yaml-source.js';
import { COLOCATE_RULES_MAX, parsePattern } from './colocate.js';
import { describeLevel } from './levels.js';
import { checkLocks, completeLocks, LOCK_KEYS, type Locks } from './lock-section.js';
import { OWN_PREFIX } from './own-prefix.js';
import {
  checkReplication,
  completeReplication,
  type PlacedMode,
  REPLICATION_KEYS,
  type Replication,
} from './replication-section.js';
import { RING_NODES_MAX, RING_WEIGHT_MAX, type RingNode } from './ring.js';
import { TWEMPROXY_NODES_MAX } from './twemproxy-order.js';

export type KeyspaceConfig = KeyspaceBasics &
  ({ mode: 'sharded' } | ({ mode: 'replicated' } & Replication) | ({ mode: 'lock' } & Locks));

interface KeyspaceBasics {
  /** Keys whose bytes begin with those of this text (UTF-8); '' for all keys. */
  prefix: string;
  /** The name of a pool. */
  pool: string;
  /** Of modes replicated and lock: always slots. */
  placement: PlacementRule;
  /** A write of several keys that lie on several shards: one part a shard (not atomic), or -CROSSSLOT. */
  multiKeyWrites: 'split' | 'reject';
}

/** Of one service: a key is compared with each prefix that has its first byte. */
export const KEYSPACES_MAX = 64;
const PREFIX_BYTES_MAX = 128;
/** The most that slots can be placed by; twemproxy's placements take more. */
const SLOT_WEIGHT_MAX = 100;

export const KEYSPACES = z
  .array(
    z.strictObject(
      {
        prefix: about(
          nameText('what its keys begin with: "session:", or "" for all keys', parsePrefix),
          'What its keys begin with; "" for all that have no other. The longest prefix has a key.',
          { example: '""' },
        ),
        pool: about(
          nameText('the name of a pool', (name) => name),
          'The pool that its keys are in.',
          { example: 'main' },
        ),
        mode: about(
          oneOf('sharded', 'replicated', 'lock').default('sharded'),
          '`sharded`: each key is on one node; `replicated`: on several, and none of them alone is asked (docs/CONSISTENCY.md); `lock`: keys ' +
            'are locks, which a majority of nodes holds (docs/LOCKS.md). A pool with replicated keys or locks has no others.',
          { stated: 'sharded' },
        ),
        ...REPLICATION_KEYS,
        ...LOCK_KEYS,
        placement: about(
          oneOf('slots', 'ketama', 'modula').default('slots'),
          '`slots` are those of Redis Cluster, on a ring that keeps nodes balanced; `ketama` and `modula` place each key where ' +
            'twemproxy does. A change gives keys another place: see docs/PLACEMENT.md.',
          { stated: 'slots' },
        ),
        hash: about(
          oneOf(...HASH_NAMES).optional(),
          "twemproxy's hash function of that name, for placement ketama and modula only.",
          { stated: HASH_DEFAULT },
        ),
        hashTag: about(
          text(
            'two characters, the one that opens a hash tag and the one that closes it: "{}"',
            (tag) => (/^[ -~]{2}$/.test(tag) ? tag : null),
            '^[ -~]{2}$',
          ).optional(),
          "twemproxy's hash_tag, for placement ketama and modula only: the part of a key between these two decides its place. " +
            'None unless given. Slots always know {}.',
          { example: '"{}"' },
        ),
        colocate: about(
          z
            .array(
              text('a pattern such as "bull:{queue}:*"', parseColocate),
              expecting('a list of patterns: ["bull:{queue}:*"]'),
            )
            .max(COLOCATE_RULES_MAX, `at most ${COLOCATE_RULES_MAX} patterns`)
            .optional(),
          'Patterns by which keys without a hash tag get one, for placement slots: with `bull:{queue}:*` all keys of one queue are ' +
            'on one node. The first that matches counts. None unless given.',
          { example: '["bull:{queue}:*"]', expected: 'a list of patterns' },
        ),
        multiKeyWrites: about(
          oneOf('split', 'reject').default('split'),
          'MSET, DEL and UNLINK of keys on several nodes: `split` sends each node its part, which is not atomic; `reject` answers ' +
            '`-CROSSSLOT`.',
          { stated: 'split' },
        ),
      },
      expecting('a keyspace: { prefix: "", pool: main }'),
    ),
    expecting('a list of keyspaces: - { prefix: "", pool: main }'),
  )
  .max(KEYSPACES_MAX, `at most ${KEYSPACES_MAX} keyspaces`);

export type KeyspaceSection = z.infer<typeof KEYSPACES>;

/** A section of the file, and where it stands. */
export interface PlacedSection {
  path: Path;
  /** Undefined where none are written, which is good if there is one pool. */
  keyspaces: KeyspaceSection | undefined;
}

export function completeKeyspaces(section: KeyspaceSection): KeyspaceConfig[] {
  return section.map((keyspace) => {
    const { prefix, pool, mode, placement: kind, hash, hashTag, colocate, multiKeyWrites } = keyspace;
    const placement: PlacementRule =
      kind === 'slots'
        ? { kind, colocate: colocate ?? [] }
        : { kind, hash: hash ?? HASH_DEFAULT, hashTag: hashTag ?? null };
    const basics = { prefix, pool, placement, multiKeyWrites };
    if (mode === 'sharded') return { ...basics, mode };
    if (mode === 'lock') return { ...basics, mode, ...completeLocks(keyspace) };
    return { ...basics, mode, ...completeReplication(keyspace) };
  });
}

/** Where no keyspace is given there is one pool, and it has all keys. */
export function onlyKeyspace(pool: string): KeyspaceConfig {
  const placement = { kind: 'slots', colocate: [] } as const;
  return { prefix: '', pool, mode: 'sharded', placement, multiKeyWrites: 'split' };
}

/** Of all keyspaces of all sections, `path` being that of each. */
export function placedModes(sections: readonly PlacedSection[], pools: readonly string[]): PlacedMode[] {
  return sections.flatMap(({ path, keyspaces }): PlacedMode[] => {
    if (keyspaces === undefined) return pools.map((pool) => ({ path, mode: onlyKeyspace(pool).mode, pool, level: '' }));
    return keyspaces.flatMap((keyspace, index) => {
      const { mode, pool, provider } = keyspace;
      const level = describeLevel(completeReplication(keyspace).level);
      // The pool has nothing of these.
      return mode === 'lock' && provider === 'store' ? [] : [{ path: [...path, index], mode, pool, level }];
    });
  });
}

/** What no single value of the keyspaces of one service shows. `readable`: of the pools those that are right in themselves. */
export function checkKeyspaces(
  { path, keyspaces }: PlacedSection,
  pools: readonly string[],
  readable: PoolsSection,
  complain: Complain,
): void {
  if (keyspaces === undefined && pools.length > 1) {
    const text = 'is missing, and there is more than one pool: say which has the keys';
    complain(path, ` ${text} (${pools.join(', ')})`);
  }
  if (keyspaces?.length === 0) complain(path, ': expected at least one keyspace, found none');
  for (const [index, keyspace] of (keyspaces ?? []).entries()) {
    const { prefix, pool, placement, hash, hashTag, colocate } = keyspace;
    const place = [...path, index];
    checkReplication(place, keyspace, readable, complain);
    checkLocks(place, keyspace, readable, complain);
    if (keyspaces?.findIndex((other) => other.prefix === prefix) !== index) {
      complain([...place, 'prefix'], `: another keyspace has the prefix ${show(prefix)} too`);
    }
    if (!pools.includes(pool)) complain([...place, 'pool'], `: there is no pool ${show(pool)}${meant(pool, pools)}`);
    if (placement === 'slots') {
      const isFor = 'is for placement ketama and modula; slots are those of Redis Cluster';
      if (hash !== undefined) complain([...place, 'hash'], `: ${isFor}`);
      if (hashTag !== undefined) complain([...place, 'hashTag'], `: ${isFor}, with {} as its hash tag`);
    } else if (colocate !== undefined) {
      complain([...place, 'colocate'], `: is for placement slots; ${placement} places keys where twemproxy does`);
    }
  }
}

/** Two services that share a pool must look for a key on the same node: else each would have its own value of it. */
export function checkSharedPools(sections: readonly PlacedSection[], complain: Complain): void {
  const all = sections.flatMap(({ path, keyspaces = [] }) => {
    return completeKeyspaces(keyspaces)
      .map((keyspace, index) => ({ path, index, ...keyspace }))
      .filter((keyspace) => keyspace.mode !== 'lock' || keyspace.provider !== 'store');
  });
  for (const [at, one] of all.entries()) {
    const other = all.slice(0, at).find((other) => {
      const nests = one.prefix.startsWith(other.prefix) || other.prefix.startsWith(one.prefix);
      return other.path !== one.path && other.pool === one.pool && nests && !isPlacedAlike(one, other);
    });
    if (other === undefined) continue;
    const why = `another service has keys that begin with ${show(other.prefix)} in pool ${one.pool}, placed by other rules`;
    complain(
      [...one.path, one.index],
      `: ${why}: a key would be on one node for one service, and elsewhere for the other`,
    );
  }
}

/** Sharded keys and others of one pool are told apart elsewhere (`checkReplicatedPools`). */
function isPlacedAlike(one: KeyspaceConfig, other: KeyspaceConfig): boolean {
  if (!isSameRule(one.placement, other.placement)) return false;
  if (one.mode === 'sharded' || other.mode === 'sharded') return true;
  return one.mode === other.mode && one.copies === other.copies;
}

/** What a ring or twemproxy's placements can be made of depends on which of them a pool's nodes are for. */
export function checkWeights(
  pools: readonly { name: string; nodes: readonly RingNode[] }[],
  sections: readonly PlacedSection[],
  complain: Complain,
): void {
  const keyspaces = sections.flatMap(({ keyspaces = [] }) => keyspaces);
  for (const { name, nodes } of pools) {
    const own = keyspaces.filter(({ pool }) => pool === name).map(({ placement }) => placement);
    const isTwemproxys = own.length > 0 && !own.includes('slots');
    const total = nodes.reduce((sum, { weight }) => sum + weight, 0);
    const [nodesMax, totalMax] = isTwemproxys
      ? [TWEMPROXY_NODES_MAX, TWEMPROXY_WEIGHT_MAX]
      : [RING_NODES_MAX, RING_WEIGHT_MAX];
    const path = ['pools', name, 'nodes'];
    if (nodes.length > nodesMax) complain(path, `: expected at most ${nodesMax} nodes, found ${nodes.length}`);
    if (total > totalMax) complain(path, `: the weights add up to ${total}, above ${totalMax}`);
    if (isTwemproxys) continue;
    for (const [index, { weight }] of nodes.entries()) {
      if (weight <= SLOT_WEIGHT_MAX) continue;
      complain([...path, index, 'weight'], `: is above ${SLOT_WEIGHT_MAX}, the most for placement slots`);
    }
  }
}

/** Rules hold nothing but words, in one order: equal rules are equal texts. */
export function isSameRule(one: PlacementRule, other: PlacementRule): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

/** The keyspace that the key `prefix` belongs to: the one with the longest prefix of it. Null where there is none. */
export function narrowestKeyspace<K extends { prefix: string }>(keyspaces: readonly K[], prefix: string): K | null {
  let found: K | null = null;
  for (const keyspace of keyspaces) {
    if (prefix.startsWith(keyspace.prefix) && keyspace.prefix.length >= (found?.prefix.length ?? 0)) found = keyspace;
  }
  return found;
}

function parsePrefix(prefix: string): string | Fault {
  const isOwn = prefix.startsWith(OWN_PREFIX);
  if (isOwn) return { fault: `one that begins with ${OWN_PREFIX}`, advice: "such keys are the proxy's own" };
  if (prefix.endsWith('*')) return { fault: 'a pattern', advice: 'a prefix is written without the *' };
  const bytes = Buffer.byteLength(prefix);
  return bytes <= PREFIX_BYTES_MAX ? prefix : { fault: `${bytes} bytes, above ${PREFIX_BYTES_MAX}` };
}

/** A text that parses stays as it is: what it means is worked out where it is used. */
function parseColocate(text: string): string | Fault {
  const pattern = parsePattern(text);
  return 'fault' in pattern ? pattern : text;
}
