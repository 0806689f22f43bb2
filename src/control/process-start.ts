/**
 * Which process a number stands for. Numbers are given out again, so what is written down for later is the number and
 * when the process was started: both together are those of one process only.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';

export interface ProcessMark {
  pid: number;
  /** As `processStart` has it. */
  start: string;
}

/** When that process was started, as a text that is only good to be compared; null when it does not run. */
export function processStart(pid: number): string | null {
  return existsSync('/proc/self/stat') ? startByProc(pid) : startByPs(pid);
}

export function markOf(pid: number): ProcessMark | null {
  const start = processStart(pid);
  return start === null ? null : { pid, start };
}

export function isRunning({ pid, start }: ProcessMark): boolean {
  return processStart(pid) === start;
}

/** Linux: clock ticks since the machine was started, which has a name of its own each time. */
function startByProc(pid: number): string | null {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return null;
  }
  // The program's name stands in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // One that has ended, and whose parent has not asked how.
  if (fields[0] === 'Z' || fields[0] === 'X') return null;
  return `${readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim()} ${fields[19]}`;
}

function startByPs(pid: number): string | null {
  const { status, stdout } = spawnSync('ps', ['-o', 'lstart=', '-p', `${pid}`], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}
