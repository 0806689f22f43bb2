/**
 * Sleeps in the kernel for microseconds. The proxy's transport counts in milliseconds, which is enough for its time limits, and too
 * coarse for a load that is to be even: 10,000 requests a second are 100 µs apart.
 */
import { createRequire } from 'node:module';

const POLLIN = 1;
const PR_SET_TIMERSLACK = 29;
const POLLFD_BYTES = 8;
const TIMESPEC_BYTES = 16;

interface Libc {
  ppoll(descriptors: Buffer, count: number, timeout: Buffer, signals: null): number;
  prctl(option: number, value: number): number;
}

export class Nap {
  private readonly libc = load();
  private readonly descriptors = Buffer.alloc(POLLFD_BYTES);
  private readonly timeout = Buffer.alloc(TIMESPEC_BYTES);

  /** Wakes when `descriptor` is readable. Throws where there is no glibc to call. */
  constructor(descriptor: number) {
    this.descriptors.writeInt32LE(descriptor, 0);
    this.descriptors.writeInt16LE(POLLIN, 4);
    // The kernel may let a sleep last 50 µs longer, unless it is told.
    this.libc.prctl(PR_SET_TIMERSLACK, 1);
  }

  /** Sleeps for `us` at most; a signal or what is readable ends it early. */
  sleep(us: number): void {
    const seconds = Math.floor(us / 1e6);
    this.timeout.writeBigInt64LE(BigInt(seconds), 0);
    this.timeout.writeBigInt64LE(BigInt(Math.floor((us - seconds * 1e6) * 1_000)), 8);
    this.libc.ppoll(this.descriptors, 1, this.timeout, null);
  }
}

function load(): Libc {
  const koffi = createRequire(import.meta.url)('koffi') as typeof import('koffi');
  const library = koffi.load('libc.so.6');
  return {
    ppoll: library.func('int ppoll(void *descriptors, unsigned long count, void *timeout, void *signals)'),
    prctl: library.func('int prctl(int option, unsigned long value)'),
  } as unknown as Libc;
}
