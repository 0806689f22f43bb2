/**
 * What clients did with one entry and were told, and what cannot be true of it. Versions order all changes, so that no search is
 * needed: a history is linearizable when the order of versions agrees with the clock.
 */
import type { Entry } from '../../src/coord/store.js';

interface Times {
  startMs: number;
  endMs: number;
}

export type History = Times &
  (
    | { kind: 'read'; version: number; value: string | null }
    | { kind: 'write'; expected: number; value: string; outcome: 'done'; version: number }
    | { kind: 'write'; expected: number; value: string; outcome: 'conflict'; found: Entry }
    | { kind: 'write'; expected: number; value: string; outcome: 'unavailable' | 'unknown' | 'refused' }
  );

/** What a client was sure of at some moment: that this was there. */
interface Sight extends Times {
  version: number;
  value: string | null;
}

/** What is wrong, in words. Values of writes are unique. */
export function historyFaults(histories: readonly History[]): string[] {
  const faults: string[] = [];
  const values = new Map<number, string | null>();
  const successors = new Map<number, string>();
  const sights = histories.flatMap(sightsOf);
  for (const { version, value } of sights) {
    const known = values.get(version);
    if (known !== undefined && known !== value) faults.push(`version ${version} is ${known} and ${value}`);
    values.set(version, value);
  }
  for (const one of histories) {
    if (one.kind === 'read') continue;
    const { expected, value, outcome } = one;
    if (outcome === 'done') {
      const other = successors.get(expected);
      if (other !== undefined) faults.push(`${other} and ${value} both came after version ${expected}`);
      successors.set(expected, value);
      if (one.version <= expected) faults.push(`${value} made version ${one.version} of ${expected}`);
      // Nothing lies between: who changes by a version changes what has that version.
      for (const version of values.keys()) {
        if (version > expected && version < one.version)
          faults.push(`${version} lies within ${expected} -> ${one.version}`);
      }
    } else if (outcome !== 'unknown' && [...values.values()].includes(value)) {
      faults.push(`${value} was ${outcome}, and was seen`);
    }
    if (outcome === 'conflict' && one.found.version === expected) faults.push(`no conflict: ${expected}`);
  }
  // What was over before this began cannot be newer.
  let newest: Sight | null = null;
  const byEnd = sights.toSorted((one, other) => one.endMs - other.endMs);
  let ended = 0;
  for (const sight of sights.toSorted((one, other) => one.startMs - other.startMs)) {
    for (let next = byEnd[ended]; next !== undefined && next.endMs < sight.startMs; next = byEnd[++ended]) {
      if (newest === null || next.version > newest.version) newest = next;
    }
    if (newest !== null && sight.version < newest.version) {
      faults.push(`${sight.version} was told ${sight.startMs - newest.endMs} ms after ${newest.version} was`);
    }
  }
  return faults;
}

function sightsOf(one: History): Sight[] {
  const { startMs, endMs } = one;
  if (one.kind === 'read') return [{ startMs, endMs, version: one.version, value: one.value }];
  if (one.outcome === 'done') return [{ startMs, endMs, version: one.version, value: one.value }];
  if (one.outcome === 'conflict') return [{ startMs, endMs, ...one.found }];
  return [];
}
