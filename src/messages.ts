/**
 * Every message between the control plane (main thread) and the data plane (worker threads), one union a direction, and
 * the shared memory that goes with them. Topologies and counters travel here and nowhere else.
 */
import type { MessagePort } from 'node:worker_threads';
import type { Endpoint } from './base/endpoint.js';
import type { Limits } from './base/limits.js';
import type { LogLevel } from './base/log-event.js';

/** One Redis server as workers see it. */
export interface NodeSnapshot {
  /** Index in `Topology.nodes`: what slot owners and backends refer to. */
  index: number;
  /** The stable name that the ring hashes and that errors and logs show. */
  name: string;
  pool: string;
  /** Unresolved: `host` may be a name. */
  address: Endpoint;
  username: string | null;
  password: string | null;
}

/** An immutable snapshot: who owns what. `version` only grows. */
export interface TopologySnapshot {
  version: number;
  nodes: readonly NodeSnapshot[];
  /** Per slot 0…16383 the index of its node; memory shared by all workers. */
  slotOwners: Uint16Array;
}

/** What a worker is started with. All is structured-clonable; `port` is transferred. */
export interface WorkerStart {
  /** 0 … workers-1. A restarted worker keeps the index of the one that died. */
  index: number;
  port: MessagePort;
  transport: 'epoll' | 'node';
  topology: TopologySnapshot;
  limits: Limits;
  /** Listening descriptors (epoll), made by the main thread. Empty for `node`. */
  listenDescriptors: readonly number[];
  /** Where the node driver listens. Empty for `epoll`. */
  listenEndpoints: readonly Endpoint[];
  /** Shared by main and all workers: see transport/descriptors.ts and transport/handover.ts. Null for `node`. */
  descriptors: SharedArrayBuffer | null;
  handover: SharedArrayBuffer | null;
  /** One wake-up eventfd per worker (epoll). */
  wakeDescriptors: readonly number[];
  /** Counters of all workers: see base/metrics.ts. */
  metrics: SharedArrayBuffer;
}

export type ToWorker =
  | { kind: 'topology'; topology: TopologySnapshot }
  | { kind: 'resolved'; id: number; endpoint: Endpoint | null; error: string | null }
  /** Stop accepting, let sessions finish what is in flight, then stop; resolves the worker's task. */
  | { kind: 'drain'; deadlineMs: number }
  /** Test hook for the death of a worker: throw an error out of the loop. Sent only when RINGLEADER_TEST_HOOKS=1. */
  | { kind: 'crash' };

export type ToControl =
  | { kind: 'started'; threadId: number; transport: string }
  | { kind: 'resolve'; id: number; host: string; port: number }
  | { kind: 'log'; level: LogLevel; event: string; fields: Record<string, string | number | boolean | null> }
  | { kind: 'node-state'; node: number; state: 'up' | 'down'; reason: string | null }
  | { kind: 'drained'; sessions: number };
