/** How much memory this process may use: the cgroup's limit (version 2 or 1) where there is one, else the machine's. */
import { totalmem } from 'node:os';
import { readCgroupFile } from './cgroup.js';

const LIMIT_FILE = { controller: 'memory', version2: 'memory.max', version1: 'memory.limit_in_bytes' };

/** Part of the memory that buffers may take; the rest is for the heap and for what the kernel counts. */
const BUFFER_SHARE = 0.6;

/** Bytes of buffers that each of `workers` workers may hold. `root` is the file system's, for tests. */
export function workerMemoryShare(workers: number, root = '/', machineBytes = totalmem()): number {
  return Math.floor((memoryLimit(root, machineBytes) * BUFFER_SHARE) / workers);
}

/** Bytes that this process may use. */
export function memoryLimit(root = '/', machineBytes = totalmem()): number {
  let limit = machineBytes;
  for (const text of readCgroupFile(LIMIT_FILE, root)) {
    // Version 2 says `max` for no limit, version 1 a number beyond all memory.
    const bytes = Number(text);
    if (Number.isFinite(bytes) && bytes > 0 && bytes < limit) limit = bytes;
  }
  return limit;
}
