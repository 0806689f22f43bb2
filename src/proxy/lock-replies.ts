/** What LOCK commands are answered, as docs/LOCKS.md has it. */
import { errorBytes } from '../base/errors.js';
import type { FenceRegister } from '../lock/fence.js';
import type { AcquireOutcome, ExtendOutcome, Holder, InfoOutcome, Undecided } from '../lock/lock.js';
import { bulkReply, integerReply, mapHeader, nullReply, type Protocol } from '../resp/reply.js';

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
      return mapReply(
        [
          ['token', bulkReply(Buffer.from(token, 'latin1'))],
          ['fence', integerReply(outcome.fence)],
          ['validity', integerReply(outcome.validityMs)],
        ],
        protocol,
      );
    case 'out-of-time':
      return nullReply(protocol);
    case 'crowded':
      return errorBytes('OVERLOADED', `too many wait for the lock (lockQueueMax ${outcome.max}); repeat it later`);
    case 'late':
      return errorBytes('NOQUORUM', 'the nodes took longer to answer than the lock would be held for; it is not held');
    case 'no-quorum': {
      if (outcome.error !== null) return outcome.error;
      const { quarantinedMs } = outcome;
      const why =
        quarantinedMs === null
          ? 'too few nodes of the lock can be reached'
          : `too few nodes of the lock count: one was started again and may have forgotten locks, for ${quarantinedMs} ms more`;
      return errorBytes('NOQUORUM', `${why}; it is not held`);
    }
  }
}

export function extendReply(
  { validityMs }: Extract<ExtendOutcome, { kind: 'extended' }>,
  protocol: Protocol,
): Uint8Array {
  return mapReply([['validity', integerReply(validityMs)]], protocol);
}

/** Why what was asked is not done. */
export type Refused = { kind: 'not-held'; holder: Holder } | Undecided;

export function isUndecided<O extends { kind: string }>(outcome: O | Undecided): outcome is Undecided {
  return outcome.kind === 'no-quorum' || outcome.kind === 'unknown';
}

/** Why a lock was not `done`. */
export function refusalReply(outcome: Refused, done: string): Uint8Array {
  switch (outcome.kind) {
    case 'not-held':
      return errorBytes('NOTHELD', holderText(outcome.holder));
    case 'unknown':
      return errorBytes('UNKNOWN', `the lock may have been ${done}: too few of its nodes have answered in time`);
    case 'no-quorum':
      return (
        outcome.error ?? errorBytes('NOQUORUM', 'too few nodes of the lock can be reached; the command had no effect')
      );
  }
}

export function infoReply(name: string, outcome: Exclude<InfoOutcome, Undecided>, protocol: Protocol): Uint8Array {
  const register = outcome.kind === 'held' ? outcome.holder.register : outcome.last;
  const nothing = nullReply(protocol);
  return mapReply(
    [
      ['name', bulkReply(Buffer.from(name, 'latin1'))],
      ['state', bulkReply(outcome.kind)],
      ['holder', outcome.kind === 'held' && register !== null ? bulkReply(register.client) : nothing],
      ['fence', register === null ? nothing : integerReply(register.fence)],
      ['ttl', outcome.kind === 'held' ? integerReply(outcome.holder.ttlMs) : nothing],
    ],
    protocol,
  );
}

function holderText({ ttlMs, register }: Holder): string {
  if (ttlMs === 0) return 'the lock is not held by this token: it is free';
  const time = ttlMs < 0 ? 'without end' : `for ${ttlMs} ms more`;
  return `the lock is not held by this token, but by ${nameOf(register)}, ${time}`;
}

function nameOf(register: FenceRegister | null): string {
  return register === null ? 'somebody who took it without a fence' : `${register.client} with fence ${register.fence}`;
}
