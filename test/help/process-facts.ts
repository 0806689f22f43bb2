/** What Linux says of a process: descriptors, memory, processor time. Throws when the process is gone. */
import { readdirSync, readFileSync } from 'node:fs';

/** Descriptors that the process has open now. */
export function openDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

/** The most memory that the process ever had resident, in bytes. */
export function residentPeakBytes(pid: number): number {
  return kibibytes(pid, 'VmHWM') * 1024;
}

/** Memory that the process has resident now, in bytes. */
export function residentBytes(pid: number): number {
  return kibibytes(pid, 'VmRSS') * 1024;
}

/** Address space that the process has mapped, in bytes. */
export function mappedBytes(pid: number): number {
  return kibibytes(pid, 'VmSize') * 1024;
}

/** Processor time that the process has used, user and system, in milliseconds (the clock ticks every 10). */
export function processorMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  // The program's name stands in parentheses and may hold spaces.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Whether a signal has stopped all threads of the process: they hear of it one after the other. */
export function isStopped(pid: number): boolean {
  return readdirSync(`/proc/${pid}/task`).every((thread) => {
    const stat = readFileSync(`/proc/${pid}/task/${thread}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
  });
}

function kibibytes(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const value = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1];
  if (value === undefined) throw new Error(`/proc/${pid}/status has no ${field}`);
  return Number(value);
}
