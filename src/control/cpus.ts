/**
 * How many workers this machine is good for. Node's `availableParallelism` knows the affinity but not the quota of a
 * container, and more threads than the quota allows are stopped together in the middle of each period.
 */
import { availableParallelism } from 'node:os';
import { readCgroupFile } from './cgroup.js';

/** Beyond this, say it: a proxy seldom needs more, and the Redis servers next to it want processors too. */
const WORKERS_DEFAULT_MAX = 4;

/** The default of `workers`. `root` is the file system's, and `affinity` the number of usable processors, for tests. */
export function defaultWorkers(root = '/', affinity = availableParallelism()): number {
  return Math.max(1, Math.min(WORKERS_DEFAULT_MAX, affinity, Math.ceil(cpuQuota(root))));
}

/** Processors' worth of time that this process may use, Infinity where there is no quota. */
export function cpuQuota(root = '/'): number {
  const version2 = readCgroupFile({ controller: 'cpu', version2: 'cpu.max', version1: 'cpu.cfs_quota_us' }, root);
  const periods = readCgroupFile({ controller: 'cpu', version2: 'cpu.max', version1: 'cpu.cfs_period_us' }, root);
  const quotas = version2.map((text, index) => quotient(text, periods[index] ?? ''));
  return Math.min(Number.POSITIVE_INFINITY, ...quotas);
}

/** `max 100000` and `150000 100000` in version 2; quota and period in files of their own, and -1 for none, in version 1. */
function quotient(quotaText: string, periodText: string): number {
  const [quota] = quotaText.split(' ');
  const period = periodText.split(' ').at(-1);
  const processors = Number(quota) / Number(period);
  return processors > 0 ? processors : Number.POSITIVE_INFINITY;
}
