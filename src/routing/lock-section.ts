/**
 * What a keyspace with `mode: lock` says besides: who keeps its locks, on how many nodes, and for how long at the most.
 *
 *   keyspaces:
 *     - { prefix: "lock:", pool: main, mode: lock, provider: redlock, ttlMaxMs: 60000 }
 */
import type { PoolsSection } from '../base/pools-section.js';
import { about, type Complain, milliseconds, oneOf } from '../base/schema.js';
import { formatMilliseconds } from '../base/units.js';
import type { Path } from '../base/yaml-source.js';

export type LockProvider = 'redlock' | 'store';

export interface Locks {
  /** `redlock`: a majority of the nodes that have the lock; `store`: the coordination store. */
  provider: LockProvider;
  /** Nodes that have each lock; null: all of the pool. Of redlock. */
  copies: 3 | 5 | null;
  /** The longest that a lock is held unless it is extended, and how long a node that may have forgotten takes no part. */
  ttlMaxMs: number;
  /** How long the last fence of a lock is remembered that nobody asks for. */
  fenceTtlMs: number;
}

const PROVIDER_DEFAULT = 'redlock';
const TTL_MAX_MS = 60_000;
const TTL_MAX_MS_LEAST = 100;
const TTL_MAX_MS_MOST = 86_400_000;
const FENCE_TTL_MS = 7 * 86_400_000;
/** Redis counts for how long a key was not used by 24 bits of seconds, which are 194 days. */
const FENCE_TTL_MS_MOST = 180 * 86_400_000;
/** Who bears no failure is no better than one node. */
const NODES_MIN = 3;
/** Each lock command goes to all of them. */
export const LOCK_NODES_MAX = 9;

export const LOCK_KEYS = {
  provider: about(
    oneOf('redlock', 'store').optional(),
    'Who keeps the locks of mode lock: `redlock` is a majority of the nodes that have each; `store` is the coordination store (etcd, ZooKeeper, or ' +
      'the file of one process with a dataDir), and nothing of them is in the pool.',
    { stated: PROVIDER_DEFAULT },
  ),
  ttlMaxMs: about(
    milliseconds(TTL_MAX_MS_LEAST, TTL_MAX_MS_MOST).optional(),
    'For mode lock: the longest time that a lock may be taken or extended for. So long a node that was started again, and may have ' +
      'forgotten who has what, takes no part.',
    { stated: formatMilliseconds(TTL_MAX_MS) },
  ),
  fenceTtl: about(
    milliseconds(TTL_MAX_MS_LEAST, FENCE_TTL_MS_MOST).optional(),
    'For mode lock: how long at least the nodes remember the last fence of a lock that nobody asks for (about 350 bytes each). The next one is larger all ' +
      'the same, unless the clocks of proxies went back by more than that.',
    { stated: formatMilliseconds(FENCE_TTL_MS) },
  ),
};

/** What of a keyspace is written in the file by these keys. */
export interface LockKeys {
  copies?: 3 | 5 | undefined;
  provider?: LockProvider | undefined;
  ttlMaxMs?: number | undefined;
  fenceTtl?: number | undefined;
}

export function completeLocks({ copies, provider, ttlMaxMs, fenceTtl }: LockKeys): Locks {
  return {
    provider: provider ?? PROVIDER_DEFAULT,
    copies: copies ?? null,
    ttlMaxMs: ttlMaxMs ?? TTL_MAX_MS,
    fenceTtlMs: fenceTtl ?? FENCE_TTL_MS,
  };
}

interface Written extends LockKeys {
  mode: 'sharded' | 'replicated' | 'lock';
  pool: string;
  placement: string;
}

/** Of one keyspace; `pools` are those that are right in themselves. */
export function checkLocks(path: Path, keyspace: Written, pools: PoolsSection, complain: Complain): void {
  const { mode, placement, pool, copies, provider } = keyspace;
  if (mode !== 'lock') {
    for (const key of ['provider', 'ttlMaxMs', 'fenceTtl'] as const) {
      if (keyspace[key] !== undefined) complain([...path, key], `: is for mode lock; ${mode} keys are no locks`);
    }
    return;
  }
  if (placement !== 'slots') {
    complain(
      [...path, 'placement'],
      `: must be slots for mode lock; ${placement} says of one node alone that it has a key`,
    );
  }
  if (provider === 'store') {
    const ofStore = {
      copies: 'the coordination store has copies of its own',
      fenceTtl: 'the coordination store has no fences besides',
    };
    for (const key of ['copies', 'fenceTtl'] as const)
      if (keyspace[key] !== undefined) complain([...path, key], `: is for provider redlock; ${ofStore[key]}`);
    return;
  }
  const { ttlMaxMs, fenceTtlMs } = completeLocks(keyspace);
  if (fenceTtlMs < ttlMaxMs) {
    const least = formatMilliseconds(ttlMaxMs);
    complain([...path, 'fenceTtl'], `: must not be below ttlMaxMs, ${least}: a lock may be held for so long`);
  }
  const nodes = pools[pool]?.nodes.length ?? 0;
  if (nodes === 0) return;
  if (copies !== undefined && nodes < copies) {
    complain([...path, 'copies'], `: locks on ${copies} nodes need as many, and pool ${pool} has ${nodes}`);
  } else if (nodes < NODES_MIN) {
    const why = 'a lock is held by more than half of its nodes, and goes on without one of them from 3 on';
    complain(
      [...path, 'mode'],
      `: lock needs a pool of at least ${NODES_MIN} nodes, and pool ${pool} has ${nodes}: ${why}`,
    );
  } else if (copies === undefined && nodes > LOCK_NODES_MAX) {
    const advice = 'say on how many of them each lock is: copies: 3 or copies: 5';
    complain(
      [...path, 'mode'],
      `: a lock is on at most ${LOCK_NODES_MAX} nodes, and pool ${pool} has ${nodes}; ${advice}`,
    );
  }
}

/** Of a keyspace whose locks `store` is to keep: that it can, and does not forget them while others remember. */
export function checkStoreLocks(path: Path, store: string, hasDataDir: boolean, complain: Complain): void {
  const trouble = storeLocksTrouble(store, hasDataDir);
  if (trouble !== null) complain([...path, 'provider'], `: ${trouble}`);
}

/** Why such a store cannot keep locks; null: it can. */
export function storeLocksTrouble(store: string, hasDataDir: boolean): string | null {
  if (store === 'redis') {
    const advice = 'provider redlock has them on Redis servers of their own, and needs no store';
    return `store takes coordination.store etcd, zookeeper or file, and this is redis; ${advice}`;
  }
  if (store !== 'file' || hasDataDir) return null;
  const why = 'a start would forget who holds them, and begin anew with their fences';
  return `store takes a dataDir where coordination.store is file: ${why}`;
}
