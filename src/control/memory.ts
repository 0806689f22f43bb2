/** How much memory this process may use: the cgroup's limit (version 2 or 1) where there is one, else the machine's. */
import { readFileSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';

/** Part of the memory that buffers may take; the rest is for the heap and for what the kernel counts. */
const BUFFER_SHARE = 0.6;

/** Bytes of buffers that each of `workers` workers may hold. `root` is the file system's, for tests. */
export function workerMemoryShare(workers: number, root = '/', machineBytes = totalmem()): number {
  return Math.floor((memoryLimit(root, machineBytes) * BUFFER_SHARE) / workers);
}

/** Bytes that this process may use. */
export function memoryLimit(root = '/', machineBytes = totalmem()): number {
  let limit = machineBytes;
  for (const path of limitFiles(root)) {
    // Version 2 says `max` for no limit, version 1 a number beyond all memory.
    const bytes = Number(readOrNull(path));
    if (Number.isFinite(bytes) && bytes > 0 && bytes < limit) limit = bytes;
  }
  return limit;
}

/** The limit files of the own cgroup and of all above it, in both versions; most do not exist. */
function limitFiles(root: string): string[] {
  const files: string[] = [];
  for (const line of (readOrNull(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isVersion2 = controllers === '';
    if (!isVersion2 && !controllers.split(',').includes('memory')) continue;
    const base = join(root, isVersion2 ? 'sys/fs/cgroup' : 'sys/fs/cgroup/memory');
    const name = isVersion2 ? 'memory.max' : 'memory.limit_in_bytes';
    const parts = path.split('/').filter((part) => part !== '' && part !== '..');
    // In a container the path may be the host's, while the mount shows the container's own group at the top.
    for (let depth = parts.length; depth >= 0; depth--) files.push(join(base, ...parts.slice(0, depth), name));
  }
  return files;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The file is not there: this kind of limit does not exist here.
    return null;
  }
}
