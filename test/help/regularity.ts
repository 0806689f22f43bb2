/**
 * Whether what concurrent clients were told is what a regular register of several writers may tell: Lamport's regularity ("On interprocess
 * communication", 1986), for several writers in its weakest form, MWRegWeak of Shao, Welch, Pierce and Lee ("Multiwriter Consistency
 * Conditions for Shared Memory Registers", SIAM J. Comput. 40(1), 2011):
 *
 *   a read tells what a write wrote that began before the read ended, and that no other write has overwritten: none that began
 *   after that one had ended, and ended before the read began.
 *
 * A write of unknown outcome never ends: it may take effect at any time, and overwrites nothing for certain. So nothing that was
 * acknowledged is lost unless something that ended later was written over it.
 */

export interface RegisterCall {
  client: string;
  /** Times have one clock and any unit. */
  askedAt: number;
  endedAt: number;
  outcome: 'answered' | 'unknown' | 'failed';
  /** What it was told that was there; undefined: nothing was asked, or told. Null: there was nothing. */
  told?: string | null;
  /** What it writes; undefined: nothing. Values are written once. `expireAt`: 0 for none, by any unit of `latest`. */
  writes?: { value: string | null; expireAt: number };
  /** The latest that any clock showed before it ended. */
  latest?: number;
  /** What orders the states of the key, if that is known. */
  version?: string;
  text: string;
}

interface Write {
  value: string | null;
  expireAt: number;
  askedAt: number;
  endedAt: number;
}

/** Of one key, whose first state is nothing. Sentences; none: it is regular. */
export function irregularities(calls: readonly RegisterCall[]): string[] {
  const before = Number.NEGATIVE_INFINITY;
  const writes: Write[] = [{ value: null, expireAt: 0, askedAt: before, endedAt: before }];
  const own = new Map<RegisterCall, Write>();
  for (const call of calls) {
    if (call.writes === undefined || call.outcome === 'failed') continue;
    const endedAt = call.outcome === 'answered' ? call.endedAt : Number.POSITIVE_INFINITY;
    const write = { ...call.writes, askedAt: call.askedAt, endedAt };
    writes.push(write);
    own.set(call, write);
  }
  const faults: string[] = [];
  for (const call of calls) {
    if (call.told === undefined || call.outcome !== 'answered') continue;
    const isExplained = writes.some((write) => {
      if (write === own.get(call) || write.askedAt > call.endedAt || !tells(write, call)) return false;
      return !writes.some((other) => write.endedAt < other.askedAt && other.endedAt < call.askedAt);
    });
    if (!isExplained) faults.push(`${describe(call)}: nothing that was written and not overwritten explains it`);
  }
  return faults;
}

/**
 * What is told that nobody wrote: all that reads of weak keys promise is that they come from writes. Each tells what some write has
 * written that began before the read ended, whatever has become of that since, or nothing. `failed`: what calls without effect have written counts, too.
 */
export function inventions(calls: readonly RegisterCall[], failed: 'counts' | 'never' = 'never'): string[] {
  return calls.flatMap((call) => {
    const { told, outcome, endedAt } = call;
    if (told === undefined || told === null || outcome !== 'answered') return [];
    const isWritten = calls.some((write) => {
      if (write === call || write.writes?.value !== told || write.askedAt > endedAt) return false;
      return write.outcome !== 'failed' || failed === 'counts';
    });
    return isWritten ? [] : [`${describe(call)}: nobody wrote that before`];
  });
}

/**
 * Whether of two calls one after the other the later has no older version: what one read has told, the next does not take back. `readsMeet`:
 * two reads ask a copy in common. A version of nothing is not compared: what was deleted may be forgotten. Nor is it where there was nothing after
 * either: of two deletions the later may be forgotten while a reader still has an earlier one in hand that a copy told it before.
 */
export function disorders(calls: readonly RegisterCall[], nothing: string, readsMeet: boolean): string[] {
  const faults: string[] = [];
  const known = calls.filter(
    ({ outcome, version }) => outcome === 'answered' && version !== undefined && version !== nothing,
  );
  for (const first of known) {
    for (const second of known) {
      if (first.endedAt >= second.askedAt || (second.version as string) >= (first.version as string)) continue;
      if (!readsMeet && first.writes === undefined && second.writes === undefined) continue;
      if (leavesNothing(first) && leavesNothing(second)) continue;
      faults.push(`${describe(second)} has an older version than ${describe(first)}`);
    }
  }
  return faults;
}

/** There was nothing when it had been carried out. */
function leavesNothing({ writes, told }: RegisterCall): boolean {
  return (writes === undefined ? told : writes.value) === null;
}

function tells({ value, expireAt }: Write, { told, latest = 0 }: RegisterCall): boolean {
  return value === told || (told === null && expireAt !== 0 && expireAt <= latest);
}

function describe({ client, text, askedAt, endedAt }: RegisterCall): string {
  return `${client}, ${text} [${askedAt}-${endedAt}]`;
}
