/** What the system gives this process, and which limits of a configuration that leaves. A dozen files say it: it is looked for now and then. */
import type { Limits } from '../base/limits.js';
import { clientRoom, descriptorsMax } from './client-room.js';
import { workerMemoryShare } from './memory.js';

export interface Room {
  readonly workers: number;
  /** For buffers of each worker, bytes. */
  readonly workerMemory: number;
  readonly descriptors: number;
}

export function findRoom(workers: number): Room {
  return { workers, workerMemory: workerMemoryShare(workers), descriptors: descriptorsMax() };
}

/** Those of `limits` that there is room for, with so many nodes. */
export function fittingLimits(limits: Limits, { workers, workerMemory, descriptors }: Room, nodes: number): Limits {
  const workerMemoryMax = Math.min(limits.workerMemoryMax, workerMemory);
  const clientsMax = Math.min(limits.clientsMax, clientRoom(descriptors, workers, nodes));
  return { ...limits, workerMemoryMax, clientsMax };
}
