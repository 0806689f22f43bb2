/**
 * The order in which Redis's SCAN goes through its keys: by the number of their bucket, the lowest bit first (dict.c, dictScan). So it is the same
 * order whatever size the table grows or shrinks to meanwhile, and all keys between two cursors are told by who begins at the first and goes on
 * until the second is reached or passed.
 */
import { SCAN_START } from './member-step.js';

const CURSOR_BITS = 64;

/** Keys of a node, from one cursor on until another, or until the end where that is SCAN_START. */
export interface Stretch {
  from: string;
  until: string;
}

/** Whether who goes on at that cursor has not told all of the stretch yet. */
export function isWithin(cursor: string, { until }: Stretch): boolean {
  if (cursor === SCAN_START) return false;
  return until === SCAN_START || reversed(cursor) < reversed(until);
}

/** The stretches that consist of these pages, by their places, in their order; `cursors` are those that the pages began with. */
export function stretchesOf(cursors: readonly string[], places: readonly number[]): Stretch[] {
  const stretches: Stretch[] = [];
  for (const place of places) {
    const from = cursors[place] as string;
    const until = cursors[place + 1] ?? SCAN_START;
    const last = stretches.at(-1);
    if (last?.until === from && from !== SCAN_START) last.until = until;
    else stretches.push({ from, until });
  }
  return stretches;
}

function reversed(cursor: string): bigint {
  const bits = [...BigInt(cursor).toString(2).padStart(CURSOR_BITS, '0')];
  return BigInt(`0b${bits.reverse().join('')}`);
}
