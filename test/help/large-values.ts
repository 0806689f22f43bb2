/** What tests of large values ask of the proxy, by driver. */

export const PIECE_BYTES = 1024 * 1024;

/**
 * Bytes by which the process may grow while a value of hundreds of MB goes through it, whoever is slow. With `node`, what was read and
 * passed on stays until V8 collects it: node:net makes a buffer of 64 KiB for each read.
 */
export const GROWTH_MAX = { io_uring: 48e6, epoll: 48e6, node: 96e6 } as const;

/** A node makes up its mind about half a gigabyte first, and may be short of memory. */
export const PATIENT = { requestTimeoutMs: 60_000, stallTimeoutMs: 60_000 };
