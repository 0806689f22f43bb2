/**
 * Loaded into a proxy's threads (`node --import`), measures each worker's *bursts*: the processor time from when the kernel gives
 * it its events to when it asks for the next ones, with all that Node does in between. That is how long its sessions wait for
 * it, without what the machine does besides. Bursts of a millisecond and more are written to the file RINGLEADER_BURSTS, one a line:
 *
 *   worker thread's id, milliseconds
 */
import { appendFileSync } from 'node:fs';
import { isMainThread, threadId } from 'node:worker_threads';
import koffi from 'koffi';
import { system } from '../../src/transport/system.js';

const CLOCK_THREAD_CPUTIME_ID = 3;
const NOTED_MS_MIN = 1;

const path = process.env['RINGLEADER_BURSTS'];
if (path !== undefined && !isMainThread) measure(path);

function measure(path: string): void {
  const clockGettime = koffi.load(null).func('clock_gettime', 'int', ['int', 'void *']);
  const time = new BigInt64Array(2);
  const nowMs = () => {
    clockGettime(CLOCK_THREAD_CPUTIME_ID, time);
    return Number(time[0]) * 1_000 + Number(time[1]) / 1e6;
  };
  const calls = system();
  const wait = calls.epollWait;
  let startMs = Number.NaN;
  calls.epollWait = (...args: Parameters<typeof wait>): number => {
    const burstMs = nowMs() - startMs;
    if (burstMs >= NOTED_MS_MIN) appendFileSync(path, `${threadId} ${burstMs.toFixed(2)}\n`);
    const count = wait(...args);
    startMs = nowMs();
    return count;
  };
}
