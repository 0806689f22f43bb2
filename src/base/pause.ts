import { CLOCK, type Clock } from './clock.js';

/** Resolves after so many milliseconds, or when `stopped` says that nobody waits any more. */
export function pause(ms: number, stopped: AbortSignal, clock: Clock = CLOCK): Promise<void> {
  if (stopped.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const end = () => {
      callOff();
      stopped.removeEventListener('abort', end);
      resolve();
    };
    const callOff = clock.after(ms, end);
    stopped.addEventListener('abort', end, { once: true });
  });
}
