/**
 * How many clients there are descriptors for. The rest is kept back: were clients to take the last one, a node that comes
 * back could not be connected to, and a worker that died could not be replaced, until some client leaves.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Descriptors of the main thread (Node's own, listeners, the admin server, looking up names), and some to spare. */
const PROCESS_DESCRIPTORS = 40;
/** Of each worker: its loops, and its epoll or io_uring. */
const WORKER_DESCRIPTORS = 8;
/** Of each worker for each node: one connection a protocol, and two that finish large values. */
const NODE_DESCRIPTORS = 4;

/** Clients that `descriptorsMax` descriptors leave room for, at least 1. */
export function clientRoom(descriptorsMax: number, workers: number, nodes: number): number {
  const kept = PROCESS_DESCRIPTORS + workers * (WORKER_DESCRIPTORS + nodes * NODE_DESCRIPTORS);
  return Math.max(1, descriptorsMax - kept);
}

/**
 * Descriptors that this process may have open (`ulimit -n`; Node raises it to the hard limit when it starts), or Infinity
 * where the system does not say. `root` is the file system's, for tests.
 */
export function descriptorsMax(root = '/'): number {
  let limits: string;
  try {
    limits = readFileSync(join(root, 'proc/self/limits'), 'utf8');
  } catch {
    // Not Linux.
    return Number.POSITIVE_INFINITY;
  }
  const soft = /^Max open files\s+(\d+)/m.exec(limits)?.[1];
  return soft === undefined ? Number.POSITIVE_INFINITY : Number(soft);
}
