/** Whether a figure is that of the server, or of who asks it. */
import type { LoadReport } from './load-run.js';

/** A quarter: more of a latency than that must not be the generator's own, */
const LAG_SHARE_MAX = 0.25;
/** but so little says nothing: it is what the kernel needs to wake a process, for whatever server. */
const LAG_MIN_US = 50;
const CORES_MAX = 0.95;

/** Null where the generator kept up; otherwise why not. A closed pace has no times to keep. */
export function latenessOf({ latencyUs, lagUs, generatorCores }: LoadReport): string | null {
  if (generatorCores > CORES_MAX) return `the generator used all of its core (${generatorCores.toFixed(2)})`;
  for (const name of ['p50', 'p99'] as const) {
    if (lagUs[name] > Math.max(LAG_SHARE_MAX * latencyUs[name], LAG_MIN_US)) {
      return `the generator itself was late: by ${lagUs[name]} of ${latencyUs[name]} µs at ${name}`;
    }
  }
  return null;
}
