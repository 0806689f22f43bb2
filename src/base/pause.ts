import { setTimeout as sleep } from 'node:timers/promises';

/** Resolves after so many milliseconds, or when `stopped` says that nobody waits any more. */
export async function pause(ms: number, stopped: AbortSignal): Promise<void> {
  if (stopped.aborted) return;
  try {
    await sleep(ms, undefined, { signal: stopped });
  } catch (error) {
    if (!stopped.aborted) throw error;
  }
}
