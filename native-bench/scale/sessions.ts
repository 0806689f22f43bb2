/** How many clients each worker has while something is measured. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProxyProcess } from '../../test/help/proxy.js';
import { sessionsOf } from '../../test/help/sessions.js';

const INTERVAL_MS = 100;

/** The most that each has until `load` ends, whose failure is thrown. */
export async function mostSessions(proxy: ProxyProcess, load: Promise<unknown>): Promise<readonly number[]> {
  let isOver = false;
  const end = load.finally(() => {
    isOver = true;
  });
  // It is awaited below.
  end.catch(() => {});
  let most = await sessionsOf(proxy);
  while (!isOver) {
    await sleep(INTERVAL_MS);
    const now = await sessionsOf(proxy);
    most = most.map((count, worker) => Math.max(count, now[worker] as number));
  }
  await end;
  return most;
}
