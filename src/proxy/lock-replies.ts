/** What LOCK commands are answered, as docs/LOCKS.md has it. */
import { errorBytes, showBytes } from '../base/errors.js';
import type {
  AcquireOutcome,
  ExtendOutcome,
  Holder,
  InfoOutcome,
  NoQuorum,
  NotHeld,
  Overloaded,
  Undecided,
} from '../lock/lock.js';
import type { SeveralOutcome } from '../lock/several-locks.js';
import { HOLDERS_TOLD_MAX } from '../lock/shares-script.js';
import { arrayHeader, bulkReply, integerReply, mapHeader, nullReply, type Protocol } from '../resp/reply.js';

type Field = readonly [name: string, value: Uint8Array];

function mapReply(fields: readonly Field[], protocol: Protocol): Uint8Array {
  return Buffer.concat([
    mapHeader(fields.length, protocol),
    ...fields.flatMap(([name, value]) => [bulkReply(name), value]),
  ]);
}

export function acquireReply(outcome: AcquireOutcome, token: string, protocol: Protocol): Uint8Array {
  switch (outcome.kind) {
    case 'granted':
      return grantedReply(outcome.fence, outcome.validityMs, token, protocol);
    case 'out-of-time':
      return nullReply(protocol);
    case 'crowded':
      return errorBytes('OVERLOADED', `too many wait for the lock (lockQueueMax ${outcome.max}); repeat it later`);
    case 'overloaded':
      return overloadedReply(outcome);
    case 'late':
      return errorBytes('NOQUORUM', 'the nodes took longer to answer than the lock would be held for; it is not held');
    case 'no-quorum':
      return noQuorumReply(outcome, 'it is not held');
  }
}

/** As mapReply has it, in one piece: most commands are answered so. */
function grantedReply(fence: number, validityMs: number, token: string, protocol: Protocol): Uint8Array {
  const head = protocol === 3 ? '%3' : '*6';
  const named = `$5\r\ntoken\r\n$${token.length}\r\n${token}\r\n`;
  const numbers = `$5\r\nfence\r\n:${fence}\r\n$8\r\nvalidity\r\n:${validityMs}\r\n`;
  return Buffer.from(`${head}\r\n${named}${numbers}`, 'latin1');
}

/** Of LOCK.MACQUIRE: fences in the order of the names. */
export function severalReply(outcome: SeveralOutcome, token: string, protocol: Protocol): Uint8Array {
  if (outcome.kind === 'lost') {
    const name = showBytes(Buffer.from(outcome.name, 'latin1'), 0, outcome.name.length);
    return errorBytes('NOQUORUM', `the lock ${name} was lost again before all were taken; none is held`);
  }
  if (outcome.kind !== 'granted') return acquireReply(outcome, token, protocol);
  const fences = outcome.granted.map(({ fence }) => integerReply(fence));
  return mapReply(
    [
      ['token', bulkReply(Buffer.from(token, 'latin1'))],
      ['fences', Buffer.concat([arrayHeader(fences.length), ...fences])],
      ['validity', integerReply(outcome.validityMs)],
    ],
    protocol,
  );
}

function overloadedReply({ asksMax }: Overloaded): Uint8Array {
  const what = `${asksMax} commands on locks of the coordination store have no answer yet in this worker`;
  return errorBytes('OVERLOADED', `${what}; the command had no effect, repeat it later`);
}

/** `effect`: what has come of it. */
function noQuorumReply({ error, quarantinedMs }: NoQuorum, effect: string): Uint8Array {
  if (error !== null) return error;
  const why =
    quarantinedMs === null
      ? 'too few nodes of the lock can be reached'
      : `too few nodes of the lock count: one was started again and may have forgotten locks, for ${quarantinedMs} ms more`;
  return errorBytes('NOQUORUM', `${why}; ${effect}`);
}

export function extendReply(
  { validityMs }: Extract<ExtendOutcome, { kind: 'extended' }>,
  protocol: Protocol,
): Uint8Array {
  return mapReply([['validity', integerReply(validityMs)]], protocol);
}

/** Why what was asked is not done. */
export type Refused = NotHeld | Undecided;

export function isUndecided<O extends { kind: string }>(outcome: O | Undecided): outcome is Undecided {
  return outcome.kind === 'no-quorum' || outcome.kind === 'overloaded' || outcome.kind === 'unknown';
}

/** Why a lock was not `done`. */
export function refusalReply(outcome: Refused, done: string): Uint8Array {
  switch (outcome.kind) {
    case 'not-held':
      return errorBytes('NOTHELD', holdersText(outcome));
    case 'unknown':
      return errorBytes('UNKNOWN', `the lock may have been ${done}: too few of its nodes have answered in time`);
    case 'overloaded':
      return overloadedReply(outcome);
    case 'no-quorum':
      return noQuorumReply(outcome, 'the command had no effect');
  }
}

export function infoReply(name: string, outcome: Exclude<InfoOutcome, Undecided>, protocol: Protocol): Uint8Array {
  const nothing = nullReply(protocol);
  const holders = outcome.kind === 'held' ? outcome.holders : [];
  const mode = outcome.kind === 'held' ? outcome.mode : null;
  const numberOr = (value: number | null) => (value === null ? nothing : integerReply(value));
  const holderMaps = holders.map(({ client, fence, ttlMs }) =>
    mapReply(
      [
        ['client', client === null ? nothing : bulkReply(Buffer.from(client, 'latin1'))],
        ['fence', numberOr(fence)],
        ['ttl', integerReply(ttlMs)],
      ],
      protocol,
    ),
  );
  return mapReply(
    [
      ['name', bulkReply(Buffer.from(name, 'latin1'))],
      ['state', bulkReply(outcome.kind)],
      ['mode', mode === null ? nothing : bulkReply(mode.kind)],
      ['limit', mode?.kind === 'limit' ? integerReply(mode.max) : nothing],
      ['fence', numberOr(outcome.fence)],
      ['holders', Buffer.concat([arrayHeader(holders.length), ...holderMaps])],
    ],
    protocol,
  );
}

/** A lock, and who holds it. */
export interface FoundLock {
  name: string;
  outcome: Exclude<InfoOutcome, Undecided>;
}

export function listReply(locks: readonly FoundLock[], protocol: Protocol): Uint8Array {
  const maps = locks.map(({ name, outcome }) => infoReply(name, outcome, protocol));
  return Buffer.concat([arrayHeader(locks.length), ...maps]);
}

function holdersText({ ttlMs, holders }: NotHeld): string {
  if (ttlMs === 0) return 'the lock is not held by this token: it is free';
  const time = ttlMs < 0 ? 'without end' : `for ${ttlMs} ms more`;
  return `the lock is not held by this token, but by ${namesOf(holders)}, ${time}`;
}

function namesOf(holders: readonly Holder[]): string {
  if (holders.length === 0) return 'somebody who took it without a fence';
  const names = holders.slice(0, HOLDERS_TOLD_MAX).map(({ client, fence }) => `${client} with fence ${fence}`);
  return holders.length > names.length ? `${names.join(', ')} and others` : names.join(' and ');
}
