/**
 * Every message between the control plane (main thread) and the data plane (worker threads), one union a direction, and
 * the shared memory that goes with them. Topologies and counters travel here and nowhere else.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Announced } from './base/announced.js';
import type { ClientRules, UsersSnapshot } from './base/client-rules.js';
import type { Endpoint } from './base/endpoint.js';
import type { Limits, NodeLimits } from './base/limits.js';
import type { LockMode } from './base/lock-mode.js';
import type { LogLevel } from './base/log-event.js';
import type { PauseSnapshot } from './base/pause-table.js';
import type { HashName } from './base/placement.js';

/** One Redis server as workers see it. */
export interface NodeSnapshot {
  /** Index in `TopologySnapshot.nodes`: what placements and backends refer to. Below NODES_MAX (base/placement.ts). */
  index: number;
  /** The stable name that the ring hashes. Unique in its pool. */
  name: string;
  pool: string;
  /** What errors and logs show: its name, with its pool before it (`pool/name`) where another pool has such a name too. */
  label: string;
  /** Its share of the keys, in relation to the others'; above 0. */
  weight: number;
  /** Unresolved: `host` may be a name. */
  address: Endpoint;
  username: string | null;
  password: string | null;
  /** The same object for all nodes of a pool. */
  limits: NodeLimits;
}

/** An immutable snapshot: who owns what. `version` only grows. */
export interface TopologySnapshot {
  version: number;
  /** Of all pools that a keyspace lies on. */
  nodes: readonly NodeSnapshot[];
  /** By number: that of a service stays while the service does. Null where one is gone. */
  services: readonly (ServiceSnapshot | null)[];
}

/** A topology by the numbers of its nodes and services, which a worker knows: see control/topology-feed.ts. */
export interface TopologyParts {
  version: number;
  nodes: Uint32Array;
  services: readonly (number | null)[];
}

/** One door, and what is seen through it: one Redis. */
export interface ServiceSnapshot {
  name: string;
  /** The first TCP port that it listens on, or 0. */
  port: number;
  announced: readonly Announced[];
  /** At least one. */
  keyspaces: readonly KeyspaceSnapshot[];
  /** A pool that has keys of another service which this one does not see, and that service; null where there is none. */
  shared: { pool: string; service: string } | null;
  /** Whether a service with locks has keys in one of its pools: there may lie what RL.FENCED notes beside keys. */
  hasFences: boolean;
}

export interface KeyspaceSnapshot {
  /** Keys whose bytes begin with those of this text (UTF-8). Where several fit, the longest counts. */
  prefix: string;
  pool: string;
  placement: PlacementSnapshot;
  /** Whether a write of several keys that lie on several shards is split; else it is refused. */
  splitsWrites: boolean;
  /** Null where each key is on one node. The placement is that of slots, and then leads to the first copy. */
  replication: ReplicationSnapshot | null;
  /** Null unless its keys are locks on nodes. The placement is that of slots. */
  locks: LockSnapshot | null;
  /** Null unless its keys are locks on the coordination store: then nothing of them is on the nodes of its pool. */
  storeLocks: StoreLockSnapshot | null;
}

/** Where the copies of the keys of a keyspace are. */
export interface ReplicationSnapshot {
  /** 3 or 5. */
  copies: number;
  /** Per slot the nodes of its copies, so many in a row, first the slot's owner: indices of `TopologySnapshot.nodes`, shared by all workers. */
  owners: Uint16Array;
  level: LevelSnapshot;
  /** How long the ballot of a deleted key is kept at least. */
  tombstoneTtlMs: number;
}

/** What is promised of the keys: see routing/levels. */
export interface LevelSnapshot {
  consistency: 'strong' | 'quorum' | 'eventual' | 'weak';
  /** Copies that say what they have before a read is answered. */
  reads: number;
  /** Copies that have a write before it is acknowledged. */
  writes: number;
  /** Commands that change what is there are carried out; else refused. */
  allowsChanges: boolean;
}

/** Which nodes hold the locks of a keyspace. */
export interface LockSnapshot {
  /** Nodes of each lock: at least 3. */
  copies: number;
  /** As those of a ReplicationSnapshot. */
  owners: Uint16Array;
  /** The longest that a lock may be taken or extended for. */
  ttlMaxMs: number;
  /** How long the last fence of a lock is remembered that nobody asks for. */
  fenceTtlMs: number;
}

/** Locks that the main thread has kept by the coordination store. */
export interface StoreLockSnapshot {
  /** The longest that a lock may be taken or extended for. */
  ttlMaxMs: number;
}

/**
 * How the keys of one keyspace are placed on its nodes: which index of `TopologySnapshot.nodes` has a key. The arrays lie in
 * memory that all workers share.
 */
export type PlacementSnapshot =
  /** Per slot its node. `colocate`: patterns of keys that are placed by a part of them (routing/colocate.ts). */
  | { kind: 'slots'; owners: Uint16Array; colocate: readonly string[] }
  /** Points on a circle, upwards, and the node of each. `hashTag` is null or what opens and what closes a tag. */
  | { kind: 'ketama'; points: Uint32Array; owners: Uint16Array; hash: HashName; hashTag: string | null }
  /** Per remainder its node. */
  | { kind: 'modula'; owners: Uint16Array; hash: HashName; hashTag: string | null };

/** The drivers of transport/. */
export type TransportKind = 'io_uring' | 'epoll' | 'node';

/** What all workers know of the process. */
export interface ProcessFacts {
  version: string;
  id: number;
  /** 40 hexadecimal digits, other ones each time that the proxy is started, as Redis's run_id. */
  runId: string;
  /** When it was started, in milliseconds since 1970. */
  startedAtMs: number;
  workers: number;
  transport: TransportKind;
}

/** Where clients come in. */
export interface ListenerSnapshot {
  endpoint: Endpoint;
  /** The listening descriptor, made by the main thread; -1 with the node driver, which listens itself. */
  descriptor: number;
  /** What its connections carry along: the number of their service. Below DOORS_MAX (transport/descriptors.ts). */
  door: number;
}

/** What a worker is started with. All is structured-clonable; `port` is transferred. */
export interface WorkerStart {
  /** 0 … workers-1. A restarted worker keeps the index of the one that died. */
  index: number;
  port: MessagePort;
  transport: TransportKind;
  topology: TopologySnapshot;
  /** What it is made of. */
  parts: TopologyParts;
  limits: Limits;
  rules: ClientRules;
  process: ProcessFacts;
  listeners: readonly ListenerSnapshot[];
  /** Shared by main and all workers: see transport/descriptors.ts and transport/handover.ts. */
  descriptors: SharedArrayBuffer;
  handover: SharedArrayBuffer;
  /** One wake-up eventfd per worker; none with the node driver. */
  wakeDescriptors: readonly number[];
  /** The clients that all workers serve: see base/client-count.ts. */
  clients: SharedArrayBuffer;
  /** Who of all workers comes first at a lock: see base/lock-turns.ts. */
  lockTurns: SharedArrayBuffer;
  /** That workers still take turns: see base/heartbeat.ts. */
  heartbeats: SharedArrayBuffer;
  /** Counters of all workers, and the number of the last client: see base/metrics.ts. */
  metrics: SharedArrayBuffer;
  clientIds: SharedArrayBuffer;
  /** Times of the commands that workers answer themselves: see base/command-times.ts. */
  commandTimes: SharedArrayBuffer;
  /** Nodes at which scripts have been running for long: see base/busy-nodes.ts. */
  busyNodes: SharedArrayBuffer;
  /** What workers carry out while somebody monitors: see base/monitor-feed.ts. */
  monitorFeed: SharedArrayBuffer;
  /** See base/shown-scripts.ts. */
  shownScripts: SharedArrayBuffer;
  /** Those that last. */
  pauses: readonly PauseSnapshot[];
}

/** The kinds of clients that Redis tells apart. The proxy serves no replicas and has no master. */
export type ClientType = 'normal' | 'master' | 'replica' | 'pubsub';

/** Which clients of a service are meant: those of whom all that is not null holds. Addresses as CLIENT LIST shows them. */
export interface ClientFilter {
  ids: readonly number[] | null;
  type: ClientType | null;
  address: string | null;
  ownAddress: string | null;
  user: string | null;
  /** This one is not meant, whatever else holds. */
  exceptId: number | null;
}

/** What a worker asks all workers, itself among them, on behalf of a session: each answers for its own sessions. */
export type Question =
  /** How CLIENT LIST shows them. */
  | { kind: 'list-clients'; service: number; filter: ClientFilter }
  /** Close them. */
  | { kind: 'kill-clients'; service: number; filter: ClientFilter }
  /** Hold back their commands, or let go of them. */
  | ({ kind: 'pause-clients' } & PauseSnapshot)
  | { kind: 'unpause-clients'; service: number }
  /** End the wait of a command that blocks: as at its time-out, or with an error. */
  | { kind: 'unblock-client'; service: number; id: number; isError: boolean }
  /** Somebody may monitor now: write down what is carried out while that is so. */
  | { kind: 'look-for-monitors' }
  /** Tell that client of keys that are not what they were (CLIENT TRACKING … REDIRECT): arrays as in RESP; null: all. */
  | { kind: 'invalidate'; service: number; id: number; messages: readonly (Uint8Array | null)[] }
  /** From now on messages for that client may come from other workers. */
  | { kind: 'expect-redirected'; service: number; id: number }
  /** Answered when what nodes have told that client of, by way of other clients, has arrived there. `isThere`: there are such, or will be. */
  | { kind: 'settle-redirected'; service: number; id: number }
  /** Go by other users. The main thread carries the change out, and says in `changed` what came of it; who asks leaves it null. */
  | { kind: 'change-users'; change: UserChange; asker: number; changed: ChangedUsers | null }
  /** What was refused to users. */
  | { kind: 'list-refusals' }
  | { kind: 'forget-refusals' }
  /** Remember scripts, a character a byte; or none of that service any more. */
  | { kind: 'learn-scripts'; service: number; sources: readonly string[] }
  | { kind: 'forget-scripts'; service: number }
  /** Which of these scripts other workers know. `sha`: in lower case. */
  | { kind: 'find-scripts'; scripts: readonly { service: number; sha: string }[] };

/** What ACL SETUSER and ACL DELUSER ask for. A character a byte, and no password in it. */
export type UserChange =
  | { kind: 'set'; name: string; words: readonly string[] }
  | { kind: 'delete'; names: readonly string[] };

/** `count`: how many users were deleted. With an error nothing was changed. */
export interface ChangedUsers {
  users: UsersSnapshot;
  count: number;
  error: string | null;
}

/** Something that was refused to a user, as often as it was within a while: an entry of ACL LOG. Texts with a character a byte. */
export interface Refusal {
  reason: 'command' | 'key' | 'channel' | 'auth';
  context: 'toplevel' | 'multi';
  /** The name of the command, the key, or the channel. */
  object: string;
  user: string;
  count: number;
  /** When it was refused the last time, in milliseconds since 1970. */
  atMs: number;
  /** The client, as CLIENT LIST shows it, that last time. */
  client: string;
}

/** What a worker asks of locks on the coordination store. Names and tokens have a character a byte. */
export type LockAsk =
  /**
   * `waitMs`: 0 for not at all; `queueMax`: so many may want the lock in this process; `ticket`: drawn when it was asked for (see LockTurns), as what
   * workers send comes in no order among them.
   */
  | {
      kind: 'acquire';
      name: string;
      token: string;
      client: string;
      ttlMs: number;
      mode: LockMode;
      waitMs: number;
      queueMax: number;
      ticket: number;
    }
  /** `grant`: what was granted. */
  | { kind: 'give-back'; name: string; grant: string }
  | { kind: 'extend'; name: string; token: string; ttlMs: number }
  | { kind: 'release'; name: string; token: string }
  | { kind: 'break'; name: string }
  | { kind: 'look'; name: string }
  /** `pattern`: as KEYS has it. */
  | { kind: 'list'; pattern: string };

/** Who holds a lock on the coordination store, the latest last, for so many milliseconds more; and the last fence. */
export interface LockFacts {
  mode: LockMode | null;
  fence: number | null;
  holders: readonly { client: string; fence: number; leftMs: number }[];
}

/** What came of it. `untilMs`: by the clock that threads have in common (commonMs). */
export type LockTold =
  | { kind: 'granted'; grant: string; fence: number; untilMs: number }
  | { kind: 'out-of-time' }
  | { kind: 'crowded'; max: number }
  | { kind: 'late' }
  | { kind: 'extended'; untilMs: number }
  | { kind: 'done' }
  /** `holders`: how many held it. */
  | { kind: 'broken'; holders: number }
  /** Those that somebody holds. */
  | { kind: 'listed'; locks: readonly ({ name: string } & LockFacts)[] }
  | ({ kind: 'not-held' } & LockFacts)
  | ({ kind: 'view' } & LockFacts)
  /** `isUnknown`: it may have been done. */
  | { kind: 'trouble'; isUnknown: boolean; reason: string };

/** What one worker answers, by the question's kind. */
export type Answer =
  /** In step: two columns are told twenty times as fast as thousands of objects. */
  | { kind: 'list-clients'; ids: Float64Array; lines: readonly string[] }
  | { kind: 'kill-clients'; killed: number }
  | { kind: 'pause-clients' }
  | { kind: 'unpause-clients' }
  | { kind: 'unblock-client'; isUnblocked: boolean }
  | { kind: 'invalidate'; isThere: boolean }
  | { kind: 'expect-redirected'; isThere: boolean }
  | { kind: 'settle-redirected'; isThere: boolean }
  | { kind: 'look-for-monitors' }
  | { kind: 'change-users'; count: number; error: string | null }
  | { kind: 'list-refusals'; refusals: readonly Refusal[] }
  | { kind: 'forget-refusals' }
  | { kind: 'learn-scripts' }
  | { kind: 'forget-scripts' }
  /** A character a byte. */
  | { kind: 'find-scripts'; scripts: readonly { service: number; sha: string; source: string }[] };

export type AnswerTo<Q extends Question> = Extract<Answer, { kind: Q['kind'] }>;

export type ToWorker =
  /** Parts of the topology to come. Answered by `learned`. */
  | { kind: 'learn'; parts: readonly { number: number; part: NodeSnapshot | ServiceSnapshot }[] }
  /** From now on this topology, these limits, rules and listeners hold. Answered by `configured`. */
  | {
      kind: 'configure';
      topology: TopologyParts;
      limits: Limits;
      rules: ClientRules;
      listeners: readonly ListenerSnapshot[];
    }
  | { kind: 'resolved'; id: number; endpoint: Endpoint | null; error: string | null }
  /** Somebody's question, see control/roll-call.ts. Answered by `answer`. */
  | { kind: 'question'; call: number; question: Question; isOwn: boolean }
  /** To `ask`. `silent`: the workers that did not answer in time. */
  | { kind: 'answers'; id: number; answers: readonly Answer[]; silent: readonly number[] }
  /** Of `hints`: so many bytes are kept, or had no room. */
  | { kind: 'hints-taken'; bytes: number }
  /** To `ask-lock`, once; also where that was ended. */
  | { kind: 'lock-told'; id: number; told: LockTold }
  /** Take no more connections, let sessions finish what is in flight for so many milliseconds, then end the task. */
  | { kind: 'drain'; deadlineMs: number }
  /** Test hooks for the death of a worker: an error that nothing catches, and a turn that never ends. */
  | { kind: 'crash' }
  | { kind: 'hang' };

export type ToControl =
  /** The first of all: which thread runs the worker. */
  | { kind: 'born'; threadId: number }
  /** Takes connections. */
  | { kind: 'started' }
  | { kind: 'learned' }
  /**
   * Goes by the topology of that version, also by its addresses, and no longer accepts from listeners that went; nothing else was done for
   * `tookMs`. What was in flight before may still be carried out, where it was sent.
   */
  | { kind: 'configured'; version: number; tookMs: number }
  | { kind: 'resolve'; id: number; host: string; port: number }
  /** For all workers. Answered by `answers`. */
  | { kind: 'ask'; id: number; question: Question }
  | { kind: 'answer'; call: number; answer: Answer }
  /** Answered by `lock-told`. */
  | { kind: 'ask-lock'; id: number; ask: LockAsk }
  /** So many writes that a node has missed, as replica/hint writes them. Answered by `hints-taken`. */
  | { kind: 'hints'; pool: string; node: string; hints: Uint8Array; count: number }
  /** Of an `acquire`: nobody wants it any more. */
  | { kind: 'end-lock'; id: number }
  | { kind: 'log'; level: LogLevel; event: string; fields: Record<string, string | number | boolean | null> }
  /** `reason`: the node's version when it is up, what went wrong when it is down. */
  | { kind: 'node-state'; pool: string; node: string; isUp: boolean; reason: string }
  /** Commands that wait for each node, by its index in the topology of that version. Sent while there are any, and once after. */
  | { kind: 'queued'; version: number; commands: readonly number[] };
