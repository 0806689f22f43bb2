/** Where the comparison measures: a test, how deep its pipelines are, how many clients ask, and how large a value is. */
import type { TestName } from './tests.js';

export interface Point {
  readonly test: TestName;
  readonly depth: number;
  readonly clients: number;
  /** Bytes of a value. */
  readonly size: number;
}

export interface Axes {
  readonly tests: readonly TestName[];
  readonly depths: readonly number[];
  readonly clients: readonly number[];
  readonly sizes: readonly number[];
}

/** What `--matrix` goes through, as far as it is sensible. */
export const MATRIX = { depths: [1, 4, 16, 64], clients: [1, 50, 500, 5_000], sizes: [64, 1_024, 16_384] } as const;

const USUAL = { clients: 50, size: 64 };
/** What stands in flight at once: beyond it, only queues are measured. */
const IN_FLIGHT_MAX = 8_000;
/** And its bytes in one direction. */
const BYTES_IN_FLIGHT_MAX = 64 * 1024 * 1024;
/** Values of a command: MGET and MSET have ten, LRANGE a hundred. */
const VALUES: Readonly<Record<TestName, number>> = { get: 1, set: 1, mget: 10, mset: 10, lrange: 100, mix: 1 };

/** All points of the axes, values of one size together. */
export function pointsOf({ tests, depths, clients, sizes }: Axes): Point[] {
  return sizes.flatMap((size) =>
    clients.flatMap((clients) => depths.flatMap((depth) => tests.map((test) => ({ test, depth, clients, size })))),
  );
}

/**
 * Whether a point of the matrix tells something that others do not: all tests at all depths with the usual clients and values; other
 * numbers of clients, and other values, only without and with pipelines of 16; and other clients with GET and SET alone.
 */
export function isSensible({ test, depth, clients, size }: Point): boolean {
  if (clients * depth > IN_FLIGHT_MAX || clients * depth * size * VALUES[test] > BYTES_IN_FLIGHT_MAX) return false;
  if (clients === USUAL.clients && size === USUAL.size) return true;
  if (depth !== 1 && depth !== 16) return false;
  if (clients !== USUAL.clients) return size === USUAL.size && (test === 'get' || test === 'set');
  return true;
}
