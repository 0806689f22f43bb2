/** What the control groups of Linux, version 2 or 1, say of this process. Elsewhere there are none, and nothing is found. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A controller with the name its folder has in version 1, and one of its files in each version. */
export interface CgroupFile {
  controller: string;
  version2: string;
  version1: string;
}

/** One text of the file for each group that this process is in, innermost first: its own and all above it. */
export function readCgroupFile(file: CgroupFile, root = '/'): string[] {
  const texts: string[] = [];
  for (const line of (readOrNull(join(root, 'proc/self/cgroup')) ?? '').split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? [];
    if (controllers === undefined || path === undefined) continue;
    const isVersion2 = controllers === '';
    if (!isVersion2 && !controllers.split(',').includes(file.controller)) continue;
    const base = join(root, 'sys/fs/cgroup', isVersion2 ? '' : file.controller);
    const parts = path.split('/').filter((part) => part !== '' && part !== '..');
    // In a container the path may be the host's, while the mount shows the container's own group at the top.
    for (let depth = parts.length; depth >= 0; depth--) {
      const text = readOrNull(join(base, ...parts.slice(0, depth), isVersion2 ? file.version2 : file.version1));
      if (text !== null) texts.push(text.trim());
    }
  }
  return texts;
}

function readOrNull(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // The file is not there: this kind of limit does not exist here.
    return null;
  }
}
