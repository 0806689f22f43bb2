/** What Linux knows about a running process: the CPU it used, and the memory it holds. */
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';

export interface CpuTime {
  /** Seconds in user space, of all threads, ended ones too. */
  readonly user: number;
  /** Seconds in the kernel on its behalf. */
  readonly kernel: number;
}

// Fields 14 and 15 of /proc/PID/stat (proc(5)), counted from 1; the second, the program's name, may hold spaces and
// brackets, so counting starts after its last bracket, which ends field 2.
const USER_FIELD = 14 - 3;
const KERNEL_FIELD = 15 - 3;

/**
 * The CPU time a process has used so far. In steps of a clock tick (10 ms): measure over seconds. Linux knows the sum of
 * both parts to the nanosecond and splits it by what it saw at each tick, so the sum is surer than the split.
 */
export function cpuTimeOf(pid: number): CpuTime {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return {
    user: Number(fields[USER_FIELD]) / TICKS_PER_SECOND,
    kernel: Number(fields[KERNEL_FIELD]) / TICKS_PER_SECOND,
  };
}

export function cpuTimeOfAll(pids: readonly number[]): CpuTime {
  const times = pids.map(cpuTimeOf);
  return {
    user: times.reduce((sum, time) => sum + time.user, 0),
    kernel: times.reduce((sum, time) => sum + time.kernel, 0),
  };
}

export function isRunning(pid: number): boolean {
  return existsSync(`/proc/${pid}/stat`);
}

/** The ids of a process's threads. */
export function threadsOf(pid: number): number[] {
  return readdirSync(`/proc/${pid}/task`).map(Number);
}

/** Bytes of memory resident now (`VmRSS`) or at most since the start or the last `forgetPeak` (`VmHWM`). */
export function memoryOf(pid: number, field: 'VmRSS' | 'VmHWM'): number {
  const line = new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(line?.[1]) * 1024;
}

/** Sets the peak back to what is resident now (proc(5), clear_refs). Needs the right to trace the process. */
export function forgetPeak(pid: number): void {
  writeFileSync(`/proc/${pid}/clear_refs`, '5');
}

const TICKS_PER_SECOND = Number(spawnSync('getconf', ['CLK_TCK'], { encoding: 'utf8' }).stdout) || 100;
