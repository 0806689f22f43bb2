import t from 'tap';
import { cpuQuota, defaultWorkers } from '../../src/control/cpus.js';
import { fileTree } from '../help/file-tree.js';

const MANY = 64;

t.test('without a quota the affinity decides, up to four', async (t) => {
  const root = fileTree(t, {});
  t.equal(cpuQuota(root), Number.POSITIVE_INFINITY);
  t.equal(defaultWorkers(root, 1), 1);
  t.equal(defaultWorkers(root, 3), 3);
  t.equal(defaultWorkers(root, MANY), 4);
});

t.test('cgroup version 2: a quota of one and a half processors is worth two workers', async (t) => {
  const root = fileTree(t, { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': '150000 100000\n' });
  t.equal(cpuQuota(root), 1.5);
  t.equal(defaultWorkers(root, MANY), 2);
  t.equal(defaultWorkers(root, 1), 1, 'the affinity counts as well');
});

t.test('cgroup version 2: max is no quota', async (t) => {
  const root = fileTree(t, { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'max 100000\n' });
  t.equal(cpuQuota(root), Number.POSITIVE_INFINITY);
});

t.test('cgroup version 2: the smallest quota from the own group up counts', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '0::/pod/container\n',
    'sys/fs/cgroup/pod/container/cpu.max': 'max 100000\n',
    'sys/fs/cgroup/pod/cpu.max': '20000 100000\n',
    'sys/fs/cgroup/cpu.max': '300000 100000\n',
  });
  t.equal(cpuQuota(root), 0.2);
  t.equal(defaultWorkers(root, MANY), 1);
});

t.test('cgroup version 1: quota and period are files of their own', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '9:memory:/x\n4:cpu,cpuacct:/docker/abc\n',
    'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '250000\n',
    'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  });
  t.equal(cpuQuota(root), 2.5, 'found at the top, where a container sees its own group');
  t.equal(defaultWorkers(root, MANY), 3);
});

t.test('cgroup version 1: -1 is no quota', async (t) => {
  const root = fileTree(t, {
    'proc/self/cgroup': '4:cpu:/\n',
    'sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
    'sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
  });
  t.equal(cpuQuota(root), Number.POSITIVE_INFINITY);
});

t.test('files that say something else are no quota', async (t) => {
  const root = fileTree(t, { 'proc/self/cgroup': '0::/\n', 'sys/fs/cgroup/cpu.max': 'lots\n' });
  t.equal(defaultWorkers(root, MANY), 4);
});

t.test('this machine gives at least one worker and at most four', async (t) => {
  t.ok(defaultWorkers() >= 1);
  t.ok(defaultWorkers() <= 4);
});
