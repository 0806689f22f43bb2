/**
 * What a keyspace with `mode: replicated` says besides: how many copies of each key, and what is promised of them.
 *
 *   keyspaces:
 *     - { prefix: "acct:", pool: main, mode: replicated, copies: 3, consistency: strong }
 */
import { formatEndpoint } from '../base/endpoint.js';
import type { PoolsSection } from '../base/pools-section.js';
import { about, type Complain, milliseconds, value } from '../base/schema.js';
import { formatMilliseconds, parseCount } from '../base/units.js';
import type { Path } from '../base/yaml-source.js';

export interface Replication {
  /** Nodes that have a copy of each key: N of docs/CONSISTENCY.md. */
  copies: 3 | 5;
  /** `strong`: linearizable by key. */
  consistency: 'strong';
  /** How long the ballot of a deleted key is kept at least. */
  tombstoneTtlMs: number;
}

const COPIES_DEFAULT = 3;
const CONSISTENCY_DEFAULT = 'strong';
const TOMBSTONE_TTL_MS = 10 * 60_000;
const TOMBSTONE_TTL_MS_MAX = 30 * 86_400_000;
/** Levels that are designed, and not built. */
const LATER_LEVELS = ['quorum', 'eventual', 'weak'];
/** What keys of the proxy's own begin with. */
export const OWN_PREFIX = '~rl:';

export const REPLICATION_KEYS = {
  copies: about(
    value(
      '3 | 5',
      (input) => {
        const count = parseCount(input);
        if (count === 3 || count === 5) return count;
        if (count === 1) return { advice: 'a key with one copy is what mode: sharded has' };
        if (count === 2 || count === 4) return { advice: `${count} bear no more failures than ${count - 1}` };
        return null;
      },
      { anyOf: [{ enum: [3, 5] }, { type: 'string', pattern: '^[35]$|\\$\\{' }] },
    ).optional(),
    'Nodes that have a copy of each key, for modes replicated and lock. Of 3 one may fail, of 5 two, and all goes on. Locks are on all nodes ' +
      'of the pool unless it is given. A change is refused as one of the pool is.',
    { stated: COPIES_DEFAULT },
  ),
  consistency: about(
    value(
      'strong',
      (input) => {
        if (input === 'strong') return input;
        return LATER_LEVELS.some((level) => level === input) ? { advice: `${input} comes with a later version` } : null;
      },
      { anyOf: [{ enum: ['strong'] }, { type: 'string', pattern: '\\$\\{' }] },
    ).optional(),
    'What is promised of keys of mode replicated: `strong` is linearizable by key, whatever fails (docs/CONSISTENCY.md).',
    { stated: CONSISTENCY_DEFAULT },
  ),
  tombstoneTtl: about(
    milliseconds(0, TOMBSTONE_TTL_MS_MAX).optional(),
    'For mode replicated: how long the nodes remember of a deleted key that it was (about 190 bytes each), before all that have a copy are asked ' +
      'to forget it.',
    { stated: formatMilliseconds(TOMBSTONE_TTL_MS) },
  ),
};

/** What of a keyspace is written in the file by these keys. */
export interface ReplicationKeys {
  mode: 'sharded' | 'replicated' | 'lock';
  copies?: 3 | 5 | undefined;
  consistency?: 'strong' | undefined;
  tombstoneTtl?: number | undefined;
}

export function completeReplication({ copies, consistency, tombstoneTtl }: ReplicationKeys): Replication {
  return {
    copies: copies ?? COPIES_DEFAULT,
    consistency: consistency ?? CONSISTENCY_DEFAULT,
    tombstoneTtlMs: tombstoneTtl ?? TOMBSTONE_TTL_MS,
  };
}

interface Written extends ReplicationKeys {
  pool: string;
  placement: string;
}

/** Of one keyspace; `pools` are those that are right in themselves. */
export function checkReplication(path: Path, keyspace: Written, pools: PoolsSection, complain: Complain): void {
  const { mode, placement } = keyspace;
  if (mode !== 'replicated') {
    const why = mode === 'lock' ? 'locks are forgotten when their time is over' : `${mode} keys have one copy`;
    for (const key of ['consistency', 'tombstoneTtl'] as const) {
      if (keyspace[key] !== undefined) complain([...path, key], `: is for mode replicated; ${why}`);
    }
    if (mode === 'sharded' && keyspace.copies !== undefined) {
      complain([...path, 'copies'], `: is for modes replicated and lock; ${why}`);
    }
    return;
  }
  if (placement !== 'slots') {
    complain(
      [...path, 'placement'],
      `: must be slots for mode replicated; ${placement} says of one node alone that it has a key`,
    );
  }
  const nodes = pools[keyspace.pool]?.nodes.length;
  const { copies } = completeReplication(keyspace);
  if (nodes !== undefined && nodes > 0 && nodes < copies) {
    const place = keyspace.copies === undefined ? 'mode' : 'copies';
    complain([...path, place], `: ${copies} copies need ${copies} nodes, and pool ${keyspace.pool} has ${nodes}`);
  }
}

/** Of a keyspace, and where it stands. */
export interface PlacedMode {
  path: Path;
  mode: 'sharded' | 'replicated' | 'lock';
  pool: string;
}

/**
 * What the keyspaces of all services make of the pools, and `agreeing`, the pool on which the fleet agrees. A node of replicated keys or
 * locks has nothing else on it: what no member knows of is dropped when it is repaired.
 */
export function checkReplicatedPools(
  keyspaces: readonly PlacedMode[],
  agreeing: string | null,
  pools: PoolsSection,
  complain: Complain,
): void {
  /** What each such pool has. */
  const replicated = new Map(agreeing === null ? [] : [[agreeing, 'what coordination agrees on']]);
  for (const { mode, pool } of keyspaces) if (mode !== 'sharded') replicated.set(pool, `keys of mode ${mode}`);
  for (const { path, mode, pool } of keyspaces) {
    const what = replicated.get(pool);
    if (mode !== 'sharded' || what === undefined) continue;
    const why = 'a node of it that is repaired gets these and loses all else';
    complain([...path, 'pool'], `: pool ${pool} has ${what}: ${why}; ${mode} keys need another pool`);
  }
  for (const [name, { nodes, restart }] of Object.entries(pools)) {
    if (restart !== undefined && !replicated.has(name)) {
      complain(['pools', name, 'restart'], ': is for pools with keys of mode replicated or lock');
    }
    const addresses = new Set(nodes.map(({ url }) => formatEndpoint(url.address)));
    for (const [own, what] of replicated) {
      const shared = pools[own]?.nodes.findIndex(({ url }) => addresses.has(formatEndpoint(url.address))) ?? -1;
      if (own === name || shared < 0) continue;
      const why = `pool ${own} has ${what}, and its nodes can have nothing else`;
      complain(['pools', own, 'nodes', shared], `: this server is in pool ${name}, too: ${why}`);
    }
  }
}
