/**
 * Loaded into a process before its program (`node --import`): has system calls fail in threads of one's choice, by seccomp, as the
 * kernel fails them for want of memory, and a sandbox because it forbids them. RINGLEADER_TEST_FORBIDDEN says which: see
 * forbidden-calls.ts.
 */
import { existsSync } from 'node:fs';
import { createRequire } from 'node:module';
import { threadId } from 'node:worker_threads';
import type { ForbiddenCall } from './forbidden-calls.js';

const LOOK_MS = 20;
/** prctl(2), seccomp(2). */
const PR_SET_NO_NEW_PRIVS = 38;
const PR_SET_SECCOMP = 22;
const SECCOMP_MODE_FILTER = 2;

const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
const libc = koffi.load(null);

for (const forbidden of JSON.parse(process.env['RINGLEADER_TEST_FORBIDDEN'] ?? '[]') as ForbiddenCall[]) {
  if (!forbidden.threads.includes(threadId)) continue;
  const { once } = forbidden;
  if (once === undefined) {
    forbid(forbidden);
    continue;
  }
  const look = setInterval(() => {
    if (!existsSync(once)) return;
    clearInterval(look);
    forbid(forbidden);
  }, LOOK_MS).unref();
}

/** From now on, in this thread and those that it starts. */
function forbid({ call, code }: ForbiddenCall): void {
  // A program of the kernel's own: load the call's number; if it is this one, the error; else allow.
  const filter = new Uint32Array([0x20, 0, 0x15 | (1 << 24), call, 0x6, 0x50000 | code, 0x6, 0x7fff0000]);
  const bytes = Buffer.from(filter.buffer);
  const program = Buffer.alloc(16);
  program.writeUInt16LE(4, 0);
  program.writeBigUInt64LE(BigInt(koffi.address(bytes)), 8);
  const filterBy = libc.func('prctl', 'int', ['int', 'long', 'void *', 'long', 'long']);
  const set = libc.func('prctl', 'int', ['int', 'long', 'long', 'long', 'long']);
  if (
    set(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) !== 0 ||
    filterBy(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, program, 0, 0) !== 0
  ) {
    throw new Error('there is no seccomp here');
  }
}
