/**
 * The steps by which nodes become and stay members (REPLICATION.md, M1-M4, P1-P4), as who cares for a pool asks them of one
 * node, and what it answers. Types alone, as in `step`. Beside them `peek` and `snapshot` are asked of members, and of the
 * node under repair.
 *
 * A record is the text of `~rl:node`, '' where there is none; `node-record` makes it (formatNodeRecord), reads it (parseNodeRecord: null for
 * what is no record) and orders admissions (compareAdmissions, as for sorting). All but `look` and `admit`
 * are carried out only by a node whose record is byte for byte the one that the caller expects; else NotMember. So what
 * carries the record `repairing e` carries e.
 *
 * K are keys and V is a value, whole.
 */
import type { KeyFacts, KeyState, NotMember, Unable } from './step.js';

/** One life of a server and of its data, as INFO tells: both change where data may have changed behind everyone's back. */
export interface ProcessId {
  runId: string;
  replId: string;
}

/** A number that only grows (M4); its second part counts what needed no new epoch. */
export interface Admission {
  epoch: number;
  count: number;
}

/** What a record says. */
export interface NodeRecord {
  clusterId: string;
  /** The node's name in its pool: a full resync brings another node's record along. */
  name: string;
  admission: Admission;
  /** That was admitted. Of a node under repair: that is to be. */
  process: ProcessId;
  status: { kind: 'joining' } | { kind: 'member' } | { kind: 'repairing'; epoch: number };
}

/** What M1 looks at. */
export interface NodeFacts {
  /** That runs. */
  process: ProcessId;
  role: string;
  /** Whether it has been a replica since its process started. */
  wasReplica: boolean;
  replicas: number;
  /** CONFIG's `enable-debug-command`. */
  debugCommand: string;
  record: string;
}

export type MemberStep<K, V> =
  | { kind: 'look' }
  /**
   * Writes `record`, unless the node's is neither `expected` nor this one already, or another process runs than `process`.
   * `epoch` (P2 alone, else null): refused, too, if epochFloor is above it; epochFloor := epoch.
   */
  | { kind: 'admit'; expected: string; process: ProcessId; record: string; epoch: number | null }
  /** epochFloor := max. */
  | { kind: 'raise'; epoch: number }
  /**
   * A page of SCAN. `metas`: keys that have a meta, and none whose meta was touched within `idleSecondsMin` (0: all of them);
   * `values`: keys that have a value, ours (`~rl:…`) aside. It may say a key twice, and misses none that is there all the time.
   */
  | { kind: 'scan'; what: 'metas' | 'values'; cursor: string; count: number; idleSecondsMin: number }
  /** The same, of keys whose versions are times: those that were deleted before that moment, milliseconds since 1970, or have expired before it. */
  | { kind: 'scan'; what: 'gone'; cursor: string; count: number; beforeMs: number }
  /** What the metas of these keys say, all at one time, without a look at the values. */
  | { kind: 'metas'; keys: readonly K[] /** Whether it is to say how large the values are, too. */; sizes: boolean }
  /** Replaces value, live, expireAt and accepted, whatever they are, unless accepted is `state.accepted`. */
  | { kind: 'replace'; key: K; state: KeyState<V> }
  /** Deletes value and meta. */
  | { kind: 'drop'; key: K };

/** The cursor that a scan begins with, and that its last page answers. */
export const SCAN_START = '0';

export type AdmitAnswer =
  | { kind: 'admitted' }
  /** What is there instead. */
  | { kind: 'changed'; record: string; process: ProcessId; epochFloor: number }
  | Unable;

/** `epochFloor`: as it is now. */
export type RaiseAnswer = { kind: 'raised'; epochFloor: number } | NotMember | Unable;

export type ScanAnswer<K> = { kind: 'page'; cursor: string; keys: readonly K[] } | NotMember | Unable;

/** In the order of the keys. `sizes`: about so many bytes each value takes (MEMORY USAGE), 0 without one; null: not asked for. */
export type MetasAnswer =
  | { kind: 'metas'; facts: readonly KeyFacts[]; sizes: readonly number[] | null }
  | NotMember
  | Unable;

/** To replace and drop. */
export type MendAnswer = { kind: 'done' } | NotMember | Unable;

export type MemberAnswer<K> =
  | (NodeFacts & { kind: 'facts' })
  | AdmitAnswer
  | RaiseAnswer
  | ScanAnswer<K>
  | MetasAnswer
  | MendAnswer;
