import t from 'tap';
import { memoryLimit, workerMemoryShare } from '../../src/control/memory.js';
import { fileTree } from '../help/file-tree.js';

const MACHINE = 16 * 2 ** 30;

t.test('without cgroup files the machine is the limit', async (t) => {
  t.equal(memoryLimit(fileTree(t, {}), MACHINE), MACHINE);
});

t.test('cgroup version 2: the smallest limit from the own group up counts, max is none', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '0::/a/b\n',
    'sys/fs/cgroup/a/b/memory.max': 'max\n',
    'sys/fs/cgroup/a/memory.max': '536870912\n',
    'sys/fs/cgroup/memory.max': '1073741824\n',
  });
  t.equal(memoryLimit(root, MACHINE), 536870912);
});

t.test('cgroup version 1: the memory controller counts, others do not', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '5:cpu,cpuacct:/x\n4:memory:/docker/abc\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '268435456\n',
    'sys/fs/cgroup/cpu/memory.limit_in_bytes': '1\n',
  });
  t.equal(memoryLimit(root, MACHINE), 268435456, 'the path of the host is not there, the mount shows the own group');
});

t.test('a limit above the memory of the machine is none', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '4:memory:/\n',
    'sys/fs/cgroup/memory/memory.limit_in_bytes': '9223372036854771712\n',
  });
  t.equal(memoryLimit(root, MACHINE), MACHINE);
});

t.test('workers share six tenths of it', async (t) => {
  t.equal(workerMemoryShare(2, fileTree(t, {}), 1_000_000), 300_000);
});
