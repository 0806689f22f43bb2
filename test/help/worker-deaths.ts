/** The deaths of workers, as clients live through them. */
import type { Test } from 'tap';
import type { Deployment } from './deployment.js';
import { waitFor } from './wait-for.js';

/** The proxy's environment, for `outlivesWorkers`. */
export const DEATH_HOOKS = { RINGLEADER_TEST_HOOKS: '1' };

/** After its worker has died a client connects again by itself and goes on. */
export async function outlivesWorkers(
  t: Test,
  deployment: Deployment,
  setAndGet: (value: string) => Promise<unknown>,
): Promise<void> {
  const { proxy } = deployment;
  const counted = (event: string) => proxy.logLines.filter(({ msg }) => msg === event).length;
  const [deathsBefore, restartsBefore] = [counted('worker-died'), counted('worker-restarted')];
  // As many deaths as workers: its own is among them.
  for (let death = 1; death <= 2; death++) {
    proxy.signal('SIGUSR2');
    await waitFor('a death', () => counted('worker-died') === deathsBefore + death);
    await waitFor('a successor', () => counted('worker-restarted') === restartsBefore + death);
    // What was under way at that moment may fail; what comes later does not.
    t.equal(await waitFor('an answer', () => setAndGet(`${death}`).catch(() => null)), `${death}`);
  }
}
