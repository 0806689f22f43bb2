/**
 * What a keyspace with `mode: replicated` says besides: how many copies of each key, and what is promised of them.
 *
 *   keyspaces:
 *     - { prefix: "acct:", pool: main, mode: replicated, copies: 3, consistency: strong }
 */
import { formatEndpoint } from '../base/endpoint.js';
import { FILE_NAME_MAX, fileNameOf } from '../base/file-name.js';
import type { PoolsSection } from '../base/pools-section.js';
import { about, type Complain, milliseconds, oneOf, value } from '../base/schema.js';
import { formatMilliseconds, parseCount } from '../base/units.js';
import type { Path } from '../base/yaml-source.js';
import type { LevelSnapshot } from '../messages.js';
import { CONSISTENCIES, type Consistency, strongLevel } from './levels.js';

export interface Replication {
  /** Nodes that have a copy of each key: N of docs/CONSISTENCY.md. */
  copies: 3 | 5;
  level: LevelSnapshot;
  /** How long the ballot of a deleted key is kept at least. */
  tombstoneTtlMs: number;
}

const COPIES_DEFAULT = 3;
const CONSISTENCY_DEFAULT = 'strong';
const TOMBSTONE_TTL_MS = 10 * 60_000;
const TOMBSTONE_TTL_MS_MAX = 30 * 86_400_000;
/** Of keys that are merged: longer than what was sent to a copy may be on its way. */
const EVENTUAL_TTL_MS_MIN = 60_000;
const QUORUM_KEYS = ['readQuorum', 'writeQuorum'] as const;
const CHANGES_DEFAULT = 'allow';

/** A number of copies. */
function copiesAsked() {
  return value(
    '1 | 2 | 3 | 4 | 5',
    (input) => {
      const count = parseCount(input);
      return count !== null && count >= 1 && count <= 5 ? count : null;
    },
    { anyOf: [{ enum: [1, 2, 3, 4, 5] }, { type: 'string', pattern: '^[1-5]$|\\$\\{' }] },
  );
}

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
    value(CONSISTENCIES.toReversed().join(' | '), (input) => CONSISTENCIES.find((known) => known === input) ?? null, {
      anyOf: [{ enum: CONSISTENCIES.toReversed() }, { type: 'string', pattern: '\\$\\{' }],
    }).optional(),
    'What is promised of keys of mode replicated (docs/CONSISTENCY.md): `strong` is linearizable by key, whatever fails; `quorum` reads and writes ' +
      'some of the copies, and of writes at the same time the last one stays; `eventual` waits for one copy, and the others get what they miss ' +
      'later; `weak` reads one copy, and waits for one that has a write. A change is refused as one of the pool is.',
    { stated: CONSISTENCY_DEFAULT },
  ),
  readQuorum: about(
    copiesAsked().optional(),
    'For consistency quorum: copies that are asked what they have before a read is answered. It and writeQuorum are more than the copies. A ' +
      'majority unless given. A change is refused as one of the pool is.',
    { stated: 2 },
  ),
  writeQuorum: about(
    copiesAsked().optional(),
    'For consistency quorum: copies that have a write before it is acknowledged: a majority at least, which it is unless given. A change is ' +
      'refused as one of the pool is.',
    { stated: 2 },
  ),
  readModifyWrite: about(
    oneOf('allow', 'reject').optional(),
    'For consistency quorum, eventual and weak: commands that change what is there (INCR, LPUSH, scripts …). `allow` has one copy carry them out and sends on what ' +
      'became of the key, so that of two at the same time one may be lost; `reject` refuses them.',
    { stated: CHANGES_DEFAULT },
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
  consistency?: Consistency | undefined;
  readQuorum?: number | undefined;
  writeQuorum?: number | undefined;
  readModifyWrite?: 'allow' | 'reject' | undefined;
  tombstoneTtl?: number | undefined;
}

export function completeReplication(keys: ReplicationKeys): Replication {
  const { copies = COPIES_DEFAULT, consistency = CONSISTENCY_DEFAULT, tombstoneTtl = TOMBSTONE_TTL_MS } = keys;
  return { copies, level: levelOf(keys, copies, consistency), tombstoneTtlMs: tombstoneTtl };
}

function levelOf(keys: ReplicationKeys, copies: number, consistency: Consistency): LevelSnapshot {
  const strong = strongLevel(copies);
  if (consistency === 'strong') return strong;
  const allowsChanges = (keys.readModifyWrite ?? CHANGES_DEFAULT) === 'allow';
  if (consistency !== 'quorum') return { consistency, reads: 1, writes: 1, allowsChanges };
  const { readQuorum: reads = strong.reads, writeQuorum: writes = strong.writes } = keys;
  return { consistency, reads, writes, allowsChanges };
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
    for (const key of ['consistency', ...QUORUM_KEYS, 'readModifyWrite', 'tombstoneTtl'] as const) {
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
  const { copies, level } = completeReplication(keyspace);
  checkLevel(path, keyspace, copies, level, complain);
  if (level.consistency === 'eventual') checkEventual(path, keyspace, pools[keyspace.pool], complain);
  if (nodes !== undefined && nodes > 0 && nodes < copies) {
    const place = keyspace.copies === undefined ? 'mode' : 'copies';
    complain([...path, place], `: ${copies} copies need ${copies} nodes, and pool ${keyspace.pool} has ${nodes}`);
  }
}

function checkLevel(path: Path, keyspace: Written, copies: number, level: LevelSnapshot, complain: Complain): void {
  const { consistency } = level;
  if (consistency === 'quorum') {
    checkQuorum(path, keyspace, copies, level, complain);
    return;
  }
  const why = consistency === 'strong' ? 'strong keys ask a majority' : `${consistency} keys ask one copy`;
  for (const key of QUORUM_KEYS)
    if (keyspace[key] !== undefined) complain([...path, key], `: is for consistency quorum; ${why}`);
  if (consistency === 'strong' && keyspace.readModifyWrite !== undefined)
    complain(
      [...path, 'readModifyWrite'],
      ': is for consistency quorum, eventual and weak; strong keys lose no change',
    );
}

function checkEventual(
  path: Path,
  keyspace: Written,
  pool: PoolsSection[string] | undefined,
  complain: Complain,
): void {
  const { tombstoneTtlMs } = completeReplication(keyspace);
  if (tombstoneTtlMs < EVENTUAL_TTL_MS_MIN) {
    const why = 'what is on its way from one copy to another when a key is deleted would bring it back';
    const least = formatMilliseconds(EVENTUAL_TTL_MS_MIN);
    complain([...path, 'tombstoneTtl'], `: must be at least ${least} for consistency eventual; ${why}`);
  }
  for (const { name, url } of pool?.nodes ?? []) {
    const own = name ?? formatEndpoint(url.address);
    if (fileNameOf(own).length <= FILE_NAME_MAX) continue;
    const why = `what it misses lies in a folder of that name, of ${FILE_NAME_MAX} characters at most with %2F for / and the like`;
    complain([...path, 'pool'], `: pool ${keyspace.pool} has a node whose name is too long, ${own}; ${why}`);
  }
}

function checkQuorum(
  path: Path,
  { writeQuorum, readQuorum }: Written,
  copies: number,
  { reads, writes }: LevelSnapshot,
  complain: Complain,
): void {
  const place = [...path, writeQuorum === undefined && readQuorum !== undefined ? 'readQuorum' : 'writeQuorum'];
  if (reads > copies || writes > copies) {
    complain(place, `: there are ${copies} copies, and not ${Math.max(reads, writes)}`);
  } else if (writes * 2 <= copies) {
    const why =
      'with fewer than a majority two writes need not meet in any copy, and neither would know which is later';
    complain([...path, 'writeQuorum'], `: must be at least ${(copies >> 1) + 1} of ${copies} copies; ${why}`);
  } else if (reads + writes <= copies) {
    const why = 'a read might ask none of those that have the last write';
    complain(
      place,
      `: readQuorum ${reads} and writeQuorum ${writes} must be more than ${copies} copies together; ${why}`,
    );
  }
}

/** Of a keyspace, and where it stands. */
export interface PlacedMode {
  path: Path;
  mode: 'sharded' | 'replicated' | 'lock';
  pool: string;
  /** Equal texts for keys of which the same is promised. */
  level: string;
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
  for (const { path, mode, pool, level } of keyspaces) {
    if (mode !== 'replicated') continue;
    const service = JSON.stringify(path.slice(0, -1));
    const other = keyspaces.find(
      (other) =>
        other.pool === pool &&
        other.mode === mode &&
        other.level !== level &&
        JSON.stringify(other.path.slice(0, -1)) !== service,
    );
    if (other === undefined) continue;
    const why = 'a key that both see must have one consistency, readQuorum and writeQuorum';
    complain(
      path,
      `: another service has keyspaces in pool ${pool} with ${other.level}, and this one ${level}; ${why}`,
    );
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
