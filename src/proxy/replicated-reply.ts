/** What a client is told of the outcome of an operation on a replicated key. */
import { errorBytes } from '../base/errors.js';
import type { Replies } from '../replica/commands.js';
import type { Outcome } from '../replica/round.js';

/** One frame. */
export function replyOf(outcome: Outcome<Replies>): Uint8Array {
  switch (outcome.kind) {
    case 'done':
      return outcome.reply[0] as Uint8Array;
    case 'unknown':
      return errorBytes('UNKNOWN', `the command may have been carried out: ${outcome.why}`);
    case 'no-quorum':
      return errorBytes(
        'NOQUORUM',
        'too few nodes that have copies of the key can be reached; the command had no effect',
      );
    case 'overtaken':
      return errorBytes('NOQUORUM', 'other writes of the key kept coming before this one; the command had no effect');
    case 'crowded':
      return errorBytes(
        'OVERLOADED',
        `too many commands wait for the key (replicatedKeyQueueMax ${outcome.max}); the command had no effect: repeat it later`,
      );
    case 'overdue':
      return errorBytes(
        'NOQUORUM',
        'commands that came before it on the key took longer than requestTimeoutMs; the command had no effect',
      );
    case 'cursor-lost':
      return errorBytes('ERR', 'the node of this cursor is gone or behind: start again with cursor 0');
    case 'unable':
      return outcome.error;
  }
}
