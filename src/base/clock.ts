/** Time as a process has it, so that what goes by it can be run in a time that is made up. */
export interface Clock {
  /** Monotonic, from no particular moment on. */
  nowMs(): number;
  /** Calls `work` once, in about so many milliseconds: a little earlier or much later. What it returns calls that off. */
  after(ms: number, work: () => void): () => void;
}

/** Milliseconds of a clock that all threads of the machine have in common; monotonic. */
export function commonMs(): number {
  const [seconds, nanoseconds] = process.hrtime();
  return seconds * 1000 + nanoseconds / 1e6;
}

export const CLOCK: Clock = {
  nowMs: () => performance.now(),
  after: (ms, work) => {
    const timer = setTimeout(work, Math.ceil(ms));
    return () => clearTimeout(timer);
  },
};
