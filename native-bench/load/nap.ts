/**
 * Sleeps in the kernel for microseconds. The proxy's transport counts in milliseconds, which is enough for its time limits, and too
 * coarse for a load that is to be even: 10,000 requests a second are 100 µs apart.
 *
 * The kernel wakes a sleeper late, by some 35 µs on a virtual machine. How late is measured at the start, and a sleep ends as much earlier.
 */
import { createRequire } from 'node:module';
import { performance } from 'node:perf_hooks';

const PR_SET_TIMERSLACK = 29;
/** So short a wait is not worth a sleep: whoever waits looks again. */
const SPIN_US = 15;
const TRIALS = 31;
const TRIAL_US = 100;
const POLLIN = 1;
const POLLFD_BYTES = 8;
const TIMESPEC_BYTES = 16;

/** Sleeps for `us` at most; what comes ends it early. */
export type Sleep = (us: number) => void;

export class Nap {
  private readonly sleep: Sleep;
  /** How much later than asked a sleep ends. */
  private readonly overshootUs: number;

  /** Takes a few milliseconds. Throws where there is no glibc to call. */
  constructor(sleep: Sleep) {
    this.sleep = sleep;
    // The kernel may let a sleep last 50 µs longer, unless it is told.
    libc().prctl(PR_SET_TIMERSLACK, 1);
    this.overshootUs = this.measureOvershoot();
  }

  /** Sleeps until about `us` from now, or not at all; what comes ends it early. */
  rest(us: number): void {
    if (us > this.overshootUs) this.sleep(us - this.overshootUs);
    else if (us > SPIN_US) this.sleep(1);
  }

  /** The median: other work makes some much longer. Where something comes meanwhile it is too small, and sleeps end later. */
  private measureOvershoot(): number {
    const overshoots = Array.from({ length: TRIALS }, () => {
      const startMs = performance.now();
      this.sleep(TRIAL_US);
      return (performance.now() - startMs) * 1_000 - TRIAL_US;
    });
    return Math.max(0, overshoots.sort((one, other) => one - other)[TRIALS >> 1] as number);
  }
}

/** A sleep that ends when `descriptor` is readable. */
export function pollingSleep(descriptor: number): Sleep {
  const descriptors = Buffer.alloc(POLLFD_BYTES);
  descriptors.writeInt32LE(descriptor, 0);
  descriptors.writeInt16LE(POLLIN, 4);
  const timeout = Buffer.alloc(TIMESPEC_BYTES);
  const { ppoll } = libc();
  return (us) => {
    const seconds = Math.floor(us / 1e6);
    timeout.writeBigInt64LE(BigInt(seconds), 0);
    timeout.writeBigInt64LE(BigInt(Math.floor((us - seconds * 1e6) * 1_000)), 8);
    ppoll(descriptors, 1, timeout, null);
  };
}

interface Libc {
  ppoll(descriptors: Buffer, count: number, timeout: Buffer, signals: null): number;
  prctl(option: number, value: number): number;
}

let loaded: Libc | null = null;

function libc(): Libc {
  loaded ??= load();
  return loaded;
}

function load(): Libc {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load('libc.so.6');
  return {
    ppoll: library.func('int ppoll(void *descriptors, unsigned long count, void *timeout, void *signals)'),
    prctl: library.func('int prctl(int option, unsigned long value)'),
  } as unknown as Libc;
}
