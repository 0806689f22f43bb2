/** Waiting for what a test cannot be told of: looks again and again, and fails loudly when it does not come. */
import { setTimeout as sleep } from 'node:timers/promises';

const INTERVAL_MS = 10;

/**
 * Resolves with the first result of `look` that is not false, null or undefined. Rejects after `timeoutMs`, naming `what`
 * and the last error that `look` threw, if it did. Prefer an event where there is one.
 */
export async function waitFor<T>(
  what: string,
  look: () => T | Promise<T>,
  timeoutMs = 20_000,
): Promise<NonNullable<Exclude<T, false>>> {
  const deadlineMs = performance.now() + timeoutMs;
  let lastError: unknown;
  do {
    try {
      const found = await look();
      if (found !== false && found !== null && found !== undefined) return found as NonNullable<Exclude<T, false>>;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    await sleep(INTERVAL_MS);
  } while (performance.now() < deadlineMs);
  throw new Error(`${what}: has not come in ${timeoutMs} ms`, { cause: lastError });
}

/** Resolves or rejects as `promise`, but rejects after `timeoutMs`, naming `what`. */
export async function within<T>(what: string, promise: Promise<T>, timeoutMs = 20_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: has not come in ${timeoutMs} ms`)), timeoutMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
