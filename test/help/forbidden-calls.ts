/** System calls that fail in a process which a test starts. */

export interface ForbiddenCall {
  /** Its number, and the error number that it fails with. */
  call: number;
  code: number;
  /** In which threads, and all that these start: 0 is the main thread, and others count from 1 in the order of their start. */
  threads: readonly number[];
  /** When a file of that path is there; from the start if it is left out. */
  once?: string;
}

/** As x86-64 and arm64 share them. */
export const IO_URING_SETUP = 425;
export const IO_URING_ENTER = 426;
export const IO_URING_REGISTER = 427;
/** epoll_create1. */
export const EPOLL_CREATE = process.arch === 'arm64' ? 20 : 291;

/** What node is to be given in front of its program, and the environment. */
export function forbidding(calls: readonly ForbiddenCall[]): { preload: string; env: Record<string, string> } {
  const preload = new URL('./forbid-calls.js', import.meta.url).href;
  return { preload, env: { RINGLEADER_TEST_FORBIDDEN: JSON.stringify(calls) } };
}
